"""Versions put away and back over HTTP: what somebody counts on stays."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from fakes import token_of

MODEL = "/v1/models/delays"


@pytest.fixture
def model(stage):
    """A model with two candidates."""
    stage.add_model()
    for weight in (0.5, 0.75):
        stage.add_version(weight=weight)
    return stage


def put(stage, number, what="archive", *, role="engineer", reason="too old", **more):
    return stage.call("POST", f"{MODEL}/versions/{number}/{what}", {"reason": reason}, role=role, **more)


def entry(stage, number):
    return json.loads(stage.at_hand.lineage.change("delays", number).entry)


def test_an_archived_version_comes_back_as_what_it_was(model, changes):
    model.promote(1)
    model.promote(2)

    archived, read = put(model, 1), model.call("GET", f"{MODEL}/versions/1", role="viewer")
    restored = put(model, 1, "restore")

    assert (archived.status, archived.json["stage"]) == (200, "archived")
    assert read.json == archived.json
    assert read.headers["ETag"] == archived.headers["ETag"]
    assert (restored.status, restored.json["stage"]) == (200, "retired")
    last = model.at_hand.lineage.model("delays").changes
    before, after = entry(model, last - 1), entry(model, last)
    assert (before["action"], after["action"]) == ("version.archive", "version.restore")
    assert (before["before"], before["after"]) == (after["after"], after["before"])
    assert model.at_hand.lineage.texts(frozenset({before["reason"]})) == {before["reason"]: "too old"}


@pytest.mark.parametrize("what", ["archive", "restore"])
def test_what_is_so_already_is_no_change(model, changes, what):
    if what == "archive":
        put(model, 1)
    before = changes()

    assert put(model, 1, what).status == 200
    assert changes() == before


def test_the_same_request_again_is_done_once(model, changes):
    headers = {"Idempotency-Key": "k"}
    first = put(model, 1, headers=headers)
    put(model, 1, "restore")
    before = changes()

    again = put(model, 1, headers=headers)

    assert first.json["stage"] == "archived"
    assert again.json["stage"] == "candidate"
    assert changes() == before


def test_the_champion_stays(model, changes):
    model.promote(1)
    before = changes()

    answer = put(model, 1)

    assert (answer.status, answer.problem) == (409, "conflict")
    assert "champion" in answer.json["detail"]
    assert changes() == before


@pytest.mark.parametrize("pinned", [False, True])
def test_what_an_alias_names_stays(model, pinned):
    model.call("PUT", f"{MODEL}/aliases/night", {"version": 1, "pinned": pinned}, role="engineer")

    refused = put(model, 1)
    model.call("PUT", f"{MODEL}/aliases/night", {"version": 1, "pinned": False}, role="engineer")
    model.call("PUT", f"{MODEL}/aliases/night", {"version": 2}, role="engineer")

    assert (refused.status, "night" in refused.json["detail"]) == (409, True)
    assert put(model, 1).status == 200


def test_what_is_being_examined_stays_and_what_was_rejected_may_go(model):
    waiting = model.add_version(weight=1.5, accepted=False)

    assert put(model, waiting).status == 409
    model.at_hand.accept("delays", waiting, reasons=("an operator that isn't allowed",))
    assert put(model, waiting).json["stage"] == "archived"
    assert put(model, waiting, "restore").json["stage"] == "rejected"


def test_an_archived_version_neither_answers_nor_reigns_nor_is_named(model):
    model.promote(1)
    model.promote(2)
    put(model, 1)
    rollback = {"version": 1, "reason": "back"}

    answers = [
        model.promote(1),
        model.call("POST", f"{MODEL}/rollback", rollback, role="engineer"),
        model.call("POST", f"{MODEL}/rollback", {"reason": "back"}, role="engineer"),
        model.call("PUT", f"{MODEL}/aliases/night", {"version": 1}, role="engineer"),
        model.call("POST", f"{MODEL}/predict?version=1", {"rows": [{}]}, role="engineer"),
    ]

    assert [(answer.status, answer.problem) for answer in answers] == [(409, "not-ready")] * 5
    assert all("archived" in answer.json["detail"] for answer in answers)
    put(model, 1, "restore")
    assert model.call("POST", f"{MODEL}/rollback", rollback, role="engineer").status == 200


def test_what_never_reigned_is_no_way_back_though_it_is_archived(model):
    model.promote(1)
    put(model, 2)

    answer = model.call("POST", f"{MODEL}/rollback", {"version": 2, "reason": "x"}, role="engineer")

    assert (answer.status, "never was champion" in answer.json["detail"]) == (409, True)


@pytest.mark.parametrize("role", ["viewer", "caller", "scientist", "auditor"])
def test_only_engineers_put_away(model, role):
    assert put(model, 1, role=role).status == 403


@pytest.mark.parametrize("number", ["9", "0", "one"])
def test_a_version_that_is_not_there_is_not_found(model, number):
    assert put(model, number).status == 404


def test_a_reason_is_needed(model):
    assert put(model, 1, reason=" ").status == 422


def test_a_promotion_and_an_archiving_at_once_leave_no_archived_champion(stage):
    stage.add_model()
    numbers = [stage.add_version(weight=0.5 + number) for number in range(8)]

    with ThreadPoolExecutor(8) as pool:
        for number in numbers:
            calls = [pool.submit(stage.promote, number), pool.submit(put, stage, number)]
            promoted, archived = (call.result().status for call in calls)
            version = stage.at_hand.lineage.version("delays", number)
            champion = stage.at_hand.lineage.pointer("delays").champion
            is_champion = champion is not None and champion.version == number
            assert (version.stage == "champion") == is_champion
            assert sorted([promoted, archived]) in ([200, 409], [409, 409])


def test_a_reign_names_the_change_that_began_it(model):
    model.promote(1)
    model.promote(2)

    reigns = model.call("GET", f"{MODEL}/timeline", role="viewer").json["items"]

    assert [entry(model, reign["change"])["action"] for reign in reigns] == ["champion.promote"] * 2
    assert [entry(model, reign["change"])["object"] for reign in reigns] == [
        f"version:{reign['digest']}" for reign in reigns
    ]


def test_a_teams_own_changes_are_read_by_the_team(model):
    body = {"team": "airport", "url": "https://93.184.215.14/"}
    model.call("POST", "/v1/webhooks", body, role="engineer")

    mine = model.call("GET", "/v1/audit?team=airport", role="viewer")
    others = model.call("GET", "/v1/audit?team=airport", token=token_of("viewer", teams=("finance",)))
    both = model.call("GET", "/v1/audit?team=airport&model=delays", role="viewer")

    assert [item["entry"]["action"] for item in mine.json["items"]] == ["webhook.create"]
    assert mine.json["items"][0]["entry"]["model"] == "team:airport"
    assert (others.status, both.status) == (404, 400)
    assert model.call("GET", "/v1/audit?team=airport&from=2020-01-01T00:00:00Z", role="viewer").json["items"]


def test_a_time_in_an_empty_log_is_an_empty_answer(model):
    answer = model.call("GET", "/v1/audit?from=2020-01-01T00:00:00Z", role="auditor")

    assert (answer.status, answer.json) == (200, {"items": [], "next": None})
