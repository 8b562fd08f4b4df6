"""Bus, topic and delivery queue on moto: what is handed over, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from lineage_examples import NOON

from chalicelib import aws
from chalicelib.aws.events import EventBridgeBus
from chalicelib.lineage.deliveries import DeliveryAttempt, LastDeliveries
from chalicelib.lineage.records import Webhook
from chalicelib.monitoring.letters import Redriven, redrive
from tiltyard.errors import Unavailable

EVENT = {
    "specversion": "1.0",
    "id": "event-1",
    "source": "/tiltyard/test/models/delays",
    "type": "io.tiltyard.champion.promote",
    "time": "2026-02-01T06:15:00.250Z",
    "data": {"model": "delays", "team": "flüge"},
}


def received(stage, queue_url):
    answer = stage.sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10)
    return [json.loads(message["Body"]) for message in answer.get("Messages", [])]


def listening_queue(stage, name):
    url = stage.sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = stage.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return url, arn


def test_the_bus_gives_an_event_to_rules_on_type_and_model(stage):
    events = boto3.client("events", region_name="eu-west-1")
    events.create_event_bus(Name=stage.settings.event_bus)
    url, arn = listening_queue(stage, "listener")
    pattern = {
        "source": ["tiltyard"],
        "detail-type": [{"prefix": "io.tiltyard.champion."}],
        "detail": {"data": {"model": ["delays"]}},
    }
    events.put_rule(Name="rule", EventBusName=stage.settings.event_bus, EventPattern=json.dumps(pattern))
    events.put_targets(Rule="rule", EventBusName=stage.settings.event_bus, Targets=[{"Id": "1", "Arn": arn}])

    aws.open_bus(stage.settings).publish(EVENT)
    aws.open_bus(stage.settings).publish({**EVENT, "type": "io.tiltyard.alias.set"})
    aws.open_bus(stage.settings).publish({**EVENT, "data": {"model": "fraud", "team": "a"}})

    (found,) = received(stage, url)
    assert found["detail"] == EVENT
    assert found["detail-type"] == EVENT["type"]


def test_an_entry_that_the_bus_refuses_is_no_success():
    class Refusing:
        def put_events(self, **request: Any) -> dict[str, Any]:
            return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}]}

    with pytest.raises(Unavailable, match="InternalFailure"):
        EventBridgeBus(Refusing(), "bus").publish(EVENT)  # type: ignore[arg-type]


@pytest.mark.parametrize(("model", "expected"), [("delays", 1), ("fraud", 0)])
def test_the_topic_gives_an_event_with_attributes_to_filter_by(stage, model, expected):
    sns = boto3.client("sns", region_name="eu-west-1")
    topic = sns.create_topic(Name="events")["TopicArn"]
    url, arn = listening_queue(stage, "listener")
    sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=arn,
        Attributes={"RawMessageDelivery": "true", "FilterPolicy": json.dumps({"model": [model]})},
    )

    aws.open_topic(replace(stage.settings, event_topic_arn=topic)).publish(EVENT)

    assert received(stage, url) == [EVENT] * expected


def test_an_event_of_a_team_has_no_model_to_filter_by(stage):
    sns = boto3.client("sns", region_name="eu-west-1")
    topic = sns.create_topic(Name="events")["TopicArn"]
    url, arn = listening_queue(stage, "listener")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    event = {**EVENT, "data": {"model": None, "team": "airport"}}

    aws.open_topic(replace(stage.settings, event_topic_arn=topic)).publish(event)

    assert received(stage, url) == [event]


def test_a_topic_that_is_not_there_is_no_passing_fault(stage):
    with pytest.raises(ClientError, match="NotFound"):
        aws.open_topic(stage.settings).publish(EVENT)


def test_a_postponed_message_stays_away(stage):
    queue, url = aws.open_delivery_queue(stage.settings), stage.settings.delivery_queue_url
    queue.send("1")
    queue.send("2")
    first, second = stage.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]

    queue.postpone(first["ReceiptHandle"], 3600)
    queue.postpone(second["ReceiptHandle"], 0)

    assert [message["Body"] for message in stage.sqs.receive_message(QueueUrl=url)["Messages"]] == [
        second["Body"]
    ]


def test_dead_letters_are_received_deleted_and_released(stage):
    dead, url = aws.open_dead_letters(stage.settings), stage.settings.delivery_dead_letters_url
    for body in ("1", "2"):
        stage.sqs.send_message(QueueUrl=url, MessageBody=body)

    one, two = dead.receive()
    assert dead.receive() == []
    dead.delete(one.receipt)
    dead.release(two.receipt)

    assert [letter.body for letter in dead.receive()] == [two.body]


def test_how_deliveries_went_is_kept_side_by_side(stage):
    deliveries = aws.open_deliveries(stage.settings)
    hook = Webhook("1", "airport", "https://hooks.example.org/", NOON, "a" * 64)
    taken = DeliveryAttempt(NOON, "event-1", "HTTP 200", is_taken=True)
    failed = DeliveryAttempt(NOON, "event-2", "HTTP 500", is_taken=False)

    assert deliveries.last(hook) == LastDeliveries()
    deliveries.note(hook, replace(taken, event="event-0"))
    deliveries.note(hook, taken)
    deliveries.note(hook, failed)

    assert deliveries.last(hook) == LastDeliveries(taken, failed)
    assert deliveries.last(replace(hook, id="2")) == LastDeliveries()


def test_dead_letters_tell_how_many_they_are_and_when_they_were_sent(stage):
    dead, url = aws.open_telemetry_dead_letters(stage.settings), stage.settings.telemetry_dead_letters_url
    began = datetime.now(UTC) - timedelta(seconds=1)
    sent = [stage.sqs.send_message(QueueUrl=url, MessageBody=body)["MessageId"] for body in ("1", "2", "3")]

    assert dead.count() == 3
    letters = dead.receive()

    assert dead.count() == 3  # those that are being received among them
    assert sorted(letter.id for letter in letters) == sorted(sent)
    assert all(began <= letter.sent_at <= datetime.now(UTC) for letter in letters)
    dead.delete(letters[0].receipt)
    assert dead.count() == 2


def test_telemetry_is_redriven_from_queue_to_queue(stage):
    dead_url, url = stage.settings.telemetry_dead_letters_url, stage.settings.telemetry_queue_url
    for number in range(12):
        stage.sqs.send_message(QueueUrl=dead_url, MessageBody=str(number))

    done = redrive(aws.open_telemetry_dead_letters(stage.settings), aws.open_telemetry_queue(stage.settings))

    bodies = []
    while found := stage.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        bodies += [message["Body"] for message in found]
    assert done == Redriven(12, 0)
    assert sorted(bodies, key=int) == [str(number) for number in range(12)]
