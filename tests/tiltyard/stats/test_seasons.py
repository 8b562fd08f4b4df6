"""What held-out rows say of time: calibration for denser windows, and the same hours of other weeks."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tiltyard.stats.drift import Dispersion, overdispersion
from tiltyard.stats.seasons import HOURS_A_WEEK, MOST_DENSER, Calibration, Seasons, Spread, hour_of_week

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


def spread(plain, seasonal=None, rows=100.0):
    return Spread(rows, Dispersion(plain, 500), None if seasonal is None else Dispersion(seasonal, 400))


def test_windows_like_the_references_are_judged_as_they_were_seen():
    assert spread(1.4).at(100) == Calibration(Dispersion(1.4, 500))


def test_denser_windows_share_more_and_thinner_ones_no_less():
    assert spread(1.5).at(300).dispersion == Dispersion(2.5, 500)
    assert spread(1.5).at(10).dispersion == Dispersion(1.5, 500)


def test_much_denser_windows_are_not_inferred():
    assert spread(1.0).at(int(100 * MOST_DENSER)) is not None
    assert spread(1.0).at(int(100 * MOST_DENSER) + 1) is None


def test_what_shared_days_add_grows_with_the_rows():
    """Thinned to a quarter and made denser again, by simulation."""
    generator = np.random.default_rng(1)
    days = generator.dirichlet([300] * 10, size=4000)
    full = np.array([generator.multinomial(400, day) for day in days])
    thinned = np.array([generator.multinomial(100, day) for day in days])

    inferred = overdispersion(thinned.tolist()).denser(4)

    assert inferred.phi == pytest.approx(overdispersion(full.tolist()).phi, rel=0.03)
    assert inferred.phi > 1.1


def test_only_what_differs_too_much_is_held_against_the_same_hours():
    assert not spread(2.9, 1.0).at(100).is_seasonal
    assert spread(3.1, 1.2).at(100) == Calibration(Dispersion(1.2, 400), is_seasonal=True)
    assert not spread(3.1).at(100).is_seasonal
    # At twice the rows it differs too much though it didn't at registration.
    assert spread(2.9, 1.1).at(200).is_seasonal


def test_an_hour_is_held_against_its_own_hour_of_the_week():
    seasons = Seasons({}, [[hour, 1] for hour in range(HOURS_A_WEEK)])

    assert seasons.reference(MONDAY + timedelta(hours=30), "hour") == [30, 1]
    assert seasons.reference(MONDAY + timedelta(days=1), "day") == [sum(range(24, 48)), 24]
    assert seasons.reference(MONDAY, "week") == [sum(range(HOURS_A_WEEK)), HOURS_A_WEEK]


def test_hours_without_rows_are_empty_cells():
    seasons = Seasons({}, [[], [2, 3], *[[]] * (HOURS_A_WEEK - 2)])

    assert seasons.reference(MONDAY, "hour") == [0, 0]
    assert seasons.reference(MONDAY, "day") == [2, 3]


def test_hours_go_by_the_named_zones_clock_summer_time_and_all():
    document = {"hours": [[hour] for hour in range(HOURS_A_WEEK)]}
    vienna = Seasons.from_json(document, "Europe/Vienna")

    # Monday 06:00 in Vienna, before and after clocks went forward.
    assert vienna.reference(datetime(2026, 3, 23, 5, tzinfo=UTC), "hour") == [6]
    assert vienna.reference(datetime(2026, 3, 30, 4, tzinfo=UTC), "hour") == [6]
    assert hour_of_week(MONDAY - timedelta(hours=1)) == HOURS_A_WEEK - 1


def test_what_was_written_is_read():
    document = {
        "hours": [],
        "hour": {"windows": 700, "rows": 41.5, "plain": [1.2, 900], "seasonal": [1.0, 700]},
        "week": {"windows": 8, "rows": 6000.0, "plain": [1.0, None], "seasonal": None},
    }

    found = Seasons.from_json(document, "UTC").spread

    assert set(found) == {"hour", "week"}
    assert found["hour"] == Spread(41.5, Dispersion(1.2, 900), Dispersion(1.0, 700))
    assert found["week"] == Spread(6000.0, Dispersion(1.0, math.inf), None)
