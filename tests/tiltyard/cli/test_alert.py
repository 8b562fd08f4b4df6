"""`tiltyard alert` and the client's calls, against the service in this process."""

from __future__ import annotations

import json

import pytest
from fakes import token_of
from in_process import TEAM, running_service

from chalicelib.triage import service as triage
from chalicelib.triage.rules import Finding
from tiltyard import Client
from tiltyard.cli import main
from tiltyard.errors import Conflict, NotFound


@pytest.fixture(scope="module")
def service():
    with running_service() as service:
        with Client(service.url, token_of("scientist", teams=(TEAM,))) as client:
            client.create_model("flights", team=TEAM, task="binary")
        at_hand = service.at_hand
        triage.raise_found(
            at_hand.lineage,
            at_hand.pseudonyms,
            "flights",
            [
                Finding("feature-drift", "temp", "warning", {"effect": 0.251234, "scale": "day"}),
                Finding("volume", "silence", "critical", {"rows": 0}),
            ],
            version=1,
            runbook="docs/alerts.md",
            attempt=triage.attempt(at_hand.pseudonyms, at=at_hand.clock(), request_id="1"),
        )
        yield service


@pytest.fixture
def run(service, capsys, monkeypatch):
    def run(*arguments, role="engineer"):
        monkeypatch.setenv("TILTYARD_URL", service.url)
        monkeypatch.setenv("TILTYARD_TOKEN", token_of(role, teams=(TEAM,)))
        with pytest.raises(SystemExit) as ended:
            main(["alert", *arguments], prog_name="tiltyard")
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return run


def test_alerts_are_listed_and_shown_with_their_figures(run):
    code, out, _ = run("list", "--model", "flights")
    assert code == 0
    assert "flights: volume (silence)" in out
    assert [a["id"] for a in json.loads(run("list", "--severity", "critical", "--json")[1])] == [
        "flights.volume.1"
    ]

    code, out, _ = run("show", "flights.feature-drift.1")

    assert code == 0
    assert "docs/alerts.md#feature-drift" in out
    assert "0.2512" in out


def test_somebody_takes_it_on_and_settles_it(run):
    code, out, _ = run("acknowledge", "flights.volume.1", "--comment", "asking the airport", "--json")
    assert (code, json.loads(out)["state"]) == (0, "acknowledged")

    code, out, _ = run("resolve", "flights.volume.1", "--comment", "a holiday", "--json")
    assert (code, json.loads(out)["comment"]) == (0, "a holiday")

    code, _, err = run("resolve", "flights.volume.1", "--comment", "again")
    assert code == 1
    assert "resolved already" in err
    assert run("resolve", "flights.volume.1")[0] == 2  # how it was taken care of is asked for


def test_the_client_does_the_same(service):
    with Client(service.url, token_of("engineer", teams=(TEAM,))) as client:
        (alert,) = client.alerts("flights", severity="warning")
        assert (alert.kind, alert.subjects["temp"]["scale"]) == ("feature-drift", "day")
        assert client.alert(alert.id) == alert
        assert client.acknowledge_alert(alert.id).state == "acknowledged"
        assert client.resolve_alert(alert.id, "expected").state == "resolved"
        assert [a.state for a in client.alerts("flights", state="all")] == ["resolved", "resolved"]
        with pytest.raises(Conflict):
            client.acknowledge_alert(alert.id)
        with pytest.raises(NotFound):
            client.alert("flights.volume.9")
