"""What a fitted estimator says of itself: task, labels, columns, answers, framework."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import is_classifier, is_regressor
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import Pipeline

from tiltyard.contract.signature import Task
from tiltyard.errors import Fault, InvalidInput
from tiltyard.training.refusals import parts, refuse

Answer = Callable[[pd.DataFrame], NDArray[np.float64]]

BOOSTERS = frozenset({"xgboost", "lightgbm", "catboost"})


def task_of(model: Any) -> tuple[Task, tuple[object, ...]]:
    """The task, and the class labels in the order of the probabilities (none for a regression).

    Raises
    ------
    UnconvertibleModel
        If it is no fitted classifier with probabilities, nor a regressor, of one target.
    """
    name = type(last(model)).__name__
    if is_classifier(model):
        if not hasattr(model, "predict_proba"):
            advice = f"it gives no probabilities: wrap it, CalibratedClassifierCV({name}())"
            raise refuse("/model", last(model), advice)
        classes = getattr(model, "classes_", None)
        if classes is None or (isinstance(classes, list) and np.ndim(classes[0])):
            raise refuse(
                "/model", last(model), "it isn't fitted, or has several outputs; one target is supported"
            )
        labels = tuple(np.asarray(classes).tolist())
        return ("binary" if len(labels) == 2 else "multiclass"), labels
    if is_regressor(model) or tells_outliers(model):
        return "regression", ()
    raise refuse("/model", last(model), "it is neither a classifier nor a regressor")


def tells_outliers(model: Any) -> bool:
    """Whether its answer is an outlier score: a regression whose value is `decision_function`."""
    return isinstance(last(model), IsolationForest)


def columns_of(model: Any, data: pd.DataFrame) -> tuple[str, ...]:
    """The columns that the model was fitted on, in its order."""
    names = column_names(model)
    if names is None:
        width = getattr(model, "n_features_in_", None)
        if width is not None and width != data.shape[1]:
            raise InvalidInput(
                f"The model was fitted on {width} columns without names and `data` has {data.shape[1]}: hand "
                "in exactly its columns, in order."
            )
        return tuple(str(name) for name in data.columns)
    absent = [name for name in names if name not in data.columns]
    if absent:
        raise InvalidInput(f"The model was fitted on columns that `data` doesn't have: {', '.join(absent)}.")
    return names


def answers(model: Any, columns: tuple[str, ...], task: Task) -> Answer:
    """A function from a frame to the estimator's own answers, shape (n, classes) or (n, 1)."""
    by_name = column_names(model) is not None
    is_outlier_score = tells_outliers(model)

    def answer(rows: pd.DataFrame) -> NDArray[np.float64]:
        X: Any = rows[list(columns)]
        if not by_name:
            X = X.to_numpy()
        try:
            with warnings.catch_warnings():
                # Unseen levels are asked for on purpose, and what the estimator says of them is compared.
                warnings.simplefilter("ignore", UserWarning)
                if task != "regression":
                    raw = model.predict_proba(X)
                else:
                    raw = model.decision_function(X) if is_outlier_score else model.predict(X)
        except Exception as exc:  # the estimator's own
            raise cannot_answer(exc) from exc
        made = np.asarray(raw, dtype=np.float64)
        return made.reshape(len(rows), -1)

    return answer


def column_names(model: Any) -> tuple[str, ...] | None:
    """The names that the model was fitted with, if it knows any; CatBoost keeps them elsewhere."""
    names = getattr(model, "feature_names_in_", None)
    if names is None and type(model).__module__.startswith("catboost"):
        names = model.feature_names_
        if list(names) == [str(i) for i in range(len(names))]:
            return None  # what it calls the columns of an array
    return None if names is None else tuple(str(name) for name in names)


def cannot_answer(exc: Exception) -> InvalidInput:
    return InvalidInput(
        "The estimator itself can't answer rows that the data say may come (missing values, unseen levels or "
        "an empty text). Let its pipeline handle them, or take them out of `data`.",
        faults=[Fault("/model", " ".join(str(exc).split())[:500])],
    )


def last(model: Any) -> Any:
    """The step that predicts."""
    while isinstance(model, Pipeline):
        model = model.steps[-1][1]
    return model


def framework(model: Any) -> dict[str, str]:
    """Package, its version, and the estimator, for the manifest."""
    final = getattr(last(model), "best_estimator_", last(model))
    package = type(final).__module__.split(".")[0]
    package = package if package in BOOSTERS else "scikit-learn"
    installed = {"xgboost": ("xgboost", "xgboost-cpu")}.get(package, (package,))
    shown = type(final).__name__
    inner = getattr(final, "estimator", None)
    if inner is not None and not isinstance(inner, str):
        shown += f"({type(last(inner)).__name__})"
    estimator = f"Pipeline({shown})" if isinstance(model, Pipeline) else shown
    return {"name": package, "version": _version(installed), "estimator": estimator}


def _version(packages: tuple[str, ...]) -> str:
    for package in packages:
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return "unknown"


def is_stepwise(model: Any) -> bool:
    """Whether its answer jumps at some scores, so that float32 may land on the other side."""
    return any(getattr(e, "method", None) == "isotonic" for _, e in parts(model)) or any(
        type(e).__name__ == "IsotonicRegression" for _, e in parts(model)
    )
