"""Lineage through the API: both ways, by digest, in pages, by team, and as OpenLineage."""

from __future__ import annotations

import uuid
from datetime import datetime

import pytest
from bundles import logistic_bundle
from fakes import token_of

from tiltyard.runtime.origin import origin_of

JANUARY, HELD_OUT, MISSING = "c" * 64, "d" * 64, "e" * 64


def register(stage, name, weight, *, team="airport", run="run-7"):
    bundle = logistic_bundle((weight, -0.25))
    stage.at_hand.upload(bundle)
    origin = origin_of(
        [
            {"digest": JANUARY, "use": "training", "name": "January", "rows": 1000, "columns": 3},
            {"digest": HELD_OUT, "use": "held-out", "rows": 100, "columns": 3},
        ],
        run,
    )
    manifest = {**bundle.manifest, "origin": origin}
    token = token_of("scientist", teams=(team,))
    answer = stage.call("POST", f"/v1/models/{name}/versions", {"manifest": manifest}, token=token)
    assert answer.status == 202, answer.body
    stage.at_hand.accept(name, answer.json["version"])
    return answer.json["digest"]


@pytest.fixture
def filled(stage):
    """Two teams' models fitted on the same data; the first one's champion is version 1."""
    stage.add_model()
    stage.add_model("costs", "finance")
    stage.digest = register(stage, "delays", 0.5)
    stage.other = register(stage, "costs", 0.75, team="finance")
    assert stage.promote(1).status == 200
    return stage


def asked(stage, path, role="viewer", **more):
    answer = stage.call("GET", path, role=role, **more)
    assert answer.status == 200, answer.body
    return answer.json


def edges(body):
    return {
        (e["source"].partition(":")[0], e["relation"], e["target"].partition(":")[0]) for e in body["items"]
    }


def test_a_version_leads_back_to_its_data_and_forth_to_its_reign(filled):
    found = asked(filled, "/v1/models/delays/lineage?version=1")

    assert found["roots"] == [f"version:{filled.digest}"]
    assert edges(found) >= {
        ("version", "produced-by", "run"),
        ("run", "used", "dataset"),
        ("version", "profiled-on", "dataset"),
        ("version", "version-of", "model"),
        ("reign", "reign-of", "version"),
    }
    used = next(edge for edge in found["items"] if edge["relation"] == "used")
    assert used["target"] == f"dataset:{JANUARY}"
    assert used["facts"] == {"name": "January", "rows": 1000, "columns": 3}
    assert found["next"] is None


def test_without_a_version_it_is_the_champion_s(filled):
    register(filled, "delays", 1.5, run="run-8")

    assert asked(filled, "/v1/models/delays/lineage")["roots"] == [f"version:{filled.digest}"]


def test_one_way_and_depth_limit_what_is_told(filled):
    back = asked(filled, "/v1/models/delays/lineage?version=1&direction=ancestry&depth=1")
    forth = asked(filled, "/v1/models/delays/lineage?version=1&direction=impact")

    assert {edge["direction"] for edge in back["items"]} == {"ancestry"}
    assert {edge["depth"] for edge in back["items"]} == {1}
    assert not [edge for edge in back["items"] if edge["relation"] == "used"]
    assert edges(forth) == {("reign", "reign-of", "version")}


def test_a_data_set_leads_to_all_that_came_of_it_and_that_one_may_see(filled):
    mine = asked(filled, f"/v1/lineage/{JANUARY}?direction=impact")
    all_ = asked(filled, f"/v1/lineage/{JANUARY}?direction=impact", role="auditor")

    versions = {node for node in mine["nodes"] if node.startswith("version:")}
    assert versions == {f"version:{filled.digest}"}
    assert mine["withheld"] >= 1
    assert f"version:{filled.other}" in all_["nodes"]
    assert all_["withheld"] == 0


def test_another_team_s_version_is_unknown(filled):
    assert filled.call("GET", f"/v1/lineage/{filled.other}", role="viewer").status == 404
    assert filled.call("GET", "/v1/models/costs/lineage", role="viewer").status == 404
    assert filled.call("GET", f"/v1/lineage/{filled.other}", role="auditor").status == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/v1/lineage/{MISSING}", 404),
        ("/v1/lineage/abc", 404),
        ("/v1/models/delays/lineage?version=9", 404),
        ("/v1/models/delays/lineage?depth=0", 400),
        ("/v1/models/delays/lineage?depth=11", 400),
        ("/v1/models/delays/lineage?direction=up", 400),
        ("/v1/models/delays/lineage?format=xml", 400),
        ("/v1/models/delays/lineage?cursor=x", 400),
        ("/v1/models/delays/lineage?format=openlineage&limit=5", 400),
    ],
)
def test_what_is_not_there_or_cannot_be_asked(filled, path, status):
    assert filled.call("GET", path, role="viewer").status == status


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
def test_pages_make_the_whole_whatever_their_size(filled, limit):
    whole = asked(filled, "/v1/models/delays/lineage?version=1&limit=200")["items"]
    found, cursor = [], ""
    while True:
        page = asked(filled, f"/v1/models/delays/lineage?version=1&limit={limit}{cursor}")
        found.extend(page["items"])
        if page["next"] is None:
            break
        # What is registered meanwhile doesn't move the pages.
        if not cursor:
            filled.call("PATCH", "/v1/models/delays", {"owner": "grace"}, role="engineer")
        cursor = f"&cursor={page['next']}"

    assert found == whole


def test_a_policy_is_on_the_reign_that_it_held_for(filled):
    policy = {"format": 1, "uncertainty": {"level": 0.8}}
    put = filled.call("PUT", "/v1/models/delays/policy", policy, role="engineer")
    register(filled, "delays", 1.5, run="run-8")
    assert filled.promote(2).status == 200

    found = asked(filled, f"/v1/lineage/{put.json['digest']}?direction=impact")

    assert ("reign", "under-policy", "policy") in edges(found)


def test_openlineage_has_a_run_with_its_inputs_and_outputs(filled):
    found = asked(filled, "/v1/models/delays/lineage?version=1&format=openlineage")

    fits = [event for event in found["items"] if event.get("inputs") and event.get("outputs")]
    assert fits
    for event in found["items"]:
        # What the specification (2-0-2) requires of a run event.
        assert event["schemaURL"].startswith("https://openlineage.io/spec/2-0-2/OpenLineage.json")
        assert event["producer"].startswith("https://")
        assert datetime.fromisoformat(event["eventTime"]).tzinfo is not None
        uuid.UUID(event["run"]["runId"])
        assert event["job"]["namespace"]
        assert event["job"]["name"]
        for end in [*event.get("inputs", []), *event.get("outputs", [])]:
            assert end["namespace"]
            assert end["name"]


def test_cost_grows_with_what_is_found_and_not_with_versions(filled, monkeypatch):
    table, reads = filled.at_hand.lineage.table, []

    def counted(call):
        def read(*arguments, **more):
            reads.append(call.__name__)
            return call(*arguments, **more)

        return read

    for name in ("get", "get_many", "query"):
        monkeypatch.setattr(table, name, counted(getattr(table, name)))
    path = "/v1/models/delays/lineage?version=1"
    asked(filled, path)
    few = len(reads)
    for number in range(30):
        bundle = logistic_bundle((2.0 + number, 1.0))
        filled.at_hand.upload(bundle)
        body = {"manifest": bundle.manifest}
        answer = filled.call("POST", "/v1/models/delays/versions", body, role="scientist")
        assert answer.status == 202

    reads.clear()
    asked(filled, path)

    assert 0 < len(reads) <= few
