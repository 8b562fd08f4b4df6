"""Answers beside their rows, in the format that the rows came in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, Protocol, TextIO

from tiltyard.client.files.chunks import Chunk, Rows
from tiltyard.client.files.csv_rows import CsvRows, CsvWriter
from tiltyard.client.files.json_rows import NdjsonWriter
from tiltyard.client.files.layout import Layout, Refused
from tiltyard.client.files.parquet_rows import ParquetRows, ParquetWriter
from tiltyard.client.files.scoring import Answered


class Writer(Protocol):
    def begin(self, columns: Sequence[str], added: Sequence[str]) -> None: ...
    def write(self, chunk: Chunk, added: Sequence[Mapping[str, Any]]) -> None: ...
    def close(self) -> None: ...


class Results:
    """The answers of one file, written as they come.

    `layout` is None until the first answers, where the service tells no contract.
    `close` ends what a format ends with, so that rows written before an error can
    be read as well.
    """

    def __init__(
        self, rows: Rows, out: TextIO, *, layout: Layout | None, settings: Mapping[str, Any]
    ) -> None:
        self._rows = rows
        self._out = out
        self._layout = layout
        self._settings = settings
        self._writer: Writer | None = None
        if layout is not None:
            self._begin(layout)

    def write(self, answered: Answered) -> None:
        layout = self._layout = self._layout or Layout.like(answered.outcomes, **self._settings)
        writer = self._writer or self._begin(layout)
        if self._rows.columns is None:
            layout.check({name for row in answered.chunk.rows for name in row}, self._rows.name)
        writer.write(answered.chunk, layout.values(answered.outcomes))

    def close(self) -> None:
        """End the file; rows without an answer to go by give it its first line all the same."""
        if self._writer is None:
            self._begin(self._layout or Layout.like((), **self._settings))
        if self._writer is not None:
            self._writer.close()
        self._out.flush()

    def _begin(self, layout: Layout) -> Writer:
        columns = self._rows.columns or ()
        layout.check(columns, self._rows.name)
        writer = self._writer = writer_of(self._rows, self._out, layout)
        writer.begin(columns, tuple(layout.types))
        return writer


class JsonAnswers:
    """The service's own answers, one JSON object a line with its version; without the rows."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, answered: Answered) -> None:
        for outcome in answered.outcomes:
            said = (
                {"refusal": list(outcome.reasons)}
                if isinstance(outcome, Refused)
                else {**outcome.body, "version": outcome.version}
            )
            self._out.write(json.dumps(said, ensure_ascii=False) + "\n")

    def close(self) -> None:
        self._out.flush()


def writer_of(rows: Rows, out: TextIO, layout: Layout) -> Writer:
    if isinstance(rows, CsvRows):
        return CsvWriter(out, rows.separator)
    if isinstance(rows, ParquetRows):
        return ParquetWriter(binary(out), rows.schema, layout.types)
    return NdjsonWriter(out)


def binary(out: TextIO) -> BinaryIO:
    """The bytes behind a text stream."""
    return out.buffer
