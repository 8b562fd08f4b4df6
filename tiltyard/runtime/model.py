"""A loaded version: rows in, answers out. No AWS, no framework, one thread."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from tiltyard.contract.rows import Batch, RowReader, Warn
from tiltyard.contract.signature import Signature
from tiltyard.errors import Fault, InvalidBundle
from tiltyard.runtime import parity
from tiltyard.runtime.assurance import Assurance
from tiltyard.runtime.bundle import MODEL, REFERENCE, SIGNATURE, Bundle
from tiltyard.runtime.reference import NOTHING, Reference

if TYPE_CHECKING:
    from tiltyard.runtime.explanation import Explainer

NUMBERS, STRINGS = "numbers", "strings"
PROBABILITIES, VALUE = "probabilities", "value"


SERVED = (MODEL, SIGNATURE, REFERENCE)
"""What a predictor loads of a bundle; the rest is for the examiner and the watch."""


class Answers(NamedTuple):
    """What a version says of n rows.

    `scores` is ``float32 [n, classes]`` of probabilities, or ``[n, 1]`` of
    values; `values` the decision by row: a class label, or the value itself;
    `columns` the rows as they were sent, by column; `numbers` what the graph was given of them.
    """

    scores: NDArray[np.float32]
    values: list[str] | list[float]
    warnings: Mapping[int, tuple[Warn, ...]]
    columns: Mapping[str, list[Any]]
    numbers: NDArray[np.float32] | None = None


def open_session(content: bytes) -> ort.InferenceSession:
    """An ONNX Runtime session that answers in the same bits at every batch size.

    With two threads the order of summation depends on the batch, so there is
    one. Bytes only, never a path, and never the runtime's own flatbuffer format,
    which no protobuf check sees.

    Raises
    ------
    InvalidBundle
        If ONNX Runtime refuses the graph.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as exc:  # its errors share no base class with one another
        raise InvalidBundle(
            "ONNX Runtime refuses the graph.", faults=[Fault("/model.onnx", str(exc)[:500])]
        ) from exc


class ServedModel:
    """A version that is ready to answer."""

    def __init__(
        self, signature: Signature, session: ort.InferenceSession, reference: Reference = NOTHING
    ) -> None:
        check_graph(signature, session)
        self.signature = signature
        self.assurance = Assurance(reference, signature)
        self.reader = RowReader(signature)
        self._run = session.run
        self._outputs = [VALUE if signature.task == "regression" else PROBABILITIES]

    @classmethod
    def open(cls, files: Mapping[str, bytes]) -> ServedModel:
        """Load a bundle's `SERVED` files, whose digests the caller has checked.

        Raises
        ------
        InvalidBundle
            If signature or reference can't be read, ONNX Runtime refuses the graph,
            or they don't fit each other.
        """
        signature = Bundle({SIGNATURE: files[SIGNATURE]}).signature
        reference = Reference.read(files[REFERENCE], signature)
        return cls(signature, open_session(files[MODEL]), reference)

    @functools.cached_property
    def explainer(self) -> Explainer:
        """Made when it is first asked for: most containers never explain anything.

        Raises
        ------
        InvalidBundle
            If there is no background row.
        """
        from tiltyard.runtime.explanation import Explainer

        return Explainer(self, self.assurance.reference.background)

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> Answers:
        """Answer rows as JSON sends them.

        Raises
        ------
        InvalidRows
            If a row breaks the contract; none is answered then.
        """
        batch = self.reader.read(rows)
        scores = self.score(batch)
        return Answers(scores, self.decide(scores), batch.warnings, batch.columns, batch.numbers)

    def score(self, batch: Batch) -> NDArray[np.float32]:
        """Raw answers, float32 of shape (n, classes) or (n, 1)."""
        feed: dict[str, NDArray[Any]] = {}
        if batch.numbers is not None:
            feed[NUMBERS] = batch.numbers
        if batch.strings is not None:
            feed[STRINGS] = batch.strings
        scores: NDArray[np.float32] = self._run(self._outputs, feed)[0]
        return scores

    def decide(self, scores: NDArray[np.float32]) -> list[str] | list[float]:
        """The decision of each row: the class at the threshold (or the likeliest), or the value."""
        signature = self.signature
        if signature.task == "regression":
            values: list[float] = scores[:, 0].tolist()
            return values
        classes = signature.classes
        if signature.threshold is not None:
            # Python's floats, so in the precision in which the caller reads score and threshold.
            negative, positive = classes
            threshold = signature.threshold
            return [positive if score >= threshold else negative for score in scores[:, 1].tolist()]
        chosen = parity.labels(scores, signature.task, signature.threshold)
        return [classes[i] for i in chosen.tolist()]


def check_graph(signature: Signature, session: ort.InferenceSession) -> None:
    """Hold the graph's inputs and output against the signature.

    Raises
    ------
    InvalidBundle
        With one fault for each that differs.
    """
    wanted_inputs = {}
    if signature.features.numbers:
        wanted_inputs[NUMBERS] = ("tensor(float)", len(signature.features.numbers))
    if signature.features.strings:
        wanted_inputs[STRINGS] = ("tensor(string)", len(signature.features.strings))
    if signature.task == "regression":
        wanted_outputs = {VALUE: ("tensor(float)", 1)}
    else:
        wanted_outputs = {PROBABILITIES: ("tensor(float)", len(signature.classes))}
    faults = [
        *_differences("input", wanted_inputs, session.get_inputs()),
        *_differences("output", wanted_outputs, session.get_outputs()),
    ]
    if faults:
        raise InvalidBundle("The graph and the signature don't fit each other.", faults=faults)


def _differences(side: str, wanted: Mapping[str, tuple[str, int]], nodes: Sequence[Any]) -> list[Fault]:
    found = {node.name: node for node in nodes}
    faults = [
        Fault(f"/model.onnx/{side}", f"{name!r} is not {side} of a {', '.join(wanted)} graph")
        for name in found
        if name not in wanted
    ]
    for name, (kind, width) in wanted.items():
        node = found.get(name)
        if node is None:
            faults.append(Fault(f"/model.onnx/{side}/{name}", "is missing"))
        elif node.type != kind or len(node.shape) != 2 or node.shape[1] not in (width, None):
            faults.append(
                Fault(
                    f"/model.onnx/{side}/{name}",
                    f"must be {kind} of shape (n, {width}), is {node.type} of {node.shape}",
                )
            )
        elif isinstance(node.shape[0], int):
            faults.append(Fault(f"/model.onnx/{side}/{name}", "must take any number of rows"))
    return faults
