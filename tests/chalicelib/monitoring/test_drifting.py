"""Drift over HTTP and on the command line, from rows that were really answered and counted."""

from __future__ import annotations

import json
from datetime import timedelta

import numpy as np
import pytest
from production import NOW, run

from chalicelib.monitoring.closing import close_due
from chalicelib.monitoring.counting import Counters
from chalicelib.monitoring.drifting import features
from tiltyard.cli.drift import BARS, sparkline

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
