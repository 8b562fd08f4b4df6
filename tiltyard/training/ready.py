"""A ready ONNX model, brought to our graph convention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tiltyard.contract.features import Boolean, FeatureSpec, Fill, Operation
from tiltyard.contract.signature import ColumnType, Task
from tiltyard.contract.step import to_columns
from tiltyard.errors import Fault, UnconvertibleModel
from tiltyard.runtime.canonical import check_container, parse, reserialise
from tiltyard.runtime.guard import inspect
from tiltyard.runtime.model import NUMBERS, STRINGS, open_session
from tiltyard.training.graph import drop_dead_nodes, rename, seal

MISSING_TEXT = ""
"""What missing text is to a ready graph, whose ``string`` input knows no missing values."""


@dataclass(frozen=True, slots=True)
class ReadyGraph:
    """A graph by our convention, with the original beside it to compare with."""

    content: bytes
    features: FeatureSpec
    task: Task
    labels: tuple[object, ...]
    producer: str
    original: bytes
    output: str
    is_single: bool

    def answer(self, rows: pd.DataFrame, types: Mapping[str, ColumnType]) -> NDArray[np.float64]:
        """The original graph's own answers, shape (n, classes) or (n, 1)."""
        made = self.features.apply(to_columns(rows, types))
        feed: dict[str, Any] = {}
        session = open_session(self.original)
        for tensor in session.get_inputs():
            if tensor.type == "tensor(string)":
                feed[tensor.name] = np.stack([made[n] for n in self.features.strings], axis=1)
            else:
                columns = [made[n] for n in self.features.numbers]
                feed[tensor.name] = np.stack(columns, axis=1).astype(np.float32)
        raw = np.asarray(session.run([self.output], feed)[0], dtype=np.float64).reshape(len(rows), -1)
        return np.concatenate([1 - raw, raw], axis=1) if self.is_single else raw


def adopt(
    content: bytes,
    types: Mapping[str, ColumnType],
    *,
    missing: frozenset[str],
    task: Task | None,
    labels: NDArray[Any] | None,
) -> ReadyGraph:
    """Rename inputs, drop the label output, and give the output its shape.

    The columns of `types` are the graph's columns in order: numbers, whole numbers
    and booleans those of its float input, text those of its string input.

    Raises
    ------
    UnconvertibleModel
        If the graph's inputs or outputs aren't what one float and one string matrix
        and one output of probabilities or values can be.
    UnsafeModel
        If it isn't ONNX, or holds what the guard refuses.
    """
    check_container(content)
    model = parse(content)
    _without_zipmap(model.graph)
    drop_dead_nodes(model.graph)
    # The guard's rules come before anything of the file is run or checked.
    original = reserialise(model.SerializeToString(deterministic=True))
    inspect(original)
    features = _features(model.graph, types, missing)
    outputs = {o.name: o.type.tensor_type for o in model.graph.output}
    floats = [name for name, kind in outputs.items() if kind.elem_type == TensorProto.FLOAT]
    has_labels = any(kind.elem_type in (TensorProto.INT64, TensorProto.STRING) for kind in outputs.values())
    if len(floats) != 1:
        raise _refused(
            "output", f"it has {len(floats)} float outputs; one of probabilities or values is needed"
        )
    output = floats[0]
    found = task or ("regression" if not has_labels else None)
    classes = () if found == "regression" else _classes(model.graph, labels)
    found = found or ("binary" if len(classes) == 2 else "multiclass")
    width = _width(original, output, features)
    is_single = found == "binary" and width == 1
    expected = 1 if found == "regression" or is_single else len(classes)
    if width != expected:
        raise _refused(
            "output", f"{output!r} has {width} columns; a {found} model of these labels has {expected}"
        )
    _rename_inputs(model.graph)
    tensor = _shape_output(model.graph, output, is_single=is_single)
    sealed = seal(model, task=found, classes=len(classes), output=tensor)
    producer = parse(content).producer_name or "unknown"
    return ReadyGraph(sealed, features, found, tuple(classes), producer, original, output, is_single)


def _without_zipmap(graph: Any) -> None:
    """Take the tensor that ZipMap would turn into a list of dictionaries as the output."""
    for node in [n for n in graph.node if n.op_type == "ZipMap"]:
        for output in graph.output:
            if output.name == node.output[0]:
                output.CopyFrom(helper.make_tensor_value_info(node.input[0], TensorProto.FLOAT, None))
        graph.node.remove(node)


def _features(graph: Any, types: Mapping[str, ColumnType], missing: frozenset[str]) -> FeatureSpec:
    initial = {i.name for i in graph.initializer}
    inputs = [i for i in graph.input if i.name not in initial]
    kinds = [i.type.tensor_type.elem_type for i in inputs]
    floats, texts = kinds.count(TensorProto.FLOAT), kinds.count(TensorProto.STRING)
    if floats + texts != len(inputs) or floats > 1 or texts > 1:
        raise _refused(
            "input",
            "its inputs must be at most one float and one string matrix; convert with "
            "initial_types=[('numbers', FloatTensorType([None, k])), "
            "('strings', StringTensorType([None, s]))]",
        )
    times = [name for name, kind in types.items() if kind == "datetime"]
    if times:
        raise _refused(
            "input", f"the time column {times[0]!r} can't be its input: leave it out or name it time="
        )
    numbers = tuple(name for name, kind in types.items() if kind != "string")
    strings = tuple(name for name, kind in types.items() if kind == "string")
    for tensor in inputs:
        is_text = tensor.type.tensor_type.elem_type == TensorProto.STRING
        wanted = strings if is_text else numbers
        dims = tensor.type.tensor_type.shape.dim
        if len(dims) != 2 or (dims[1].HasField("dim_value") and dims[1].dim_value != len(wanted)):
            found = [d.dim_value or None for d in dims]
            raise _refused(
                "input",
                f"{tensor.name!r} has shape {found} and `data` has {len(wanted)} such columns "
                f"({', '.join(wanted) or 'none'}); name columns that it doesn't read by their role",
            )
    for names, count, word in ((numbers, floats, "float"), (strings, texts, "string")):
        if names and not count:
            raise _refused("input", f"it has no {word} input for the columns {', '.join(names)}")
    operations: list[Operation] = [Boolean(n) for n in numbers if types[n] == "boolean"]
    operations += [Fill(n, MISSING_TEXT) for n in strings if n in missing]
    return FeatureSpec(numbers, strings, tuple(operations))


def _classes(graph: Any, labels: NDArray[Any] | None) -> tuple[object, ...]:
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name in ("classlabels_int64s", "classlabels_ints") and attribute.ints:
                return tuple(attribute.ints)
            if attribute.name in ("classlabels_strings", "classlabels_strings") and attribute.strings:
                return tuple(s.decode("utf-8") for s in attribute.strings)
    if labels is None:
        raise _refused("output", "it doesn't name its classes, and there are no labels to take them from")
    return tuple(np.unique(labels).tolist())


def _width(content: bytes, output: str, features: FeatureSpec) -> int:
    """Columns of the output for two rows of zeros and empty text."""
    session = open_session(content)
    feed: dict[str, Any] = {}
    for tensor in session.get_inputs():
        if tensor.type == "tensor(string)":
            feed[tensor.name] = np.full((2, len(features.strings)), "", dtype=object)
        else:
            feed[tensor.name] = np.zeros((2, len(features.numbers)), dtype=np.float32)
    try:
        made = np.asarray(session.run([output], feed)[0])
    except Exception as exc:  # ONNX Runtime's errors share no base class
        raise _refused("input", f"it can't answer rows of zeros and empty text: {str(exc)[:200]}") from exc
    return int(made.size // 2)


def _rename_inputs(graph: Any) -> None:
    initial = {i.name for i in graph.initializer}
    names = {}
    for tensor in graph.input:
        if tensor.name not in initial:
            is_text = tensor.type.tensor_type.elem_type == TensorProto.STRING
            names[tensor.name] = STRINGS if is_text else NUMBERS
    rename(graph, names)
    for tensor in graph.input:
        dims = tensor.type.tensor_type.shape.dim
        if tensor.name in names.values() and len(dims) == 2:
            dims[0].Clear()


def _shape_output(graph: Any, output: str, *, is_single: bool) -> str:
    """The output as a matrix: values in one column, a lone probability beside its complement."""
    shape = numpy_helper.from_array(np.array([-1, 1 if is_single else 0], dtype=np.int64), "tiltyard_shape")
    dims = next(o for o in graph.output if o.name == output).type.tensor_type.shape.dim
    if not is_single and len(dims) == 2:
        return output
    if not is_single:
        shape = numpy_helper.from_array(np.array([-1, 1], dtype=np.int64), "tiltyard_shape")
        if len(dims) != 1:
            return output
    graph.initializer.append(shape)
    graph.node.append(helper.make_node("Reshape", [output, "tiltyard_shape"], ["tiltyard_matrix"]))
    if not is_single:
        return "tiltyard_matrix"
    one = numpy_helper.from_array(np.array([1], dtype=np.float32), "tiltyard_one")
    graph.initializer.append(one)
    graph.node.append(helper.make_node("Sub", ["tiltyard_one", "tiltyard_matrix"], ["tiltyard_complement"]))
    graph.node.append(
        helper.make_node("Concat", ["tiltyard_complement", "tiltyard_matrix"], ["tiltyard_both"], axis=1)
    )
    return "tiltyard_both"


def _refused(place: str, detail: str) -> UnconvertibleModel:
    return UnconvertibleModel(
        f"The ONNX file can't be served: {detail}.", faults=[Fault(f"/model.onnx/{place}", detail)]
    )
