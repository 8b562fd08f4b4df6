"""A row as the cells that it was counted in: a byte a column, enough to find the slices that it lies in.

The encoding (format 1; 2 where a column has over 256 cells) is the format, the layout's
digest, and each column's cell, in the layout's order: of one byte, or of two, little-endian.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiltyard.errors import IntegrityError
from tiltyard.stats.layout import Layout

BYTES, WORDS = 1, 2

Places = NDArray[Any]


def encode(layout: Layout, cells: Places) -> list[bytes]:
    """Of n rows, `cells` of shape (columns, n)."""
    form = _form(layout)
    head = bytes([form]) + layout.digest
    return [head + row.tobytes() for row in np.ascontiguousarray(cells.T, dtype=_TYPES[form])]


def decode(content: bytes, layout: Layout) -> Places:
    """Each column's cell, in the layout's order.

    Raises
    ------
    IntegrityError
        When these aren't the cells of a row under this layout.
    """
    form, head = _form(layout), 1 + len(layout.digest)
    if content[:1] != bytes([form]) or content[1:head] != layout.digest:
        raise IntegrityError("a row's cells are of a version with another profile, or of another format")
    kind = _TYPES[form]
    if len(content) != head + len(layout.columns) * kind.itemsize:
        raise IntegrityError("a row's cells were cut off")
    found: Places = np.frombuffer(content, kind, offset=head)
    if any(cell >= column.size for cell, column in zip(found.tolist(), layout.columns, strict=True)):
        raise IntegrityError("a row lies in a cell that its column doesn't have")
    return found


_TYPES: dict[int, np.dtype[Any]] = {BYTES: np.dtype("u1"), WORDS: np.dtype("<u2")}


def _form(layout: Layout) -> int:
    return BYTES if max((column.size for column in layout.columns), default=0) <= 256 else WORDS
