"""Policies over HTTP."""

from __future__ import annotations

import json

import pytest
from fakes import token_of

URL = "/v1/models/delays/policy"
STRICT = {"format": 1, "anomaly": {"level": 0.05}, "humility": []}


@pytest.fixture
def model(stage):
    stage.add_model()
    return stage


def put(stage, document, *, role="engineer", **more):
    return stage.call("PUT", URL, document, role=role, **more)


def test_the_default_is_read_as_number_zero(model):
    answer = model.call("GET", URL, role="viewer")

    assert answer.status == 200
    assert (answer.json["number"], answer.json["put_at"], answer.json["put_by"]) == (0, None, None)
    assert {rule["action"] for rule in answer.json["document"]["humility"]} == {"flag"}
    assert answer.headers["ETag"] == '"0"'


def test_what_is_put_is_read_by_anybody_of_the_team(model):
    put_answer = put(model, STRICT)

    read = model.call("GET", URL, role="caller")

    assert (put_answer.status, read.status) == (200, 200)
    assert read.json == put_answer.json
    assert read.json["document"] == {**STRICT, "uncertainty": {"level": 0.9}}
    assert (read.json["number"], read.json["put_by"]) == (1, "ada@example.org (https://issuer.example)")
    assert read.headers["ETag"] == '"1"'


def test_past_policies_are_read_by_number(model):
    first = put(model, STRICT).json
    put(model, {"format": 1})

    assert model.call("GET", f"{URL}?number=1", role="viewer").json == first
    assert model.call("GET", f"{URL}?number=0", role="viewer").json["number"] == 0
    assert model.call("GET", f"{URL}?number=3", role="viewer").status == 404


@pytest.mark.parametrize("number", ["-1", "01", "one", "1.0", "1000000", ""])
def test_a_number_that_is_none_is_refused(model, number):
    answer = model.call("GET", f"{URL}?number={number}", role="viewer")

    assert answer.status == 400
    assert answer.json["type"] == "/problems/malformed-request"


@pytest.mark.parametrize(("after", "status"), [('"0"', 412), ('"1"', 200), ("*", 200), ('W/"1"', 412)])
def test_if_match_holds_the_policy_that_was_read(model, changes, after, status):
    put(model, STRICT)
    before = changes()

    answer = put(model, {"format": 1}, headers={"If-Match": after})

    assert answer.status == status
    assert changes() - before == (1 if status == 200 else 0)


def test_the_same_policy_again_is_the_same_number_and_no_change(model, changes):
    first = put(model, STRICT)
    before = changes()

    again = put(model, STRICT)

    assert again.json == first.json
    assert changes() == before


def test_a_key_gives_the_first_answer_although_another_policy_holds_by_now(model):
    key = {"Idempotency-Key": "once"}
    first = put(model, STRICT, headers=key)
    put(model, {"format": 1})

    again = put(model, STRICT, headers=key)

    assert again.json == first.json
    assert model.call("GET", URL, role="viewer").json["number"] == 2
    assert put(model, {"format": 1}, headers=key).json["type"] == "/problems/idempotency-mismatch"


def test_faults_are_named_by_their_place(model, changes):
    before = changes()
    rules = [
        {"name": "a", "when": "anomalous", "action": "override", "value": "0"},
        {"name": "b", "when": "out_of_range", "action": "override", "value": "1"},
        {"name": "c", "when": "whenever", "action": "flag"},
    ]

    odd = put(model, {"format": 1, "humility": rules})
    contradicting = put(model, {"format": 1, "humility": rules[:2]})

    assert (odd.status, contradicting.status) == (422, 422)
    assert [error["pointer"] for error in odd.json["errors"]] == ["/humility/2/when"]
    assert [error["pointer"] for error in contradicting.json["errors"]] == ["/humility/1/value"]
    assert changes() == before


@pytest.mark.parametrize(
    ("body", "status"), [(b"", 400), (b"[1,", 400), (b'{"format": 1, "format": 1}', 400), (b"[]", 422)]
)
def test_what_is_no_document_is_refused(model, body, status):
    answer = model.call("PUT", URL, role="engineer", body=body, headers={"Content-Type": "application/json"})

    assert answer.status == status


@pytest.mark.parametrize("role", ["viewer", "caller", "scientist", "auditor", "risk"])
def test_only_engineers_put(model, changes, role):
    before = changes()

    assert put(model, STRICT, role=role).status == 403
    assert changes() == before


def test_another_teams_model_is_not_there(model):
    elsewhere = token_of("engineer", teams=("finance",))

    assert model.call("GET", URL, token=elsewhere).status == 404
    assert model.call("PUT", URL, STRICT, token=elsewhere).status == 404


def test_a_version_that_cannot_follow_does_not_reign(model):
    number = model.add_version()
    rule = {"name": "gone", "when": "out_of_range", "columns": ["gone"], "action": "flag"}
    put(model, {"format": 1, "humility": [rule]})

    refused = model.promote(number)
    put(model, STRICT)

    assert refused.status == 409
    assert refused.json["type"] == "/problems/policy-misfit"
    assert [error["pointer"] for error in refused.json["errors"]] == ["/humility/0/columns/0"]
    assert model.promote(number).status == 200


def test_nothing_of_the_policys_putter_reaches_the_log(model):
    put(model, STRICT)

    entries = [
        json.loads(item["entry"])
        for item in model.at_hand.lineage.table.dump()
        if item["pk"] == "AUDIT#PENDING"
    ]

    assert entries[-1]["action"] == "policy.put"
    assert "ada@" not in json.dumps(entries)
