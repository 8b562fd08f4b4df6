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
from tiltyard.stats.drift import Dispersion
from tiltyard.stats.layout import Cells, NumberCells, coarse, compared_counts, profiled, score_groups
from tiltyard.stats.seasons import FEWEST_WINDOWS, Calibration, Seasons, seasons_of
from tiltyard.stats.summary import Summary
from tiltyard.stats.together import TITLES

PREDICTION = "prediction"
"""The score's name among the features; a column of that name gives way to it."""


@dataclass(frozen=True, slots=True)
class Feature:
    """What is compared: a column, a distance, or the score (which has no `cells` of its own in the layout).

    `places` are where its cells lie; None without an order. `title` says what a
    distance is, whose name is no column's. `seasons` are what the held-out rows'
    times tell, if they have any.
    """

    name: str
    reference: Sequence[int]
    places: Sequence[float] | None
    is_calendar: bool = False
    cells: Cells | None = None
    title: str | None = None
    seasons: Seasons | None = None


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
            seasons=seasons_of(counter.profile, cells),
        )
        for cells in counter.layout.columns
    ]
    score = _score(counter)
    return found if score is None else [*found, score]


def counts_of(feature: Feature, summary: Summary) -> Sequence[int]:
    if feature.cells is None:
        return coarse(summary.scores)
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
) -> Mapping[str, Dispersion]:
    """Each feature's overdispersion at a scale, by the first 8 windows after a version's first reign began.

    Empty until 8 of them are closed and have rows, which can't be before `until`
    is so much later.
    """
    if until is not None and until < begun + FEWEST_WINDOWS * LENGTHS[step]:
        return {}
    start = floor(begun, step)
    span = Span(start, start + (FEWEST_WINDOWS + 1) * LENGTHS[step], step)
    # The window in which the reign began holds a part of its time only.
    whole = [window for window in windows(ledger, counter, model, version, span) if window.start >= begun]
    settled = [window for window in whole if window.summary.rows and window.closed == window.hours]
    if len(settled) < FEWEST_WINDOWS:
        return {}
    return {
        feature.name: drift.overdispersion([counts_of(feature, window.summary) for window in settled])
        for feature in of
    }


def calibrated(
    feature: Feature, step: Step, rows: int, production: Mapping[str, Dispersion]
) -> Calibration | None:
    """By what a window of so many rows is judged: as registration saw it, else as `production` did.

    Registration comes first: its windows are of a longer time, and none of them is of
    what is judged.
    """
    spread = None if feature.seasons is None else feature.seasons.spread.get(step)
    found = None if spread is None else spread.at(rows)
    if found is None and feature.name in production:
        return Calibration(production[feature.name])
    return found


def alike(feature: Feature, step: Step, rows: int, production: Mapping[str, Dispersion]) -> float | None:
    """The overdispersion among all windows, whatever the hour; None where it isn't known."""
    said = calibrated(feature, step, rows, production)
    if said is None or feature.seasons is None or not said.is_seasonal:
        return None if said is None else said.dispersion.phi
    spread = feature.seasons.spread[step]
    return spread.plain.denser(rows / spread.rows).phi


def verdicts(
    window: Window, of: Sequence[Feature], step: Step, budget: Budget, calibration: Mapping[str, Dispersion]
) -> dict[str, Verdict]:
    """A window's verdicts by feature. Calendar columns are judged by whole weeks only."""
    found = {}
    for feature in of:
        counts = counts_of(feature, window.summary)
        said = calibrated(feature, step, sum(counts), calibration)
        is_seasonal = said is not None and said.is_seasonal
        reference = feature.reference
        if is_seasonal and feature.seasons is not None:
            reference = feature.seasons.reference(window.start, step)
        found[feature.name] = judge(
            reference,
            counts,
            scale=step,
            budget=budget,
            overdispersion=None if said is None else said.dispersion,
            places=feature.places,
            is_tested=step == "week" or not feature.is_calendar,
            is_seasonal=is_seasonal,
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
    places = [sum(middles[i] for i in group) / len(group) for group in score_groups(len(middles))]
    return Feature(PREDICTION, coarse([*reference, 0, 0]), places, seasons=seasons_of(counter.profile, None))
