"""A prediction that was made before, explained from the row that was kept of it."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from chalicelib.ports import Lake, Ledger
from tiltyard.errors import IntegrityError, NotFound


@dataclass(frozen=True, slots=True)
class StoredRow:
    """What was asked and which version answered it."""

    id: str
    version: int
    columns: Mapping[str, Any]


def stored_row(ledger: Ledger, lake: Lake, model: str, row_id: str) -> StoredRow:
    """The row of a prediction, by its id.

    Raises
    ------
    NotFound
        For an id that the ledger doesn't know, or whose row has expired.
    IntegrityError
        When the lake's object holds another row in its place.
    """
    found = ledger.row(model, row_id)
    content = None if found is None else lake.read(found.lake)
    if found is None or content is None:
        raise NotFound(
            f"{model!r} has no prediction {row_id!r}. One that was just made is known within seconds; "
            "old ones expire."
        )
    lines = gzip.decompress(content).splitlines()
    line = orjson.loads(lines[found.line]) if found.line < len(lines) else {}
    if line.get("id") != row_id:
        raise IntegrityError(f"{found.lake} doesn't hold prediction {row_id!r} in line {found.line}.")
    return StoredRow(row_id, found.version, line["columns"])
