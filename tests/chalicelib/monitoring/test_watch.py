"""The watch on the real functions: rows that were answered, hours that were closed, alerts over HTTP."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pytest
from bundles import profiled_bundle
from chalice.test import Client
from fakes import token_of
from production import NOW, run

from app import app
from chalicelib.lineage.ledger_items import CURSOR_KEY
from chalicelib.lineage.writes import AtRevision, PutItem
from chalicelib.monitoring.memory import Memory
from tiltyard.errors import IntegrityError, LostRace, Unavailable

HOUR = timedelta(hours=1)
START = NOW.replace(minute=0)


def rows_like_the_reference(generator, n, *, high=0.5, far=0.0):
    a = generator.choice([1.0, 4.0, 8.0], p=[0.3, 0.2, 0.5], size=n)
    b = generator.choice([1.2, 3.7], p=[1 - high, high], size=n)
    b[: round(far * n)] = 99.0
    return [{"a": float(x), "b": float(y)} for x, y in zip(a, b, strict=True)]


class Life:
    """Hours of a model in production: rows, and the watch after each of them."""

    def __init__(self, stage):
        self.stage = stage
        self.generator = np.random.default_rng(8)
        self.hour = 0

    def live(self, hours, *, rows=200, **kind):
        for _ in range(hours):
            self.stage.at_hand.now = START + self.hour * HOUR + timedelta(minutes=30)
            if rows:
                self.stage.ask(rows_like_the_reference(self.generator, rows, **kind))
                assert run(self.stage.messages()) == []
            self.hour += 1
            self.stage.at_hand.now = START + self.hour * HOUR + timedelta(minutes=20)
            self.watch()

    def watch(self):
        detail = {
            "version": "0",
            "id": f"watch-{self.hour}",
            "account": "1",
            "time": "2026-02-01T00:00:00Z",
            "region": "eu-west-1",
            "source": "aws.events",
            "detail-type": "Scheduled Event",
            "resources": [],
            "detail": {},
        }
        context = SimpleNamespace(get_remaining_time_in_millis=lambda: 60_000)
        return app.handler_map["watch"](detail, context)

    def alerts(self, query="?state=all"):
        token = token_of("viewer", exp=self.stage.expires)
        return self.stage.gateway.call("GET", f"/v1/alerts{query}", token=token).json["items"]


@pytest.fixture
def life(stage):
    return Life(stage)


def test_nothing_is_said_of_steady_production(life):
    life.live(30)

    assert life.alerts() == []
    assert life.watch() == {"closed": 0, "failed": 0, "faults": 0}


def test_the_stage_tells_of_itself_and_ends_it(life):
    life.stage.at_hand.gauge.found = {"telemetry-dead-letters": 2}
    life.live(1)
    admin = token_of("admin", teams=(), exp=life.stage.expires)

    def listed():
        return life.stage.gateway.call("GET", "/v1/alerts", token=admin).json["items"]

    (alert,) = [alert for alert in listed() if alert["kind"] == "dead-letters"]
    assert (alert["severity"], alert["subjects"]) == ("critical", {"telemetry": {"messages": 2}})
    assert life.alerts("") == []  # no team's but the stage's

    life.stage.at_hand.gauge.found = {}
    life.live(1)

    assert not [alert for alert in listed() if alert["kind"] == "dead-letters"]


def test_a_shift_is_told_once_and_ends_a_day_after_it(life):
    life.live(12)
    life.live(3, high=0.95)

    (alert,) = [alert for alert in life.alerts("") if alert["kind"] == "feature-drift"]
    assert list(alert["subjects"]) == ["b"]
    facts = alert["subjects"]["b"]
    assert (facts["scale"], facts["rows"]) == ("hour", 200)
    assert facts["effect"] > 0.25
    assert facts["p"] < facts["limit"]
    assert alert["severity"] == "warning"
    assert alert["version"] == 1
    assert alert["runbook"] == "docs/alerts.md#feature-drift"
    assert alert["opened_at"] == "2026-02-01T20:20:00.000Z"

    life.live(24)

    kinds = [(alert["kind"], alert["state"]) for alert in life.alerts() if "b" in alert["subjects"]]
    assert kinds == [("feature-drift", "resolved")]
    actions = [json.loads(item["entry"])["action"] for item in pending(life)]
    assert actions.count("alert.raise") - actions.count("alert.recover") == 0


def pending(life):
    return [item for item in life.stage.at_hand.lineage.table.dump() if item["kind"] == "audit"]


def test_a_column_that_is_spoilt_cannot_wait(life):
    life.live(12)
    life.live(1, far=0.6)

    by_kind = {alert["kind"]: alert for alert in life.alerts("")}

    assert by_kind["data-quality"]["severity"] == "critical"
    assert by_kind["data-quality"]["subjects"]["b: out of range"]["share"] == 0.6
    assert by_kind["data-quality"]["subjects"]["b: out of range"]["usual"] == 0


def test_a_column_that_is_stuck_is_named(life):
    life.live(12)
    life.live(1, high=1.0)

    by_kind = {alert["kind"]: alert for alert in life.alerts("")}

    assert "b: constant" in by_kind["data-quality"]["subjects"]


def test_silence_and_its_end_are_told(life):
    life.live(24 * 8)
    life.live(2, rows=0)

    (alert,) = life.alerts("")
    assert (alert["kind"], alert["severity"], list(alert["subjects"])) == ("volume", "critical", ["silence"])
    assert alert["subjects"]["silence"]["usual"] == 200

    life.live(1)

    assert life.alerts("") == []


def test_many_more_rows_than_usual_are_told_softly(life):
    life.live(24 * 8, rows=40)
    life.live(1, rows=400)

    (alert,) = [alert for alert in life.alerts("") if alert["kind"] == "volume"]

    assert (alert["severity"], list(alert["subjects"])) == ("info", ["burst"])


def test_an_hour_that_is_checked_again_changes_nothing(life):
    life.live(12)
    life.live(1, high=0.95)
    lineage, ledger = life.stage.at_hand.lineage.table, life.stage.at_hand.ledger_table
    before = lineage.dump(), ledger.dump()

    cursor = next(item for item in ledger.dump() if item["pk"] == CURSOR_KEY.pk)
    cut_off_before_the_cursor(life, cursor)
    life.watch()

    assert lineage.dump() == before[0]
    assert [i for i in ledger.dump() if i["pk"] != CURSOR_KEY.pk] == [
        i for i in before[1] if i["pk"] != CURSOR_KEY.pk
    ]


def cut_off_before_the_cursor(life, cursor):
    """As if the last watch had ended right before it moved on."""
    hour = (START + (life.hour - 1) * HOUR).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    life.stage.at_hand.ledger_table.transact(
        [PutItem(cursor | {"hour": hour}, AtRevision(cursor["revision"]))]
    )


@pytest.mark.parametrize("breaks", ["memory", "alert"])
def test_cut_off_between_alert_and_memory_it_comes_to_the_same(life, monkeypatch, breaks):
    life.live(12)
    ledger = life.stage.at_hand.ledger
    if breaks == "memory":
        monkeypatch.setattr(ledger, "put_memory", lambda *_: False)
    else:
        monkeypatch.setattr(life.stage.at_hand.lineage, "commit", broken)
    life.stage.at_hand.now = START + life.hour * HOUR + timedelta(minutes=30)
    life.stage.ask(rows_like_the_reference(life.generator, 200, high=0.95))
    run(life.stage.messages())
    life.hour += 1
    life.stage.at_hand.now = START + life.hour * HOUR + timedelta(minutes=20)
    with pytest.raises((LostRace, Unavailable)):
        life.watch()
    monkeypatch.undo()

    assert life.watch()["failed"] == 0

    alerts = {alert["id"]: alert for alert in life.alerts()}
    assert "b" in alerts["delays.feature-drift.1"]["subjects"]
    assert not [name for name in alerts if name.endswith(".2")]


def broken(change):
    raise Unavailable("the table is away")


def test_a_model_whose_check_breaks_stops_no_other_and_is_told(life, monkeypatch):
    life.live(3)
    monkeypatch.setattr("chalicelib.monitoring.watching.features", lambda counter: 1 / 0)
    life.live(1)
    monkeypatch.undo()

    admin = token_of("admin", teams=(), exp=life.stage.expires)
    (alert,) = life.stage.gateway.call("GET", "/v1/alerts", token=admin).json["items"]
    assert (alert["kind"], alert["severity"]) == ("failed-checks", "critical")
    assert alert["subjects"] == {"delays": {"error": "ZeroDivisionError: division by zero"}}


def test_the_policy_says_what_is_worth_waking_for(life):
    document = {"format": 1, "monitoring": {"smallest_effect": 5, "runbook": "https://wiki.example/models"}}
    answer = life.stage.gateway.call("PUT", "/v1/models/delays/policy", document, token=life.stage.token)
    assert answer.status == 200, answer.body
    life.live(12)
    life.live(1, high=1.0)

    alerts = {alert["kind"]: alert for alert in life.alerts("")}

    # Slow drift is on record, and so small that it wakes nobody.
    assert {alerts[kind]["severity"] for kind in alerts if kind.endswith("drift")} <= {"info"}
    alert = alerts["data-quality"]
    assert alert["runbook"] == "https://wiki.example/models#data-quality"
    series = life.stage.gateway.call("GET", "/v1/models/delays/drift?step=hour", token=life.stage.token)
    assert series.json["budget"]["smallest_effect"] == 5


def test_clocks_ahead_of_ours_are_told(life):
    life.stage.at_hand.now = START + timedelta(minutes=30)
    rows = rows_like_the_reference(life.generator, 50)
    life.stage.ask(rows, at=(START + timedelta(days=2)).isoformat())
    run(life.stage.messages())
    life.live(1)

    assert [alert["kind"] for alert in life.alerts("")] == ["clock-skew"]


def test_what_is_remembered_comes_back_to_the_bit(life):
    life.live(12)
    content, _ = life.stage.at_hand.ledger.memory("delays")

    memory = Memory.decode(content)

    assert memory.encode() == content
    assert len(memory.volumes) == 12
    assert set(memory.calibration) == {"hour"}
    with pytest.raises(IntegrityError):
        Memory.decode(content[:-1])
    other = zlib.compress(zlib.decompress(content).replace(b'"format":2', b'"format":3'))
    with pytest.raises(IntegrityError, match="format 3"):
        Memory.decode(other)


def test_a_memory_of_the_former_format_is_calibrated_anew(life):
    life.live(12)
    content, _ = life.stage.at_hand.ledger.memory("delays")
    document = json.loads(zlib.decompress(content))
    former = document | {"format": 1, "calibration": {"hour": {"a": 1.0, "b": 1.2}}}

    memory = Memory.decode(zlib.compress(json.dumps(former).encode()))

    assert memory == replace(Memory.decode(content), calibration={})


def test_a_swap_ends_what_was_about_the_former_champion_and_is_no_silence(life):
    life.live(24 * 7)
    life.live(1, high=0.95)
    assert [alert["kind"] for alert in life.alerts("")] == ["feature-drift"]

    stage = life.stage
    bundle = profiled_bundle((0.4, -0.25))
    stage.at_hand.upload(bundle)
    path = "/v1/models/delays"
    stage.gateway.call("POST", f"{path}/versions", {"manifest": bundle.manifest}, token=stage.token)
    stage.at_hand.accept("delays", 2)
    # Rows of the first half hour are the former champion's, and none come after the swap.
    stage.at_hand.now = START + life.hour * HOUR + timedelta(minutes=10)
    stage.ask(rows_like_the_reference(life.generator, 200))
    assert run(stage.messages()) == []
    swapped = stage.gateway.call(
        "POST", f"{path}/promote", {"version": 2, "reason": "better"}, token=stage.token
    )
    assert swapped.status == 200, swapped.body
    life.live(1, rows=0)

    assert life.alerts("") == []
    memory = Memory.decode(stage.at_hand.ledger.memory("delays")[0])
    assert (memory.version, len(memory.volumes), memory.volumes[-1]) == (2, 24 * 7 + 2, 200)
    assert memory.calibration == {}


def test_requests_for_a_version_by_number_wake_nobody(life):
    with Client(app):
        life.live(12)
        life.stage.at_hand.now = START + life.hour * HOUR + timedelta(minutes=30)
        life.stage.ask(rows_like_the_reference(life.generator, 200, high=1.0), query="?version=1")
        run(life.stage.messages())
        life.live(1)

    assert life.alerts("") == []
