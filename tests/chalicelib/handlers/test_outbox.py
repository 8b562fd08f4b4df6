"""The outbox and the courier as Lambda calls them, with anything coming twice, late, or breaking off."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network
from types import SimpleNamespace

import pytest
from bundles import logistic_bundle
from chalice.test import Client
from fakes import service, token_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lineage_examples import attempt_at
from scripted_server import scripted_server

from app import app
from chalicelib.lineage.records import Change, Put, Remove, Webhook
from chalicelib.outbox.events import text_of
from chalicelib.outbox.messages import Delivery
from chalicelib.outbox.service import secrets_of
from tiltyard.errors import IntegrityError
from tiltyard.events.signature import verify

TEAM = "airport"


def stream_record(item, sequence):
    """A record of the lineage table's stream, as Lambda is given it."""
    keys = {"pk": {"S": item["pk"]}, "sk": {"S": item["sk"]}}
    return {
        "eventID": str(sequence),
        "eventName": "INSERT",
        "awsRegion": "eu-west-1",
        "eventSourceARN": "arn:aws:dynamodb:eu-west-1:123456789012:table/lineage/stream/1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_772_366_400,
            "Keys": keys,
            "SequenceNumber": str(sequence),
            "SizeBytes": 100,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    }


def committed(at_hand):
    """All changes on record, as the stream tells of them."""
    found = [item for item in at_hand.lineage.table.dump() if item["sk"].startswith("CHANGE#")]
    return [stream_record(item, sequence) for sequence, item in enumerate(found)]


def run_outbox(records):
    with Client(app) as client:
        return client.lambda_.invoke("outbox", {"Records": list(records)}).payload["announced"]


def run_courier(bodies, receives=1):
    """Hand messages to the courier; those that it reports, for another time."""
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: 60_000)
    with Client(app) as client:
        event = client.events.generate_sqs_event(list(bodies))
    for number, record in enumerate(event["Records"]):
        record["messageId"] = str(number)
        record["receiptHandle"] = f"receipt-{number}"
        record["attributes"]["ApproximateReceiveCount"] = str(receives)
    answer = app.handler_map["courier"](event, context)
    return [bodies[int(failure["itemIdentifier"])] for failure in answer["batchItemFailures"]]


def with_networks(at_hand):
    """Lets webhooks call servers of the test."""
    at_hand.settings = replace(at_hand.settings, webhook_networks=(ip_network("127.0.0.0/8"),))


def put_hook(at_hand, url, **more):
    hook = Webhook(more.pop("id", "hook"), TEAM, url, attempt_at().at, "a" * 64, **more)
    at_hand.lineage.commit(
        Change(
            at_hand.lineage.team(TEAM),
            attempt_at(),
            "webhook.create",
            f"webhook:{hook.id}",
            None,
            None,
            writes=(Put(hook),),
        )
    )
    return hook


def busy_stage(stage):
    """Eight changes of two models and of a team."""
    stage.add_model()
    stage.promote(stage.add_version())
    stage.add_model("fraud")
    stage.add_version("fraud")


def test_a_change_is_told_to_bus_topic_and_webhooks_as_the_same_event(stage):
    with_networks(stage.at_hand)
    with scripted_server() as server:
        server.answers = [(200, {}, None)]
        hook = put_hook(stage.at_hand, server.url, models=("delays",))
        busy_stage(stage)
        assert run_outbox(committed(stage.at_hand)) == 8
        assert run_courier(stage.at_hand.delivery_queue.sent) == []

    told = {event["id"]: event for event in stage.at_hand.event_bus.events}
    called = [json.loads(seen.body) for seen in server.seen]
    assert len(told) == 8
    assert stage.at_hand.event_topic.events == stage.at_hand.event_bus.events
    assert [event for event in told.values() if event["data"]["model"] == "delays"] == called
    secret = stage.at_hand.pseudonyms.webhook_secret(hook.id, 1)
    for seen, event in zip(server.seen, called, strict=True):
        assert verify(secret, seen.headers, seen.body) == f"{event['id']}.{hook.id}"
        assert seen.headers["content-type"] == "application/cloudevents+json"


def test_an_event_is_a_cloud_event_that_names_nobody(stage):
    stage.add_model(owner="ada lovelace", description="a text of hers")
    stage.promote(stage.add_version())
    run_outbox(committed(stage.at_hand))
    run_courier(stage.at_hand.delivery_queue.sent)

    *_, event = stage.at_hand.event_bus.events
    entry = json.loads(stage.at_hand.lineage.change("delays", 4).entry)
    assert event == {
        "specversion": "1.0",
        "id": entry["id"],
        "source": "/tiltyard/local/models/delays",
        "type": "io.tiltyard.champion.promote",
        "subject": entry["object"],
        "time": entry["time"],
        "datacontenttype": "application/json",
        "sequence": "0000000004",
        "data": {
            "model": "delays",
            "team": TEAM,
            "action": "champion.promote",
            "object": entry["object"],
            "change": 4,
            "before": entry["before"],
            "after": entry["after"],
            "role": "engineer",
            "actor": entry["actor"],
            "request_id": entry["request_id"],
            "result": stage.at_hand.lineage.change("delays", 4).result,
        },
    }
    said = json.dumps(stage.at_hand.event_bus.events)
    assert not [name for name in ("ada@", "lovelace", "a text of hers") if name in said]


def test_what_was_not_committed_is_not_announced(stage):
    stage.add_model()
    (record,) = committed(stage.at_hand)
    made_up = json.loads(json.dumps(record).replace("CHANGE#0000000001", "CHANGE#0000000002"))

    with pytest.raises(IntegrityError, match="isn't on record"):
        run_outbox([made_up])
    assert stage.at_hand.delivery_queue.sent == []


def test_a_queue_that_breaks_fails_the_batch(stage):
    busy_stage(stage)
    stage.at_hand.delivery_queue.breaks_after = 1

    with pytest.raises(ConnectionError):
        run_outbox(committed(stage.at_hand))


@pytest.mark.parametrize(("receives", "pause"), [(1, 10), (3, 90), (9, 14_400)])
def test_a_receiver_that_fails_is_called_again_later_each_time(stage, receives, pause):
    with_networks(stage.at_hand)
    with scripted_server() as server:
        server.answers = [(503, {}, None)]
        hook = put_hook(stage.at_hand, server.url, models=("delays",))
        stage.add_model()
        run_outbox(committed(stage.at_hand))
        failed = run_courier(stage.at_hand.delivery_queue.sent, receives)

        assert [Delivery.from_text(body).target.webhook for body in failed] == [hook.id]
        assert [wait for _, wait in stage.at_hand.delivery_queue.postponed] == [pause]
        assert stage.at_hand.deliveries.last(hook).failed.detail == "HTTP 503"
        server.answers = [(200, {}, None)]
        assert run_courier(failed, receives + 1) == []

    first, second = server.seen
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert stage.at_hand.deliveries.last(hook).taken.detail == "HTTP 200"


def test_a_webhook_that_is_away_keeps_nobody_else_waiting(stage):
    with_networks(stage.at_hand)
    put_hook(stage.at_hand, "http://127.0.0.1:1/", models=("delays",))
    stage.add_model()
    run_outbox(committed(stage.at_hand))

    failed = run_courier(stage.at_hand.delivery_queue.sent)

    assert len(failed) == 1
    assert len(stage.at_hand.event_bus.events) == 2


def test_a_webhook_is_never_called_where_it_may_not_lead(stage):
    with scripted_server() as server:
        server.answers = [(200, {}, None)]
        hook = put_hook(stage.at_hand, server.url)
        run_outbox(committed(stage.at_hand))

        assert len(run_courier(stage.at_hand.delivery_queue.sent)) == 1

    assert server.seen == []
    assert "this machine" in stage.at_hand.deliveries.last(hook).failed.detail


@pytest.mark.parametrize("gone", ["disabled", "removed", "410"])
def test_what_a_webhook_no_longer_wants_is_dropped(stage, gone):
    with_networks(stage.at_hand)
    with scripted_server() as server:
        server.answers = [(410, {}, None)]
        hook = put_hook(stage.at_hand, server.url)
        run_outbox(committed(stage.at_hand))
        stored = stage.at_hand.lineage.webhook(TEAM, hook.id)
        writes = {"disabled": (Put(replace(stored, enabled=False)),), "removed": (Remove(stored),), "410": ()}
        stage.at_hand.lineage.commit(
            Change(
                stage.at_hand.lineage.team(TEAM),
                attempt_at(),
                "webhook.change",
                "webhook:hook",
                None,
                None,
                writes=writes[gone],
            )
        )

        assert run_courier(stage.at_hand.delivery_queue.sent) == []

    assert len(server.seen) == (1 if gone == "410" else 0)


def test_both_secrets_sign_for_a_day_after_a_rotation(stage):
    at = attempt_at().at
    hook = Webhook("hook", TEAM, "https://hooks.example.org/", at, "a" * 64, rotation=2, rotated_at=at)
    new, old = (stage.at_hand.pseudonyms.webhook_secret("hook", rotation) for rotation in (2, 1))

    assert secrets_of(hook, stage.at_hand.pseudonyms, now=at + timedelta(hours=23)) == (new, old)
    assert secrets_of(hook, stage.at_hand.pseudonyms, now=at + timedelta(hours=25)) == (new,)
    assert len({new, old, stage.at_hand.pseudonyms.webhook_secret("other", 1)}) == 3


def test_a_bus_that_refuses_is_tried_again(stage):
    stage.add_model()
    run_outbox(committed(stage.at_hand))
    stage.at_hand.event_bus.breaks = True

    (failed,) = run_courier(stage.at_hand.delivery_queue.sent)

    assert Delivery.from_text(failed).target.kind == "bus"
    assert len(stage.at_hand.event_topic.events) == 1


def test_a_message_that_is_none_comes_to_the_dead_letters(stage):
    assert run_courier(["not a delivery"]) == ["not a delivery"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_whatever_comes_twice_late_or_breaks_off_each_target_hears_of_every_change(data):
    """The stream in any cuts, again and again, broken off between two sends; the queue in any order."""
    with service(app) as (at_hand, gateway), scripted_server() as server:
        server.answers = [(200, {}, None)]
        with_networks(at_hand)
        put_hook(at_hand, server.url, models=("delays",))
        people = {"token": token_of("scientist", "engineer")}
        for name in ("delays", "fraud"):
            gateway.call("POST", "/v1/models", {"name": name, "team": TEAM, "task": "binary"}, **people)
        bundle = logistic_bundle((0.5, -0.25))
        at_hand.upload(bundle)
        gateway.call("POST", "/v1/models/delays/versions", {"manifest": bundle.manifest}, **people)
        records = committed(at_hand)

        _stream(data, at_hand, records)
        _queue(data, at_hand, server)

        on_record = {}
        for item in at_hand.lineage.table.dump():
            if item["sk"].startswith("CHANGE#"):
                entry = json.loads(item["entry"])
                on_record[entry["id"]] = (item["scope"], item["number"])
        heard = {
            "bus": at_hand.event_bus.events,
            "topic": at_hand.event_topic.events,
            "webhook": [json.loads(seen.body) for seen in server.seen],
        }
        for target, events in heard.items():
            texts = defaultdict(set)
            for event in events:
                texts[event["id"]].add(text_of(event))
            assert all(len(found) == 1 for found in texts.values()), target
            own = {id_ for id_, (scope, _) in on_record.items() if scope == "delays"}
            expected = own if target == "webhook" else set(on_record)
            assert set(texts) == expected, target
            by_source = defaultdict(set)
            for event in events:
                by_source[event["source"]].add(int(event["sequence"]))
            for numbers in by_source.values():
                assert numbers == set(range(1, max(numbers) + 1))


def _stream(data, at_hand, records):
    """Give records as a stream does: in order, in any cuts, from the failure on again, some once more."""
    position = 0
    breaks = data.draw(st.lists(st.integers(0, 10), max_size=4))
    while position < len(records):
        start = max(0, position - data.draw(st.integers(0, 2)))
        batch = records[start : position + data.draw(st.integers(1, 4))]
        at_hand.delivery_queue.breaks_after = breaks.pop() if breaks else None
        try:
            run_outbox(batch)
        except ConnectionError:
            continue
        position = max(position, start + len(batch))


def _queue(data, at_hand, server):
    """Give messages as a queue does: in any order, some twice, and again what failed."""
    waiting = list(at_hand.delivery_queue.sent)
    waiting += data.draw(st.lists(st.sampled_from(waiting), max_size=3))
    waiting = data.draw(st.permutations(waiting))
    statuses = data.draw(st.lists(st.sampled_from([200, 500, 429]), max_size=4))
    server.answers = [(status, {}, None) for status in statuses] + [(200, {}, None)]
    rounds = 0
    while waiting:
        cut = data.draw(st.integers(1, len(waiting)))
        at_hand.event_bus.breaks = rounds < 3 and data.draw(st.booleans())
        failed = run_courier(waiting[:cut], receives=1)
        waiting = waiting[cut:] + failed
        rounds += 1
