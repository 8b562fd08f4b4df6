"""From a fitted estimator, or a ready ONNX file, to canonical bytes by our graph convention."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from tiltyard.contract.features import FeatureSpec
from tiltyard.contract.signature import TASKS, ColumnType, Signature, Task
from tiltyard.contract.step import FeatureStep
from tiltyard.errors import InvalidInput, UnconvertibleModel
from tiltyard.training import frames, ready
from tiltyard.training.by_hand import check_rows
from tiltyard.training.converters import convert_pipeline
from tiltyard.training.estimators import (
    Answer,
    answers,
    cannot_answer,
    column_names,
    columns_of,
    framework,
    is_stepwise,
    task_of,
)
from tiltyard.training.gaps import check_gaps, check_names
from tiltyard.training.graph import seal
from tiltyard.training.inputs import plain_features
from tiltyard.training.labels import class_names
from tiltyard.training.options import Classes, Output
from tiltyard.training.refusals import check_flow, check_structure, parts, refuse
from tiltyard.training.rewrite import Rewriter


@dataclass(frozen=True, slots=True)
class Converted:
    """A model as the service runs it, and the estimator to hold it against.

    `columns` are what the estimator takes, `types` those of them that the graph
    reads, in order (a ColumnTransformer may drop some); `nullable` those in
    which it can take missing values, by the data or by the fit. `answer` gives
    the estimator's own answers to a frame: (n, classes) of probabilities or
    (n, 1) of values. `classes` are the names of the classes, `labels` what the model calls them.
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
    classes: Classes | None = None,
    contract: Signature | None = None,
    output: Output = "probabilities",
) -> Converted:
    """Convert `model`, which predicts from frames like `data`.

    Parameters
    ----------
    model
        A fitted scikit-learn estimator or Pipeline, an XGBoost, LightGBM or CatBoost estimator
        of their scikit-learn interface, or a ready ONNX model (bytes, or a path to them).
    data
        Rows as the model takes them; columns that it doesn't read are allowed.
    labels
        The true labels, needed for a ready ONNX classifier that doesn't name its classes.
    ignore
        Columns that a model without column names (ready ONNX, or fitted on arrays) doesn't read.
    nullable
        Columns that callers may leave missing although `data` has no gap in them.
    classes
        Names of the classes: label → name, or in the model's order.
    contract, output
        Of a ready ONNX model: its contract, and whether its output holds probabilities or logits.

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
        if contract is not None:
            return _by_contract(content, data, contract, task=task, labels=labels, output=output)
        return _ready(
            content, read, task=task, labels=labels, nullable=nullable, classes=classes, output=output
        )
    if contract is not None or output != "probabilities":
        raise InvalidInput(
            "contract= and output= are for a ready ONNX file: a fitted estimator says both itself; "
            "use categories=, ranges=, nullable= and classes=."
        )
    return _fitted(model, read, data, task=task, nullable=nullable, classes=classes)


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
    classes: Classes | None,
    output: Output,
) -> Converted:
    """Adopt a ready graph whose columns are those of `data`, in order."""
    types = frames.infer_types(data)
    missing = frames.missing_columns(data) | (nullable & set(types))
    wanted = ready.Wanted(types, plain_features(types, missing), missing, task, classes, output)
    graph = ready.adopt(content, wanted, truth=labels)
    ready.check_output(graph, data, types)
    converted = _adopted(graph, types, missing, class_names(graph.labels, classes))
    check_gaps(converted.answer, graph.features, data, types, nullable & set(types))
    return converted


def _by_contract(
    content: bytes,
    data: pd.DataFrame,
    contract: Signature,
    *,
    task: Task | None,
    labels: NDArray[Any] | None,
    output: Output,
) -> Converted:
    """Adopt a ready graph of the columns that its contract names."""
    if task is not None and task != contract.task:
        raise InvalidInput(f"The contract is of a {contract.task} model, not {task}.")
    check_rows(contract, data)
    types = {column.name: column.type for column in contract.inputs}
    missing = frozenset(column.name for column in contract.inputs if column.is_nullable)
    classes = contract.classes or None
    wanted = ready.Wanted(types, contract.features, missing, contract.task, classes, output)
    graph = ready.adopt(content, wanted, truth=labels)
    ready.check_output(graph, data, types)
    converted = _adopted(graph, types, missing, class_names(graph.labels, classes))
    check_gaps(converted.answer, graph.features, data, types, missing)
    return converted


def _adopted(
    graph: ready.ReadyGraph,
    types: dict[str, ColumnType],
    nullable: frozenset[str],
    names: tuple[str, ...],
) -> Converted:
    return Converted(
        content=graph.content,
        features=graph.features,
        columns=tuple(types),
        types=types,
        nullable=nullable,
        task=graph.task,
        classes=names,
        labels=graph.labels,
        answer=lambda rows: graph.answer(rows[list(types)], types),
        framework={"name": "onnx", "version": version("onnx"), "estimator": graph.producer},
    )


def _fitted(
    model: Any,
    unnamed: pd.DataFrame,
    data: pd.DataFrame,
    *,
    task: Task | None,
    nullable: frozenset[str],
    classes: Classes | None,
) -> Converted:
    """Convert a fitted estimator; one that knows no names reads the columns of `unnamed`."""
    if not hasattr(model, "predict"):
        raise InvalidInput(
            f"{type(model).__name__} is no model: hand in a fitted scikit-learn estimator or Pipeline, an "
            "XGBoost, LightGBM or CatBoost estimator, or an ONNX file."
        )
    model = getattr(model, "best_estimator_", model)
    check_structure(model)
    found_task, labels = task_of(model)
    if task is not None and task != found_task:
        raise InvalidInput(f"The model is {found_task}, not {task}.")
    columns = columns_of(model, unnamed if column_names(model) is None else data)
    data = data[list(columns)]
    types = frames.infer_types(data)
    step, rest = _lift_step(model)
    asked = frozenset(nullable & set(types))
    converted = _rewrite(rest, step, data, types, asked)
    names = class_names(labels, classes)
    graph = convert_pipeline(
        converted.model,
        numbers=len(converted.features.numbers),
        strings=len(converted.features.strings),
        is_classifier=found_task != "regression",
    )
    output = _output_name(graph, found_task)
    content = seal(graph, task=found_task, classes=len(labels), output=output)
    answer = answers(model, columns, found_task)
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
            raise cannot_answer(exc) from exc
    return Converted(
        content=content,
        features=converted.features,
        columns=columns,
        types=converted.types,
        nullable=may_miss,
        task=found_task,
        classes=names,
        labels=labels,
        answer=answer,
        framework=framework(model),
        is_stepwise=is_stepwise(model),
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
    for where, estimator in parts(model):
        if isinstance(estimator, FeatureStep):
            advice = "it must be the first step of the outermost pipeline: make_pipeline(FeatureStep(…), …)"
            raise refuse(where, estimator, advice)
    return None, model


def _output_name(graph: Any, task: Task) -> str:
    outputs = [output.name for output in graph.graph.output]
    # skl2onnx and onnxmltools put the label first and the probabilities, or an outlier's score, second.
    return str(outputs[-1] if task == "regression" else outputs[1])
