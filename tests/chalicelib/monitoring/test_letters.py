"""Telemetry's dead letters: told without a word of their rows, and counted once however often sent."""

from __future__ import annotations

import json

import pytest
from fakes import token_of
from production import START, counts, run, stored

from chalicelib.monitoring import letters
from chalicelib.serving.telemetry import decode

LETTERS, REDRIVE = "/v1/telemetry/dead-letters", "/v1/telemetry/redrive"


@pytest.fixture
def dead(stage):
    """Puts messages among the dead letters."""

    def dead(*bodies):
        for body in bodies:
            stage.at_hand.telemetry_dead_letters.add(body)

    return dead


def call(stage, method, path, *roles):
    return stage.gateway.call(method, path, token=token_of(*roles, teams=(), exp=stage.expires))


def message(stage, *ids):
    stage.ask([{"a": 1.25, "b": 2.0}] * len(ids), ids=list(ids), at=START)
    (body,) = stage.messages()
    return body


def test_letters_say_whose_they_are_and_what_is_the_matter(stage, dead):
    good = message(stage, "secret-1", "secret-2")
    record = decode(good)
    dead(
        good,
        json.dumps({**record, "version": 9}),
        json.dumps({**record, "digest": "0" * 64}),
        json.dumps({**record, "n": 3}),
        json.dumps({**record, "received_at": "secret time"}),
        json.dumps({**record, "model": "Secret!", "version": "1", "n": -1}),
        json.dumps({"format": 1, "spool": "2026/secret.json"}),
        "secret",
    )

    answer = call(stage, "GET", LETTERS, "admin")

    assert (answer.status, answer.json["count"]) == (200, 8)
    assert [item["why"] for item in answer.json["items"]] == [
        None,
        "its version isn't there",
        "its version has another bundle",
        "its rows can't be read",
        "its rows can't be read",
        "it names no version of a model",
        None,
        "it is no telemetry record",
    ]
    assert answer.json["items"][0] == {
        "id": "id-0",
        "sent_at": "2026-02-01T06:15:00.000Z",
        "model": "delays",
        "version": 1,
        "rows": 2,
        "why": None,
    }
    assert "secret" not in json.dumps(answer.json).lower()
    assert "1.25" not in json.dumps(answer.json)
    assert stage.at_hand.telemetry_dead_letters.hidden == set()


def test_redriven_letters_are_counted_once(stage, dead):
    body = message(stage, "x", "y")
    run([body])
    dead(body, body, message(stage, "z"))

    assert call(stage, "POST", REDRIVE, "admin").json == {"redriven": 3, "left": 0}
    assert call(stage, "POST", REDRIVE, "admin").json == {"redriven": 0, "left": 0}
    assert run(stage.messages()) == []
    assert counts(stage.at_hand).rows == len(stored(stage.at_hand)) == 3


def test_a_crash_between_sending_and_deleting_counts_once(stage, dead, monkeypatch):
    dead(message(stage, "x"))
    letterbox = stage.at_hand.telemetry_dead_letters

    def crash(receipt):
        raise ConnectionError

    with monkeypatch.context() as broken:
        broken.setattr(letterbox, "delete", crash)
        assert call(stage, "POST", REDRIVE, "admin").status == 500
    letterbox.hidden.clear()  # as after half a minute

    assert call(stage, "POST", REDRIVE, "admin").json == {"redriven": 1, "left": 0}
    sent = stage.messages()
    assert len(sent) == 2
    assert run(sent) == []
    assert counts(stage.at_hand).rows == 1


def test_letters_that_cannot_be_sent_stay(stage, dead):
    dead("1")
    stage.at_hand.telemetry_queue.breaks = True

    assert call(stage, "POST", REDRIVE, "admin").status == 500
    assert stage.at_hand.telemetry_dead_letters.count() == 1


def test_a_call_redrives_so_many_and_no_longer_than_it_may(stage, dead):
    dead(*(str(number) for number in range(25)))
    box, queue = stage.at_hand.telemetry_dead_letters, stage.at_hand.telemetry_queue

    assert letters.redrive(box, queue, limit=13) == letters.Redriven(13, 12)
    assert box.hidden == set()
    ticks = iter([0.0, 1.0, letters.REDRIVE_S])
    assert letters.redrive(box, queue, clock=lambda: next(ticks)) == letters.Redriven(10, 2)
    assert letters.redrive(box, queue) == letters.Redriven(2, 0)
    assert sorted(queue.sent, key=int) == [str(number) for number in range(25)]


@pytest.mark.parametrize("role", ["viewer", "engineer", "scientist", "auditor", "privacy"])
def test_letters_of_all_teams_are_for_admins(stage, dead, role):
    dead("1")

    assert call(stage, "GET", LETTERS, role).status == 403
    assert call(stage, "POST", REDRIVE, role).status == 403
    assert stage.at_hand.telemetry_queue.sent == []
