"""Held-out rows with a time: windows cut by it, and every hour of the week counted."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from bundles import signature_of
from hypothesis import given, settings
from hypothesis import strategies as st

from tiltyard.contract.signature import Column
from tiltyard.errors import InvalidBundle, InvalidInput
from tiltyard.runtime.documents import check_profile
from tiltyard.stats import drift
from tiltyard.stats.layout import Layout, coarse, compared_counts, reference_counts
from tiltyard.stats.seasons import HOURS_A_WEEK, seasons_of
from tiltyard.training import seasons
from tiltyard.training.options import Chosen
from tiltyard.training.profile import build_profile
from tiltyard.training.seasons import Placed, build_seasons

START = pd.Timestamp("2026-03-02", tz="UTC")
COLUMNS = [
    Column("a", "number", is_nullable=True, minimum=-5.0, maximum=5.0),
    Column("b", "number", minimum=-5.0, maximum=5.0),
    Column("kind", "string"),
    Column("at", "datetime", role="time", is_input=False),
]


def rows(days, *, an_hour=20, seed=0):
    generator = np.random.default_rng(seed)
    n = days * 24 * an_hour
    at = START + pd.to_timedelta(np.sort(generator.uniform(0, days * 24, size=n)), unit="h")
    hour = at.hour.to_numpy()
    return pd.DataFrame(
        {
            "a": np.where(generator.random(n) < 0.1, np.nan, np.clip(generator.normal(size=n), -4, 4)),
            # By day another than by night.
            "b": np.clip(generator.normal(size=n) + 1.5 * ((hour >= 8) & (hour < 20)), -4, 4),
            "kind": generator.choice(["x", "y"], size=n),
            "at": at,
        }
    )


def profile_of(frame, *, zone="UTC", columns=COLUMNS):
    signature = signature_of(columns)
    score = np.random.default_rng(1).random(len(frame)).astype(np.float32)
    profile = build_profile(
        signature, frame, np.column_stack([1 - score, score]), np.arange(len(frame)) % 2, zone=zone
    )
    check_profile(profile, signature)
    return signature, json.loads(json.dumps(profile, allow_nan=False))


@pytest.fixture(scope="module")
def month():
    return profile_of(rows(30))


def test_all_hours_together_are_the_reference(month):
    signature, profile = month
    layout = Layout.of(profile, signature.classes)

    for cells in layout.columns:
        found = seasons_of(profile, cells)
        summed = [sum(counts) for counts in zip(*filter(None, found.hours), strict=True)]
        assert summed == compared_counts(cells, reference_counts(cells, profile)), cells.name
    scores = [sum(counts) for counts in zip(*profile["score"]["counts"], strict=True)]
    of_score = seasons_of(profile, None)
    assert [sum(counts) for counts in zip(*of_score.hours, strict=True)] == coarse([*scores, 0, 0])


def test_what_follows_the_clock_differs_by_the_hour_and_not_within_hours_of_the_week(month):
    columns = month[1]["seasons"]["columns"]

    assert columns["a"]["hour"]["plain"][0] < 1.1
    assert columns["b"]["hour"]["plain"][0] > 1.2 > 1.1 > columns["b"]["hour"]["seasonal"][0]
    assert columns["b"]["day"]["plain"][0] < 1.3
    assert columns["a"]["hour"]["rows"] == pytest.approx(20, rel=0.02)


def test_windows_at_the_ends_are_cut_off_and_left_out(month):
    columns = month[1]["seasons"]["columns"]

    assert columns["a"]["hour"]["windows"] == 30 * 24 - 2
    assert columns["a"]["day"]["windows"] == 28
    assert "week" not in columns["a"]  # four of them


def test_a_week_has_hours_and_no_season_of_them():
    _, profile = profile_of(rows(7))

    found = profile["seasons"]["columns"]["b"]
    assert found["hour"]["seasonal"] is None
    assert "day" not in found
    assert set(found) == {"hours", "hour"}


@pytest.mark.parametrize("frame", [rows(1).iloc[:40], rows(30).assign(at=pd.NaT)], ids=["an hour", "none"])
def test_without_times_enough_the_part_is_absent(frame):
    frame = frame.assign(at=pd.to_datetime(frame["at"], utc=True))

    assert "seasons" not in profile_of(frame)[1]


def test_of_personal_columns_no_hours_are_kept():
    columns = [*COLUMNS[1:], Column("a", "number", is_nullable=True, is_personal=True, minimum=-9, maximum=9)]

    _, profile = profile_of(rows(30), columns=columns)

    found = profile["seasons"]["columns"]["a"]
    assert (found["hours"], found["hour"]["seasonal"]) == ([], None)
    assert found["hour"]["plain"][0] < 1.1
    assert profile["seasons"]["together"]["mahalanobis"]["hours"] == []


def test_a_profile_of_very_many_columns_does_without_hours(monkeypatch):
    monkeypatch.setattr(seasons, "MOST_CELLS", 1000)

    _, profile = profile_of(rows(30))

    assert profile["seasons"]["columns"]["b"]["hours"] == []
    assert profile["seasons"]["columns"]["b"]["hour"]["seasonal"] is None


def test_hours_are_taken_by_the_zones_clock():
    frame = rows(30)

    here, there = (profile_of(frame, zone=zone)[1]["seasons"] for zone in ("UTC", "Asia/Tokyo"))

    assert there["zone"] == "Asia/Tokyo"
    hours = here["columns"]["b"]["hours"]
    assert there["columns"]["b"]["hours"] == [
        hours[(hour - 9) % HOURS_A_WEEK] for hour in range(HOURS_A_WEEK)
    ]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), min_size=2, max_size=300))
def test_the_spread_of_all_windows_is_pearsons_statistic(rows):
    hours = np.array([hour for hour, _ in rows])
    cells = np.array([cell for _, cell in rows])
    times = hours.astype("datetime64[h]").astype("datetime64[us]")

    found = build_seasons({("columns", "a"): Placed(cells, 4)}, {("columns", "a"): times})

    inner = [hour for hour in sorted(set(hours)) if min(hours) < hour < max(hours)]
    if len(inner) < 8:
        assert found is None
        return
    said = found["columns", "a"]["hour"]
    expected = drift.overdispersion(
        [np.bincount(cells[hours == hour], minlength=4).tolist() for hour in inner]
    )
    assert said["plain"][0] == pytest.approx(expected.phi, rel=1e-9)
    assert said["windows"] == len(inner)


def broken(change):
    _, profile = profile_of(rows(10))
    change(profile["seasons"])
    return profile


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda s: s.update(zone="Mars/Olympus"), "/profile/seasons/zone"),
        (lambda s: s["columns"].pop("a"), "/profile/seasons/columns"),
        (lambda s: s["columns"]["a"]["hours"].pop(), "/profile/seasons/columns/a/hours"),
        (lambda s: s["columns"]["a"]["hours"].__setitem__(3, [1]), "/profile/seasons/columns/a/hours"),
        (lambda s: s["columns"]["a"]["hour"].update(rows=0), "/profile/seasons/columns/a/hour/rows"),
        (lambda s: s["score"]["hour"].update(plain=[0.5, 9]), "/profile/seasons/score/hour/plain"),
        (lambda s: s["score"]["hour"].update(plain=[1.5, 0]), "/profile/seasons/score/hour/plain"),
        (
            lambda s: (
                s["columns"]["a"].update(hours=[]) or s["columns"]["a"]["hour"].update(seasonal=[1.0, 9])
            ),
            "/profile/seasons/columns/a/hour/seasonal",
        ),
    ],
)
def test_what_is_no_such_part_is_refused_with_its_place(change, where):
    with pytest.raises(InvalidBundle) as raised:
        check_profile(broken(change), signature_of(COLUMNS))

    assert raised.value.faults[0].pointer == where


def test_a_zone_that_is_none_is_refused():
    with pytest.raises(InvalidInput, match="Europe/Vienna"):
        Chosen(zone="Mars/Olympus")
