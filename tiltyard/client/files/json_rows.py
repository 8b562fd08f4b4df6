"""NDJSON: one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, NoReturn, TextIO

from tiltyard.client.files.chunks import Chunk, Unit
from tiltyard.client.files.text import lines_of
from tiltyard.errors import InvalidInput


class NdjsonRows:
    """Rows of a file with one JSON object a line; empty lines are passed over.

    NaN, which Python writes for a missing number though JSON has none, is read as null.
    """

    unit: Unit = "line"
    is_text = False
    columns = None

    def __init__(self, stream: BinaryIO, name: str, *, encoding: str | None = None) -> None:
        self.name = name
        self._lines = lines_of(stream, name, encoding)

    def chunks(self, size: int, *, skip: int = 0) -> Iterator[Chunk]:
        """The rows in order, at most `size` at a time; those before a broken line come before its error."""
        places: list[int] = []
        rows: list[Mapping[str, Any]] = []
        seen = 0
        try:
            for place, line in enumerate(self._lines, 1):
                if not line.strip():
                    continue
                seen += 1
                if seen <= skip:
                    continue
                rows.append(self._row(line, place))
                places.append(place)
                if len(rows) == size:
                    yield Chunk(places, rows, rows)
                    places, rows = [], []
        except InvalidInput:
            if rows:
                yield Chunk(places, rows, rows)
            raise
        if rows:
            yield Chunk(places, rows, rows)

    def _row(self, line: str, place: int) -> Mapping[str, Any]:
        try:
            row = json.loads(line, parse_constant=_constant)
        except (ValueError, RecursionError) as exc:
            hint = _list_hint(line) if place == 1 else ""
            raise InvalidInput(f"{self.name}, line {place}, isn't JSON: {exc}.{hint}") from exc
        if not isinstance(row, Mapping):
            raise InvalidInput(
                f"{self.name}, line {place}, holds no JSON object: NDJSON has one a line, by column."
                f"{_list_hint(line)}"
            )
        return row


def _list_hint(line: str) -> str:
    return " A list becomes NDJSON by `jq -c '.[]'`." if line.lstrip().startswith("[") else ""


def _constant(text: str) -> None:
    if text != "NaN":
        _refuse(text)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")


class NdjsonWriter:
    """Each row's object with the answer's values behind its own."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def begin(self, columns: Sequence[str], added: Sequence[str]) -> None:
        """There is no first line."""

    def write(self, chunk: Chunk, added: Sequence[Mapping[str, Any]]) -> None:
        for row, values in zip(chunk.origin, added, strict=True):
            self._out.write(json.dumps({**row, **values}, ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Nothing is held back."""
