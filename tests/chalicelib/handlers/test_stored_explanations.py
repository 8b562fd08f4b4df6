"""Explanations of predictions that were made before."""

from __future__ import annotations

import json

import pytest
from bundles import profiled_bundle
from fakes import service, token_of
from production import run, serving

from app import app

ROW = {"a": 1.0, "b": 2.0}


@pytest.fixture
def stage():
    with service(app) as (at_hand, gateway):
        yield serving(at_hand, gateway)


def explained(stage, row_id, *, token=None, model="delays"):
    path = f"/v1/models/{model}/predictions/{row_id}/explanation"
    return stage.gateway.call("GET", path, token=token or stage.token)


def test_a_stored_prediction_is_explained_like_a_fresh_one(stage):
    fresh = stage.ask([{"a": 9.0, "b": 0.0}, ROW], ids=["other", "x"], explain=True)
    run(stage.messages())

    answer = explained(stage, "x")

    assert answer.status == 200
    assert (answer.json["model"], answer.json["version"], answer.json["id"]) == ("delays", 1, "x")
    assert answer.json["explanation"] == fresh["predictions"][1]["explanation"]


def test_the_version_that_made_it_explains_it(stage):
    stage.ask([ROW], ids=["x"])
    run(stage.messages())
    before = explained(stage, "x").json
    bundle = profiled_bundle((-3.0, 2.0))
    stage.at_hand.upload(bundle)
    call = stage.gateway.call
    call("POST", "/v1/models/delays/versions", {"manifest": bundle.manifest}, token=stage.token)
    stage.at_hand.accept("delays", 2)
    promotion = {"version": 2, "reason": "other"}
    assert call("POST", "/v1/models/delays/promote", promotion, token=stage.token).status == 200

    assert explained(stage, "x").json == before
    call("POST", "/v1/models/delays/versions/1/archive", {"reason": "old"}, token=stage.token)
    assert explained(stage, "x").status == 409


def test_a_prediction_that_is_not_kept_is_not_found(stage):
    assert explained(stage, "nobody").status == 404
    stage.ask([ROW], ids=["x"])
    assert explained(stage, "x").status == 404
    run(stage.messages())
    stage.at_hand.lake.stored.clear()
    assert explained(stage, "x").status == 404


def test_an_object_that_was_changed_is_no_explanation(stage):
    stage.ask([ROW], ids=["x"])
    stage.ask([ROW], ids=["y"])
    first, second = stage.messages()
    run([first])
    run([second])
    one, two = sorted(stage.at_hand.lake.stored)
    stage.at_hand.lake.stored[one] = stage.at_hand.lake.stored[two]

    assert 500 in {explained(stage, "x").status, explained(stage, "y").status}


def test_strangers_and_readers_are_refused(stage):
    stage.ask([ROW], ids=["x"])
    run(stage.messages())
    stranger = token_of("engineer", teams=("finance",), exp=stage.expires)
    viewer = token_of("viewer", exp=stage.expires)

    there, nowhere = (
        explained(stage, "x", token=stranger),
        explained(stage, "x", token=stranger, model="nothing"),
    )

    assert (there.status, nowhere.status) == (404, 404)
    assert json.dumps(there.json["detail"]).replace("delays", "…") == json.dumps(
        nowhere.json["detail"]
    ).replace("nothing", "…")
    assert explained(stage, "x", token=viewer).status == 403
