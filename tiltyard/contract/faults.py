"""What is wrong with rows, place by place: the careful pass, run only when reading found something odd.

`tiltyard.contract.rows` reads fast and says no more than that a row breaks the contract.
This says where and how to mend it; both hold the same rows to the same rules.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from tiltyard.contract.signature import Column
from tiltyard.errors import Fault

MAX_FAULTS = 100
MAX_TEXT = 4096
"""Characters of one text value."""
FLOAT32_MAX = float(np.finfo(np.float32).max)

_ABSENT = object()


def faults_of(rows: Sequence[Any], columns: Sequence[Column]) -> list[Fault]:
    """Everything that is wrong, by row and column, the first `MAX_FAULTS`; empty when nothing is."""
    known = {column.name for column in columns}
    faults: list[Fault] = []
    for i, row in enumerate(rows):
        if len(faults) >= MAX_FAULTS:
            break
        if not isinstance(row, Mapping):
            faults.append(Fault(f"/rows/{i}", "must be an object of column names and values"))
            continue
        for column in columns:
            wrong = _column_fault(row.get(column.name, _ABSENT), column)
            if wrong is not None:
                faults.append(Fault(f"/rows/{i}/{_escape(column.name)}", wrong))
        faults.extend(
            Fault(f"/rows/{i}/{_escape(str(name))}", "is not a column of this model")
            for name in row
            if name not in known
        )
    return faults[:MAX_FAULTS]


def _column_fault(value: object, column: Column) -> str | None:
    """As `fault_of`, of a value that may be absent; the model reads its inputs only, so others may."""
    if value is _ABSENT:
        return "is missing" if column.is_input else None
    if value is None and not column.is_input:
        return None
    return fault_of(value, column)


def fault_of(value: object, column: Column) -> str | None:
    """What is wrong with one value, in words that say how to mend it; None when nothing is."""
    if value is None:
        return (
            None if column.is_nullable else "must not be null: no row that the model was registered with was"
        )
    if column.type in ("number", "integer"):
        return _number_fault(value, column)
    if column.type == "boolean":
        return None if isinstance(value, bool) else f"must be true or false, not {_kind(value)}"
    if not isinstance(value, str):
        return f"must be a {'timestamp' if column.type == 'datetime' else 'string'}, not {_kind(value)}"
    if column.type == "datetime":
        try:
            parse_time(value)
        except (ValueError, OverflowError):
            return "must be an RFC 3339 timestamp with its time zone, as 2013-02-01T06:15:00Z is"
    if len(value) > MAX_TEXT:
        return f"must have at most {MAX_TEXT} characters"
    return None


def _number_fault(value: object, column: Column) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"must be a number, not {_kind(value)}"
    if value != value or value in (math.inf, -math.inf):
        return "must be finite: NaN and infinite values are not JSON; send null for a missing value"
    if abs(value) > FLOAT32_MAX:
        return "must fit a 32-bit float (at most 3.4e38)"
    if column.type == "integer" and value != math.floor(value):
        return "must be a whole number"
    return None


def parse_time(text: str) -> datetime:
    """An RFC 3339 timestamp as an aware UTC datetime.

    Raises
    ------
    ValueError
        If `text` isn't one, or names no time zone.
    """
    if not isinstance(text, str):
        raise ValueError("must be a string")
    stamp = datetime.fromisoformat(text)
    if stamp.tzinfo is None or "T" not in text.upper():
        raise ValueError("must name its date, time and time zone, as 2013-02-01T06:15:00Z does")
    return stamp.astimezone(UTC)


def _kind(value: object) -> str:
    names: dict[type, str] = {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "a list",
    }
    return names.get(type(value), "an object" if isinstance(value, Mapping) else type(value).__name__)


def _escape(name: str) -> str:
    """A reference token of RFC 6901."""
    return name.replace("~", "~0").replace("/", "~1")
