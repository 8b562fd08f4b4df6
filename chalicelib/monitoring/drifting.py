"""Has production drifted from the held-out rows? A verdict a column and window, from counts alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from chalicelib.monitoring.counting import Counter
from chalicelib.monitoring.series import LENGTHS, Span, Step, Window, floor, windows
from chalicelib.ports import Ledger
from tiltyard.stats import drift
from tiltyard.stats.budget import Budget, Verdict, judge
from tiltyard.stats.layout import Cells, NumberCells, compared_counts, profiled
from tiltyard.stats.summary import Summary
from tiltyard.stats.together import TITLES

PREDICTION = "prediction"
"""The score's name among the features; a column of that name gives way to it."""

CALIBRATION_WINDOWS = 8
_SCORE_CELLS = 20


@dataclass(frozen=True, slots=True)
class Feature:
    """What is compared: a column, a distance, or the score (which has no `cells` of its own in the layout).

    `places` are where its cells lie; None without an order. `title` says what a
    distance is, whose name is no column's.
    """

    name: str
    reference: Sequence[int]
    places: Sequence[float] | None
    is_calendar: bool = False
    cells: Cells | None = None
    title: str | None = None


def features(counter: Counter) -> list[Feature]:
    """The columns of a version's profile by name, the distances of columns together, then its score."""
    roles = {column.name: column.role for column in counter.signature.columns}
    found = [
        Feature(
            cells.name,
            compared_counts(cells, counter.reference(cells.name)),
            _places(cells, profiled(cells, counter.profile)),
            is_calendar=roles.get(cells.name) == "calendar",
            cells=cells,
            title=TITLES[cells.distance] if isinstance(cells, NumberCells) and cells.distance else None,
        )
        for cells in counter.layout.columns
    ]
    score = _score(counter)
    return found if score is None else [*found, score]


def counts_of(feature: Feature, summary: Summary) -> Sequence[int]:
    if feature.cells is None:
        return _coarse(summary.scores)
    return compared_counts(feature.cells, summary.cells[feature.name])


def calibrate(
    ledger: Ledger,
    counter: Counter,
    of: Sequence[Feature],
    model: str,
    version: int,
    step: Step,
    begun: datetime,
    *,
    until: datetime | None = None,
) -> Mapping[str, float]:
    """Each feature's overdispersion at a scale, by the first 8 windows after a version's first reign began.

    Empty until 8 of them are closed and have rows, which can't be before `until`
    is so much later.
    """
    if until is not None and until < begun + CALIBRATION_WINDOWS * LENGTHS[step]:
        return {}
    start = floor(begun, step)
    span = Span(start, start + (CALIBRATION_WINDOWS + 1) * LENGTHS[step], step)
    # The window in which the reign began holds a part of its time only.
    whole = [window for window in windows(ledger, counter, model, version, span) if window.start >= begun]
    settled = [window for window in whole if window.summary.rows and window.closed == window.hours]
    if len(settled) < CALIBRATION_WINDOWS:
        return {}
    return {
        feature.name: drift.overdispersion([counts_of(feature, window.summary) for window in settled])
        for feature in of
    }


def verdicts(
    window: Window, of: Sequence[Feature], step: Step, budget: Budget, calibration: Mapping[str, float]
) -> dict[str, Verdict]:
    """A window's verdicts by feature. Calendar columns are judged by whole weeks only."""
    found = {}
    for feature in of:
        found[feature.name] = judge(
            feature.reference,
            counts_of(feature, window.summary),
            scale=step,
            budget=budget,
            overdispersion=calibration.get(feature.name),
            places=feature.places,
            is_tested=step == "week" or not feature.is_calendar,
        )
    return found


def _places(cells: Cells, column: Mapping[str, Any]) -> list[float] | None:
    """The bins' means; what is missing has no place, and categories have no order."""
    return list(column["means"]) if isinstance(cells, NumberCells) and cells.bins else None


def _score(counter: Counter) -> Feature | None:
    score = counter.profile["score"]
    if not counter.layout.score_edges:
        return None
    reference = [sum(counts) for counts in zip(*score["counts"], strict=True)]
    edges = counter.layout.score_edges
    middles = [(low + high) / 2 for low, high in pairwise(edges)]
    return Feature(PREDICTION, _coarse([*reference, 0, 0]), _coarse_places(middles))


def _groups(size: int) -> list[range]:
    """The score's bins in about 20 runs of neighbours."""
    width = max(1, -(-size // _SCORE_CELLS))
    return [range(start, min(start + width, size)) for start in range(0, size, width)]


def _coarse(counts: Sequence[int]) -> list[int]:
    *bins, below, above = counts
    bins[0] += below
    bins[-1] += above
    return [sum(bins[i] for i in group) for group in _groups(len(bins))]


def _coarse_places(middles: Sequence[float]) -> list[float]:
    return [sum(middles[i] for i in group) / len(group) for group in _groups(len(middles))]
