"""What a file holds, as JSON values of the types that the contract asks for.

Text that can't be given its type is sent as it is: the service refuses it with
its place, in the same words as any other value that breaks the contract.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime
from typing import Any

from tiltyard.client.rows import rfc3339
from tiltyard.contract.signature import Column, Signature

_TRUE = frozenset({"true", "1", "yes", "t", "y"})
_FALSE = frozenset({"false", "0", "no", "f", "n"})
# Longer ones have no exact float either; far longer ones Python refuses to read.
_LONGEST_WHOLE = 20

Convert = Callable[[str], Any]


class Preparer:
    """Makes a row of a file one that can be sent.

    Parameters
    ----------
    signature
        Its columns alone are sent. None, when the service tells no contract:
        then every column is, and the type of a text is guessed.
    is_text
        Whether the file's values are text without types, as in CSV.
    nulls
        Texts that mean "missing" beside the empty one.
    ids, times
        The columns that name the rows and say when they happened; not sent as
        columns unless the contract has them.
    """

    def __init__(
        self,
        signature: Signature | None,
        *,
        is_text: bool,
        nulls: Collection[str] = (),
        ids: str | None = None,
        times: str | None = None,
    ) -> None:
        columns = () if signature is None else signature.columns
        self._columns = None if signature is None else {c.name: c for c in columns}
        self._is_text = is_text
        self._nulls = frozenset({"", *nulls})
        self._beside = {ids, times}
        # An empty text may be a level that the model knows.
        self._nulls_of = {c.name: self._nulls.difference(c.categories or ()) for c in columns}

    def row(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        columns = self._columns
        if columns is None:
            return {name: self._guessed(value) for name, value in raw.items() if name not in self._beside}
        known = [(columns[name], value) for name, value in raw.items() if name in columns]
        if not self._is_text:
            return {column.name: _timed(value, column) for column, value in known}
        return {
            column.name: None if text in self._nulls_of[column.name] else _CONVERTS[column.type](text)
            for column, text in known
        }

    def _guessed(self, value: Any) -> Any:
        if not self._is_text:
            return value
        if value in self._nulls:
            return None
        if value.casefold() in ("true", "false"):
            return _boolean(value)
        return _number(value)


def moment(value: Any) -> Any:
    """A file's time as RFC 3339, UTC where it names no zone; what is none stays as it is."""
    if isinstance(value, str):
        return _datetime(value)
    return rfc3339(value) if isinstance(value, date) else value  # a datetime is one


def _timed(value: Any, column: Column) -> Any:
    return moment(value) if column.type == "datetime" else value


def _number(text: str) -> Any:
    """A number; not a number is missing, and 1_000 is none outside of Python."""
    try:
        value = float(text) if "_" not in text else None
    except ValueError:
        value = None
    if value is None:
        return text
    if math.isnan(value):
        return None
    is_whole = len(text) < _LONGEST_WHOLE and text.strip().lstrip("+-").isdecimal()
    return int(text) if is_whole else value


def _boolean(text: str) -> Any:
    folded = text.strip().casefold()
    return True if folded in _TRUE else False if folded in _FALSE else text


def _datetime(text: str) -> Any:
    try:
        return rfc3339(datetime.fromisoformat(text.strip()))
    except ValueError:
        return text


def _same(text: str) -> str:
    return text


_CONVERTS: Mapping[str, Convert] = {
    "number": _number,
    "integer": _number,
    "boolean": _boolean,
    "datetime": _datetime,
    "string": _same,
}
