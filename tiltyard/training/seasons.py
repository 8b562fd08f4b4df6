"""What held-out rows with a time say of time: how windows differ, and what each hour of a week looks like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tiltyard.stats.budget import Scale
from tiltyard.stats.seasons import FEWEST_WINDOWS, HOURS_A_WEEK

MOST_CELLS = 500_000
"""Of all features in all hours of the week; a profile with more does without a seasonal reference."""
_EPOCHS_WEEKDAY = 3  # 1970 began on a Thursday

Json = dict[str, Any]
Key = tuple[str, str]
Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Placed:
    """Each row's cell of one feature, of `size` of them as windows are compared."""

    cells: Whole
    size: int
    is_personal: bool = False


@dataclass(frozen=True, slots=True)
class _Cut:
    """Whole windows of one scale: which row is in which (-1: in none), and the windows' seasons."""

    scale: Scale
    of_row: Whole
    seasons: Whole


def placed_numbers(values: NDArray[np.float64], edges: list[float], *, is_personal: bool) -> Placed:
    """Bins, what lies outside of them in those at the ends, then missing (`stats.layout.compared_counts`)."""
    missing = np.isnan(values)
    bins = max(1, len(edges) - 1)
    found = np.zeros(len(values), np.int64)
    if len(edges) > 1:
        found = np.clip(np.searchsorted(edges, np.nan_to_num(values), side="right") - 1, 0, bins - 1)
    return Placed(np.where(missing, bins, found), bins + 1, is_personal)


def placed_levels(values: NDArray[Any], levels: list[str], *, is_personal: bool) -> Placed:
    """Levels, then any other, then missing."""
    places = {level: place for place, level in enumerate(levels)}
    found = [len(levels) + 1 if v is None else places.get(str(v), len(levels)) for v in values]
    return Placed(np.array(found, np.int64), len(levels) + 2, is_personal)


def build_seasons(
    features: Mapping[Key, Placed], times: Mapping[Key, NDArray[np.datetime64]], *, zone: str = "UTC"
) -> dict[Key, Json] | None:
    """The part of each feature of the profile's ``seasons``, by the features' own keys.

    None where the rows have no time, or fill fewer than 8 windows of an hour.

    Parameters
    ----------
    times
        Of each feature's rows, UTC; a row without one is left out.
    zone
        In which an hour of the week is what it is; windows are of UTC.

    Notes
    -----
    The first and the last window are left out: they are cut off. Weeks are any seven
    days from the first whole one on. ``plain`` is Pearson's statistic of homogeneity
    by its degrees of freedom, of all windows, and ``seasonal`` that of windows of the
    same hour of the week, or the same weekday, added up; both with their degrees of
    freedom (null where a feature has one value only). Of personal columns no counts
    by the hour are kept: one row in an hour is somebody's.
    """
    is_small = sum(feature.size for feature in features.values()) * HOURS_A_WEEK <= MOST_CELLS
    found: dict[Key, Json] = {}
    for key, feature in features.items():
        hours, known = _hours(times[key])
        if not len(hours):
            return None
        spread = _spread(feature.cells[known], feature.size, hours, zone)
        if not spread:
            return None
        has_hours = is_small and not feature.is_personal
        if not has_hours:
            spread = {scale: said | {"seasonal": None} for scale, said in spread.items()}
        found[key] = {
            "hours": _by_hour(feature.cells[known], feature.size, hours, zone) if has_hours else [],
            **spread,
        }
    return found or None


def _hours(times: NDArray[np.datetime64]) -> tuple[Whole, NDArray[np.bool_]]:
    """Whole hours since 1970 began, and of which rows."""
    known = ~np.isnat(times)
    return times[known].astype("datetime64[h]").astype(np.int64), known


def _by_hour(cells: Whole, size: int, hours: Whole, zone: str) -> list[list[int]]:
    place = _hour_of_week(hours, zone)
    found = np.bincount(place * size + cells, minlength=HOURS_A_WEEK * size).reshape(HOURS_A_WEEK, size)
    return [counts.tolist() if counts.any() else [] for counts in found]


def _hour_of_week(hours: Whole, zone: str) -> Whole:
    local = pd.DatetimeIndex(hours.astype("datetime64[h]").astype("datetime64[s]")).tz_localize("UTC")
    local = local.tz_convert(zone).tz_localize(None)
    return np.asarray(local.day_of_week * 24 + local.hour, dtype=np.int64)


def _spread(cells: Whole, size: int, hours: Whole, zone: str) -> Json:
    """By scale, as far as there are windows enough."""
    found: Json = {}
    for cut in _cuts(hours, zone):
        windows = int(cut.of_row.max(initial=-1)) + 1
        if windows < FEWEST_WINDOWS:
            continue
        held = cut.of_row >= 0
        places = cut.of_row[held] * size + cells[held]
        counts = np.bincount(places, minlength=windows * size).reshape(windows, size)
        repeated = windows - len(np.unique(cut.seasons))
        is_seasonal = cut.scale != "week" and repeated >= FEWEST_WINDOWS - 1
        found[cut.scale] = {
            "windows": windows,
            "rows": float(counts.sum() / windows),
            "plain": _dispersion(counts, np.zeros(windows, np.int64)),
            "seasonal": _dispersion(counts, cut.seasons) if is_seasonal else None,
        }
    return found


def _cuts(hours: Whole, zone: str) -> Iterator[_Cut]:
    of_row, hourly = _numbered(hours, (hours > hours.min()) & (hours < hours.max()))
    yield _Cut("hour", of_row, _hour_of_week(hourly, zone))
    days = hours // 24
    whole = (days > days.min()) & (days < days.max())
    of_row, daily = _numbered(days, whole)
    yield _Cut("day", of_row, (daily + _EPOCHS_WEEKDAY) % 7)
    first, last = int(days.min()) + 1, int(days.max())
    weeks = (days - first) // 7
    of_row, weekly = _numbered(weeks, whole & (weeks < (last - first) // 7))
    yield _Cut("week", of_row, np.zeros(len(weekly), np.int64))


def _numbered(windows: Whole, whole: NDArray[np.bool_]) -> tuple[Whole, Whole]:
    """Of each row the place of its window among those that have rows, -1 of none; and these windows."""
    numbers, places = np.unique(windows[whole], return_inverse=True)
    of_row = np.full(len(windows), -1, np.int64)
    of_row[whole] = places
    return of_row, numbers


def _dispersion(counts: Whole, seasons: Whole) -> list[float | None]:
    """`stats.drift.overdispersion` over the windows of each season: phi and its degrees of freedom."""
    value, df = 0.0, 0
    for season in np.unique(seasons):
        held = counts[seasons == season]
        held = held[:, held.any(axis=0)]
        if len(held) < 2 or held.shape[1] < 2:
            continue
        expected = np.outer(held.sum(axis=1), held.sum(axis=0)) / held.sum()
        value += float(((held - expected) ** 2 / expected).sum())
        df += (held.shape[0] - 1) * (held.shape[1] - 1)
    return [max(1.0, value / df), df] if df else [1.0, None]
