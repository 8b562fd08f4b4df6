"""The functions around the notary, as Lambda calls them: the stream wakes it, its queue runs it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from chalice.test import Client

from app import app
from chalicelib.governance.notary import LATEST
from tiltyard.audit.checkpoint import VerifierKey, open_note
from tiltyard.errors import IntegrityError


def stream_record(sk, name="INSERT"):
    keys = {"pk": {"S": "MODEL#delays"}, "sk": {"S": sk}}
    return {
        "eventID": "1",
        "eventName": name,
        "awsRegion": "eu-west-1",
        "eventSourceARN": "arn:aws:dynamodb:eu-west-1:123456789012:table/lineage/stream/1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_772_366_400,
            "Keys": keys,
            "SequenceNumber": "1",
            "SizeBytes": 100,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    }


def notarised(bodies=("{}",), left_ms=120_000):
    # Chalice's own client gives every function 3 seconds.
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: left_ms)
    with Client(app) as client:
        event = client.events.generate_sqs_event(list(bodies))
    return app.handler_map["notary"](event, context)


def announced(*records):
    with Client(app) as client:
        return client.lambda_.invoke("outbox", {"Records": list(records)})


def test_a_committed_change_wakes_the_notary_once_a_batch(stage):
    stage.add_model()
    stage.add_version()

    answer = announced(*[stream_record(f"CHANGE#{n:010d}") for n in (1, 2, 3)])

    assert answer.payload == {"announced": 3}
    assert len(stage.at_hand.notary_queue.sent) == 1


@pytest.mark.parametrize(
    "record",
    [stream_record("META"), stream_record("CHANGE#0000000001", "MODIFY"), stream_record("X", "REMOVE")],
)
def test_what_is_no_new_change_wakes_nobody(stage, record):
    announced(record)

    assert stage.at_hand.notary_queue.sent == []


def test_a_wake_up_that_cannot_be_sent_fails_the_batch(stage):
    stage.at_hand.notary_queue.breaks = True

    with pytest.raises(ConnectionError):
        announced(stream_record("CHANGE#0000000001"))


def test_a_wake_up_logs_all_that_waits_whatever_it_says(stage):
    stage.add_model()
    stage.promote(stage.add_version())

    answer = notarised(["{}", "not even JSON"])

    assert answer == {"batchItemFailures": []}
    key = VerifierKey(stage.at_hand.log_origin, stage.at_hand.log_signer.public_key())
    checkpoint = open_note(stage.at_hand.log_objects.stored[LATEST].decode(), key)
    assert checkpoint.size == stage.at_hand.lineage.model("delays").changes == 4
    assert stage.at_hand.log.waiting(limit=1) == []


def test_a_log_that_was_tampered_with_fails_the_wake_up(stage):
    stage.add_model()
    stage.at_hand.log_objects.stored["tile/0/000.p/1"] = b"x" * 32

    with pytest.raises(IntegrityError):
        notarised()

    assert LATEST not in stage.at_hand.log_objects.stored


def test_a_notary_short_of_time_wakes_the_next_one(stage):
    stage.add_model()

    notarised(left_ms=5_000)

    assert LATEST not in stage.at_hand.log_objects.stored
    assert len(stage.at_hand.notary_queue.sent) == 1


def test_the_sweeper_wakes_the_notary(stage):
    with Client(app) as client:
        client.lambda_.invoke(
            "sweeper", client.events.generate_cw_event("aws.events", "", {}, [], "eu-west-1")
        )

    assert len(stage.at_hand.notary_queue.sent) == 1
