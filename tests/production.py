"""A model in production, in this process: it answers, and its telemetry is given to ingest as SQS does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from bundles import profiled_bundle
from chalice.test import Client
from fakes import token_of

from app import app
from chalicelib.monitoring.counting import Counters
from chalicelib.monitoring.rows import lines_of
from tiltyard.stats.summary import Summary

START = "2026-02-01T06:00:00Z"
NOW = datetime(2026, 2, 1, 7, 10, tzinfo=UTC)


def serving(at_hand, gateway, bundle=None):
    """A champion (of `profiled_bundle`, or another one) that answers.

    `ask` sends rows and `messages` takes what the predictor queued.
    """
    at_hand.now = NOW
    expires = NOW + timedelta(days=4000)
    token = token_of("scientist", "engineer", "caller", exp=expires)
    gateway.call("POST", "/v1/models", {"name": "delays", "team": "airport", "task": "binary"}, token=token)
    bundle = bundle or profiled_bundle()
    at_hand.upload(bundle)
    gateway.call("POST", "/v1/models/delays/versions", {"manifest": bundle.manifest}, token=token)
    at_hand.accept("delays", 1)
    gateway.call("POST", "/v1/models/delays/promote", {"version": 1, "reason": "first"}, token=token)

    def ask(rows, *, query="", **more):
        body = {"rows": rows, **more}
        answer = gateway.call("POST", f"/v1/models/delays/predict{query}", body, token=token)
        assert answer.status == 200, answer.body
        return answer.json

    def messages():
        taken = list(at_hand.telemetry_queue.sent)
        at_hand.telemetry_queue.sent.clear()
        return taken

    return SimpleNamespace(
        at_hand=at_hand, gateway=gateway, ask=ask, messages=messages, token=token, expires=expires
    )


def run(bodies):
    """Hand messages to the function as SQS does; those that come again."""
    with Client(app) as client:
        event = client.events.generate_sqs_event(list(bodies))
    for number, record in enumerate(event["Records"]):
        record["messageId"] = str(number)
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: 60_000)
    answer = app.handler_map["ingest"](event, context)
    return [bodies[int(failure["itemIdentifier"])] for failure in answer["batchItemFailures"]]


def counts(at_hand, *, hour=None):
    """All that was counted, of one hour or of all, as one summary."""
    counter = Counters(at_hand.lineage, at_hand.artifacts).read(at_hand.lineage.version("delays", 1))
    total = Summary.empty(counter.layout)
    for item in at_hand.ledger_table.dump():
        if item["kind"] == "window" and hour in {None, item["hour"]}:
            total += Summary.decode(item["summary"], counter.layout)
    return total


def stored(at_hand):
    return {item["id"]: item for item in at_hand.ledger_table.dump() if item["kind"] == "row"}


def in_lake(at_hand):
    found = {}
    for content in at_hand.lake.stored.values():
        found.update({line["id"]: line for line in lines_of(content)})
    return found
