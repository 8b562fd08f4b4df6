"""Events on the deployed stack: bus, topic and a webhook on this machine hear of every change."""

import json

import pytest
from scripted_server import scripted_server
from waiting import waited_for

from tiltyard.events.signature import verify

TEAM = "heralds"


@pytest.fixture
def client(live):
    with live.client("scientist", "engineer", teams=(TEAM,)) as client:
        yield client


@pytest.fixture
def receiver():
    with scripted_server() as server:
        server.answers = [(200, {}, None)]
        yield server


def listening_queue(live, name):
    sqs = live.aws("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    # As on AWS, a queue takes messages of bus and topic only when its own policy says so.
    allowed = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    found = []

    def events(type_):
        for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            found.append(json.loads(message["Body"]))
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        events = [body.get("detail", body) for body in found]
        return [event for event in events if event["type"] == type_ and event["data"]["team"] == TEAM]

    return arn, events


def test_bus_topic_and_webhook_hear_the_same(live, client, receiver):
    bus_arn, on_bus = listening_queue(live, "heralds-bus")
    topic_arn, on_topic = listening_queue(live, "heralds-topic")
    rules = live.aws("events")
    bus = live.outputs["EventBusName"]
    rules.put_rule(Name="heralds", EventBusName=bus, EventPattern=json.dumps({"source": ["tiltyard"]}))
    rules.put_targets(Rule="heralds", EventBusName=bus, Targets=[{"Id": "1", "Arn": bus_arn}])
    live.aws("sns").subscribe(
        TopicArn=live.outputs["EventTopicArn"],
        Protocol="sqs",
        Endpoint=topic_arn,
        Attributes={"RawMessageDelivery": "true"},
    )
    hook = client.create_webhook(TEAM, receiver.url + "/hook", events=["model.*"])

    assert client.test_webhook(hook.id).status == 200
    client.create_model("heralded", team=TEAM, task="binary")

    seen = waited_for(lambda: [seen for seen in receiver.seen if b"model.create" in seen.body])[0]
    assert verify(hook.secret, seen.headers, seen.body).endswith(f".{hook.id}")
    event = json.loads(seen.body)
    assert (event["data"]["model"], event["sequence"]) == ("heralded", "0000000001")
    assert event in waited_for(lambda: on_bus("io.tiltyard.model.create"))
    assert event in waited_for(lambda: on_topic("io.tiltyard.model.create"))
    assert waited_for(lambda: client.webhook(hook.id).last_taken).detail == "HTTP 200"
    entry = next(client.audit("heralded")).entry
    assert (event["id"], event["data"]["after"]) == (entry["id"], entry["after"])


def test_what_fails_comes_again_with_the_same_bytes(client, receiver):
    receiver.answers = [(500, {}, None), (204, {}, None)]
    hook = client.create_webhook(TEAM, receiver.url, events=["model.create"])

    client.create_model("stubborn", team=TEAM, task="binary")

    waited_for(lambda: len(receiver.seen) == 2)
    first, second = receiver.seen
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert waited_for(lambda: client.webhook(hook.id).last_taken).detail == "HTTP 204"
    assert client.webhook(hook.id).last_failed.detail == "HTTP 500"


def test_dead_letters_are_sent_again(live, client, receiver):
    """The message of a delivery that failed too often lies in the dead letters: put there at once here."""
    hook = client.create_webhook(TEAM, receiver.url, events=["model.create"])
    body = json.dumps({"id": "event-dead", "type": "io.tiltyard.model.create"})
    target = {"kind": "webhook", "team": TEAM, "webhook": hook.id}
    live.aws("sqs").send_message(
        QueueUrl=live.outputs["DeliveryDeadLettersUrl"],
        MessageBody=json.dumps({"target": target, "event": "event-dead", "body": body}),
    )

    assert client.redrive(hook.id).moved == 1

    seen = waited_for(lambda: [seen for seen in receiver.seen if b"event-dead" in seen.body])[0]
    assert verify(hook.secret, seen.headers, seen.body) == f"event-dead.{hook.id}"
