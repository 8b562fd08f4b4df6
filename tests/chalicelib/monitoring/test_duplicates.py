"""Whole rows that come more than once: what production shows against the held-out rows."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from bundles import profiled_bundle, signature_of
from fakes import service
from production import NOW, run, serving

from app import app
from chalicelib.monitoring.checks import Terms, repeated
from chalicelib.monitoring.counting import Counter
from chalicelib.monitoring.rows import Row
from chalicelib.monitoring.series import LENGTHS, Window
from tiltyard.contract.signature import Column
from tiltyard.runtime.bundle import MANIFEST, PROFILE, Bundle, canonical
from tiltyard.stats.budget import Budget
from tiltyard.stats.summary import Summary
from tiltyard.training.profile import build_profile

START = NOW.replace(hour=0, minute=0)
TERMS = Terms(Budget(), late_share=1.0, runbook="")
COLUMNS = [Column("a", "number", minimum=0.0, maximum=10.0), Column("b", "number", minimum=0.0, maximum=10.0)]


def drawn(n, seed, *, kinds=None):
    values = np.random.default_rng(seed).uniform(0, 10, size=(n, 2))
    return values if kinds is None else np.floor(values / 10 * kinds)


def counter_of(values):
    signature = signature_of(COLUMNS)
    frame = pd.DataFrame(values, columns=["a", "b"])
    scores = np.full((len(frame), 2), 0.5, np.float32)
    profile = build_profile(signature, frame, scores, np.arange(len(frame)) % 2)
    return Counter(signature, json.loads(canonical(profile)))


def day_of(counter, values):
    rows = [
        Row(str(i), "delays", 1, "0" * 64, "champion", START, START, "r", {"a": a, "b": b}, [0.5, 0.5])
        for i, (a, b) in enumerate(values.tolist())
    ]
    return Window(START, START + LENGTHS["day"], counter.count(rows), 0, 24, 24)


def found(counter, values):
    return [each.finding for each in repeated(day_of(counter, values), counter, "day", TERMS)]


def test_a_fifth_of_a_day_sent_twice_is_found():
    counter = counter_of(drawn(4000, 1))
    day = drawn(1600, 2)

    (finding,) = found(counter, np.concatenate([day, day[:400]]))

    assert (finding.kind, finding.subject, finding.severity) == ("data-quality", "duplicate rows", "warning")
    assert finding.facts["share"] == pytest.approx(0.25, abs=0.15)
    assert finding.facts["usual"] == 0
    assert finding.facts["p"] < finding.facts["limit"]


def test_where_rows_repeat_by_chance_nothing_is_said():
    counter = counter_of(drawn(4000, 1, kinds=40))

    assert counter.profile["duplicates"]["repeated"] > 40
    assert found(counter, drawn(2000, 2, kinds=40)) == []


def test_more_rows_than_were_held_out_are_not_compared():
    counter = counter_of(drawn(500, 1))
    day = drawn(400, 2)

    assert found(counter, np.concatenate([day, day[:200]])) == []


def test_a_profile_or_a_window_without_them_says_nothing():
    counter = counter_of(drawn(4000, 1))
    day = drawn(400, 2)
    twice = np.concatenate([day, day])
    window = day_of(counter, twice)
    assert found(counter, twice)

    stored = Summary.decode(former(window.summary), counter.layout)
    assert (stored.rows, stored.sketch.is_known) == (800, False)
    assert list(repeated(replace(window, summary=stored), counter, "day", TERMS)) == []
    del counter.profile["duplicates"]
    assert found(counter, twice) == []


def former(summary):
    """As it was stored before sketches were."""
    bare = replace(summary, sketch=type(summary.sketch)())
    # An empty sketch ends in its limit, ten bytes, and its length.
    body = bytearray(bare.encode()[:-4][:-11])
    body[2] = 1
    return bytes(body + struct.pack(">I", zlib.crc32(body)))


def test_the_quality_answer_tells_them():
    bundle = profiled_bundle()
    parts = {name: content for name, content in bundle.files.items() if name != MANIFEST}
    profile = json.loads(parts[PROFILE]) | {"duplicates": {"distinct": 64, "repeated": 1}}
    with service(app) as (at_hand, gateway):
        stage = serving(
            at_hand, gateway, Bundle.seal(parts | {PROFILE: canonical(profile)}, about={"task": "binary"})
        )
        at_hand.now = NOW + timedelta(minutes=1)
        stage.ask([{"a": 1.0, "b": 1.2}, {"a": 1.0, "b": 1.2}, {"a": 2.0, "b": 1.2}])
        assert run(stage.messages()) == []
        answer = gateway.call("GET", "/v1/models/delays/quality", token=stage.token).json

    assert answer["windows"][-1]["duplicates"] == {"distinct": 2, "repeated": 1}
