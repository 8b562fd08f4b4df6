"""Rows as JSON sends them, held against the signature and turned into the graph's matrices.

Plain code on purpose: this runs in every prediction. Few rows are read row by
row, many column by column; both give the same bits, the same warnings and the
same faults, and a test holds them to that. Nothing is said about a fault until
there is one: the careful pass of `tiltyard.contract.faults` runs only then.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tiltyard.contract.faults import FLOAT32_MAX, MAX_TEXT, fault_of, faults_of, parse_time
from tiltyard.contract.features import Columns
from tiltyard.contract.signature import Column, Signature
from tiltyard.errors import Fault, InvalidRows

_ROWWISE = 8

WarningKind = Literal["unseen_category", "out_of_range", "extreme", "combination"]


@dataclass(frozen=True, slots=True)
class Warn:
    """What is odd about a row: answered, and flagged.

    ``unseen_category`` and ``out_of_range``: a value that the model wasn't registered
    with. ``extreme``: values far out in their columns' tails, and ``combination``:
    values that don't go together; of these `column` contributes most, and `p` is the
    share of usual rows that look as odd.
    """

    column: str
    kind: WarningKind
    p: float | None = None

    def to_json(self) -> dict[str, Any]:
        if self.p is None:
            return {"column": self.column, "kind": self.kind}
        return {"column": self.column, "kind": self.kind, "p": self.p}


class Batch(NamedTuple):
    """n rows that keep the contract.

    `numbers` is ``float32 [n, k]`` and `strings` ``object [n, s]`` (None where the
    graph has no such input). `columns` are the values as they were sent, a list of
    n by column (None where an optional column was left out). `warnings` maps a
    row's position to what was odd.
    """

    n: int
    numbers: NDArray[np.float32] | None
    strings: NDArray[np.object_] | None
    columns: Mapping[str, list[Any]]
    warnings: Mapping[int, tuple[Warn, ...]]


class RowReader:
    """Reads rows by one signature.

    Raises
    ------
    InvalidRows
        From `read`: no rows, or a column that is missing, unknown, mistyped,
        null, or not finite; with a pointer to each place, the first 100.
    """

    def __init__(self, signature: Signature) -> None:
        self._columns = signature.columns
        self._inputs = signature.inputs
        self._features = signature.features
        self._known = frozenset(c.name for c in signature.columns)
        self._required = len(signature.inputs)
        self._optional = tuple(c for c in signature.columns if not c.is_input)
        self._plan = _RowPlan.of(signature)

    def read(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        if not rows:
            raise InvalidRows("There are no rows.", faults=[Fault("/rows", "must hold at least one row")])
        try:
            if self._plan is not None and len(rows) <= _ROWWISE:
                return self._by_row(rows, self._plan)
            return self._by_column(rows)
        except (_Odd, KeyError, TypeError, AttributeError, ValueError, OverflowError) as odd:
            faults = faults_of(rows, self._columns)
            if not faults:
                raise  # a bug of ours, not of the rows
            raise InvalidRows("The rows break the model's contract.", faults=faults) from odd

    def _by_row(self, rows: Sequence[Mapping[str, Any]], plan: _RowPlan) -> Batch:
        n = len(rows)
        numbers: list[float] = []
        strings: list[str] = []
        warnings: dict[int, tuple[Warn, ...]] = {}
        sent: list[_Values] = []
        for i, row in enumerate(rows):
            if len(row) != self._required:
                self._check_keys(row)
            found, texts = plan.take_numbers(row), plan.take_strings(row)
            sent.append(found + texts)
            if plan.has_odd_number(found) or plan.has_odd_text(texts):
                odd = [*_careful_numbers(found, plan, numbers), *_careful_texts(texts, plan, strings)]
                if odd:
                    warnings[i] = tuple(odd)
            else:
                numbers += found
                strings += texts
            for name in plan.integers:
                value = row[name]
                if type(value) is float and not value.is_integer():
                    raise _Odd
        columns = dict(zip(plan.order, _transposed(sent), strict=True))
        for column in self._optional:
            columns[column.name] = [row.get(column.name) for row in rows]
        return Batch(
            n,
            np.array(numbers, dtype=np.float32).reshape(n, -1) if plan.numbers else None,
            np.array(strings, dtype=object).reshape(n, -1) if plan.strings else None,
            columns,
            warnings,
        )

    def _by_column(self, rows: Sequence[Mapping[str, Any]]) -> Batch:
        columns: Columns = {}
        sent: dict[str, list[Any]] = {}
        found: dict[int, list[Warn]] = {}
        for row in rows:
            if len(row) != self._required:
                self._check_keys(row)
        for column in self._inputs:
            values = sent[column.name] = [row[column.name] for row in rows]
            columns[column.name] = _READERS[column.type](values, column, found)
        for column in self._optional:
            sent[column.name] = [row.get(column.name) for row in rows]
        made = self._features.apply(columns)
        n = len(rows)
        return Batch(n, self._matrix(made, n), self._texts(made, n), sent, self._in_order(found))

    def _matrix(self, columns: Columns, n: int) -> NDArray[np.float32] | None:
        names = self._features.numbers
        if not names:
            return None
        matrix = np.empty((n, len(names)), dtype=np.float32)
        for j, name in enumerate(names):
            matrix[:, j] = columns[name]
        return matrix

    def _texts(self, columns: Columns, n: int) -> NDArray[np.object_] | None:
        names = self._features.strings
        if not names:
            return None
        matrix = np.empty((n, len(names)), dtype=object)
        for j, name in enumerate(names):
            values = columns[name]
            if None in values.tolist():
                raise _Odd
            matrix[:, j] = values
        return matrix

    def _in_order(self, found: Mapping[int, list[Warn]]) -> dict[int, tuple[Warn, ...]]:
        """The order of warnings that reading row by row gives: numbers of the graph, then texts."""
        if self._plan is None or not found:
            return {i: tuple(found[i]) for i in sorted(found)}
        order = self._plan.order
        return {i: tuple(sorted(found[i], key=lambda w: order[w.column])) for i in sorted(found)}

    def _check_keys(self, row: Mapping[str, Any]) -> None:
        if not self._known.issuperset(row):
            raise _Odd
        for column in self._optional:
            value = row.get(column.name)
            if value is not None and fault_of(value, column) is not None:
                raise _Odd


class _Odd(Exception):
    """Something breaks the contract; the careful pass says what."""


class _AnyText:
    """Holds every text of an allowed length: the levels of a column that names none."""

    def __contains__(self, value: object) -> bool:
        return isinstance(value, str) and len(value) <= MAX_TEXT


_NUMERIC = frozenset({int, float})  # `bool` is an `int` to Python and nobody's number in a contract
_TEXTUAL = frozenset({str})

_Values = tuple[Any, ...]


class _RowPlan:
    """The row-by-row reading of a signature whose graph takes its columns as they are.

    An ordinary row is checked by a few calls that loop in C (a loop in Python took
    four times as long); the others are read value by value.
    """

    def __init__(self, numbers: Sequence[Column], strings: Sequence[Column]) -> None:
        self.numbers = tuple(
            (
                c.is_nullable,
                -math.inf if c.minimum is None else c.minimum,
                math.inf if c.maximum is None else c.maximum,
                Warn(c.name, "out_of_range"),
            )
            for c in numbers
        )
        self.strings = tuple(
            (None if c.categories is None else frozenset(c.categories), Warn(c.name, "unseen_category"))
            for c in strings
        )
        self.order = {c.name: position for position, c in enumerate((*numbers, *strings))}
        self.integers = tuple(c.name for c in numbers if c.type == "integer")
        self.take_numbers = _taker([c.name for c in numbers])
        self.take_strings = _taker([c.name for c in strings])
        self._lows = tuple(max(low, -FLOAT32_MAX) for _, low, _, _ in self.numbers)
        self._highs = tuple(min(high, FLOAT32_MAX) for _, _, high, _ in self.numbers)
        self._levels = tuple(
            _AnyText() if seen is None else frozenset(level for level in seen if len(level) <= MAX_TEXT)
            for seen, _ in self.strings
        )

    @classmethod
    def of(cls, signature: Signature) -> _RowPlan | None:
        features = signature.features
        direct = set(features.numbers) | set(features.strings)
        if features.operations or direct != {c.name for c in signature.inputs}:
            return None
        if any(signature.column(name).is_nullable for name in features.strings):
            return None
        return cls(
            [signature.column(name) for name in features.numbers],
            [signature.column(name) for name in features.strings],
        )

    def has_odd_number(self, values: _Values) -> bool:
        """A value that is no number, not finite, or outside its range. NaN is within nothing."""
        return not (
            _NUMERIC.issuperset(map(type, values))
            and all(map(operator.le, self._lows, values))
            and all(map(operator.ge, self._highs, values))
        )

    def has_odd_text(self, values: _Values) -> bool:
        """A value that is no text, too long, or not among the levels."""
        return not (
            _TEXTUAL.issuperset(map(type, values)) and all(map(operator.contains, self._levels, values))
        )


def _taker(names: Sequence[str]) -> Callable[[Mapping[str, Any]], _Values]:
    """The values of these columns in a row, as a tuple; a KeyError where one is missing."""
    if len(names) > 1:
        return operator.itemgetter(*names)
    return lambda row: tuple([row[name] for name in names])  # itemgetter gives a single one bare


def _transposed(rows: list[_Values]) -> list[list[Any]]:
    if len(rows) == 1:  # the usual case, at a third of the time
        return [[value] for value in rows[0]]
    return [list(values) for values in zip(*rows, strict=True)]


def _careful_numbers(values: _Values, plan: _RowPlan, numbers: list[float]) -> list[Warn]:
    """Append a row's numbers, null as NaN, and say which are out of range; raises `_Odd`."""
    odd = []
    for value, (nullable, low, high, warning) in zip(values, plan.numbers, strict=True):
        if value is None:
            if not nullable:
                raise _Odd
            numbers.append(math.nan)
            continue
        if type(value) not in _NUMERIC or not -FLOAT32_MAX <= value <= FLOAT32_MAX:
            raise _Odd
        numbers.append(value)
        if not low <= value <= high:
            odd.append(warning)
    return odd


def _careful_texts(values: _Values, plan: _RowPlan, strings: list[str]) -> list[Warn]:
    """Append a row's texts and say which are unseen; raises `_Odd`."""
    odd = []
    for value, (seen, warning) in zip(values, plan.strings, strict=True):
        if type(value) is not str or len(value) > MAX_TEXT:
            raise _Odd
        strings.append(value)
        if seen is not None and value not in seen:
            odd.append(warning)
    return odd


def _read_numbers(values: list[Any], column: Column, found: dict[int, list[Warn]]) -> NDArray[np.float64]:
    kinds = set(map(type, values))
    has_null = type(None) in kinds  # known already, which spares two searches of the whole list
    if not kinds <= {int, float, type(None)} or (has_null and not column.is_nullable):
        raise _Odd
    array = np.array([math.nan if v is None else v for v in values] if has_null else values, dtype=np.float64)
    nulls = values.count(None) if has_null else 0
    # A null became NaN and is no fault; every other value must be finite and fit a float32.
    if np.count_nonzero(np.abs(array) <= FLOAT32_MAX) != len(values) - nulls:
        raise _Odd
    if column.type == "integer" and not (np.isnan(array) | (array == np.floor(array))).all():
        raise _Odd
    if column.minimum is not None and column.maximum is not None:
        outside = (array < column.minimum) | (array > column.maximum)
        if outside.any():
            _note(np.flatnonzero(outside).tolist(), Warn(column.name, "out_of_range"), found)
    return array


def _read_strings(values: list[Any], column: Column, found: dict[int, list[Warn]]) -> NDArray[np.object_]:
    distinct = set(values)
    for value in distinct:
        if value is None:
            if not column.is_nullable:
                raise _Odd
        elif type(value) is not str or len(value) > MAX_TEXT:
            raise _Odd
    if column.categories is not None:
        unseen = distinct.difference(column.categories, (None,))
        if unseen:
            where = [i for i, value in enumerate(values) if value in unseen]
            _note(where, Warn(column.name, "unseen_category"), found)
    return np.array(values, dtype=object)


def _read_booleans(values: list[Any], column: Column, found: dict[int, list[Warn]]) -> NDArray[np.object_]:
    if not set(map(type, values)) <= {bool, type(None)} or (None in values and not column.is_nullable):
        raise _Odd
    return np.array(values, dtype=object)


def _read_datetimes(
    values: list[Any], column: Column, found: dict[int, list[Warn]]
) -> NDArray[np.datetime64]:
    if None in values and not column.is_nullable:
        raise _Odd
    return np.array([None if v is None else _naive_utc(v) for v in values], dtype="datetime64[us]")


_READERS = {
    "number": _read_numbers,
    "integer": _read_numbers,
    "string": _read_strings,
    "boolean": _read_booleans,
    "datetime": _read_datetimes,
}


def _naive_utc(text: str) -> datetime:
    return parse_time(text).replace(tzinfo=None)  # numpy's datetime64 knows no zones


def _note(rows: list[int], warning: Warn, found: dict[int, list[Warn]]) -> None:
    for i in rows:
        found.setdefault(i, []).append(warning)
