"""CSV: read and written as RFC 4180 has it, with any of four separators."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, BinaryIO, TextIO

from tiltyard.client.files.chunks import Chunk, Unit
from tiltyard.client.files.text import lines_of
from tiltyard.errors import InvalidInput

# The first of those that fit equally well is taken.
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}


class CsvRows:
    """Rows of a CSV file whose first line names the columns.

    Parameters
    ----------
    separator
        What stands between two values; found by the first line when left out:
        the one that gives most of the `wanted` columns, then most columns.

    Raises
    ------
    InvalidInput
        For a file without a first line, one whose names repeat, and while it is
        read for a line with another number of values or an open quote.
    """

    unit: Unit = "line"
    is_text = True

    def __init__(
        self,
        stream: BinaryIO,
        name: str,
        *,
        encoding: str | None = None,
        separator: str | None = None,
        wanted: Collection[str] = (),
    ) -> None:
        self.name = name
        lines = lines_of(stream, name, encoding)
        first = next(lines, "")
        if not first.strip():
            said = "begins with an empty line" if first else "is empty"
            raise InvalidInput(f"{name} {said}; the first line of CSV names the columns.")
        self.separator = separator or _separator(first, wanted)
        self._reader = csv.reader(chain([first], lines), delimiter=self.separator, strict=True)
        header = self._next()
        self.columns: tuple[str, ...] = () if header is None else tuple(header[1])
        repeated = sorted({column for column in self.columns if self.columns.count(column) > 1})
        if repeated:
            raise InvalidInput(f"{name} names a column twice in line 1: {', '.join(map(repr, repeated))}.")

    def chunks(self, size: int, *, skip: int = 0) -> Iterator[Chunk]:
        """The rows in order, at most `size` at a time; those before a broken line come before its error."""
        places: list[int] = []
        cells: list[list[str]] = []
        seen = 0
        try:
            while (found := self._next()) is not None:
                seen += 1
                if seen <= skip:
                    continue
                places.append(found[0])
                cells.append(found[1])
                if len(cells) == size:
                    yield self._chunk(places, cells)
                    places, cells = [], []
        except InvalidInput:
            if cells:
                yield self._chunk(places, cells)
            raise
        if cells:
            yield self._chunk(places, cells)

    def _chunk(self, places: list[int], cells: list[list[str]]) -> Chunk:
        return Chunk(places, [dict(zip(self.columns, row, strict=True)) for row in cells], cells)

    def _next(self) -> tuple[int, list[str]] | None:
        """The next row and the line that it begins in; empty lines are passed over."""
        cells: list[str] = []
        place = 0
        while not cells:
            place = self._reader.line_num + 1
            try:
                cells = next(self._reader)
            except StopIteration:
                return None
            except csv.Error as exc:
                raise InvalidInput(f"{self.name}, line {place}, is no CSV: {_said(exc)}") from exc
        if place > 1 and len(cells) != len(self.columns):
            raise InvalidInput(
                f"{self.name}, line {place}, has {len(cells)} values for the {len(self.columns)} columns of "
                f"line 1 (separated by {SEPARATORS.get(self.separator, repr(self.separator))}). "
                "Put a value that holds the separator in double quotes."
            )
        return place, cells


def _said(error: csv.Error) -> str:
    if "new-line character" in str(error):
        return "a carriage return stands outside of quotes. Lines end with a line feed, or with both."
    return f"{error}. Is a quote left open, or not doubled within quotes?"


def _separator(first: str, wanted: Collection[str]) -> str:
    def fit(separator: str) -> tuple[int, int]:
        try:
            cells = next(csv.reader([first], delimiter=separator), [])
        except csv.Error:
            return 0, 0
        return sum(cell in wanted for cell in cells), len(cells)

    return max(SEPARATORS, key=fit)


class CsvWriter:
    """Rows as they were read, separated as they were, and the columns of the answers behind them.

    A list is written with vertical bars between its entries, a warning as
    ``column:kind``, an object as JSON, nothing as nothing.
    """

    def __init__(self, out: TextIO, separator: str) -> None:
        self._plain = csv.writer(out, delimiter=separator, lineterminator="\n")
        self._quoted = csv.writer(out, delimiter=separator, lineterminator="\n", quoting=csv.QUOTE_ALL)

    def begin(self, columns: Sequence[str], added: Sequence[str]) -> None:
        self._row([*columns, *added])

    def write(self, chunk: Chunk, added: Sequence[Mapping[str, Any]]) -> None:
        for cells, values in zip(chunk.origin, added, strict=True):
            self._row([*cells, *map(_cell, values.values())])

    def _row(self, cells: Sequence[Any]) -> None:
        # Python leaves a lone carriage return unquoted when lines don't end with one, and then can't read it.
        has_return = any(isinstance(cell, str) and "\r" in cell for cell in cells)
        (self._quoted if has_return else self._plain).writerow(cells)

    def close(self) -> None:
        """Nothing is held back."""


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return "|".join(_entry(entry) for entry in value)
    if isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return value


def _entry(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{value.get('column', '')}:{value.get('kind', '')}"
    return str(value)
