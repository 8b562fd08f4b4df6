"""What the held-out rows say of time: how windows of theirs differ, and what an hour of the week looks like.

A profile has this where its rows have a time (``seasons`` in ``profile.json``). With
the spread among their windows a version is calibrated at registration; with the counts
of each hour of the week a window can be held against the same hours of other weeks,
where days and nights differ too much for anything else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tiltyard.stats.budget import MAX_OVERDISPERSION, Scale
from tiltyard.stats.drift import Dispersion
from tiltyard.stats.layout import Cells, NumberCells

HOURS_A_WEEK = 168
LENGTHS: Mapping[Scale, int] = {"hour": 1, "day": 24, "week": HOURS_A_WEEK}
"""In hours."""
FEWEST_WINDOWS = 8
MOST_DENSER = 4.0
"""Production may have so many times the rows a window; further nothing is inferred, for errors grow along."""

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Spread:
    """Among windows of `rows` rows on average: of all windows, and of those of the same hours of a week.

    `seasonal` is None where too few weeks were there to tell.
    """

    rows: float
    plain: Dispersion
    seasonal: Dispersion | None

    def at(self, rows: int) -> Calibration | None:
        """For windows of so many rows; None when they are much denser than the held-out rows' own."""
        times = rows / self.rows
        if times > MOST_DENSER:
            return None
        plain = self.plain.denser(times)
        if plain.phi > MAX_OVERDISPERSION and self.seasonal is not None:
            return Calibration(self.seasonal.denser(times), is_seasonal=True)
        return Calibration(plain)


@dataclass(frozen=True, slots=True)
class Calibration:
    """By what a window is judged; `is_seasonal` when against the same hours of the week alone."""

    dispersion: Dispersion
    is_seasonal: bool = False


@dataclass(frozen=True, slots=True)
class Seasons:
    """Of one feature. `hours` are its counts by hour of the week (Monday's first), in compared cells.

    `zone` says by which clock: days begin and end by it, summer time and all.

    Empty `hours`: of a personal column none are kept, since few rows share an hour.
    """

    spread: Mapping[Scale, Spread]
    hours: Sequence[Sequence[int]] = ()
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))

    @classmethod
    def from_json(cls, document: Json, zone: str) -> Seasons:
        """Read what `runtime.documents` has checked."""
        spread = {
            scale: Spread(
                document[scale]["rows"],
                _dispersion(document[scale]["plain"]),
                None if document[scale].get("seasonal") is None else _dispersion(document[scale]["seasonal"]),
            )
            for scale in LENGTHS
            if scale in document
        }
        return cls(spread, document["hours"], ZoneInfo(zone))

    def reference(self, start: datetime, scale: Scale) -> list[int]:
        """The held-out rows of the hours of the week that a window from `start` on spans."""
        hours = (start + timedelta(hours=hour) for hour in range(LENGTHS[scale]))
        places = (hour_of_week(hour.astimezone(self.zone)) for hour in hours)
        found = [self.hours[place] for place in places if self.hours[place]]
        # Where they have no row at all there is still a cell for each.
        empty = [0] * max(map(len, self.hours), default=0)
        return [sum(counts) for counts in zip(empty, *found, strict=True)]


def _dispersion(pair: Sequence[float | None]) -> Dispersion:
    phi, df = pair
    return Dispersion(phi or 1.0, math.inf if df is None else df)


def hour_of_week(at: datetime) -> int:
    """0 is Monday's first, by the clock that `at` is told by."""
    return at.weekday() * 24 + at.hour


def seasons_of(profile: Json, cells: Cells | None) -> Seasons | None:
    """Of a column, of a distance, or (None) of the score, if the profile has any."""
    found = profile.get("seasons")
    if found is None:
        return None
    if cells is None:
        document = found.get("score")
    elif isinstance(cells, NumberCells) and cells.distance is not None:
        document = found["together"].get(cells.distance)
    else:
        document = found["columns"].get(cells.name)
    return None if document is None else Seasons.from_json(document, found["zone"])
