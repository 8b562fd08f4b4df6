"""Estimators that ONNX can't hold, or would hold wrongly without a word.

Conversion that succeeds proves nothing: native categories of gradient boosting,
missing values in forests, tuned thresholds and neighbour imputers all convert
and answer differently. Each is refused here by name, with the line that mends
the pipeline; the parity gate is behind them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from tiltyard.errors import Fault, UnconvertibleModel

TREES = frozenset(
    {
        "DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor",
        "RandomForestClassifier", "RandomForestRegressor", "ExtraTreesClassifier", "ExtraTreesRegressor",
    }
)  # fmt: skip
SCALERS = frozenset(
    {
        "StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler", "Normalizer",
        "PowerTransformer", "QuantileTransformer",
    }
)  # fmt: skip
SEVERAL_VALUES = frozenset(
    {"MultiRMSE", "MultiRMSEWithMissingValues", "MultiQuantile", "RMSEWithUncertainty"}
)
"""Losses of CatBoost."""
THRESHOLDED = frozenset({"TunedThresholdClassifierCV", "FixedThresholdClassifier"})

_STEP_LINE = (
    "put what it computes before training, or first in the pipeline as "
    "tiltyard.contract.FeatureStep(datetime_parts=…, lump=…, fill=…, booleans=…, missing_indicators=…)"
)
_NEIGHBOURS = (
    "it carries the training rows and needs the ONNX operator Scan, which the service refuses: "
    "use HistGradientBoosting{kind}() or a linear model"
)
_ADVICE = {
    "KNNImputer": "its ONNX form imputes other values: use SimpleImputer(strategy='median')",
    "IterativeImputer": "it has no ONNX form: use SimpleImputer(strategy='median')",
    "KNeighborsClassifier": _NEIGHBOURS.format(kind="Classifier"),
    "KNeighborsRegressor": _NEIGHBOURS.format(kind="Regressor"),
    "RadiusNeighborsClassifier": _NEIGHBOURS.format(kind="Classifier"),
    "RadiusNeighborsRegressor": _NEIGHBOURS.format(kind="Regressor"),
    "SplineTransformer": "it has no ONNX form: use KBinsDiscretizer(encode='onehot-dense')",
    "TransformedTargetRegressor": "it has no ONNX form: transform the target before training, "
    "model.fit(X, np.log1p(y)), and register that model",
    "FunctionTransformer": f"ONNX holds no Python function: {_STEP_LINE}",
    "HashingVectorizer": "text columns of many words are not supported: encode them before training",
    "TfidfVectorizer": "text columns of many words are not supported: encode them before training",
    "CountVectorizer": "text columns of many words are not supported: encode them before training",
}


def refuse(where: str, estimator: object, advice: str) -> UnconvertibleModel:
    """The error for one step, which names it and says what replaces it."""
    name = estimator if isinstance(estimator, str) else type(estimator).__name__
    return UnconvertibleModel(
        f"{name} can't become a faithful ONNX graph: {advice}.",
        faults=[Fault(where, f"{name}: {advice}")],
    )


def is_identity(transformer: object) -> bool:
    """A FunctionTransformer without a function, as fitted ColumnTransformers hold for ``passthrough``."""
    return type(transformer).__name__ == "FunctionTransformer" and getattr(transformer, "func", 0) is None


def parts(estimator: Any, where: str = "/model") -> Iterator[tuple[str, Any]]:
    """Every fitted estimator inside `estimator`, itself first, each with a pointer to it."""
    if isinstance(estimator, str) or estimator is None:
        return
    yield where, estimator
    for name, child in _children(estimator):
        yield from parts(child, f"{where}/{name}")


def _children(estimator: Any) -> Iterator[tuple[str, Any]]:
    if type(estimator).__name__ in TREES:
        return
    for name, child in getattr(estimator, "steps", None) or ():
        yield name, child
    for name, child, _ in getattr(estimator, "transformers_", None) or ():
        yield name, child
    for name, child in getattr(estimator, "transformer_list", None) or ():
        yield name, child
    for i, calibrated in enumerate(getattr(estimator, "calibrated_classifiers_", None) or ()):
        yield f"calibrated_classifiers_/{i}", calibrated.estimator
    for name in ("estimator_", "final_estimator_", "best_estimator_"):
        child = getattr(estimator, name, None)
        if child is not None and not hasattr(estimator, "calibrated_classifiers_"):
            yield name, child
    for i, child in enumerate(_flat(getattr(estimator, "estimators_", None))):
        yield f"estimators_/{i}", child


def _flat(members: Any) -> list[Any]:
    """Members of an ensemble; gradient boosting keeps its own in a matrix, a row for each round."""
    if members is None:
        return []
    if isinstance(members, np.ndarray):
        return list(members.ravel())
    return list(members)


def check_structure(model: Any) -> None:
    """Refuse what is known to convert wrongly or not at all.

    Raises
    ------
    UnconvertibleModel
        Naming the step and the line of code that replaces it.
    """
    for where, estimator in parts(model):
        name = type(estimator).__name__
        if name in _ADVICE and not is_identity(estimator):
            raise refuse(where, estimator, _ADVICE[name])
        _check_categories(where, estimator)
        _check_settings(where, estimator)
        if type(estimator).__module__.startswith("catboost"):
            _check_catboost(where, estimator)
        _check_scaled_trees(where, estimator)


def _check_categories(where: str, estimator: Any) -> None:
    categorical = getattr(estimator, "is_categorical_", None)
    if categorical is not None and np.any(categorical):
        raise refuse(
            where,
            estimator,
            "native categories (categorical_features=…) come out wrong in ONNX: encode them with "
            "OrdinalEncoder(handle_unknown='use_encoded_value', unknown_value=-1) and leave "
            "categorical_features=None",
        )
    kind = type(estimator).__module__.split(".")[0]
    has_booster = kind == "xgboost" and hasattr(estimator, "get_booster")
    if has_booster and "c" in (estimator.get_booster().feature_types or ()):
        raise refuse(
            where,
            estimator,
            "native categories (enable_categorical=True) come out wrong in ONNX: encode them with "
            "OneHotEncoder(handle_unknown='ignore', sparse_output=False)",
        )
    if kind == "lightgbm" and getattr(getattr(estimator, "booster_", None), "pandas_categorical", None):
        raise refuse(
            where,
            estimator,
            "columns of dtype 'category' come out wrong in ONNX: encode them with "
            "OrdinalEncoder(handle_unknown='use_encoded_value', unknown_value=-1)",
        )


def _check_settings(where: str, estimator: Any) -> None:
    name = type(estimator).__name__
    if name in THRESHOLDED:
        threshold = getattr(estimator, "best_threshold_", getattr(estimator, "threshold", None))
        shown = f"{threshold:.6g}" if isinstance(threshold, float) else "…"
        raise refuse(
            where,
            estimator,
            "its threshold would be lost, since labels are computed outside the graph: say it when you "
            f"register, threshold={shown}",
        )
    if name == "VotingClassifier" and getattr(estimator, "flatten_transform", False):
        raise refuse(
            where, estimator, "set flatten_transform=False: VotingClassifier(…, flatten_transform=False)"
        )
    if name == "LinearDiscriminantAnalysis" and len(estimator.classes_) == 2:
        raise refuse(
            where, estimator, "its probabilities of two classes come out wrong: use LogisticRegression()"
        )
    if name == "CalibratedClassifierCV" and estimator.method == "temperature":
        raise refuse(where, estimator, "temperature scaling has no ONNX form: use method='sigmoid'")


def _check_catboost(where: str, estimator: Any) -> None:
    """What CatBoost's own ONNX export leaves out, gets wrong or fails at."""
    if not estimator.is_fitted():
        raise refuse(where, estimator, "it isn't fitted")
    loss = estimator.get_all_params()["loss_function"].split(":")[0]
    labels = getattr(estimator, "classes_", None)
    unheard = (
        (
            len(estimator.get_cat_feature_indices()),
            "native categories (cat_features=…) are left out of its ONNX export: encode them with "
            "OneHotEncoder(handle_unknown='ignore', sparse_output=False) and leave cat_features out",
        ),
        (
            len(estimator.get_text_feature_indices()) + len(estimator.get_embedding_feature_indices()),
            "text_features= and embedding_features= have no ONNX form: compute them before training",
        ),
        (
            estimator.get_all_params().get("grow_policy", "SymmetricTree") != "SymmetricTree",
            "only symmetric trees have an ONNX export: set grow_policy='SymmetricTree'",
        ),
        (
            loss == "MultiClassOneVsAll",
            "its probabilities don't add up to 1, those of its export do: set loss_function='MultiClass'",
        ),
        (
            loss in SEVERAL_VALUES,
            f"loss_function={loss!r} predicts several values a row; one target is supported",
        ),
        (
            labels is not None and len(labels) > 0 and np.asarray(labels).dtype.kind in "fb",
            "its ONNX export knows classes that are whole numbers or text: fit it on y.astype(int)",
        ),
    )
    for is_met, advice in unheard:
        if is_met:
            raise refuse(where, estimator, advice)


def _check_scaled_trees(where: str, estimator: Any) -> None:
    """A scaler rounds in float32 what scikit-learn compares after scaling in float64: values cross splits."""
    steps = getattr(estimator, "steps", None)
    if not steps:
        return
    trees = [t for _, t in parts(steps[-1][1]) if type(t).__name__ in TREES]
    if not trees:
        return
    for name, step in steps[:-1]:
        for place, inner in parts(step, f"{where}/{name}"):
            if type(inner).__name__ in SCALERS:
                raise refuse(
                    place,
                    inner,
                    f"{type(steps[-1][1]).__name__} behind a scaler answers differently in float32, and "
                    f"trees don't need one: remove {type(inner).__name__}() from the pipeline",
                )


def without_threshold(model: Any) -> Any:
    """The model without a threshold classifier around its last step; probabilities are the same."""
    if type(model).__name__ in THRESHOLDED:
        return model.estimator_
    steps = getattr(model, "steps", None)
    if steps and type(steps[-1][1]).__name__ in THRESHOLDED:
        twin = copy.copy(model)
        twin.steps = [*steps[:-1], (steps[-1][0], steps[-1][1].estimator_)]
        return twin
    return model


def check_flow(model: Any, rows: pd.DataFrame, where: str = "/model") -> None:
    """Follow rows with missing values through the model to where they would come out wrong.

    Parameters
    ----------
    rows
        Rows with every nullable column missing at least once.

    Raises
    ------
    UnconvertibleModel
        If missing values reach a forest or tree, or a sparse matrix reaches XGBoost.
    """
    _follow(model, rows, where)


def _follow(estimator: Any, X: Any, where: str) -> None:
    name = type(estimator).__name__
    if name in TREES:
        if np.isnan(np.asarray(_dense(X), dtype=np.float64)).any():
            raise refuse(
                where,
                estimator,
                "missing values that reach its splits go the wrong way in ONNX: put an imputer before it, "
                f"make_pipeline(SimpleImputer(strategy='median'), {name}())",
            )
        return
    if hasattr(X, "tocsr") and type(estimator).__module__.startswith("xgboost"):
        raise refuse(
            where,
            estimator,
            "XGBoost takes the zeros of a sparse matrix as missing, ONNX takes them as 0: "
            "use OneHotEncoder(handle_unknown='ignore', sparse_output=False)",
        )
    steps = getattr(estimator, "steps", None)
    if steps:
        for _, step in steps[:-1]:
            if step is not None and not isinstance(step, str):
                X = step.transform(X)
        _follow(steps[-1][1], X, f"{where}/{steps[-1][0]}")
        return
    if hasattr(estimator, "transform") and not hasattr(estimator, "predict"):
        return
    for child_name, child in _children(estimator):
        if child_name != "final_estimator_" and hasattr(child, "predict"):
            _follow(child, X, f"{where}/{child_name}")


def _dense(X: Any) -> Any:
    return X.toarray() if hasattr(X, "toarray") else X
