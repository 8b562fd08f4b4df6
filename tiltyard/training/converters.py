"""skl2onnx made ready: the boosters' converters, and protobuf 7.

Importing this module imports skl2onnx; XGBoost's and LightGBM's converters are
registered when a model of theirs is met.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import warnings
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import skl2onnx
from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)

from tiltyard.errors import Fault, UnconvertibleModel
from tiltyard.runtime.model import NUMBERS, STRINGS
from tiltyard.training import isotonic, levels
from tiltyard.training.refusals import parts

OPSETS = {"": 15, "ai.onnx.ml": 3}
CLASSIFIER_OPTIONS = {"nocl": [True, False], "zipmap": [True, False, "columns"]}


def convert_pipeline(model: Any, *, numbers: int, strings: int, is_classifier: bool) -> Any:
    """An ``onnx.ModelProto`` of a fitted pipeline over the two matrices.

    Raises
    ------
    UnconvertibleModel
        With skl2onnx's own words, if it knows no way.
    """
    levels.register()
    _register_boosters(model)
    inputs: list[tuple[str, Any]] = []
    if numbers:
        inputs.append((NUMBERS, FloatTensorType([None, numbers])))
    if strings:
        inputs.append((STRINGS, StringTensorType([None, strings])))
    model = _readied(model)
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


def _register_boosters(model: Any) -> None:
    kinds = {type(estimator).__module__.split(".")[0] for _, estimator in parts(model)}
    if "xgboost" in kinds:
        import xgboost
        from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost

        _register(xgboost.XGBClassifier, "XGBoostXGBClassifier", convert_xgboost, is_classifier=True)
        _register(xgboost.XGBRegressor, "XGBoostXGBRegressor", convert_xgboost, is_classifier=False)
    if "lightgbm" in kinds:
        import lightgbm
        from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm

        _register(lightgbm.LGBMClassifier, "LightGbmLGBMClassifier", convert_lightgbm, is_classifier=True)
        _register(lightgbm.LGBMRegressor, "LightGbmLGBMRegressor", convert_lightgbm, is_classifier=False)


def _register(kind: type, alias: str, converter: Any, *, is_classifier: bool) -> None:
    skl2onnx.update_registered_converter(
        kind,
        alias,
        calculate_linear_classifier_output_shapes
        if is_classifier
        else calculate_linear_regressor_output_shapes,
        converter,
        options=CLASSIFIER_OPTIONS if is_classifier else {"split": None},
        overwrite=True,
    )


def _readied(model: Any) -> Any:
    """The model with copies of what its converters can't read as it is; the original stays untouched."""
    memo: dict[int, Any] = {
        id(estimator): _without_feature_names(estimator)
        for _, estimator in parts(model)
        if type(estimator).__module__.startswith("xgboost")
        and estimator.get_booster().feature_names is not None
    }
    return copy.deepcopy(model, memo) if memo else model


def _without_feature_names(estimator: Any) -> Any:
    """XGBoost's converter reads columns as f0, f1, … and nothing else."""
    twin = copy.deepcopy(estimator)
    booster = twin.get_booster()
    booster.feature_names = None
    booster.feature_types = None
    return twin


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
