"""Telemetry on the deployed stack: what was answered is stored, counted and in the lake, a moment later."""

import gzip
import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
from waiting import waited_for


def test_every_row_of_a_request_is_stored_once(live, champion):
    ids = [f"telemetry-{number}" for number in range(300)]
    rows = pd.DataFrame({"height": np.linspace(-2, 2, 300), "width": np.linspace(2, -2, 300)})
    with live.client("caller") as client:
        client.predict(champion, rows, ids=ids)

    ledger = live.aws("dynamodb")

    def stored():
        item = ledger.get_item(
            TableName=live.outputs["LedgerTableName"],
            Key={"pk": {"S": f"P#{champion}#{ids[-1]}"}, "sk": {"S": "ROW"}},
        )
        return item.get("Item")

    item = waited_for(stored)
    bucket = live.outputs["LakeBucketName"]
    content = live.aws("s3").get_object(Bucket=bucket, Key=item["lake"]["S"])["Body"].read()
    lines = [json.loads(line) for line in gzip.decompress(content).splitlines()]
    assert lines[int(item["line"]["N"])]["id"] == ids[-1]
    assert {line["id"] for line in lines} >= set(ids)


def test_what_was_counted_is_told_by_window(live, champion):
    rows = pd.DataFrame({"height": np.linspace(-2, 2, 300), "width": np.full(300, 0.5)})
    with live.client("caller", "viewer") as client:
        client.predict(champion, rows)
        counted = waited_for(
            lambda: [w for w in client.quality(champion, step="hour").windows if w["rows"] >= 300]
        )
        drift = client.drift(champion, step="hour")

    assert set(counted[-1]["columns"]) == {"height", "width"}
    distances = {"~reconstruction", "~mahalanobis"}
    assert set(drift.windows[-1]["features"]) == {"height", "width", "prediction", *distances}
    assert set(drift.body["titles"]) == distances
    assert sum(window["rows"] for window in drift.windows) >= 300


def run_watch(live):
    """Call the watch as a schedule of EventBridge does."""
    functions = live.aws("lambda")
    (name,) = [
        found["FunctionName"]
        for found in functions.list_functions()["Functions"]
        if "-Watch-" in found["FunctionName"]
    ]
    event = {
        "version": "0",
        "id": "watch-1",
        "account": "000000000000",
        "time": "2026-02-01T06:15:00Z",
        "region": "us-east-1",
        "source": "aws.events",
        "detail-type": "Scheduled Event",
        "resources": [],
        "detail": {},
    }
    answer = functions.invoke(FunctionName=name, Payload=json.dumps(event).encode())
    said = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, said
    return said


def test_the_watch_closes_what_is_due(live, champion):
    assert run_watch(live)["closed"] >= 0


def test_what_telemetry_could_not_be_counted_is_alerted_until_it_is_gone(live, champion):
    sqs = live.aws("sqs")
    url = live.outputs["TelemetryDeadLettersUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="no telemetry")

    assert run_watch(live)["faults"] >= 1

    with live.client("admin", teams=()) as client:
        (alert,) = [alert for alert in client.alerts() if alert.kind == "dead-letters"]
        assert (alert.id, alert.severity) == ("team:tiltyard.dead-letters.1", "critical")
        assert "telemetry" in alert.subjects
        sqs.purge_queue(QueueUrl=url)

        def is_over():
            run_watch(live)
            return client.alert(alert.id).state == "resolved"

        assert waited_for(is_over)


def test_a_day_is_counted_as_the_lake_says(live, champion):
    rows = pd.DataFrame({"height": np.linspace(-2, 2, 120), "width": np.full(120, 0.5)})
    at = datetime.now(UTC) - timedelta(minutes=1)
    with live.client("caller", "scientist") as client:
        client.predict(champion, rows, at=at)

        def counted():
            hours = list(client.reconcile(champion, at.date()))
            return hours if sum(hour.rows for hour in hours) >= 120 else None

        hours = waited_for(counted)

    assert {hour.state for hour in hours} <= {"equal", "changing"}
