"""What every format is read into."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Format = Literal["csv", "ndjson", "parquet"]
Unit = Literal["line", "row"]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive rows of a file.

    `places` are their lines (the first one of a row that has several) or, in a
    format without lines, their numbers, from 1. `rows` are the values by column
    as the file holds them: text in CSV. `origin` is what the writer of the same
    format wants back.
    """

    places: Sequence[int]
    rows: Sequence[Mapping[str, Any]]
    origin: Any

    def __len__(self) -> int:
        return len(self.rows)


class Rows(Protocol):
    """An open file of rows.

    `columns` is None where every row names its own. `is_text` says that values
    have no types yet.
    """

    @property
    def name(self) -> str: ...
    @property
    def unit(self) -> Unit: ...
    @property
    def is_text(self) -> bool: ...
    @property
    def columns(self) -> tuple[str, ...] | None: ...
    def chunks(self, size: int, *, skip: int = 0) -> Iterator[Chunk]: ...
