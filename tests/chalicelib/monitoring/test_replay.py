"""A replay's clock: ticks put it forward and close hours, on a local stage alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from chalice.test import Client
from fakes import service, token_of
from production import NOW, run, serving

from app import app
from chalicelib.lineage.ledger import TableLedger
from chalicelib.lineage.records import Tick
from tiltyard.errors import LostRace

THEN = datetime(2013, 2, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def replay():
    """A stage that replays, its clock at `THEN`, with a champion; real time stands still."""
    with service(app) as (at_hand, gateway):
        yield replaying(at_hand, gateway)


def replaying(at_hand, gateway):
    at_hand.settings = replace(at_hand.settings, stage="local", clock="replay")
    at_hand.now = NOW
    admin = token_of("admin", exp=NOW + timedelta(days=4000))

    def tick(to):
        return gateway.call("POST", "/v1/clock", {"now": to.isoformat()}, token=admin)

    assert tick(THEN).status == 200
    stage = serving(at_hand, gateway)
    stage.tick = tick
    return stage


def asked_for(stage, hours, *, rows=300, high=0.5, begin=THEN):
    generator = np.random.default_rng(7)
    for hour in range(hours):
        a = generator.choice([1.0, 4.0, 8.0], p=[0.3, 0.2, 0.5], size=rows)
        b = generator.choice([1.2, 3.7], p=[1 - high, high], size=rows)
        given = [{"a": float(x), "b": float(y)} for x, y in zip(a, b, strict=True)]
        stage.ask(given, at=(begin + hour * HOUR + timedelta(minutes=5)).isoformat())
    assert run(stage.messages()) == []


def test_decisions_carry_the_replays_time_and_tokens_real_time(replay):
    assert replay.at_hand.lineage.reign_at("delays", THEN + HOUR).started_at == THEN
    # The token was made for the real time: in 2013 it is no less good, and it ends in reality.
    replay.at_hand.now = NOW + timedelta(days=5000)
    assert replay.gateway.call("GET", "/v1/models/delays", token=replay.token).status == 401


def test_a_tick_closes_and_checks_the_hours_up_to_it(replay):
    asked_for(replay, 12)
    asked_for(replay, 1, high=0.95, begin=THEN + 12 * HOUR)

    before = replay.tick(THEN + 12 * HOUR + timedelta(minutes=20)).json
    assert (before["closed_until"], before["is_behind"]) == ("2013-02-01T12:00:00.000Z", False)
    alerts = "/v1/alerts?model=delays"
    assert replay.gateway.call("GET", alerts, token=replay.token).json["items"] == []
    after = replay.tick(THEN + 13 * HOUR + timedelta(minutes=20)).json

    assert after["closed_until"] == "2013-02-01T13:00:00.000Z"
    (alert,) = replay.gateway.call("GET", alerts, token=replay.token).json["items"]
    assert (alert["kind"], list(alert["subjects"])) == ("feature-drift", ["b"])
    assert alert["opened_at"] == "2013-02-01T13:20:00.000Z"


def test_rows_of_long_ago_are_kept_from_now_on(replay):
    replay.at_hand.ledger = TableLedger(
        replay.at_hand.ledger_table, retention=timedelta(days=400), clock=replay.at_hand.wall
    )

    asked_for(replay, 1, rows=3)

    kept = [item for item in replay.at_hand.ledger_table.dump() if "expires_at" in item]
    assert {item["expires_at"] for item in kept} == {int((NOW + timedelta(days=400)).timestamp())}


def test_the_schedule_closes_nothing_of_a_replay(replay):
    asked_for(replay, 1)
    closed_until = replay.at_hand.ledger.cursor()

    with Client(app) as client:
        event = client.events.generate_cw_event("aws.events", "Scheduled Event", {}, [])
        said = app.handler_map["watch"](event, None)

    assert (said["closed"], said["failed"]) == (0, 0)
    assert replay.at_hand.ledger.cursor() == closed_until


def test_the_clock_never_goes_back_and_goes_on_in_between(replay):
    assert replay.tick(THEN + 3 * HOUR).status == 200
    replay.at_hand.now += timedelta(minutes=10)

    shown = replay.gateway.call("GET", "/v1/clock", token=replay.token).json
    refused = replay.tick(THEN + 2 * HOUR)
    again = replay.tick(THEN + 3 * HOUR)

    assert shown["now"] == "2013-02-01T03:10:00.000Z"
    assert shown["is_replay"] is True
    assert (refused.status, refused.json["type"].rsplit("/", 1)[-1]) == (409, "conflict")
    assert again.json["now"] == "2013-02-01T03:10:00.000Z"  # the same tick again only closes hours


def test_two_replays_at_once_lose_no_tick(replay):
    tick = replay.at_hand.lineage.tick()

    replay.at_hand.lineage.put_tick(Tick(THEN + HOUR, NOW, tick.revision + 1))
    with pytest.raises(LostRace):
        replay.at_hand.lineage.put_tick(Tick(THEN + 2 * HOUR, NOW, tick.revision + 1))


@pytest.mark.parametrize("body", [{"now": "yesterday"}, {"now": "2013-02-01T00:00:00"}, {"now": 5}, {}])
def test_what_is_no_time_is_refused(replay, body):
    admin = token_of("admin", exp=NOW + timedelta(days=4000))

    answer = replay.gateway.call("POST", "/v1/clock", body, token=admin)

    assert answer.status == 422


def test_a_stage_on_real_time_refuses_ticks(stage):
    gateway, admin = stage.gateway, token_of("admin", exp=NOW + timedelta(days=4000))

    answer = gateway.call("POST", "/v1/clock", {"now": "2030-01-01T00:00:00Z"}, token=admin)
    shown = gateway.call("GET", "/v1/clock", token=stage.token).json

    assert answer.status == 409
    assert "--replay" in answer.json["detail"]
    assert (shown["now"], shown["is_replay"]) == ("2026-02-01T07:10:00.000Z", False)


def test_only_admins_tick(replay):
    answer = replay.gateway.call("POST", "/v1/clock", {"now": "2014-01-01T00:00:00Z"}, token=replay.token)

    assert answer.status == 403
