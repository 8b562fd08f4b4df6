"""What was wrong with the data of a window: missing, unseen, out of range, coerced, and what followed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chalicelib.monitoring.counting import Counter
from tiltyard.stats.layout import CategoryCells, Cells, Layout, NumberCells
from tiltyard.stats.summary import Summary


@dataclass(frozen=True, slots=True)
class ColumnQuality:
    """Of a column, in rows. `unseen` are texts that registration never saw (None: not a text).

    `other` are texts beyond the profile's most frequent ones, `below` and `above`
    numbers outside of the reference's range, `constant` says that all present values
    were one (with two rows or more).
    """

    rows: int
    missing: int
    coerced: int
    unseen: int | None = None
    other: int | None = None
    below: int | None = None
    above: int | None = None
    constant: bool = False


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Of a sample of `distinct` rows, those that came more than once; personal columns tell none apart."""

    distinct: int
    repeated: int


@dataclass(frozen=True, slots=True)
class Quality:
    """Of a window. `flagged` counts rows by what was odd about them, `actions` and `rules` what followed."""

    columns: Mapping[str, ColumnQuality]
    flagged: Mapping[str, int]
    actions: Mapping[str, int]
    rules: Mapping[str, int]
    ahead: int
    duplicates: Duplicates | None


def quality(summary: Summary) -> Quality:
    """The quality of a window, by its counts alone."""
    events = summary.events
    return Quality(
        {cells.name: _column(summary, cells) for cells in _columns(summary.layout)},
        _named(events, "rows:"),
        _named(events, "action:"),
        _named(events, "rule:"),
        events.get("ahead", 0),
        Duplicates(summary.sketch.distinct, summary.sketch.repeated) if summary.sketch.is_known else None,
    )


def reference(counter: Counter) -> Mapping[str, float]:
    """The share of missing values in each column of the held-out rows."""
    found = {}
    for cells in _columns(counter.layout):
        counts = counter.reference(cells.name)
        found[cells.name] = counts[-1] / max(1, sum(counts))
    return found


def _columns(layout: Layout) -> list[Cells]:
    """Without the distances, which nobody sends."""
    return [cells for cells in layout.columns if isinstance(cells, CategoryCells) or cells.distance is None]


def _column(summary: Summary, cells: NumberCells | CategoryCells) -> ColumnQuality:
    counts = summary.cells[cells.name]
    coerced = summary.events.get(f"coerced:{cells.name}", 0)
    present = summary.rows - counts[-1]
    if isinstance(cells, NumberCells):
        below, above, missing = counts[-3:]
        moments = summary.moments[cells.name]
        # All values equal: the exact form of "the sample variance is zero".
        is_constant = present > 1 and moments.squares * present == moments.total**2
        return ColumnQuality(summary.rows, missing, coerced, below=below, above=above, constant=is_constant)
    other, missing = counts[-2:]
    return ColumnQuality(
        summary.rows,
        missing,
        coerced,
        unseen=summary.events.get(f"unseen_category:{cells.name}", 0),
        other=other,
        constant=present > 1 and max(counts[:-2], default=0) == present,
    )


def _named(events: Mapping[str, int], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): count for name, count in events.items() if name.startswith(prefix)}
