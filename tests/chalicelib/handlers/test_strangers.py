"""What a stranger learns of another team's model: on every route, no more than of one that isn't there."""

from __future__ import annotations

import pytest
from fakes import token_of

from chalicelib.handlers.operations import OPERATIONS

EVERY_ROLE = ("caller", "scientist", "engineer", "viewer", "business", "risk", "privacy")
OF_A_MODEL = [operation for operation in OPERATIONS if "{model}" in operation.path]
HEADERS = {"If-Match": '"1"', "Idempotency-Key": "k-1"}


@pytest.fixture
def others_model(stage):
    """A model of another team with a champion, an alias, a version that waits and one that was rejected."""
    stage.add_model()
    stage.promote(stage.add_version())
    stage.call("PUT", "/v1/models/delays/aliases/night", {"version": 1}, role="engineer")
    stage.add_version(weight=0.75, accepted=False)
    rejected = stage.add_version(weight=1.5, accepted=False)
    stage.at_hand.accept("delays", rejected, reasons=("an operator that isn't allowed",))


def asked(stage, operation, model, suffix=""):
    path = operation.path.format(model=model, version=1, alias="night", prediction="x") + suffix
    token = token_of(*EVERY_ROLE, teams=("finance",), sub="stranger@example.org")
    body = None if operation.body is None else {}
    return stage.call(operation.method.upper(), path, body, token=token, headers=HEADERS)


def told(answer, model):
    """What the answer says, but for the name that was asked for and the request's id."""
    words = {name: text for name, text in answer.json.items() if name != "instance"}
    return answer.status, {name: str(text).replace(model, "…") for name, text in words.items()}


@pytest.mark.parametrize("operation", OF_A_MODEL, ids=lambda operation: operation.id)
def test_strangers_model_is_one_that_is_not_there(stage, others_model, operation):
    there = asked(stage, operation, "delays")
    nowhere = asked(stage, operation, "nothing")

    assert there.status == 404
    assert told(there, "delays") == told(nowhere, "nothing")


@pytest.mark.parametrize("suffix", ["?version=1", "?version=2", "?version=3", "?version=9"])
def test_versions_of_a_stranger_say_nothing_of_their_stage(stage, others_model, suffix):
    (predict,) = (operation for operation in OF_A_MODEL if operation.id == "predict")

    there = asked(stage, predict, "delays", suffix)
    nowhere = asked(stage, predict, "nothing", suffix)

    assert there.status == 404
    assert told(there, "delays") == told(nowhere, "nothing")


def test_ones_own_version_that_is_not_ready_says_so(stage, others_model):
    answer = stage.call("POST", "/v1/models/delays/predict?version=2", {"rows": [{}]}, role="scientist")

    assert (answer.status, answer.problem) == (409, "not-ready")


def test_a_name_that_is_twice_in_a_large_object_is_found_at_once(stage):
    """Comparing every name with every other took a minute for a body of 650 KB."""
    names = [f"a{i}" for i in range(60_000)]
    body = "{" + ",".join(f'"{name}":0' for name in [*names, names[-1]]) + "}"
    token = token_of("scientist")

    answer = stage.call(
        "POST",
        "/v1/models",
        token=token,
        body=body.encode(),
        headers={"Content-Type": "application/json"},
    )

    assert (answer.status, answer.problem) == (400, "malformed-request")
    assert f"'{names[-1]}' is there twice" in answer.json["detail"]
