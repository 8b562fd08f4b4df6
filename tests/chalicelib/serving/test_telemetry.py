from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson
import pytest
from bundles import logistic, two_numbers

from chalicelib.lineage.records import PolicyCopy
from chalicelib.serving import telemetry
from tiltyard.contract.signature import Signature
from tiltyard.runtime.judgement import Judge
from tiltyard.runtime.model import ServedModel, open_session

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Sent:
    """A queue and a spool that keep what they get."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.objects: dict[str, bytes] = {}

    def send(self, body: str) -> None:
        self.messages.append(body)

    def write(self, key: str, content: bytes) -> None:
        self.objects[key] = content


def record_of(rows: list[dict[str, Any]], signature: Signature, **asked: Any) -> dict[str, Any]:
    served = ServedModel(signature, open_session(logistic([0.5, -0.25])))
    answers = served.predict(rows)
    return telemetry.record(
        model="late-flights",
        version=3,
        digest="d" * 64,
        role="champion",
        signature=signature,
        asked=telemetry.Asked([f"id-{i}" for i in range(len(rows))], **asked),
        answers=answers,
        judged=Judge.by_default(signature).judge(served.assurance, answers),
        policy=PolicyCopy(2, "p" * 64, "{}"),
        request_id="r-1",
        received_at=NOON,
    )


@pytest.mark.parametrize("n", [1, 500])
def test_a_message_holds_what_came_in_and_what_went_out_by_column(n):
    rows = [{"a": None if i % 3 else 20.0, "b": i / 10} for i in range(n)]

    document = telemetry.decode(telemetry.encode(record_of(rows, two_numbers(), at="2026-03-01T11:00:00Z")))

    assert document["columns"] == {"a": [r["a"] for r in rows], "b": [r["b"] for r in rows]}
    assert document["n"] == len(document["ids"]) == len(document["scores"]) == n
    assert (document["received_at"], document["at"]) == ("2026-03-01T12:00:00Z", "2026-03-01T11:00:00Z")
    assert document["warnings"]["0"] == [{"column": "a", "kind": "out_of_range"}]
    assert document["decisions"]["0"] == {"action": "flag", "rules": ["uncertain", "out-of-range"]}
    assert document["policy"] == {"number": 2, "digest": "p" * 64}


def test_a_score_keeps_its_bits():
    rows = [{"a": 1.0, "b": i / 7} for i in range(100)]
    sent = record_of(rows, two_numbers())

    document = telemetry.decode(telemetry.encode(sent))

    assert np.array(document["scores"], dtype=np.float32).tobytes() == sent["scores"].tobytes()


def test_a_subject_appears_as_its_pseudonym_only():
    rows = [{"a": 1.0, "b": 2.0, "person": "jane@example.org"}]

    message = telemetry.encode(record_of(rows, two_numbers(subject=True), subjects=["pseudonym"]))

    assert "jane" not in message
    assert telemetry.decode(message)["subjects"] == ["pseudonym"]


def test_what_is_too_large_for_the_queue_goes_to_the_spool_and_is_named(monkeypatch):
    monkeypatch.setattr(telemetry, "MAX_MESSAGE", 1000)
    sent = Sent()
    document = record_of([{"a": 1.0, "b": i / 7} for i in range(500)], two_numbers())

    telemetry.send(document, queue=sent, spool=sent)

    (message,) = sent.messages
    key = orjson.loads(message)["spool"]
    assert key == "late-flights/2026-03-01/12/r-1"
    assert telemetry.decode(sent.objects[key].decode())["n"] == 500


@pytest.mark.parametrize("message", ["", "{}", "[]", "z1:AAAA", "z1:!", '{"format": 9}'])
def test_what_is_no_message_is_refused(message):
    with pytest.raises(ValueError, match="not a telemetry message"):
        telemetry.decode(message)
