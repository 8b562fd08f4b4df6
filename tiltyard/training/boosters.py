"""Gradient boosting of other packages, made known to skl2onnx.

XGBoost's and LightGBM's converters are onnxmltools'. CatBoost exports itself: its
trees are taken from that export into the pipeline's graph, so that it is
converted behind any preprocessing, as the others are.
"""

from __future__ import annotations

import copy
from typing import Any

import skl2onnx
from onnx import helper
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)

from tiltyard.training.refusals import parts

CLASSIFIER_OPTIONS = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
CATBOOST_ALIASES = {
    "CatBoostClassifier": "TiltyardCatBoostClassifier",
    "CatBoostRegressor": "TiltyardCatBoost",
}
EXPONENTIAL = ("Poisson", "Tweedie")
"""Losses of CatBoost whose prediction is the exponential of the trees' sum, which its export forgets."""


def register(model: Any) -> None:
    """Make skl2onnx know the boosters in `model`; doing it again changes nothing."""
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
    if "catboost" in kinds:
        import catboost

        for kind in (catboost.CatBoostClassifier, catboost.CatBoostRegressor):
            is_classifier = kind is catboost.CatBoostClassifier
            alias = CATBOOST_ALIASES[kind.__name__]
            parser = _declare_catboost
            _register(kind, alias, _convert_catboost, is_classifier=is_classifier, parser=parser)


def _register(kind: type, alias: str, converter: Any, *, is_classifier: bool, parser: Any = None) -> None:
    skl2onnx.update_registered_converter(
        kind,
        alias,
        calculate_linear_classifier_output_shapes
        if is_classifier
        else calculate_linear_regressor_output_shapes,
        converter,
        parser=parser,
        options=CLASSIFIER_OPTIONS if is_classifier else {"split": None},
        overwrite=True,
    )


def readied(model: Any) -> Any:
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


def _declare_catboost(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> list[Any]:
    """The outputs of CatBoost's operator; skl2onnx knows a classifier by a base class that it lacks."""
    operator = scope.declare_local_operator(CATBOOST_ALIASES[type(model).__name__], model)
    operator.inputs = inputs
    if type(model).__name__ == "CatBoostRegressor":
        operator.outputs.append(scope.declare_local_variable("variable", FloatTensorType()))
    else:
        is_text = model.classes_.dtype.kind not in "iub"
        label = StringTensorType() if is_text else Int64TensorType()
        operator.outputs.append(scope.declare_local_variable("label", label))
        operator.outputs.append(scope.declare_local_variable("probabilities", FloatTensorType()))
    return list(operator.outputs)


def _convert_catboost(scope: Any, operator: Any, container: Any) -> None:
    from catboost.utils import convert_to_onnx_object

    model = operator.raw_operator
    trees = convert_to_onnx_object(model).graph.node[0]
    loss = model.get_all_params()["loss_function"].split(":")[0]
    outputs = [output.full_name for output in operator.outputs]
    made = [scope.get_unique_variable_name("trees")] if loss in EXPONENTIAL else outputs
    container.add_node(
        trees.op_type,
        [operator.inputs[0].full_name],
        made,
        op_domain="ai.onnx.ml",
        name=scope.get_unique_operator_name(trees.op_type),
        **{attribute.name: helper.get_attribute_value(attribute) for attribute in trees.attribute},
    )
    if loss in EXPONENTIAL:
        container.add_node("Exp", made, outputs, name=scope.get_unique_operator_name("Exp"))
