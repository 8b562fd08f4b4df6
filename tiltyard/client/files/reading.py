"""Which format a file has, and its rows."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import PurePath
from typing import BinaryIO

from tiltyard.client.files.chunks import Format, Rows
from tiltyard.client.files.csv_rows import CsvRows
from tiltyard.client.files.json_rows import NdjsonRows
from tiltyard.client.files.parquet_rows import ParquetRows

SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".parquet": "parquet",
    ".pq": "parquet",
}


def format_of(path: str) -> Format | None:
    """The format that a file's name says, None when it says none."""
    return SUFFIXES.get(PurePath(path).suffix.lower())


def open_rows(
    stream: BinaryIO,
    name: str,
    format_: Format,
    *,
    encoding: str | None = None,
    separator: str | None = None,
    wanted: Collection[str] = (),
) -> Rows:
    """The rows of an open file; `wanted` are columns that it should have, by which a separator is found."""
    if format_ == "csv":
        return CsvRows(stream, name, encoding=encoding, separator=separator, wanted=wanted)
    if format_ == "ndjson":
        return NdjsonRows(stream, name, encoding=encoding)
    return ParquetRows(stream, name)
