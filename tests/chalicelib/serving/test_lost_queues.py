"""No record is lost silently: queue, else spool, else the sealed log, else no answer."""

from __future__ import annotations

import base64
import json

import pytest
from chalice.test import Client
from fakes import service
from production import counts, run, serving

from app import app
from infra.unseal import sealed_records

ROW = {"a": 1.0, "b": 2.0}


@pytest.fixture
def stage():
    with service(app) as (at_hand, gateway):
        yield serving(at_hand, gateway)


def predict(stage):
    body = {"rows": [ROW], "ids": ["x"]}
    return stage.gateway.call("POST", "/v1/models/delays/predict", body, token=stage.token)


def sweep():
    with Client(app) as client:
        event = client.events.generate_cw_event("aws.events", "", {}, [], "eu-west-1")
        return client.lambda_.invoke("sweeper", event).payload


def require_telemetry(stage):
    policy = {"format": 1, "telemetry": "required"}
    answer = stage.gateway.call("PUT", "/v1/models/delays/policy", policy, token=stage.token)
    assert (answer.status, answer.json["document"]["telemetry"]) == (200, "required")


def test_what_the_queue_does_not_take_waits_in_the_spool_and_is_sent_later(stage):
    stage.at_hand.telemetry_queue.breaks = True

    assert predict(stage).status == 200
    assert len(stage.at_hand.spool.stored) == 1

    stage.at_hand.telemetry_queue.breaks = False
    assert sweep()["unsent"] == 1
    assert run(stage.messages()) == []
    assert counts(stage.at_hand).rows == 1
    assert stage.at_hand.spool.stored == {}
    assert sweep()["unsent"] == 0


def test_what_no_store_takes_is_sealed_into_the_log(stage, capsys):
    stage.at_hand.telemetry_queue.breaks = stage.at_hand.spool.breaks = True

    assert predict(stage).status == 200

    lines = capsys.readouterr().out.splitlines()
    records, torn = sealed_records(["START", *lines, "{not json}"])
    ((_, sealed),) = records.items()
    (metric,) = [json.loads(line) for line in lines if "TelemetrySealed" in line]
    assert base64.b64decode(sealed) == stage.at_hand.sealer.sealed[0]
    assert json.loads(base64.b64decode(sealed))["ids"] == ["x"]
    assert metric["TelemetrySealed"] == 1
    assert torn == []


def test_a_policy_that_requires_telemetry_refuses_rather_than_that(stage):
    require_telemetry(stage)
    stage.at_hand.telemetry_queue.breaks = True
    assert predict(stage).status == 200  # the spool is a store

    stage.at_hand.spool.breaks = True
    answer = predict(stage)

    assert (answer.status, answer.problem) == (503, "unavailable")
    assert stage.at_hand.sealer.sealed == []


def test_when_nothing_takes_it_there_is_no_answer(stage):
    stage.at_hand.telemetry_queue.breaks = stage.at_hand.spool.breaks = stage.at_hand.sealer.breaks = True

    assert predict(stage).status == 503


def test_a_long_record_is_sealed_in_parts_and_a_torn_one_is_named(stage, capsys, monkeypatch):
    monkeypatch.setattr("chalicelib.serving.telemetry.MAX_LINE", 100)
    stage.at_hand.telemetry_queue.breaks = stage.at_hand.spool.breaks = True
    predict(stage)

    lines = capsys.readouterr().out.splitlines()
    whole, torn = sealed_records(lines), sealed_records(lines[1:])

    assert base64.b64decode(next(iter(whole[0].values()))) == stage.at_hand.sealer.sealed[0]
    assert (torn[0], len(torn[1])) == ({}, 1)


@pytest.mark.parametrize("telemetry", ["sometimes", 1, True, ["required"]])
def test_a_policy_says_one_or_the_other(stage, telemetry):
    policy = {"format": 1, "telemetry": telemetry}
    answer = stage.gateway.call("PUT", "/v1/models/delays/policy", policy, token=stage.token)

    assert answer.status == 422
    assert answer.json["errors"][0]["pointer"] == "/telemetry"


def test_an_ordinary_answer_opens_no_key(stage, monkeypatch):
    """Its client would cost every container's first answer; without the fake, AWS would be asked."""
    monkeypatch.delattr(stage.at_hand, "sealer")

    assert predict(stage).status == 200
