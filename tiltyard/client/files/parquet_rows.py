"""Parquet, by pyarrow (the extra `parquet`), a few thousand rows at a time."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from importlib import import_module
from typing import Any, BinaryIO

from tiltyard.client.files.chunks import Chunk, Unit
from tiltyard.errors import InvalidInput

# So many rows are gathered before they are written: small row groups make a large, slow file.
ROW_GROUP = 50_000


class ParquetRows:
    """Rows of a Parquet file; a stream that can't be sought (standard input) is spooled to disk first.

    Raises
    ------
    InvalidInput
        Without pyarrow, and for a file that isn't Parquet or is damaged.
    """

    unit: Unit = "row"
    is_text = False

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.name = name
        parquet = pyarrow("parquet")
        if not stream.seekable():
            spooled = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process, read until then
            shutil.copyfileobj(stream, spooled)
            stream = spooled
        self._errors = (pyarrow().ArrowException, OSError, ValueError)
        try:
            self._file = parquet.ParquetFile(stream)
        except self._errors as exc:
            raise InvalidInput(f"{name} can't be read as Parquet: {exc}.") from exc
        self.schema = self._file.schema_arrow
        self.columns: tuple[str, ...] = tuple(self.schema.names)

    def chunks(self, size: int, *, skip: int = 0) -> Iterator[Chunk]:
        """The rows in order, at most `size` at a time."""
        place = 0
        try:
            for batch in self._file.iter_batches(batch_size=size):
                first = max(0, skip - place)
                place += batch.num_rows
                if first >= batch.num_rows:
                    continue
                taken = batch.slice(first)
                places = range(place - taken.num_rows + 1, place + 1)
                yield Chunk(places, _rows(taken), taken)
        except self._errors as exc:
            raise InvalidInput(f"{self.name} can't be read after row {place}: {exc}.") from exc


def _rows(batch: Any) -> list[dict[str, Any]]:
    columns = [_values(batch.column(i)) for i in range(batch.num_columns)]
    names = batch.schema.names
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _values(column: Any) -> list[Any]:
    arrow = pyarrow()
    if arrow.types.is_timestamp(column.type) and column.type.unit == "ns":
        # Python's own times end at microseconds; without pandas a finer one can't be told.
        column = column.cast(arrow.timestamp("us", column.type.tz), safe=False)
    values: list[Any] = column.to_pylist()
    if arrow.types.is_decimal(column.type):
        return [float(value) if isinstance(value, Decimal) else value for value in values]
    return values


class ParquetWriter:
    """The file's own columns unchanged, and behind them those of the answers, typed.

    Parameters
    ----------
    types
        What each added column holds: ``text``, ``number``, ``integer``, ``texts``
        (a list), ``warnings`` (a list of column and kind) or ``object`` (as JSON).
    """

    def __init__(self, out: BinaryIO, schema: Any, types: Mapping[str, str]) -> None:
        arrow = pyarrow()
        kinds = {
            "text": arrow.string(),
            "object": arrow.string(),
            "number": arrow.float64(),
            "integer": arrow.int64(),
            "texts": arrow.list_(arrow.string()),
            "warnings": arrow.list_(arrow.struct([("column", arrow.string()), ("kind", arrow.string())])),
        }
        added = arrow.schema([(name, kinds[kind]) for name, kind in types.items()])
        self._added = added
        self._schema = arrow.schema([*schema, *added], metadata=schema.metadata)
        self._writer = pyarrow("parquet").ParquetWriter(out, self._schema)
        self._waiting: list[Any] = []
        self._n = 0

    def begin(self, columns: Sequence[str], added: Sequence[str]) -> None:
        """The schema says it all."""

    def write(self, chunk: Chunk, added: Sequence[Mapping[str, Any]]) -> None:
        arrow = pyarrow()
        behind = [
            arrow.array([_plain(values[field.name]) for values in added], type=field.type)
            for field in self._added
        ]
        batch = arrow.RecordBatch.from_arrays([*chunk.origin.columns, *behind], schema=self._schema)
        self._waiting.append(batch)
        self._n += batch.num_rows
        if self._n >= ROW_GROUP:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pyarrow().Table.from_batches(self._waiting, schema=self._schema))
            self._waiting, self._n = [], 0


def _plain(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, Mapping) else value


def pyarrow(part: str | None = None) -> Any:
    """pyarrow, or a part of it; its types are known to nobody here."""
    try:
        return import_module("pyarrow" if part is None else f"pyarrow.{part}")
    except ImportError as exc:
        raise InvalidInput("Parquet needs pyarrow: pip install 'tiltyard[parquet]'.") from exc
