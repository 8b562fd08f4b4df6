"""MLflow's scoring bodies as rows: ``dataframe_split``, ``dataframe_records``, ``instances``, ``inputs``.

The forms are those of MLflow's inference server ("Local inference server spec",
MLflow documentation, *Deploy MLflow model as a local inference server*). Where
MLflow drops columns that a model doesn't know, and casts types, Tiltyard refuses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chalicelib.serving.body import MAX_ROWS
from chalicelib.serving.translation import Place, Row, Translated, misfit, pointer, unknown_keys
from tiltyard.contract.signature import Signature
from tiltyard.errors import Fault

SPLIT, RECORDS, INSTANCES, INPUTS = SHAPES = ("dataframe_split", "dataframe_records", "instances", "inputs")
PARAMS = "params"

TAKEN_PARAMS = frozenset({"ids", "subjects", "at"})
"""Parameters of an inference: what `predict` takes beside rows, and answers in the same order."""

_SPLIT_KEYS = frozenset({"columns", "data", "index"})


def read(body: Mapping[str, Any], signature: Signature) -> Translated:
    """Rows of a scoring body, in its order.

    Values are checked by the contract afterwards; what is checked here is the form.

    Raises
    ------
    InvalidRows
        With a pointer to each thing that is wrong: no shape or two at once, columns
        that are missing, unknown or twice there, rows of another length.
    """
    faults = unknown_keys(body, frozenset({*SHAPES, PARAMS}))
    found = [name for name in SHAPES if name in body]
    if not found:
        faults.append(Fault("", f"must hold one of {', '.join(SHAPES)}"))
    faults += [
        Fault(pointer(name), f"can't stand beside {found[0]}: send the rows in one form")
        for name in found[1:]
    ]
    faults += _params_faults(body.get(PARAMS))
    if faults:
        raise misfit(faults)
    return _READERS[found[0]](found[0], body[found[0]], signature)


def _params_faults(params: object) -> list[Fault]:
    if params is None:
        return []
    if not isinstance(params, Mapping):
        return [Fault(pointer(PARAMS), "must be an object")]
    taken = ", ".join(sorted(TAKEN_PARAMS))
    return [
        Fault(pointer(PARAMS, name), f"is not a parameter here; those are {taken}")
        for name in params
        if name not in TAKEN_PARAMS
    ]


def _split(shape: str, frame: object, signature: Signature) -> Translated:
    if not isinstance(frame, Mapping):
        raise misfit([Fault(pointer(shape), "must be an object with the keys columns and data")])
    faults = unknown_keys(frame, _SPLIT_KEYS, shape)
    columns, data, index = frame.get("columns"), frame.get("data"), frame.get("index")
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise misfit([*faults, Fault(pointer(shape, "columns"), "must be a list of column names")])
    faults += _column_faults(columns, signature, shape)
    if not isinstance(data, list):
        raise misfit([*faults, Fault(pointer(shape, "data"), "must be a list of rows")])
    faults += _count_faults(len(data), pointer(shape, "data"))
    if index is not None and (not isinstance(index, list) or len(index) != len(data)):
        faults.append(Fault(pointer(shape, "index"), f"must be a list of {len(data)}, one a row"))
    if not faults:
        faults += _width_faults(data, len(columns), shape)
    if faults:
        raise misfit(faults)
    positions = {name: i for i, name in enumerate(columns)}
    return Translated(
        [dict(zip(columns, row, strict=True)) for row in data],
        pointer(shape, "data"),
        lambda place: pointer(shape, "data", place.row, *_position(positions, place)),
    )


def _position(positions: Mapping[str, int], place: Place) -> tuple[int, ...]:
    return () if place.column is None else (positions[place.column],)


def _column_faults(columns: Sequence[str], signature: Signature, shape: str) -> list[Fault]:
    where = (shape, "columns")
    first = {name: i for i, name in reversed(list(enumerate(columns)))}
    known = {column.name for column in signature.columns}
    faults = []
    for i, name in enumerate(columns):
        if first[name] != i:
            faults.append(Fault(pointer(*where, i), f"repeats {pointer(*where, first[name])}"))
        elif name not in known:
            faults.append(Fault(pointer(*where, i), "is not a column of this model"))
    return [*faults, *_missing(first, signature, pointer(*where))]


def _missing(columns: Mapping[str, Any], signature: Signature, where: str) -> list[Fault]:
    return [
        Fault(where, f"lacks the column {column.name!r}")
        for column in signature.inputs
        if column.name not in columns
    ]


def _count_faults(n: int, where: str) -> list[Fault]:
    return [] if 1 <= n <= MAX_ROWS else [Fault(where, f"must hold 1 to {MAX_ROWS} rows, not {n}")]


def _width_faults(data: Sequence[object], width: int, shape: str) -> list[Fault]:
    return [
        Fault(
            pointer(shape, "data", i),
            f"must have {width} values, one a column, not {len(row)}"
            if isinstance(row, list)
            else f"must be a list of {width} values, one a column",
        )
        for i, row in enumerate(data)
        if not isinstance(row, list) or len(row) != width
    ]


def _records(shape: str, records: object, signature: Signature) -> Translated:
    if not isinstance(records, list):
        raise misfit([Fault(pointer(shape), "must be a list of rows")])
    faults = _count_faults(len(records), pointer(shape))
    if not faults:
        # Lists of lists have no names; MLflow too refuses them for a model that names its columns.
        faults = [
            Fault(pointer(shape, i), "must be an object of column names and values")
            for i, row in enumerate(records)
            if not isinstance(row, Mapping)
        ]
    if faults:
        raise misfit(faults)
    return Translated(
        records,
        pointer(shape),
        lambda place: pointer(shape, place.row, *(() if place.column is None else (place.column,))),
    )


def _inputs(shape: str, inputs: object, signature: Signature) -> Translated:
    if not isinstance(inputs, Mapping):
        if not isinstance(inputs, list):
            raise misfit([Fault(pointer(shape), "must be an object of columns, or a list of rows")])
        return _records(shape, inputs, signature)
    known = {column.name for column in signature.columns}
    faults = [
        Fault(pointer(shape, name), "is not a column of this model") for name in inputs if name not in known
    ]
    faults += _missing(inputs, signature, pointer(shape))
    if inputs and not any(isinstance(value, (list, Mapping)) for value in inputs.values()):
        if faults:
            raise misfit(faults)
        return _one_row(shape, inputs)
    faults += [
        Fault(pointer(shape, name), "must be a list of values, as the other columns are")
        for name, values in inputs.items()
        if not isinstance(values, list)
    ]
    if not faults:
        faults = _length_faults(inputs, shape)
    if faults:
        raise misfit(faults)
    names = list(inputs)
    return Translated(
        [dict(zip(names, values, strict=True)) for values in zip(*inputs.values(), strict=True)],
        pointer(shape),
        lambda place: pointer(shape, *(() if place.column is None else (place.column, place.row))),
    )


def _one_row(shape: str, inputs: Row) -> Translated:
    """Scalars by column are one row, as MLflow reads them."""
    return Translated(
        [inputs],
        pointer(shape),
        lambda place: pointer(shape, *(() if place.column is None else (place.column,))),
    )


def _length_faults(inputs: Mapping[str, Sequence[object]], shape: str) -> list[Fault]:
    """Columns whose length isn't the most frequent one."""
    lengths = Counter(len(values) for values in inputs.values())
    usual = max(lengths, key=lambda length: lengths[length])
    faults = [
        Fault(pointer(shape, name), f"must have {usual} values as the other columns do, not {len(values)}")
        for name, values in inputs.items()
        if len(values) != usual
    ]
    return faults or _count_faults(usual, pointer(shape))


_READERS: Mapping[str, Callable[[str, Any, Signature], Translated]] = {
    SPLIT: _split,
    RECORDS: _records,
    INSTANCES: _records,
    INPUTS: _inputs,
}
