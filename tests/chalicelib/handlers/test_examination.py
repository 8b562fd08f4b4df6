"""The examiner's queue and the sweeper's schedule."""

from __future__ import annotations

import json
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from app import app
from chalicelib.registry import examination, trials
from tiltyard.errors import Unavailable


def deliver(*bodies: str) -> Any:
    records = [
        {"messageId": f"message-{n}", "receiptHandle": "r", "body": body} for n, body in enumerate(bodies)
    ]
    return app.handler_map["examiner"]({"Records": records}, SimpleNamespace())


def tick() -> Any:
    event = {
        "version": "0",
        "id": "tick-1",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "1",
        "time": "2026-03-01T12:00:00Z",
        "region": "eu-west-1",
        "resources": [],
        "detail": {},
    }
    return app.handler_map["sweeper"](event, SimpleNamespace())


@pytest.fixture
def waiting(stage):
    stage.add_model()
    stage.add_version(accepted=False)
    return stage


def found(monkeypatch: pytest.MonkeyPatch, finding: Any) -> list[Any]:
    """Replace the trial, which has tests of its own, and keep the limits that it was given."""
    limits: list[Any] = []
    original = examination.examine

    def trial(files: Any, given: Any) -> Any:
        limits.append(given)
        if isinstance(finding, Exception):
            raise finding
        return finding

    monkeypatch.setattr(examination, "examine", lambda *a, **k: original(*a, **{**k, "trial": trial}))
    return limits


def test_message_ends_an_examination(waiting, monkeypatch):
    limits = found(monkeypatch, trials.Finding((), memory_bytes=5_000_000, task="binary"))

    answer = deliver(waiting.at_hand.examination_queue.sent[0])

    assert answer == {"batchItemFailures": []}
    version = waiting.at_hand.lineage.version("delays", 1)
    assert (version.stage, version.examination.memory_bytes) == ("candidate", 5_000_000)
    assert limits[0].session_memory_bytes == waiting.at_hand.settings.session_memory_mb * 2**20


def test_duplicate_message_changes_nothing(waiting, monkeypatch, changes):
    found(monkeypatch, trials.Finding((), memory_bytes=1, task="binary"))
    body = waiting.at_hand.examination_queue.sent[0]
    deliver(body)
    before = changes()

    assert deliver(body, body) == {"batchItemFailures": []}
    assert changes() == before


def test_failed_message_comes_again_and_others_do_not(waiting, monkeypatch, caplog):
    found(monkeypatch, Unavailable("too busy"))

    answer = deliver(json.dumps({"model": "delays", "version": 9}), waiting.at_hand.examination_queue.sent[0])

    assert answer == {"batchItemFailures": [{"itemIdentifier": "message-1"}]}
    assert waiting.at_hand.lineage.version("delays", 1).stage == "validating"
    assert "too busy" in caplog.text


@pytest.mark.parametrize("body", ["", "x", "[]", "{}", '{"model": "delays"}', '{"model": 1, "version": "1"}'])
def test_nonsense_is_dropped_and_logged(waiting, caplog, body):
    assert deliver(body) == {"batchItemFailures": []}
    assert "is dropped" in caplog.text


def test_sweeper_sends_again_and_gives_up_after_an_hour(waiting):
    sent = waiting.at_hand.examination_queue.sent

    assert tick() == {"resent": 1, "rejected": 0, "unsent": 0}
    waiting.at_hand.now = waiting.at_hand.clock() + timedelta(minutes=61)
    assert tick() == {"resent": 0, "rejected": 1, "unsent": 0}

    assert sent == [sent[0]] * 2
    version = waiting.at_hand.lineage.version("delays", 1)
    assert version.stage == "rejected"
    assert "60 minutes" in version.examination.reasons[0]
