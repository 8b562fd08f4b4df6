"""Rows to JSON: what a data frame or a list of mappings becomes on the wire.

None, NaN, NaT and NA all mean "missing" and are sent as null; whether a column
may be missing is the model's contract to say. A time without a zone is UTC.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Protocol

from tiltyard.client.transport import encode
from tiltyard.errors import Fault, InvalidRows
from tiltyard.runtime.identifiers import uuid7s

Row = Mapping[str, Any]
Time = datetime | str

# The service takes 5,000 rows and 3 MB; some room is left for ids and braces.
MAX_ROWS = 5_000
MAX_BYTES = 2_900_000
# And explains 20 of them at a time.
MAX_EXPLAINED = 20


class Frame(Protocol):
    """What is used of a pandas DataFrame, so that pandas needn't be there."""

    @property
    def columns(self) -> Any: ...
    def __getitem__(self, name: Any, /) -> Any: ...
    def __len__(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Request:
    """The columns of one call to predict, one entry a row each."""

    rows: Sequence[dict[str, Any]]
    ids: Sequence[str]
    subjects: Sequence[str] | None = None
    at: Sequence[str] | None = None
    explain: bool = False

    @classmethod
    def of(
        cls,
        rows: Sequence[Row] | Frame,
        *,
        ids: Sequence[str] | None,
        subjects: Sequence[str] | None,
        at: Time | Sequence[Time] | None,
        explain: bool = False,
    ) -> Request:
        """Rows as JSON values; rows without ids get some, so that a repeated call isn't counted twice.

        Raises
        ------
        InvalidRows
            For a value that JSON can't hold, with the pointer to it, and for a
            list of ids, subjects or times that isn't as long as the rows.
        """
        plain = plain_rows(rows)
        given_ids = _new_ids(len(plain)) if ids is None else [str(i) for i in ids]
        whose = None if subjects is None else [str(s) for s in subjects]
        if at is None:
            times = None
        elif isinstance(at, datetime | str):
            times = [rfc3339(at)] * len(plain)
        else:
            times = [rfc3339(one) for one in at]
        for name, column in (("ids", given_ids), ("subjects", whose), ("at", times)):
            if column is not None and len(column) != len(plain):
                fault = Fault(f"/{name}", f"has {len(column)} entries for {len(plain)} rows")
                raise InvalidRows(f"{name} must have one entry a row.", faults=[fault])
        return cls(plain, given_ids, whose, times, explain)

    def batches(self, *, max_rows: int = MAX_ROWS, max_bytes: int = MAX_BYTES) -> Iterator[Request]:
        """Parts of at most `max_rows` rows and about `max_bytes` bytes of JSON, in order.

        No rows give one empty part: the service says what is wrong with that.
        """
        start = size = 0
        most = min(max_rows, MAX_EXPLAINED) if self.explain else max_rows
        for end, row in enumerate(self.rows):
            row_size = len(encode(row)) + len(self.ids[end].encode()) + 64
            if self.subjects is not None:
                row_size += len(self.subjects[end].encode())
            if end > start and (end - start >= most or size + row_size > max_bytes):
                yield self._part(start, end)
                start, size = end, 0
            size += row_size
        yield self._part(start, len(self.rows))

    def body(self) -> bytes:
        document: dict[str, Any] = {"rows": self.rows, "ids": self.ids}
        if self.subjects is not None:
            document["subjects"] = self.subjects
        if self.at is not None:
            document["at"] = self.at
        if self.explain:
            document["explain"] = True
        return encode(document)

    def _part(self, start: int, end: int) -> Request:
        return Request(
            self.rows[start:end],
            self.ids[start:end],
            None if self.subjects is None else self.subjects[start:end],
            None if self.at is None else self.at[start:end],
            self.explain,
        )


def plain_rows(rows: Sequence[Row] | Frame) -> list[dict[str, Any]]:
    """Rows as JSON values, in order."""
    if hasattr(rows, "columns"):
        names = [str(name) for name in rows.columns]
        columns = [_column(rows[name], str(name)) for name in rows.columns]
        return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
    if isinstance(rows, Mapping | str | bytes) or not isinstance(rows, Sequence):
        raise InvalidRows("Rows are a list of mappings or a data frame; a single row is a list of one.")
    if not all(isinstance(row, Mapping) for row in rows):
        raise InvalidRows("Every row must be a mapping of column names to values.")
    return [
        {str(name): _plain(value, f"/rows/{i}/{name}") for name, value in row.items()}
        for i, row in enumerate(rows)
    ]


def _new_ids(n: int) -> Sequence[str]:
    return uuid7s(n, unix_ms=time.time_ns() // 1_000_000)


def _column(values: Any, name: str) -> list[Any]:
    return [
        None if is_missing else _plain(value, f"/rows/{i}/{name}")
        for i, (value, is_missing) in enumerate(zip(values.tolist(), values.isna().tolist(), strict=True))
    ]


def _plain(value: Any, pointer: str) -> Any:
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if math.isinf(value):
            raise InvalidRows("A value is infinite.", faults=[Fault(pointer, "must be finite")])
        return None if math.isnan(value) else float(value)
    if isinstance(value, date):  # a datetime is one
        # pandas.NaT is a datetime that doesn't equal itself.
        return None if value != value else rfc3339(value)
    if hasattr(value, "item"):  # a numpy scalar
        return _plain(value.item(), pointer)
    if type(value).__name__ == "NAType":  # pandas.NA, whose comparisons have no truth value
        return None
    raise InvalidRows(
        "A value has no form in JSON.",
        faults=[
            Fault(pointer, f"is a {type(value).__name__}; send text, a number, true, false, a time or None")
        ],
    )


def rfc3339(value: date | str) -> str:
    """RFC 3339 in UTC; a time without a zone is in UTC, and a text is left alone."""
    if isinstance(value, str):
        return value
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    aware = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return aware.isoformat().replace("+00:00", "Z")
