"""The feature step: from the columns a caller sends to the graph's two matrices.

A graph takes one ``float32 [n, k]`` matrix and, if it has string inputs, one
``string [n, s]`` matrix. What ONNX can't do (booleans, missing text, parts of a
date, lumping of rare levels) is done before the graph by this declarative list
of operations. It is versioned, holds no code, and is the same object in
training, registration and serving.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tiltyard.errors import Fault, InvalidBundle

FORMAT = 1

DatePart = Literal[
    "year", "month", "day", "weekday", "day_of_year", "hour", "minute", "minute_of_day", "epoch_days"
]
DATE_PARTS: tuple[DatePart, ...] = get_args(DatePart)

Columns = dict[str, NDArray[Any]]
"""Column name → array of n values: ``float64`` (number, integer; NaN is missing),
``object`` of ``str | None`` (string), ``object`` of ``bool | None`` (boolean) or
``datetime64[us]`` in UTC (datetime; NaT is missing)."""


@dataclass(frozen=True, slots=True)
class Boolean:
    """True, False, missing → 1, 0, NaN."""

    column: str

    def apply(self, columns: Columns) -> None:
        values = columns[self.column]
        columns[self.column] = np.array([np.nan if v is None else float(v) for v in values], dtype=np.float64)

    def produces(self, types: dict[str, str]) -> None:
        _expect(types, self.column, "boolean", "boolean")
        types[self.column] = "number"


@dataclass(frozen=True, slots=True)
class Fill:
    """Missing text → `value`, the sentinel that the model was fitted with."""

    column: str
    value: str

    def apply(self, columns: Columns) -> None:
        values = columns[self.column]
        columns[self.column] = np.array([self.value if v is None else v for v in values], dtype=object)

    def produces(self, types: dict[str, str]) -> None:
        _expect(types, self.column, "string", "fill")


@dataclass(frozen=True, slots=True)
class Lump:
    """Text that is not in `keep` → `other`; missing stays missing."""

    column: str
    keep: tuple[str, ...]
    other: str

    def apply(self, columns: Columns) -> None:
        keep = frozenset(self.keep)
        values = columns[self.column]
        columns[self.column] = np.array(
            [v if v is None or v in keep else self.other for v in values], dtype=object
        )

    def produces(self, types: dict[str, str]) -> None:
        _expect(types, self.column, "string", "lump")


@dataclass(frozen=True, slots=True)
class DateTimePart:
    """One part of a UTC timestamp as a number; missing → NaN.

    ``weekday`` is 0 on Monday, ``day_of_year`` 1 on 1 January.
    """

    column: str
    part: DatePart
    output: str

    def apply(self, columns: Columns) -> None:
        columns[self.output] = date_part(columns[self.column], self.part)

    def produces(self, types: dict[str, str]) -> None:
        _expect(types, self.column, "datetime", "datetime_part")
        types[self.output] = "number"


@dataclass(frozen=True, slots=True)
class MissingIndicator:
    """1 where `column` is missing, else 0, as a column of its own."""

    column: str
    output: str

    def apply(self, columns: Columns) -> None:
        values = columns[self.column]
        if values.dtype == object:
            missing = np.array([v is None for v in values], dtype=np.float64)
        else:
            missing = np.isnan(values).astype(np.float64)
        columns[self.output] = missing

    def produces(self, types: dict[str, str]) -> None:
        if self.column not in types:
            raise _invalid(f"missing_indicator reads the unknown column {self.column!r}")
        types[self.output] = "number"


Operation = Boolean | Fill | Lump | DateTimePart | MissingIndicator

_KINDS: dict[str, type[Operation]] = {
    "boolean": Boolean,
    "fill": Fill,
    "lump": Lump,
    "datetime_part": DateTimePart,
    "missing_indicator": MissingIndicator,
}
_NAMES: dict[type[Operation], str] = {kind: name for name, kind in _KINDS.items()}


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """Operations in order, then the columns of the graph's two inputs.

    `numbers` are the columns of the float matrix and `strings` those of the
    string matrix, in graph order. A model has at least one of either.
    """

    numbers: tuple[str, ...]
    strings: tuple[str, ...] = ()
    operations: tuple[Operation, ...] = ()

    def apply(self, columns: Mapping[str, NDArray[Any]]) -> Columns:
        """Run the operations; the argument is left as it was."""
        working = dict(columns)
        for operation in self.operations:
            operation.apply(working)
        return working

    def check(self, types: Mapping[str, str]) -> None:
        """Hold the operations against the types of the columns that come in.

        Raises
        ------
        InvalidBundle
            If an operation reads a column that isn't there or has another type,
            or a graph input would get one of the wrong type.
        """
        known = {name: "number" if kind == "integer" else kind for name, kind in types.items()}
        for operation in self.operations:
            operation.produces(known)
        if not self.numbers and not self.strings:
            raise _invalid("the model has no inputs")
        for names, wanted in ((self.numbers, "number"), (self.strings, "string")):
            for name in names:
                _expect(known, name, wanted, f"the graph's {wanted} input")

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "operations": [_operation_to_json(operation) for operation in self.operations],
            "numbers": list(self.numbers),
            "strings": list(self.strings),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any], *, pointer: str = "") -> FeatureSpec:
        if document.get("format") != FORMAT:
            raise _invalid(f"this Tiltyard reads feature step format {FORMAT}", f"{pointer}/format")
        operations = document.get("operations")
        if not isinstance(operations, list):
            raise _invalid("must be a list", f"{pointer}/operations")
        return cls(
            numbers=_names(document.get("numbers"), f"{pointer}/numbers"),
            strings=_names(document.get("strings"), f"{pointer}/strings"),
            operations=tuple(
                _operation_from_json(o, f"{pointer}/operations/{i}") for i, o in enumerate(operations)
            ),
        )


def date_part(stamps: NDArray[np.datetime64], part: DatePart) -> NDArray[np.float64]:
    """`part` of each timestamp (UTC) as float64, NaN where it is NaT."""
    whole = _PARTS[part](stamps)
    return np.where(np.isnat(stamps), np.nan, whole.astype(np.float64))


def _since(stamps: NDArray[np.datetime64], start: str, unit: str) -> NDArray[np.int64]:
    elapsed: NDArray[np.int64] = (
        stamps.astype(f"datetime64[{unit}]") - stamps.astype(f"datetime64[{start}]")
    ).astype(np.int64)
    return elapsed


_PARTS: dict[DatePart, Callable[[NDArray[np.datetime64]], NDArray[np.int64]]] = {
    "year": lambda t: t.astype("datetime64[Y]").astype(np.int64) + 1970,
    "month": lambda t: t.astype("datetime64[M]").astype(np.int64) % 12 + 1,
    "day": lambda t: _since(t, "M", "D") + 1,
    # 1 January 1970 was a Thursday.
    "weekday": lambda t: (t.astype("datetime64[D]").astype(np.int64) + 3) % 7,
    "day_of_year": lambda t: _since(t, "Y", "D") + 1,
    "hour": lambda t: _since(t, "D", "h"),
    "minute": lambda t: _since(t, "h", "m"),
    "minute_of_day": lambda t: _since(t, "D", "m"),
    "epoch_days": lambda t: t.astype("datetime64[D]").astype(np.int64),
}


def _operation_to_json(operation: Operation) -> dict[str, Any]:
    document: dict[str, Any] = {"kind": _NAMES[type(operation)]}
    for key in operation.__slots__:
        value = getattr(operation, key)
        document[key] = list(value) if isinstance(value, tuple) else value
    return document


def _operation_from_json(document: object, pointer: str) -> Operation:
    if not isinstance(document, dict) or document.get("kind") not in _KINDS:
        raise _invalid(f"must be one of {', '.join(_KINDS)}", f"{pointer}/kind")
    kind = _KINDS[document["kind"]]
    if set(document) != {"kind", *kind.__slots__}:
        raise _invalid(f"must have the keys {', '.join(('kind', *kind.__slots__))}", pointer)
    values: dict[str, Any] = {}
    for key in kind.__slots__:
        value = document[key]
        if key == "keep":
            value = _names(value, f"{pointer}/keep")
        elif not isinstance(value, str):
            raise _invalid("must be a string", f"{pointer}/{key}")
        elif key == "part" and value not in DATE_PARTS:
            raise _invalid(f"must be one of {', '.join(DATE_PARTS)}", f"{pointer}/part")
        values[key] = value
    return kind(**values)


def _names(value: object, pointer: str) -> tuple[str, ...]:
    if (
        not isinstance(value, Sequence)
        or isinstance(value, str)
        or not all(isinstance(v, str) for v in value)
    ):
        raise _invalid("must be a list of strings", pointer)
    return tuple(value)


def _expect(types: Mapping[str, str], column: str, wanted: str, reader: str) -> None:
    if types.get(column) != wanted:
        found = types.get(column, "missing")
        raise _invalid(f"{reader} needs {column!r} as {wanted}, which is {found}")


def _invalid(detail: str, pointer: str = "/features") -> InvalidBundle:
    return InvalidBundle("The feature step is invalid.", faults=[Fault(f"/signature{pointer}", detail)])
