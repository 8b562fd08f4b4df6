"""From a fitted estimator, or a ready ONNX file, to canonical bytes by our graph convention."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import is_classifier, is_regressor
from sklearn.pipeline import Pipeline

from tiltyard.contract.features import FeatureSpec
from tiltyard.contract.signature import TASKS, ColumnType, Task
from tiltyard.contract.step import FeatureStep
from tiltyard.errors import Fault, InvalidInput, UnconvertibleModel
from tiltyard.training import frames, ready
from tiltyard.training.converters import convert_pipeline
from tiltyard.training.gaps import check_gaps, check_names
from tiltyard.training.graph import seal
from tiltyard.training.refusals import check_flow, check_structure, refuse
from tiltyard.training.rewrite import Rewriter

Answer = Callable[[pd.DataFrame], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Converted:
    """A model as the service runs it, and the estimator to hold it against.

    `columns` are what the estimator takes, `types` those of them that the graph
    reads, in order (a ColumnTransformer may drop some); `nullable` those in
    which it can take missing values, by the data or by the fit. `answer` gives
    the estimator's own answers to a frame: (n, classes) of probabilities or
    (n, 1) of values. `classes` are the labels as text, `labels` as they were.
    """

    content: bytes
    features: FeatureSpec
    columns: tuple[str, ...]
    types: dict[str, ColumnType]
    nullable: frozenset[str]
    task: Task
    classes: tuple[str, ...]
    labels: tuple[object, ...]
    answer: Answer
    framework: dict[str, str]
    is_stepwise: bool = False


def convert(
    model: Any,
    data: pd.DataFrame,
    *,
    task: Task | None = None,
    labels: NDArray[Any] | None = None,
    ignore: frozenset[str] = frozenset(),
    nullable: frozenset[str] = frozenset(),
) -> Converted:
    """Convert `model`, which predicts from frames like `data`.

    Parameters
    ----------
    model
        A fitted scikit-learn estimator or Pipeline, an XGBoost or LightGBM estimator of
        their scikit-learn interface, or a ready ONNX model (bytes, or a path to them).
    data
        Rows as the model takes them; columns that it doesn't read are allowed.
    labels
        The true labels, needed for a ready ONNX classifier that doesn't name its classes.
    ignore
        Columns that a model without column names (ready ONNX, or fitted on arrays) doesn't read.
    nullable
        Columns that callers may leave missing although `data` has no gap in them.

    Raises
    ------
    UnconvertibleModel
        If the model can't become a faithful graph, with the step and the line that mends it.
    InvalidInput
        If model, data and task don't fit each other.
    """
    if task is not None and task not in TASKS:
        raise InvalidInput(f"There is no task {task!r}; tasks are {', '.join(TASKS)}.")
    check_names(nullable, data)
    read = data[[name for name in data.columns if name not in ignore]]
    if isinstance(model, bytes | bytearray | str | os.PathLike):
        content = bytes(model) if isinstance(model, bytes | bytearray) else _read(Path(model))
        return _ready(content, read, task=task, labels=labels, nullable=nullable)
    return _fitted(model, read, data, task=task, nullable=nullable)


def class_name(label: object) -> str:
    """A class label as text: whole numbers without a point, booleans as JSON has them."""
    if isinstance(label, bool | np.bool_):
        return "true" if label else "false"
    if isinstance(label, float | np.floating) and float(label).is_integer():
        return str(int(label))
    return str(label)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise InvalidInput(f"The ONNX file {path} can't be read: {exc.strerror}.") from exc


def _ready(
    content: bytes,
    data: pd.DataFrame,
    *,
    task: Task | None,
    labels: NDArray[Any] | None,
    nullable: frozenset[str],
) -> Converted:
    types = frames.infer_types(data)
    missing = frames.missing_columns(data) | (nullable & set(types))
    graph = ready.adopt(content, types, missing=missing, task=task, labels=labels)

    def answer(rows: pd.DataFrame) -> NDArray[np.float64]:
        return graph.answer(rows[list(types)], types)

    check_gaps(answer, graph.features, data, types, nullable & set(types))
    return Converted(
        content=graph.content,
        features=graph.features,
        columns=tuple(types),
        types=types,
        nullable=missing,
        task=graph.task,
        classes=tuple(class_name(c) for c in graph.labels),
        labels=graph.labels,
        answer=answer,
        framework={"name": "onnx", "version": version("onnx"), "estimator": graph.producer},
    )


def _fitted(
    model: Any, unnamed: pd.DataFrame, data: pd.DataFrame, *, task: Task | None, nullable: frozenset[str]
) -> Converted:
    """Convert a fitted estimator; one that knows no names reads the columns of `unnamed`."""
    if not hasattr(model, "predict"):
        raise InvalidInput(
            f"{type(model).__name__} is no model: hand in a fitted scikit-learn estimator or Pipeline, an "
            "XGBoost or LightGBM estimator, or an ONNX file."
        )
    model = getattr(model, "best_estimator_", model)
    check_structure(model)
    found_task, labels = _task_of(model)
    if task is not None and task != found_task:
        raise InvalidInput(f"The model is {found_task}, not {task}.")
    columns = _columns_of(model, unnamed if getattr(model, "feature_names_in_", None) is None else data)
    data = data[list(columns)]
    types = frames.infer_types(data)
    step, rest = _lift_step(model)
    asked = frozenset(nullable & set(types))
    converted = _rewrite(rest, step, data, types, asked)
    classes = tuple(class_name(label) for label in labels)
    graph = convert_pipeline(
        converted.model,
        numbers=len(converted.features.numbers),
        strings=len(converted.features.strings),
        is_classifier=found_task != "regression",
    )
    output = _output_name(graph, found_task)
    content = seal(graph, task=found_task, classes=len(classes), output=output)
    answer = _answers(model, columns, found_task)
    check_gaps(answer, converted.features, data, types, asked & set(converted.types))
    gaps = (frames.missing_columns(data) | asked) & set(converted.types)
    may_miss = frozenset(converted.nullable | gaps)
    if may_miss:
        sample = frames.with_missing(data, types, may_miss)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                check_flow(model, sample)
        except UnconvertibleModel:
            raise
        except Exception as exc:  # the estimator's own
            raise _cannot_answer(exc) from exc
    return Converted(
        content=content,
        features=converted.features,
        columns=columns,
        types=converted.types,
        nullable=may_miss,
        task=found_task,
        classes=classes,
        labels=labels,
        answer=answer,
        framework=_framework(model),
        is_stepwise=_is_stepwise(model),
    )


@dataclass(frozen=True, slots=True)
class _Prepared:
    model: Any
    features: FeatureSpec
    types: dict[str, ColumnType]
    nullable: frozenset[str]


def _rewrite(
    model: Any,
    step: FeatureStep | None,
    data: pd.DataFrame,
    types: dict[str, ColumnType],
    asked: frozenset[str],
) -> _Prepared:
    """Rewrite what follows the FeatureStep, and join the operations of both."""
    inner = data if step is None else step.transform(data)
    inner_types: dict[str, ColumnType] = types if step is None else frames.infer_types(inner)
    missing = asked
    if step is not None and asked:
        missing = frames.missing_columns(step.transform(frames.with_missing(data, types, asked)))
    rewriter = Rewriter(inner_types, frames.missing_columns(inner) | missing, frames.none_columns(inner))
    rewritten = rewriter.rewrite(model, list(inner_types))
    for name in rewritten.whole:
        if name in types and types[name] == "number":
            types = {**types, name: "integer"}
    features = rewritten.features
    nullable = rewritten.nullable & set(types)
    if step is not None:
        features = replace(features, operations=(*step.spec_.operations, *features.operations))
        nullable |= {
            o.column for o in step.spec_.operations if type(o).__name__ in ("Fill", "MissingIndicator")
        }
    reads = _columns_read(features, types)
    features = replace(features, operations=_needed(features))
    return _Prepared(
        rewritten.model,
        features,
        {name: kind for name, kind in types.items() if name in reads},
        nullable & reads,
    )


def _needed(features: FeatureSpec) -> tuple[Any, ...]:
    """The operations whose result reaches the graph."""
    wanted = {*features.numbers, *features.strings}
    kept = []
    for operation in reversed(features.operations):
        output = getattr(operation, "output", operation.column)
        if output in wanted:
            kept.append(operation)
            wanted.add(operation.column)
    return tuple(reversed(kept))


def _columns_read(features: FeatureSpec, types: dict[str, ColumnType]) -> set[str]:
    needed = _needed(features)
    return ({*features.numbers, *features.strings} | {o.column for o in needed}) & set(types)


def _lift_step(model: Any) -> tuple[FeatureStep | None, Any]:
    if isinstance(model, Pipeline) and isinstance(model.steps[0][1], FeatureStep):
        return model.steps[0][1], Pipeline(model.steps[1:])
    from tiltyard.training.refusals import parts

    for where, estimator in parts(model):
        if isinstance(estimator, FeatureStep):
            advice = "it must be the first step of the outermost pipeline: make_pipeline(FeatureStep(…), …)"
            raise refuse(where, estimator, advice)
    return None, model


def _task_of(model: Any) -> tuple[Task, tuple[object, ...]]:
    name = type(_last(model)).__name__
    if is_classifier(model):
        if not hasattr(model, "predict_proba"):
            advice = f"it gives no probabilities: wrap it, CalibratedClassifierCV({name}())"
            raise refuse("/model", _last(model), advice)
        classes = getattr(model, "classes_", None)
        if classes is None or (isinstance(classes, list) and np.ndim(classes[0])):
            raise refuse(
                "/model", _last(model), "it isn't fitted, or has several outputs; one target is supported"
            )
        labels = tuple(np.asarray(classes).tolist())
        return ("binary" if len(labels) == 2 else "multiclass"), labels
    if is_regressor(model):
        return "regression", ()
    raise refuse("/model", _last(model), "it is neither a classifier nor a regressor")


def _columns_of(model: Any, data: pd.DataFrame) -> tuple[str, ...]:
    """The columns that the model was fitted on, in its order."""
    names = getattr(model, "feature_names_in_", None)
    if names is None:
        width = getattr(model, "n_features_in_", None)
        if width is not None and width != data.shape[1]:
            raise InvalidInput(
                f"The model was fitted on {width} columns without names and `data` has {data.shape[1]}: hand "
                "in exactly its columns, in order."
            )
        return tuple(str(name) for name in data.columns)
    absent = [str(name) for name in names if name not in data.columns]
    if absent:
        raise InvalidInput(f"The model was fitted on columns that `data` doesn't have: {', '.join(absent)}.")
    return tuple(str(name) for name in names)


def _answers(model: Any, columns: tuple[str, ...], task: Task) -> Answer:
    by_name = getattr(model, "feature_names_in_", None) is not None

    def answer(rows: pd.DataFrame) -> NDArray[np.float64]:
        X: Any = rows[list(columns)]
        if not by_name:
            X = X.to_numpy()
        try:
            with warnings.catch_warnings():
                # Unseen levels are asked for on purpose, and what the estimator says of them is compared.
                warnings.simplefilter("ignore", UserWarning)
                raw = model.predict(X) if task == "regression" else model.predict_proba(X)
        except Exception as exc:  # the estimator's own
            raise _cannot_answer(exc) from exc
        made = np.asarray(raw, dtype=np.float64)
        return made.reshape(len(rows), -1)

    return answer


def _cannot_answer(exc: Exception) -> InvalidInput:
    return InvalidInput(
        "The estimator itself can't answer rows that the data say may come (missing values, unseen levels or "
        "an empty text). Let its pipeline handle them, or take them out of `data`.",
        faults=[Fault("/model", " ".join(str(exc).split())[:500])],
    )


def _output_name(graph: Any, task: Task) -> str:
    outputs = [output.name for output in graph.graph.output]
    # skl2onnx and onnxmltools put the label first and the probabilities second.
    return str(outputs[0] if task == "regression" else outputs[1])


def _last(model: Any) -> Any:
    while isinstance(model, Pipeline):
        model = model.steps[-1][1]
    return model


def _framework(model: Any) -> dict[str, str]:
    last = getattr(_last(model), "best_estimator_", _last(model))
    package = {"xgboost": "xgboost", "lightgbm": "lightgbm"}.get(
        type(last).__module__.split(".")[0], "scikit-learn"
    )
    installed = {"xgboost": ("xgboost", "xgboost-cpu")}.get(package, (package,))
    names = [type(last).__name__]
    for attribute in ("estimator", "calibrated_classifiers_"):
        inner = getattr(last, attribute, None)
        if attribute == "estimator" and inner is not None and not isinstance(inner, str):
            names.append(type(_last(inner)).__name__)
    shown = names[0] + (f"({names[1]})" if len(names) > 1 else "")
    estimator = f"Pipeline({shown})" if isinstance(model, Pipeline) else shown
    return {"name": package, "version": _version(installed), "estimator": estimator}


def _version(packages: tuple[str, ...]) -> str:
    from importlib.metadata import PackageNotFoundError

    for package in packages:
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return "unknown"


def _is_stepwise(model: Any) -> bool:
    from tiltyard.training.refusals import parts

    return any(getattr(e, "method", None) == "isotonic" for _, e in parts(model)) or any(
        type(e).__name__ == "IsotonicRegression" for _, e in parts(model)
    )
