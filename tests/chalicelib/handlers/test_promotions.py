"""Promotion, rollback, champion and timeline through the API."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from bundles import bundle_of, logistic, signature_of, two_numbers

from chalicelib.handlers import schemas
from tiltyard.contract.signature import Column, Signature

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def two(stage):
    """A model with two versions, the first one champion since noon."""
    stage.add_model()
    stage.add_version(weight=0.1)
    stage.add_version(weight=0.2)
    stage.at_hand.now = NOON
    assert stage.promote(1).status == 200
    return stage


def champion_of(stage, **query) -> dict:
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    return stage.call("GET", f"/v1/models/delays/champion?{asked}", role="viewer").json


def test_promotion_swaps_and_says_what_it_did(two):
    two.at_hand.now = NOON + timedelta(hours=1)

    answer = two.promote(2)

    assert answer.json == {
        "model": "delays",
        "version": 2,
        "generation": 2,
        "started_at": "2026-03-01T13:00:00.000Z",
        "previous": 1,
    }
    schemas.Swap.model_validate(answer.json)
    stages = [two.at_hand.lineage.version("delays", n).stage for n in (1, 2)]
    assert stages == ["retired", "champion"]


def test_promoting_the_champion_is_a_conflict(two, changes):
    before = changes()

    answer = two.promote(1)

    assert (answer.status, answer.problem) == (409, "conflict")
    assert changes() == before


def test_repeated_promotion_with_its_key_is_answered_again(two, changes):
    key = {"Idempotency-Key": "swap"}
    first = two.promote(2, headers=key)
    before = changes()

    again = two.promote(2, headers=key)

    assert (again.status, again.json) == (200, first.json)
    assert changes() == before


def test_promotion_needs_a_reason(two):
    for body in ({"version": 2}, {"version": 2, "reason": " "}, {"version": "2", "reason": "r"}):
        answer = two.call("POST", "/v1/models/delays/promote", body, role="engineer")
        assert (answer.status, answer.problem) == (422, "invalid-input")


def test_rollback_goes_to_the_last_champion(two):
    two.promote(2)

    answer = two.call("POST", "/v1/models/delays/rollback", {"reason": "worse"}, role="engineer")

    assert answer.status == 200
    assert (answer.json["version"], answer.json["previous"], answer.json["generation"]) == (1, 2, 3)
    assert champion_of(two)["action"] == "rollback"


def test_rollback_without_a_past_is_a_conflict(two, changes):
    before = changes()

    for body in ({"reason": "worse"}, {"reason": "worse", "version": 2}):
        answer = two.call("POST", "/v1/models/delays/rollback", body, role="engineer")
        assert (answer.status, answer.problem) == (409, "conflict")
    assert changes() == before


def test_champion_as_of_a_moment(two):
    two.at_hand.now = NOON + timedelta(hours=1)
    two.promote(2)

    assert champion_of(two)["version"] == 2
    assert champion_of(two, as_of="2026-03-01T12:00:00Z")["version"] == 1
    assert champion_of(two, as_of="2026-03-01T12:59:59.999Z")["version"] == 1
    assert champion_of(two, as_of="2026-03-01T12:00:00Z")["ended_at"] == "2026-03-01T13:00:00.000Z"
    assert champion_of(two)["ended_at"] is None
    assert champion_of(two, as_of="2026-03-01T14:00:00%2B01:00")["version"] == 2
    before = champion_of(two, as_of="2026-03-01T11:59:59.999Z")
    assert before["model"] == "delays"
    assert {value for name, value in before.items() if name != "model"} == {None}
    assert set(before) == set(champion_of(two, as_of="2026-03-01T12:00:00Z"))
    found = schemas.Champion.model_validate(champion_of(two))
    assert (found.reason, found.approved_by.split()[0]) == ("better", "ada@example.org")


def test_timeline_has_no_gap_and_no_overlap_in_pages(two):
    for n, version in enumerate([2, 1, 2, 1]):
        # A clock that stands still, and one that goes back: reigns still follow one another.
        two.at_hand.now = NOON - timedelta(minutes=n % 2)
        assert two.promote(version).status == 200
    periods, cursor = [], ""
    while cursor is not None:
        page = two.call(
            "GET", f"/v1/models/delays/timeline?limit=2{cursor and '&cursor=' + cursor}", role="viewer"
        ).json
        schemas.ReignPage.model_validate(page)
        periods += page["items"]
        cursor = page["next"]

    assert [p["generation"] for p in periods] == [5, 4, 3, 2, 1]
    assert periods[0]["ended_at"] is None
    for newer, older in itertools.pairwise(periods):
        assert older["ended_at"] == newer["started_at"] > older["started_at"]
    assert periods[-1]["started_at"] == "2026-03-01T12:00:00.000Z"
    assert periods[0]["started_at"] == "2026-03-01T12:00:00.004Z"


def test_incompatible_version_is_refused_with_every_difference(two, changes):
    columns = (Column("a", "number", minimum=0.0, maximum=10.0), Column("c", "number"))
    number = register(two, signature_of(columns))
    before = changes()

    answer = two.promote(number)

    assert (answer.status, answer.problem) == (409, "incompatible")
    assert {fault["pointer"] for fault in answer.json["errors"]} == {
        "/signature/columns",
        "/signature/columns/0/nullable",
        "/signature/columns/1",
    }
    assert changes() == before


def test_rollback_asks_for_no_compatibility(two):
    wider = two_numbers()
    added = replace(
        wider, columns=(*wider.columns, Column("person", "string", role="subject", is_input=False))
    )
    assert two.promote(register(two, added)).status == 200

    # Callers may send `person` by now, which version 1 refuses: forward that's incompatible, back a way out.
    forward = two.promote(1)
    back = two.call("POST", "/v1/models/delays/rollback", {"reason": "worse"}, role="engineer")

    assert (forward.status, forward.problem) == (409, "incompatible")
    assert back.status == 200


def register(stage, signature: Signature) -> int:
    bundle = bundle_of(logistic([0.3, 0.4]), signature, rows=[{"a": 1.0, "c": 2.0}], expected=[[0.5, 0.5]])
    stage.at_hand.upload(bundle)
    answer = stage.call("POST", "/v1/models/delays/versions", {"manifest": bundle.manifest}, role="scientist")
    assert answer.status == 202, answer.body
    number = answer.json["version"]
    stage.at_hand.accept("delays", number)
    return number
