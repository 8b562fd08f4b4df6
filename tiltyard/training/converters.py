"""skl2onnx made ready: the boosters' converters, and protobuf 7.

Importing this module imports skl2onnx; the boosters' converters are registered
when a model of theirs is met.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import skl2onnx
from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common.data_types import FloatTensorType, StringTensorType

from tiltyard.errors import Fault, UnconvertibleModel
from tiltyard.runtime.model import NUMBERS, STRINGS
from tiltyard.training import boosters, isotonic, levels

OPSETS = {"": 15, "ai.onnx.ml": 3}


def convert_pipeline(model: Any, *, numbers: int, strings: int, is_classifier: bool) -> Any:
    """An ``onnx.ModelProto`` of a fitted pipeline over the two matrices.

    Raises
    ------
    UnconvertibleModel
        With skl2onnx's own words, if it knows no way.
    """
    levels.register()
    boosters.register(model)
    inputs: list[tuple[str, Any]] = []
    if numbers:
        inputs.append((NUMBERS, FloatTensorType([None, numbers])))
    if strings:
        inputs.append((STRINGS, StringTensorType([None, strings])))
    model = boosters.readied(model)
    options = {id(model): {"zipmap": False}} if is_classifier else None
    try:
        with _quiet(), _integers_for_protobuf_7(), isotonic.interpolated():
            return skl2onnx.to_onnx(
                model,
                initial_types=inputs,
                target_opset=OPSETS,
                options=options,
                name="model",
            )
    except Exception as exc:  # skl2onnx and the boosters' converters raise what they please
        raise UnconvertibleModel(
            "skl2onnx knows no ONNX form of this pipeline. Replace the step that it names, or compute what "
            "it does before training.",
            faults=[Fault("/model", " ".join(str(exc).split())[:500] or type(exc).__name__)],
        ) from exc


@contextlib.contextmanager
def _integers_for_protobuf_7() -> Iterator[None]:
    """Booleans among a node's integers as integers, which protobuf asks for from version 7 on.

    HistGradientBoosting's converter writes ``nodes_missing_value_tracks_true`` as
    booleans. Older protobufs take them, so nothing is changed there.
    """
    if _major("protobuf") < 7:
        yield
        return
    original = ModelComponentContainer.add_node

    def add_node(self: Any, op_type: Any, inputs: Any, outputs: Any, *args: Any, **attributes: Any) -> Any:
        whole = {name: _as_integers(value) for name, value in attributes.items()}
        return original(self, op_type, inputs, outputs, *args, **whole)

    ModelComponentContainer.add_node = add_node
    try:
        yield
    finally:
        ModelComponentContainer.add_node = original


def _as_integers(value: Any) -> Any:
    if isinstance(value, list | tuple) and any(isinstance(v, bool | np.bool_) for v in value):
        return [int(v) if isinstance(v, bool | np.bool_) else v for v in value]
    if isinstance(value, np.ndarray) and value.dtype == bool:
        return value.astype(np.int64)
    return value


def _major(package: str) -> int:
    try:
        return int(version(package).split(".")[0])
    except PackageNotFoundError:
        return 0


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Converters warn about shapes that the parity gate settles better."""
    logger = logging.getLogger("skl2onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
