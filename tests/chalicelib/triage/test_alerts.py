"""Alerts: raised once, grown, ended, acknowledged and resolved; over HTTP and by property."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fakes import MemoryContainer, service, token_of
from hypothesis import given
from hypothesis import strategies as st

from app import app
from chalicelib.lineage.alerts import SEVERITIES, AlertId, rank
from chalicelib.lineage.records import Attempt, Webhook
from chalicelib.outbox.messages import wants
from chalicelib.triage import service as triage
from chalicelib.triage.rules import Finding

NOW = datetime(2026, 2, 1, 12, 15, tzinfo=UTC)
RUNBOOK = "https://wiki.example/runbook"


@pytest.fixture
def stage():
    with service(app) as (at_hand, gateway):
        at_hand.now = NOW
        body = {"name": "delays", "team": "airport", "task": "binary"}
        gateway.call("POST", "/v1/models", body, token=token("scientist"))
        yield at_hand, gateway


def token(*roles, teams=("airport",), **more):
    return token_of(*roles, teams=teams, exp=NOW + timedelta(days=4000), **more)


def watch(at_hand: MemoryContainer) -> Attempt:
    return Attempt(at_hand.pseudonyms.actor(triage.WATCH), triage.WATCH, triage.ROLE, at_hand.now, "watch-1")


def found(subject="temp", severity="warning", kind="feature-drift", **facts):
    return Finding(kind, subject, severity, {"window": "2026-02-01T11:00:00.000Z", "effect": 0.25, **facts})


def raise_them(at_hand, *findings, scope="delays"):
    return triage.raise_found(
        at_hand.lineage,
        at_hand.pseudonyms,
        scope,
        findings,
        version=3,
        runbook=RUNBOOK,
        attempt=watch(at_hand),
    )


def changes(at_hand):
    """The actions on record, in their order."""
    items = (item for item in at_hand.lineage.table.dump() if item["kind"] == "audit")
    entries = sorted((json.loads(item["entry"]) for item in items), key=lambda entry: entry["change"])
    return [entry["action"] for entry in entries]


def test_what_is_found_is_one_alert_a_kind_with_its_figures(stage):
    at_hand, gateway = stage

    raise_them(at_hand, found(), found("dewp", "info"), found("score", kind="prediction-drift"))

    listed = gateway.call("GET", "/v1/alerts", token=token("viewer")).json["items"]
    by_id = {alert["id"]: alert for alert in listed}
    assert set(by_id) == {"delays.feature-drift.1", "delays.prediction-drift.1"}
    alert = by_id["delays.feature-drift.1"]
    assert alert == {
        "id": "delays.feature-drift.1",
        "model": "delays",
        "team": "airport",
        "kind": "feature-drift",
        "severity": "warning",
        "state": "open",
        "summary": "delays: feature drift (dewp, temp)",
        "subjects": {
            "temp": {"window": "2026-02-01T11:00:00.000Z", "effect": 0.25},
            "dewp": {"window": "2026-02-01T11:00:00.000Z", "effect": 0.25},
        },
        "version": 3,
        "runbook": f"{RUNBOOK}#feature-drift",
        "opened_at": "2026-02-01T12:15:00.000Z",
        "changed_at": "2026-02-01T12:15:00.000Z",
        "acknowledged_by": None,
        "resolved_by": None,
        "resolved_at": None,
        "comment": None,
    }
    assert gateway.call("GET", "/v1/alerts/delays.feature-drift.1", token=token("viewer")).json == alert


def test_the_same_again_changes_nothing(stage):
    at_hand, _ = stage
    assert len(raise_them(at_hand, found(), found("dewp"))) == 1
    before = at_hand.lineage.table.dump()

    assert raise_them(at_hand, found("dewp"), found()) == []
    assert raise_them(at_hand, found(effect=0.3, window="2026-02-01T12:00:00.000Z")) == []

    assert at_hand.lineage.table.dump() == before


def test_an_alert_grows_by_subjects_and_severity_and_opens_again(stage):
    at_hand, gateway = stage
    raise_them(at_hand, found(severity="info"))
    acknowledge = "/v1/alerts/delays.feature-drift.1/acknowledge"
    assert gateway.call("POST", acknowledge, {}, token=token("engineer")).json["state"] == "acknowledged"

    (worse,) = raise_them(at_hand, found(severity="critical"))
    (wider,) = raise_them(at_hand, found("wind", "info"))

    assert (worse.severity, worse.state, worse.acknowledged_by) == ("critical", "open", None)
    assert (wider.severity, sorted(wider.subjects)) == ("critical", ["temp", "wind"])
    assert wider.id == "delays.feature-drift.1"


def test_it_ends_by_itself_and_the_next_one_is_another(stage):
    at_hand, gateway = stage
    raise_them(at_hand, found())

    (over,) = triage.recover(
        at_hand.lineage, at_hand.pseudonyms, "delays", ["feature-drift", "volume"], attempt=watch(at_hand)
    )
    again = triage.recover(
        at_hand.lineage, at_hand.pseudonyms, "delays", ["feature-drift"], attempt=watch(at_hand)
    )
    at_hand.now += timedelta(days=1)
    (second,) = raise_them(at_hand, found(window="2026-02-02T11:00:00.000Z"))

    assert (over.state, over.resolved_by, again) == ("resolved", None, [])
    assert second.id == "delays.feature-drift.2"
    everything = gateway.call("GET", "/v1/alerts?state=all&limit=1", token=token("viewer")).json
    assert [alert["id"] for alert in everything["items"]] == ["delays.feature-drift.2"]
    rest = gateway.call(
        "GET", f"/v1/alerts?state=all&cursor={everything['next']}", token=token("viewer")
    ).json
    assert [alert["id"] for alert in rest["items"]] == ["delays.feature-drift.1"]
    assert changes(at_hand)[-3:] == ["alert.raise", "alert.recover", "alert.raise"]


def test_people_take_it_on_and_settle_it_with_a_comment_that_stays_out_of_the_log(stage):
    at_hand, gateway = stage
    raise_them(at_hand, found())
    path = "/v1/alerts/delays.feature-drift.1"

    taken = gateway.call("POST", f"{path}/acknowledge", {"comment": "A storm?"}, token=token("scientist"))
    settled = gateway.call("POST", f"{path}/resolve", {"comment": "It was a storm."}, token=token("risk"))

    assert (taken.json["state"], taken.json["comment"]) == ("acknowledged", "A storm?")
    assert taken.json["acknowledged_by"].startswith("ada@example.org")
    assert (settled.json["state"], settled.json["comment"]) == ("resolved", "It was a storm.")
    assert gateway.call("GET", "/v1/alerts", token=token("viewer")).json["items"] == []
    entries = [item["entry"].decode() for item in at_hand.lineage.table.dump() if item["kind"] == "audit"]
    assert changes(at_hand)[-2:] == ["alert.acknowledge", "alert.resolve"]
    assert "storm" not in "".join(entries)
    # The same window again, for the watch was cut off: nobody is woken twice.
    assert raise_them(at_hand, found()) == []
    twice = gateway.call("POST", f"{path}/resolve", {"comment": "again"}, token=token("risk"))
    assert (twice.status, twice.problem) == (409, "conflict")
    late = gateway.call("POST", f"{path}/acknowledge", {}, token=token("risk"))
    assert late.status == 409


def test_a_repeated_request_is_answered_and_done_once(stage):
    at_hand, gateway = stage
    raise_them(at_hand, found())
    path, headers = "/v1/alerts/delays.feature-drift.1/resolve", {"Idempotency-Key": "k1"}

    first = gateway.call("POST", path, {"comment": "done"}, token=token("engineer"), headers=headers)
    second = gateway.call("POST", path, {"comment": "done"}, token=token("engineer"), headers=headers)

    assert (first.status, second.status) == (200, 200)
    assert first.json == second.json
    assert changes(at_hand).count("alert.resolve") == 1


@pytest.mark.parametrize(
    ("who", "status"),
    [(("viewer",), 403), (("caller",), 403), (("business",), 403), (("admin",), 200), (("risk",), 200)],
)
def test_who_may_act(stage, who, status):
    at_hand, gateway = stage
    raise_them(at_hand, found())

    answer = gateway.call("POST", "/v1/alerts/delays.feature-drift.1/acknowledge", {}, token=token(*who))

    assert answer.status == status


def test_other_teams_see_and_touch_nothing(stage):
    at_hand, gateway = stage
    raise_them(at_hand, found())
    stranger = token("engineer", teams=("finance",))
    path = "/v1/alerts/delays.feature-drift.1"

    assert gateway.call("GET", "/v1/alerts", token=stranger).json["items"] == []
    assert gateway.call("GET", path, token=stranger).status == 404
    assert gateway.call("POST", f"{path}/resolve", {"comment": "x"}, token=stranger).status == 404
    assert gateway.call("GET", "/v1/alerts?model=delays", token=stranger).status == 404


def test_alerts_move_with_the_model(stage):
    at_hand, gateway = stage
    raise_them(at_hand, found())

    both = token("engineer", teams=("airport", "finance"))
    assert gateway.call("PATCH", "/v1/models/delays", {"team": "finance"}, token=both).status == 200

    def seen(team):
        return len(gateway.call("GET", "/v1/alerts", token=token("viewer", teams=(team,))).json["items"])

    assert (seen("airport"), seen("finance")) == (0, 1)


def test_the_stages_own_alerts_are_of_the_team_that_runs_it(stage):
    at_hand, gateway = stage

    raise_them(at_hand, found("telemetry", "critical", "dead-letters"), scope=triage.STAGE)

    def listed(*roles, team="airport"):
        return gateway.call("GET", "/v1/alerts", token=token(*roles, teams=(team,))).json["items"]

    assert listed("engineer") == []
    assert [alert["id"] for alert in listed("admin")] == ["team:tiltyard.dead-letters.1"]
    (seen,) = listed("engineer", team="tiltyard")
    assert (seen["model"], seen["team"]) == (None, "tiltyard")
    path = f"/v1/alerts/{seen['id']}/resolve"
    runner = token("engineer", teams=("tiltyard",))
    assert gateway.call("POST", path, {"comment": "redriven"}, token=runner).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/v1/alerts/delays",
        "/v1/alerts/delays.feature-drift.0",
        "/v1/alerts/delays.feature-drift.2",
        "/v1/alerts/.feature-drift.1",
        "/v1/alerts/nobody.feature-drift.1",
        "/v1/alerts/team:airport.feature-drift.1",
    ],
)
def test_what_is_no_alert_is_not_found(stage, path):
    at_hand, gateway = stage
    raise_them(at_hand, found())

    assert gateway.call("GET", path, token=token("viewer")).status == 404


@pytest.mark.parametrize("query", ["state=closed", "severity=page", "limit=0", "cursor=nonsense"])
def test_bad_queries_are_refused(stage, query):
    _, gateway = stage

    assert gateway.call("GET", f"/v1/alerts?{query}", token=token("viewer")).status == 400


def test_only_some_are_asked_for(stage):
    at_hand, gateway = stage
    raise_them(at_hand, found(), found("volume", "critical", "volume"))

    answer = gateway.call("GET", "/v1/alerts?severity=critical&model=delays", token=token("viewer"))

    assert [alert["kind"] for alert in answer.json["items"]] == ["volume"]


def test_webhooks_hear_of_alerts_from_their_severity_on():
    hook = Webhook("1", "airport", "https://example.org", NOW, "ada", severity="warning")

    heard = [wants(hook, scope="delays", action="alert.raise", severity=s) for s in SEVERITIES]

    assert heard == [False, True, True]
    assert wants(hook, scope="delays", action="champion.promote")
    assert all(
        wants(replace(hook, severity="info"), scope="d", action="alert.raise", severity=s) for s in SEVERITIES
    )


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("raise"),
            st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(SEVERITIES)), min_size=1, max_size=3),
        ),
        st.sampled_from([("recover", None), ("acknowledge", None), ("resolve", None)]),
    ),
    max_size=12,
)


@given(STEPS)
def test_however_they_come_one_is_active_and_everything_is_on_record(steps):
    """Each step comes twice, as everything does that is delivered at least once."""
    with service(app) as (at_hand, gateway):
        at_hand.now = NOW
        gateway.call(
            "POST",
            "/v1/models",
            {"name": "delays", "team": "airport", "task": "binary"},
            token=token("scientist"),
        )
        for n, (what, given_findings) in enumerate(steps):
            at_hand.now = NOW + timedelta(hours=n)
            for _ in range(2):
                last = at_hand.lineage.last_alert("delays", "feature-drift")
                before = last
                if what == "raise":
                    raise_them(
                        at_hand, *(found(s, severity, window=f"hour {n}") for s, severity in given_findings)
                    )
                elif what == "recover":
                    triage.recover(
                        at_hand.lineage,
                        at_hand.pseudonyms,
                        "delays",
                        ["feature-drift"],
                        attempt=watch(at_hand),
                    )
                elif last is not None and last.is_active:
                    named = AlertId("delays", "feature-drift", last.number)
                    act = triage.acknowledge if what == "acknowledge" else triage.resolve
                    act(at_hand.lineage, at_hand.pseudonyms, named, comment="x", attempt=watch(at_hand))
                after = at_hand.lineage.last_alert("delays", "feature-drift")
                if what == "raise":
                    assert after is not None
                    assert {s for s, _ in given_findings} <= set(after.subjects)
                    assert rank(after.severity) >= max(rank(s) for _, s in given_findings)
                    if before is not None and before.is_active:
                        assert after.number == before.number
        page = at_hand.lineage.alerts(teams=None, states=("open", "acknowledged"), limit=50, cursor=None)
        last = at_hand.lineage.last_alert("delays", "feature-drift")
        assert [a.id for a in page.items] == ([last.id] if last is not None and last.is_active else [])
        everything = at_hand.lineage.alerts(
            teams=frozenset({"airport"}), states=("open", "acknowledged", "resolved"), limit=50, cursor=None
        )
        assert sorted(a.number for a in everything.items) == list(range(1, (last.number if last else 0) + 1))
