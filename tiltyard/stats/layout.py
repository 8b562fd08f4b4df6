"""What a window of a version counts: the cells that its reference profile was counted in."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

# Values are summed as whole multiples of a power of two, about a millionth of the column's range.
RESOLUTION_BITS = 20


@dataclass(frozen=True, slots=True)
class NumberCells:
    """Cells of a number: the bins between `edges`, then ``below``, ``above`` and ``missing``.

    Bin i holds ``[edges[i], edges[i + 1])``, the last one its upper edge as well.
    `is_personal` columns keep no smallest and largest value: these are somebody's.
    """

    name: str
    edges: tuple[float, ...]
    is_personal: bool = False

    @property
    def bins(self) -> int:
        return max(0, len(self.edges) - 1)

    @property
    def size(self) -> int:
        return self.bins + 3

    @property
    def exponent(self) -> int:
        """Values are summed in units of 2 to this power."""
        span = self.edges[-1] - self.edges[0] if self.edges else 0.0
        return (math.frexp(span)[1] if span > 0 else 1) - RESOLUTION_BITS


@dataclass(frozen=True, slots=True)
class CategoryCells:
    """Cells of a text or a boolean: one for each of `levels`, then ``other`` and ``missing``."""

    name: str
    levels: tuple[str, ...]

    @property
    def size(self) -> int:
        return len(self.levels) + 2


Cells = NumberCells | CategoryCells


@dataclass(frozen=True)
class Layout:
    """Columns by name, and the score's edges; `classes` is empty for a regression.

    Two versions with equal layouts have equal digests, and only their windows can
    be added up.
    """

    columns: tuple[Cells, ...]
    score_edges: tuple[float, ...]
    classes: tuple[str, ...]

    @classmethod
    def of(
        cls, profile: Mapping[str, Any], classes: Sequence[str], *, personal: Collection[str] = ()
    ) -> Layout:
        """The layout of a bundle's ``profile.json``; `personal` names the signature's personal columns."""
        columns = [
            _cells(name, column, is_personal=name in personal)
            for name, column in sorted(profile["columns"].items())
        ]
        return cls(tuple(columns), tuple(profile["score"].get("edges", ())), tuple(classes))

    @property
    def score_size(self) -> int:
        """Bins of the score, then those below and above its edges (a regression's alone can be)."""
        return max(0, len(self.score_edges) - 1) + 2

    @cached_property
    def digest(self) -> bytes:
        """8 bytes of the SHA-256 of what is counted."""
        columns = [
            {"name": cells.name, "edges": list(cells.edges), "personal": cells.is_personal}
            if isinstance(cells, NumberCells)
            else {"name": cells.name, "levels": list(cells.levels)}
            for cells in self.columns
        ]
        document = {"columns": columns, "score": list(self.score_edges), "classes": list(self.classes)}
        content = json.dumps(document, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(content.encode()).digest()[:8]


def _cells(name: str, column: Mapping[str, Any], *, is_personal: bool) -> Cells:
    if column["kind"] == "number":
        return NumberCells(name, tuple(column["edges"]), is_personal)
    return CategoryCells(name, tuple(column["levels"]))


def reference_counts(cells: Cells, profile: Mapping[str, Any]) -> list[int]:
    """The profile's own counts of a column, in the order of its cells."""
    column = profile["columns"][cells.name]
    if isinstance(cells, NumberCells):
        return [*column["counts"], column["below"], column["above"], column["missing"]]
    return [*column["counts"], column["other"], column["missing"]]


def compared_counts(cells: Cells, counts: Sequence[int]) -> list[int]:
    """A column's counts as tests compare them: what lies outside of the edges in the bins at the ends.

    The edges are the smallest and the largest reference value, so outside of them the
    reference has no rows at all, and one row there would outweigh all others; that it
    is out of range is told by itself.
    """
    if isinstance(cells, CategoryCells):
        return list(counts)
    *bins, below, above, missing = counts
    if not bins:
        return [below + above, missing]
    bins[0] += below
    bins[-1] += above
    return [*bins, missing]
