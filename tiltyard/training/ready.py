"""A ready ONNX model, of any framework, brought to our graph convention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tiltyard.contract.features import FeatureSpec
from tiltyard.contract.signature import ColumnType, Task
from tiltyard.contract.step import to_columns
from tiltyard.runtime.canonical import check_container, parse, reserialise
from tiltyard.runtime.guard import inspect
from tiltyard.runtime.model import open_session
from tiltyard.training.graph import drop_dead_nodes, seal
from tiltyard.training.inputs import Feed, inner, join, plan, refused
from tiltyard.training.options import Classes, Output

FLOATS = frozenset({TensorProto.FLOAT, TensorProto.DOUBLE})
OPSET = 15
"""Of the operators that are added to a graph that uses none of ONNX's own."""
SAMPLE = 500
"""Rows whose answers say whether an output can be probabilities."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is known of a graph beforehand.

    `types` are its columns in order, `features` what makes its two matrices of
    them; in `missing` ones values may be missing. `task` and `classes` are None
    where the graph and the labels shall say.
    """

    types: Mapping[str, ColumnType]
    features: FeatureSpec
    missing: frozenset[str]
    task: Task | None
    classes: Classes | None
    output: Output


@dataclass(frozen=True, slots=True)
class ReadyGraph:
    """A graph by our convention, with the original beside it to compare with."""

    content: bytes
    features: FeatureSpec
    task: Task
    labels: tuple[object, ...]
    producer: str
    original: bytes
    feeds: tuple[Feed, ...]
    output: str
    is_single: bool
    is_logits: bool

    def answer(self, rows: pd.DataFrame, types: Mapping[str, ColumnType]) -> NDArray[np.float64]:
        """The original graph's own answers, shape (n, classes) or (n, 1); logits as probabilities."""
        made = self.features.apply(to_columns(rows, types))
        feed = {own.name: own.of(made) for own in self.feeds}
        session = open_session(self.original)
        raw = np.asarray(session.run([self.output], feed)[0], dtype=np.float64).reshape(len(rows), -1)
        if self.is_single:
            if self.is_logits:
                raw = 1 / (1 + np.exp(-raw))
            return np.concatenate([1 - raw, raw], axis=1)
        if self.is_logits:
            raised = np.exp(raw - raw.max(axis=1, keepdims=True))
            return np.asarray(raised / raised.sum(axis=1, keepdims=True))
        return raw


def adopt(content: bytes, wanted: Wanted, *, truth: NDArray[Any] | None) -> ReadyGraph:
    """Give the graph our two inputs, drop the label output, and give the other its shape.

    Parameters
    ----------
    truth
        The true labels, which tell the classes where neither the graph nor `wanted` does.

    Raises
    ------
    UnconvertibleModel
        If the graph's inputs or outputs aren't what columns of numbers and text and
        one output of probabilities, logits or values can be.
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
    feeds = plan(model.graph, wanted.features, wanted.missing)
    output, has_labels = _output(model.graph)
    is_logits = wanted.output == "logits"
    task = wanted.task
    if task is None and not (has_labels or is_logits or wanted.classes):
        task = "regression"
    if task == "regression" and is_logits:
        raise refused("output", "a regression has no logits: leave output= out")
    width = _width(original, output, feeds)
    labels = () if task == "regression" else _labels(model.graph, wanted.classes, truth)
    task = task or ("binary" if len(labels) == 2 else "multiclass")
    is_single = task == "binary" and width == 1
    if width != (1 if task == "regression" or is_single else len(labels)):
        raise refused("output", _other_width(output, width, task, labels))
    if task != "regression" and (task == "binary") != (len(labels) == 2):
        raise refused("output", f"a {task} model can't have {len(labels)} classes")
    join(model.graph, feeds, wanted.features)
    # Before version 4 an initialiser had to be an input as well.
    model.ir_version = max(model.ir_version, 4)
    if not any(imported.domain in ("", "ai.onnx") for imported in model.opset_import):
        model.opset_import.append(helper.make_opsetid("", OPSET))
    tensor = _shape_output(model.graph, inner(output), width, is_single=is_single, is_logits=is_logits)
    sealed = seal(model, task=task, classes=len(labels), output=tensor)
    producer = parse(content).producer_name or "unknown"
    return ReadyGraph(
        content=sealed,
        features=wanted.features,
        task=task,
        labels=labels,
        producer=producer,
        original=original,
        feeds=feeds,
        output=output,
        is_single=is_single,
        is_logits=is_logits,
    )


def check_output(graph: ReadyGraph, data: pd.DataFrame, types: Mapping[str, ColumnType]) -> None:
    """Refuse a classifier whose output can't be probabilities.

    Raises
    ------
    UnconvertibleModel
        Naming the output, and what to say or to add.
    """
    if graph.task == "regression" or graph.is_logits:
        return
    answers = graph.answer(data.iloc[:SAMPLE], types)
    answers = answers[np.isfinite(answers).all(axis=1)]
    low, high = answers.min(initial=0.0), answers.max(initial=1.0)
    off = np.abs(answers.sum(axis=1) - 1).max(initial=0.0)
    if low < -1e-4 or high > 1 + 1e-4 or off > 1e-3:
        ending = "Sigmoid" if graph.is_single else "Softmax"
        raise refused(
            "output",
            f"{graph.output!r} gives numbers from {low:.3g} to {high:.3g} that are no probabilities of "
            f"{len(graph.labels)} classes; if they are logits say output='logits', else end the graph in "
            f"{ending}",
        )


def _without_zipmap(graph: Any) -> None:
    """Take the tensor that ZipMap would turn into a list of dictionaries as the output."""
    for node in [n for n in graph.node if n.op_type == "ZipMap"]:
        for output in graph.output:
            if output.name == node.output[0]:
                output.CopyFrom(helper.make_tensor_value_info(node.input[0], TensorProto.FLOAT, None))
        graph.node.remove(node)


def _output(graph: Any) -> tuple[str, bool]:
    """Name of the output of numbers, and whether there is one of labels beside it."""
    kinds = {o.name: o.type.tensor_type.elem_type for o in graph.output}
    floats = [name for name, kind in kinds.items() if kind in FLOATS]
    if len(floats) != 1:
        raise refused(
            "output",
            f"it has {len(floats)} float outputs ({', '.join(floats) or 'none'}); one of probabilities, "
            "logits or values is needed: onnx.utils.extract_model(path, to, inputs, [output]) keeps one",
        )
    return floats[0], any(kind in (TensorProto.INT64, TensorProto.STRING) for kind in kinds.values())


def _labels(graph: Any, classes: Classes | None, truth: NDArray[Any] | None) -> tuple[object, ...]:
    """The classes in the order of the output: by the graph, else as they are said, else as they occur."""
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name in ("classlabels_int64s", "classlabels_ints") and attribute.ints:
                return tuple(attribute.ints)
            if attribute.name == "classlabels_strings" and attribute.strings:
                return tuple(s.decode("utf-8") for s in attribute.strings)
    if classes is not None:
        return tuple(classes) if isinstance(classes, Mapping) else tuple(range(len(classes)))
    if truth is None:
        raise refused("output", "it doesn't name its classes, and there are no labels to take them from")
    return tuple(np.unique(truth).tolist())


def _other_width(output: str, width: int, task: Task, labels: tuple[object, ...]) -> str:
    said = f"{output!r} has {width} columns; a {task} model of these labels has {len(labels) or 1}"
    if task == "regression":
        return f"{said}: if it is a classifier, say task= and classes=[…] in the order of its output"
    return f"{said}: name all classes in the order of its output, classes=[…]"


def _width(content: bytes, output: str, feeds: tuple[Feed, ...]) -> int:
    """Columns of the output for two rows of zeros and empty text."""
    session = open_session(content)
    zeros: dict[str, NDArray[Any]] = {}
    for feed in feeds:
        empty = np.full(2, "", dtype=object) if feed.kind == TensorProto.STRING else np.zeros(2)
        zeros.update(dict.fromkeys(feed.columns, empty))
    try:
        made = np.asarray(session.run([output], {feed.name: feed.of(zeros) for feed in feeds})[0])
    except Exception as exc:  # ONNX Runtime's errors share no base class
        raise refused("input", f"it can't answer rows of zeros and empty text: {str(exc)[:200]}") from exc
    if made.ndim == 0 or made.shape[0] != 2:
        raise refused("output", f"{output!r} has shape {list(made.shape)} for 2 rows; one row each is needed")
    return int(made.size // 2)


def _shape_output(graph: Any, output: str, width: int, *, is_single: bool, is_logits: bool) -> str:
    """The output as a float matrix of probabilities, a lone one beside its complement, or of one value."""
    declared = next(o.type.tensor_type for o in graph.output if o.name == output)
    steps: list[tuple[str, dict[str, Any]]] = []
    if declared.elem_type != TensorProto.FLOAT:
        steps.append(("Cast", {"to": TensorProto.FLOAT}))
    if len(declared.shape.dim) != 2:
        shape = np.array([-1, width], dtype=np.int64)
        graph.initializer.append(numpy_helper.from_array(shape, "tiltyard_shape"))
        steps.append(("Reshape", {}))
    if is_logits:
        steps.append(("Sigmoid", {}) if is_single else ("Softmax", {"axis": 1}))
    tensor = output
    for operator, attributes in steps:
        inputs = [tensor, "tiltyard_shape"] if operator == "Reshape" else [tensor]
        tensor = f"tiltyard_{operator.lower()}"
        graph.node.append(helper.make_node(operator, inputs, [tensor], **attributes))
    if not is_single:
        return tensor
    one = numpy_helper.from_array(np.array([1], dtype=np.float32), "tiltyard_one")
    graph.initializer.append(one)
    graph.node.append(helper.make_node("Sub", ["tiltyard_one", tensor], ["tiltyard_complement"]))
    graph.node.append(helper.make_node("Concat", ["tiltyard_complement", tensor], ["tiltyard_both"], axis=1))
    return "tiltyard_both"
