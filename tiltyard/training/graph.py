"""ONNX graphs: the convention of inputs and output, dead nodes, canonical bytes.

Every served graph takes ``numbers`` (float32 [n, k]) and ``strings`` ([n, s]),
each only if it has columns, and gives ``probabilities`` (float32 [n, classes])
or ``value`` (float32 [n, 1]). Labels are computed outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tiltyard.contract.signature import Task
from tiltyard.errors import Fault, UnconvertibleModel
from tiltyard.runtime.guard import inspect, reserialise
from tiltyard.runtime.model import NUMBERS, PROBABILITIES, STRINGS, VALUE, open_session

MANY_THRESHOLDS = 16
"""Split thresholds of one column that the edge rows visit."""


def seal(model: Any, *, task: Task, classes: int, output: str) -> bytes:
    """Canonical bytes of a graph whose only output is `output`, renamed by the convention.

    Raises
    ------
    UnsafeModel
        If the graph holds what the service's guard refuses.
    UnconvertibleModel
        If ONNX itself finds the graph inconsistent.
    """
    graph = model.graph
    name = VALUE if task == "regression" else PROBABILITIES
    width = 1 if task == "regression" else classes
    rename(graph, {output: name})
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, width]))
    # Shapes that a converter noted on the way are hints, and some of them are wrong.
    del graph.value_info[:]
    drop_dead_nodes(graph)
    content = reserialise(model.SerializeToString(deterministic=True))
    inspect(content)
    try:
        onnx.checker.check_model(onnx.load_model_from_string(content), full_check=True)
    except Exception as exc:  # the checker's errors share no base class
        raise UnconvertibleModel(
            "The converted graph is inconsistent.", faults=[Fault("/model.onnx", str(exc)[:500])]
        ) from exc
    return content


def rename(graph: Any, names: Mapping[str, str]) -> None:
    """Rename tensors everywhere; a name that is taken already is moved out of the way."""
    taken = set(names.values()) - set(names)
    moved = {name: f"{name}_inner" for name in taken}
    both = {**moved, **names}
    for node in graph.node:
        node.input[:] = [both.get(n, n) for n in node.input]
        node.output[:] = [both.get(n, n) for n in node.output]
    for values in (graph.input, graph.output, graph.initializer, graph.value_info):
        for value in values:
            value.name = both.get(value.name, value.name)


def drop_dead_nodes(graph: Any) -> None:
    """Remove nodes and initialisers that no output needs."""
    needed = {output.name for output in graph.output}
    alive = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed.update(node.input)
            alive.append(node)
    kept = list(reversed(alive))
    del graph.node[:]
    graph.node.extend(kept)
    initializers = [i for i in graph.initializer if i.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(initializers)


@dataclass(frozen=True, slots=True)
class TreeInput:
    """What the trees of a graph read: the name of the tensor, and the thresholds of each of its columns."""

    tensor: str
    thresholds: Mapping[int, NDArray[np.float32]]


def tree_inputs(content: bytes) -> tuple[TreeInput, ...]:
    """Split thresholds of every tree ensemble in the graph, by the column that they split."""
    found: dict[str, dict[int, set[float]]] = {}
    for node in onnx.load_model_from_string(content).graph.node:
        if node.op_type not in ("TreeEnsembleClassifier", "TreeEnsembleRegressor"):
            continue
        values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        columns = found.setdefault(node.input[0], {})
        for mode, column, value in zip(
            values["nodes_modes"], values["nodes_featureids"], values["nodes_values"], strict=True
        ):
            if mode != b"LEAF":
                columns.setdefault(column, set()).add(value)
    return tuple(
        TreeInput(tensor, {c: np.array(sorted(v), dtype=np.float32) for c, v in columns.items()})
        for tensor, columns in found.items()
    )


def column_thresholds(
    content: bytes, numbers: NDArray[np.float32], strings: NDArray[Any] | None
) -> dict[int, NDArray[np.float32]]:
    """Thresholds of each column of ``numbers`` that reaches a tree unchanged.

    Parameters
    ----------
    content
        A canonical graph.
    numbers, strings
        A sample of its inputs, of at least two rows.

    Returns
    -------
    dict
        Position in ``numbers`` → at most `MANY_THRESHOLDS` thresholds, spread evenly by rank.
    """
    spread: dict[int, set[float]] = {}
    feed: dict[str, Any] = {NUMBERS: numbers} | ({} if strings is None else {STRINGS: strings})
    for tree in tree_inputs(content):
        seen = numbers if tree.tensor == NUMBERS else _tensor(content, tree.tensor, feed)
        for column, values in tree.thresholds.items():
            for i in _same_columns(numbers, seen[:, column]):
                spread.setdefault(i, set()).update(values.tolist())
    picked = {}
    for i, found in sorted(spread.items()):
        ranked = np.array(sorted(found), dtype=np.float32)
        where = np.unique(np.linspace(0, len(ranked) - 1, MANY_THRESHOLDS).round().astype(int))
        picked[i] = ranked[where]
    return picked


def _tensor(content: bytes, name: str, feed: Mapping[str, Any]) -> NDArray[np.float32]:
    """The value of an inner tensor."""
    model = onnx.load_model_from_string(content)
    model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    value: NDArray[np.float32] = open_session(model.SerializeToString()).run([name], dict(feed))[0]
    return value


def _same_columns(numbers: NDArray[np.float32], seen: NDArray[np.float32]) -> list[int]:
    """Columns of `numbers` that hold what `seen` holds wherever they aren't missing."""
    same = []
    for i in range(numbers.shape[1]):
        present = ~np.isnan(numbers[:, i])
        values = numbers[present, i]
        if len(np.unique(values)) > 1 and np.array_equal(values, seen[present]):
            same.append(i)
    return same
