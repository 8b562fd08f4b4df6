"""Drift over HTTP and on the command line, from rows that were really answered and counted."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from bundles import profiled_bundle, signature_of
from fakes import service
from production import NOW, run, serving

from app import app
from chalicelib.monitoring.closing import close_due
from chalicelib.monitoring.counting import Counter, Counters
from chalicelib.monitoring.drifting import features
from chalicelib.monitoring.rows import Row
from tiltyard.cli.drift import BARS, sparkline
from tiltyard.contract.signature import Column
from tiltyard.runtime.bundle import MANIFEST, PROFILE, Bundle, canonical
from tiltyard.stats.summary import Summary
from tiltyard.training.profile import build_profile

HOUR = timedelta(hours=1)
START = NOW.replace(minute=0)


def live_hours(stage, hours, *, rows=200, moved=()):
    """So many hours of rows like the held-out ones; in those of `moved`, column b is high."""
    generator = np.random.default_rng(8)
    for hour in range(hours):
        stage.at_hand.now = START + hour * HOUR + timedelta(minutes=30)
        a = generator.choice([1.0, 4.0, 8.0], p=[0.3, 0.2, 0.5], size=rows)
        b = generator.choice([1.2, 3.7], p=[0.05, 0.95] if hour in moved else [0.5, 0.5], size=rows)
        stage.ask([{"a": float(x), "b": float(y)} for x, y in zip(a, b, strict=True)])
        assert run(stage.messages()) == []
    stage.at_hand.now = START + hours * HOUR + timedelta(minutes=20)
    counters = Counters(stage.at_hand.lineage, stage.at_hand.artifacts)
    close_due(stage.at_hand.ledger, stage.at_hand.lineage, counters, now=stage.at_hand.now)


def asked(stage, query="?step=hour"):
    answer = stage.gateway.call("GET", f"/v1/models/delays/drift{query}", token=stage.token)
    assert answer.status == 200, answer.body
    return answer.json


def test_before_eight_windows_there_are_figures_and_no_verdict(stage):
    live_hours(stage, 5)

    found = asked(stage)

    states = {window["features"]["b"]["state"] for window in found["windows"] if window["rows"]}
    assert states == {"uncalibrated"}
    assert found["overdispersion"] == {"a": None, "b": None, "prediction": None}
    assert found["titles"] == {}


def test_a_shift_is_named_in_the_hours_in_which_it_is(stage):
    live_hours(stage, 14, moved={11, 12})

    found = asked(stage)

    live = [window for window in found["windows"] if window["rows"]]
    assert [window["features"]["b"]["state"] == "drift" for window in live] == [
        hour in {11, 12} for hour in range(14)
    ]
    drifted = live[11]["features"]["b"]
    assert drifted["effect"] > found["budget"]["smallest_effect"]
    assert drifted["shift"] > 0.5
    assert drifted["chi_square_p"] < drifted["threshold"]
    assert {window["features"]["a"]["state"] for window in live} == {"steady"}
    assert all(1 <= phi <= 3 for phi in found["overdispersion"].values())
    empty = found["windows"][0]["features"]["b"]
    assert (empty["state"], empty["rows"]) == ("too few rows", 0)
    json.dumps(found, allow_nan=False)


NAMES = ("~reconstruction", "~mahalanobis")


def pairs(n, rho, *, seed):
    generator = np.random.default_rng(seed)
    a, noise = generator.normal(size=(2, n))
    return np.clip(np.column_stack([a, rho * a + math.sqrt(1 - rho**2) * noise]) + 5, 0, 10)


def joined_bundle():
    """`profiled_bundle` with a profile of columns that go together."""
    bundle = profiled_bundle()
    parts = {name: content for name, content in bundle.files.items() if name != MANIFEST}
    columns = [Column("a", "number", is_nullable=True, minimum=0.0, maximum=10.0), Column("b", "number")]
    columns[1] = replace(columns[1], minimum=0.0, maximum=10.0)
    frame = pd.DataFrame(pairs(10_000, 0.8, seed=1), columns=["a", "b"])
    scores = np.full((len(frame), 2), 0.5, np.float32)
    profile = build_profile(signature_of(columns), frame, scores, np.arange(len(frame)) % 2)
    return Bundle.seal(parts | {PROFILE: canonical(profile)}, about={"task": "binary"})


def test_a_correlation_that_flips_is_seen_though_no_column_moved():
    with service(app) as (at_hand, gateway):
        stage = serving(at_hand, gateway, joined_bundle())
        for hour in range(12):
            at_hand.now = START + hour * HOUR + timedelta(minutes=30)
            for a, b in [pairs(400, -0.8 if hour == 11 else 0.8, seed=hour + 2).T]:
                stage.ask([{"a": float(x), "b": float(y)} for x, y in zip(a, b, strict=True)])
            assert run(stage.messages()) == []
        at_hand.now = START + 12 * HOUR + timedelta(minutes=20)
        close_due(
            at_hand.ledger, at_hand.lineage, Counters(at_hand.lineage, at_hand.artifacts), now=at_hand.now
        )
        found = asked(stage)
        qualities = stage.gateway.call("GET", "/v1/models/delays/quality", token=stage.token).json

    live = [window["features"] for window in found["windows"] if window["rows"]]
    assert [[hour[name]["state"] for name in NAMES] for hour in live] == [["steady"] * 2] * 11 + [
        ["drift"] * 2
    ]
    assert {hour[name]["state"] for hour in live for name in ("a", "b")} == {"steady"}
    assert set(found["titles"]) == set(NAMES)
    assert set(qualities["reference"]["missing"]) == {"a", "b"}
    assert all(set(window["columns"]) == {"a", "b"} for window in qualities["windows"])


def test_rows_with_distances_are_counted_alone_as_in_a_batch():
    bundle = joined_bundle()
    counter = Counter(bundle.signature, json.loads(bundle.files[PROFILE]))
    values = [*pairs(50, 0.8, seed=3).tolist(), [None, 4.0], [math.inf, 1e300], [-0.0, 5]]
    rows = [
        Row(str(i), "delays", 1, bundle.digest, "champion", NOW, NOW, "r", {"a": a, "b": b}, [0.5, 0.5])
        for i, (a, b) in enumerate(values)
    ]

    alone = sum((counter.count([row]) for row in rows), Summary.empty(counter.layout))

    assert counter.count(rows).encode() == alone.encode()
    assert sum(alone.cells["~mahalanobis"]) == len(rows)
    assert alone.cells["~mahalanobis"][-1] == 0


def timed_bundle(frame):
    """`profiled_bundle` with a profile of rows that have a time."""
    bundle = profiled_bundle()
    parts = {name: content for name, content in bundle.files.items() if name != MANIFEST}
    columns = [Column(name, "number", is_nullable=name == "a", minimum=0.0, maximum=10.0) for name in "ab"]
    columns.append(Column("at", "datetime", role="time", is_input=False))
    scores = np.full((len(frame), 2), 0.5, np.float32)
    profile = build_profile(signature_of(columns), frame, scores, np.arange(len(frame)) % 2)
    return Bundle.seal(parts | {PROFILE: canonical(profile)}, about={"task": "binary"})


def by_day_and_night(at, generator):
    """Column a is the same at all hours; b is small by night and large by day."""
    hour = at.hour.to_numpy()
    is_day = (hour >= 8) & (hour < 20)
    n = len(at)
    return pd.DataFrame(
        {
            "a": generator.integers(0, 10, size=n).astype(float),
            "b": np.where(is_day, generator.integers(5, 10, size=n), generator.integers(0, 6, size=n)) * 1.0,
        }
    )


def test_a_version_with_times_is_judged_from_its_first_hour_on_and_against_the_same_hours():
    generator = np.random.default_rng(4)
    at = pd.date_range(end=START, periods=56 * 24 * 40, freq="90s")
    with service(app) as (at_hand, gateway):
        stage = serving(at_hand, gateway, timed_bundle(by_day_and_night(at, generator).assign(at=at)))
        for hour in range(5):
            at_hand.now = START + hour * HOUR + timedelta(minutes=30)
            # 07:00, 08:00 (day begins), …; in the last hour night doesn't end.
            then = at_hand.now - 6 * HOUR if hour == 4 else at_hand.now
            live = by_day_and_night(pd.DatetimeIndex([then] * 100), generator)
            stage.ask(live.to_dict("records"))
            assert run(stage.messages()) == []
        at_hand.now = START + 5 * HOUR + timedelta(minutes=20)
        found = asked(stage)

    live = [window["features"] for window in found["windows"] if window["rows"]]
    assert [hour["a"]["state"] for hour in live] == ["steady"] * 5
    assert [hour["b"]["state"] for hour in live] == ["steady"] * 4 + ["drift"]
    assert {hour["b"]["is_seasonal"] for hour in live} == {True}
    assert {hour["a"]["is_seasonal"] for hour in live} == {False}
    assert found["overdispersion"]["b"] < 1.5


def test_the_prediction_is_a_feature_with_the_references_scores(stage):
    version = stage.at_hand.lineage.version("delays", 1)
    counter = Counters(stage.at_hand.lineage, stage.at_hand.artifacts).read(version)

    *_, prediction = features(counter)

    assert prediction.name == "prediction"
    assert list(prediction.reference) == [0, 750, 1250, 3000]
    assert prediction.places == [0.125, 0.375, 0.625, 0.875]


def test_weeks_and_days_are_judged_by_their_own_scale(stage):
    live_hours(stage, 3)

    days, weeks = asked(stage, "?step=day"), asked(stage, "?step=week")

    assert days["windows"][-1]["rows"] == weeks["windows"][-1]["rows"] == 600
    assert (
        days["windows"][-1]["features"]["a"]["threshold"] < weeks["windows"][-1]["features"]["a"]["threshold"]
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], ""), ([0.0, None, 0.25, 9.0], f"{BARS[0]}·{BARS[-1]}{BARS[-1]}"), ([0.13], BARS[4])],
)
def test_lines_have_one_scale(values, expected):
    assert sparkline(values) == expected
