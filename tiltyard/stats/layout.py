"""What a window of a version counts: the cells that its reference profile was counted in."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tiltyard.stats.together import DISTANCES, Distance

# Values are summed as whole multiples of a power of two, about a millionth of the column's range.
RESOLUTION_BITS = 20
SCORE_CELLS = 20
"""Of the score where windows are compared; 200 bins of it are counted."""


@dataclass(frozen=True, slots=True)
class NumberCells:
    """Cells of a number: the bins between `edges`, then ``below``, ``above`` and ``missing``.

    Bin i holds ``[edges[i], edges[i + 1])``, the last one its upper edge as well.
    `is_personal` columns keep no smallest and largest value: these are somebody's.
    `distance` says which of the distances it is, where it's no column (`stats.together`).
    """

    name: str
    edges: tuple[float, ...]
    is_personal: bool = False
    distance: Distance | None = None

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
    """Columns by name, then the distances, and the score's edges; `classes` is empty for a regression.

    Two versions with equal layouts have equal digests, and only their windows can
    be added up. `axes` is the digest of what distances are computed by, empty without any.
    """

    columns: tuple[Cells, ...]
    score_edges: tuple[float, ...]
    classes: tuple[str, ...]
    axes: str = ""

    @classmethod
    def of(
        cls, profile: Mapping[str, Any], classes: Sequence[str], *, personal: AbstractSet[str] = frozenset()
    ) -> Layout:
        """The layout of a bundle's ``profile.json``; `personal` names the signature's personal columns."""
        columns = [
            _cells(name, column, is_personal=name in personal)
            for name, column in sorted(profile["columns"].items())
        ]
        together = profile.get("together")
        if together is not None:
            is_personal = not personal.isdisjoint(together["columns"])
            columns += [
                NumberCells(_free(f"~{kind}", profile), tuple(together[kind]["edges"]), is_personal, kind)
                for kind in DISTANCES
            ]
        return cls(
            tuple(columns),
            tuple(profile["score"].get("edges", ())),
            tuple(classes),
            "" if together is None else _digest(together).hex(),
        )

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
        document: dict[str, Any] = {
            "columns": columns,
            "score": list(self.score_edges),
            "classes": list(self.classes),
        }
        if self.axes:
            document["axes"] = self.axes
        return _digest(document)


def _digest(document: Mapping[str, Any]) -> bytes:
    content = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).digest()[:8]


def _free(name: str, profile: Mapping[str, Any]) -> str:
    """A name that no counted column has: any text may be one's."""
    while name in profile["columns"]:
        name = f"~{name}"
    return name


def _cells(name: str, column: Mapping[str, Any], *, is_personal: bool) -> Cells:
    if column["kind"] == "number":
        return NumberCells(name, tuple(column["edges"]), is_personal)
    return CategoryCells(name, tuple(column["levels"]))


def profiled(cells: Cells, profile: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the profile says of a column or a distance."""
    found: Mapping[str, Any]
    if isinstance(cells, NumberCells) and cells.distance is not None:
        found = profile["together"][cells.distance]
    else:
        found = profile["columns"][cells.name]
    return found


def reference_counts(cells: Cells, profile: Mapping[str, Any]) -> list[int]:
    """The profile's own counts of a column, in the order of its cells."""
    column = profiled(cells, profile)
    if isinstance(cells, NumberCells):
        return [*column["counts"], column["below"], column["above"], column["missing"]]
    return [*column["counts"], column["other"], column["missing"]]


def coarse(counts: Sequence[int]) -> list[int]:
    """The score's counts as tests compare them: about 20 runs of bins, those outside of them at the ends."""
    *bins, below, above = counts
    bins[0] += below
    bins[-1] += above
    return [sum(bins[i] for i in group) for group in score_groups(len(bins))]


def score_groups(bins: int) -> list[range]:
    """The score's bins in about `SCORE_CELLS` runs of neighbours."""
    width = max(1, -(-bins // SCORE_CELLS))
    return [range(start, min(start + width, bins)) for start in range(0, bins, width)]


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
