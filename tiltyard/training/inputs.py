"""The inputs of a ready ONNX graph: which columns each takes, and one matrix of either kind in their place.

Frameworks export one matrix of any name, a tensor for every column, or several
blocks; numbers may be float, double or whole. The served graph has our two
inputs, and gathers, casts and hands on to the graph's own from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tiltyard.contract.features import Boolean, FeatureSpec, Fill, Operation
from tiltyard.contract.signature import ColumnType
from tiltyard.errors import Fault, UnconvertibleModel
from tiltyard.runtime.model import NUMBERS, STRINGS
from tiltyard.training.graph import rename

MISSING_TEXT = ""
"""What missing text is to a ready graph, whose ``string`` input knows no missing values."""

NUMBER_TYPES: dict[int, type] = {
    TensorProto.FLOAT: np.float32,
    TensorProto.DOUBLE: np.float64,
    TensorProto.INT64: np.int64,
    TensorProto.INT32: np.int32,
    TensorProto.BOOL: np.bool_,
}
WHOLE = frozenset({TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL})


@dataclass(frozen=True, slots=True)
class Feed:
    """One of the graph's own inputs: its element type, the columns it takes, and whether as a vector."""

    name: str
    kind: int
    columns: tuple[str, ...]
    is_vector: bool

    def of(self, made: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """The input's value, shape (n, columns), or (n,) of a vector."""
        if self.is_vector:
            values = made[self.columns[0]]
        else:
            values = np.stack([made[name] for name in self.columns], axis=1)
        return values if self.kind == TensorProto.STRING else values.astype(NUMBER_TYPES[self.kind])


def plain_features(types: Mapping[str, ColumnType], missing: frozenset[str]) -> FeatureSpec:
    """Numbers and text in the order of the columns, booleans as 0 and 1, missing text as empty text.

    Raises
    ------
    UnconvertibleModel
        If a column is a time.
    """
    times = [name for name, kind in types.items() if kind == "datetime"]
    if times:
        raise refused(
            "input", f"the time column {times[0]!r} can't be its input: leave it out or name it time="
        )
    numbers = tuple(name for name, kind in types.items() if kind != "string")
    strings = tuple(name for name, kind in types.items() if kind == "string")
    operations: list[Operation] = [Boolean(name) for name in numbers if types[name] == "boolean"]
    operations += [Fill(name, MISSING_TEXT) for name in strings if name in missing]
    return FeatureSpec(numbers, strings, tuple(operations))


def plan(graph: Any, features: FeatureSpec, missing: frozenset[str]) -> tuple[Feed, ...]:
    """Which columns each input of the graph takes.

    A lone input of its kind takes all columns of that kind. Several take the
    columns that they are named after, or, where each says its width, the columns
    in order.

    Raises
    ------
    UnconvertibleModel
        If inputs and columns don't fit each other.
    """
    initial = {i.name for i in graph.initializer}
    inputs = [i for i in graph.input if i.name not in initial]
    texts: list[Any] = []
    numbers: list[Any] = []
    for tensor in inputs:
        kind = tensor.type.tensor_type.elem_type
        if kind != TensorProto.STRING and kind not in NUMBER_TYPES:
            shown = TensorProto.DataType.Name(kind).lower()
            raise refused(
                "input",
                f"{tensor.name!r} takes {shown}; inputs must be float, double, int64, int32, bool or string",
            )
        (texts if kind == TensorProto.STRING else numbers).append(tensor)
    feeds = [
        *_shared_out(numbers, features.numbers, "float"),
        *_shared_out(texts, features.strings, "string"),
    ]
    for feed in feeds:
        gaps = [name for name in feed.columns if name in missing and feed.kind in WHOLE]
        if gaps:
            raise refused(
                "input",
                f"{feed.name!r} takes whole numbers, among which none is missing, and the column {gaps[0]!r} "
                "may be: fill it before, or make the input float",
            )
    return tuple(feeds)


def _shared_out(inputs: Sequence[Any], columns: tuple[str, ...], word: str) -> list[Feed]:
    if columns and not inputs:
        raise refused("input", f"it has no {word} input for the columns {', '.join(columns)}")
    widths = {tensor.name: _width(tensor) for tensor in inputs}
    if len(inputs) == 1:
        (tensor,) = inputs
        width = widths[tensor.name]
        if width not in (None, len(columns)) or (width is None and not columns):
            shown = [d.dim_value or None for d in tensor.type.tensor_type.shape.dim]
            raise refused(
                "input",
                f"{tensor.name!r} has shape {shown} and `data` has {len(columns)} such columns "
                f"({', '.join(columns) or 'none'}); name columns that it doesn't read by their role",
            )
        return [_feed(tensor, columns)]
    if {tensor.name for tensor in inputs} == set(columns):
        wide = [name for name, width in widths.items() if width not in (None, 1)]
        if not wide:
            return [_feed(tensor, (tensor.name,)) for tensor in inputs]
    known = [width for width in widths.values() if width is not None]
    if len(known) == len(inputs) and sum(known) == len(columns):
        starts = np.cumsum([0, *known]).tolist()
        return [_feed(t, columns[starts[i] : starts[i + 1]]) for i, t in enumerate(inputs)]
    found = ", ".join(f"{name} ({'?' if width is None else width})" for name, width in widths.items())
    raise refused(
        "input",
        f"its {len(inputs)} {word} inputs {found} don't share out the {len(columns)} columns "
        f"{', '.join(columns) or 'none'}: name each input after its column, or give each its width so that "
        "they take the columns in order",
    )


def _width(tensor: Any) -> int | None:
    """Columns that an input takes; None when it doesn't say."""
    kind = tensor.type.tensor_type
    if not kind.HasField("shape"):
        return None
    dims = kind.shape.dim
    if not 1 <= len(dims) <= 2:
        raise refused("input", f"{tensor.name!r} has {len(dims)} dimensions; rows by columns are two")
    if dims[0].dim_value:
        raise refused(
            "input",
            f"{tensor.name!r} takes exactly {dims[0].dim_value} rows: export it with a free first dimension, "
            f"torch.onnx.export(…, dynamic_axes={{{tensor.name!r}: {{0: 'rows'}}}})",
        )
    if len(dims) == 1:
        return 1
    return int(dims[1].dim_value) or None


def _feed(tensor: Any, columns: tuple[str, ...]) -> Feed:
    kind = tensor.type.tensor_type
    is_vector = kind.HasField("shape") and len(kind.shape.dim) == 1
    return Feed(tensor.name, kind.elem_type, columns, is_vector)


def join(graph: Any, feeds: Sequence[Feed], features: FeatureSpec) -> None:
    """Put ``numbers`` and ``strings`` in the place of the graph's own inputs; their names are made free."""
    own = {feed.name: f"tiltyard_input_{i}" for i, feed in enumerate(feeds)}
    rename(graph, {**{name: inner(name) for name in (NUMBERS, STRINGS)}, **own})
    del graph.input[:]  # with them the initialisers that old exporters list as inputs
    matrices = (
        (NUMBERS, features.numbers, TensorProto.FLOAT),
        (STRINGS, features.strings, TensorProto.STRING),
    )
    before: list[Any] = []
    for matrix, columns, kind in matrices:
        if not columns:
            continue
        mine = [f for f in feeds if (f.kind == TensorProto.STRING) == (matrix == STRINGS)]
        if len(mine) == 1 and mine[0].columns == columns and mine[0].kind == kind and not mine[0].is_vector:
            rename(graph, {own[mine[0].name]: matrix})
        else:
            for feed in mine:
                before += _gathered(graph, feed, own[feed.name], matrix, columns, kind)
        graph.input.append(helper.make_tensor_value_info(matrix, kind, [None, len(columns)]))
    nodes = [*before, *graph.node]
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def inner(name: str) -> str:
    """What `join` calls a tensor of this name."""
    return f"tiltyard_inner_{name}" if name in (NUMBERS, STRINGS) else name


def _gathered(
    graph: Any, feed: Feed, name: str, matrix: str, columns: tuple[str, ...], kind: int
) -> list[Any]:
    positions = np.array([columns.index(c) for c in feed.columns], dtype=np.int64)
    picked = positions[0] if feed.is_vector else positions
    graph.initializer.append(numpy_helper.from_array(np.asarray(picked), f"{name}_columns"))
    if feed.kind == kind:
        return [helper.make_node("Gather", [matrix, f"{name}_columns"], [name], axis=1)]
    return [
        helper.make_node("Gather", [matrix, f"{name}_columns"], [f"{name}_float"], axis=1),
        helper.make_node("Cast", [f"{name}_float"], [name], to=feed.kind),
    ]


def refused(place: str, detail: str) -> UnconvertibleModel:
    """The error for a graph that can't be served as it is."""
    return UnconvertibleModel(
        f"The ONNX file can't be served: {detail}.", faults=[Fault(f"/model.onnx/{place}", detail)]
    )
