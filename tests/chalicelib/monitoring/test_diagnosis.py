"""The stage looks after itself: what is wrong with it, when it is told, and that it ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from moto import mock_aws

from chalicelib.aws.queues import SqsGauge
from chalicelib.lineage.ledger import Beat
from chalicelib.monitoring.diagnosis import Vitals, diagnose

NOW = datetime(2026, 2, 1, 12, 0, tzinfo=UTC)
WELL = Vitals(
    now=NOW,
    queues={"telemetry": 3, "telemetry-dead-letters": 0, "delivery-dead-letters": 0},
    beat=Beat(NOW - timedelta(seconds=10), 4),
    unlogged_since=NOW - timedelta(seconds=30),
    closed_until=NOW - timedelta(hours=1),
    failed={},
)


def ago(**delay):
    return NOW - timedelta(**delay)


@pytest.mark.parametrize(
    "vitals",
    [
        WELL,
        replace(WELL, beat=Beat(ago(hours=5), 4), queues={}),  # nobody asked anything for hours
        replace(WELL, beat=None, unlogged_since=None, closed_until=None, queues={}),
    ],
)
def test_of_a_stage_that_is_well_nothing_is_said(vitals):
    assert list(diagnose(vitals)) == []


@pytest.mark.parametrize(
    ("change", "kind", "subject", "severity"),
    [
        ({"queues": {"telemetry-dead-letters": 1}}, "dead-letters", "telemetry", "critical"),
        ({"queues": {"delivery-dead-letters": 9}}, "dead-letters", "delivery", "warning"),
        ({"beat": Beat(ago(seconds=9), 301)}, "ingest-lag", "telemetry", "warning"),
        ({"beat": Beat(ago(seconds=9), 1000)}, "ingest-lag", "telemetry", "critical"),
        ({"beat": Beat(ago(minutes=16), 4)}, "ingest-lag", "telemetry", "critical"),
        ({"beat": None}, "ingest-lag", "telemetry", "warning"),
        ({"unlogged_since": ago(minutes=6)}, "notary-delay", "audit log", "warning"),
        ({"unlogged_since": ago(minutes=31)}, "notary-delay", "audit log", "critical"),
        ({"closed_until": ago(hours=4)}, "watch-delay", "hours", "warning"),
        ({"failed": {"delays": "ValueError: x"}}, "failed-checks", "delays", "critical"),
    ],
)
def test_each_fault_has_a_name_and_a_severity(change, kind, subject, severity):
    (found,) = diagnose(replace(WELL, **change))

    assert (found.kind, found.subject, found.severity) == (kind, subject, severity)


def test_queues_are_as_full_as_sqs_says(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        sqs = boto3.client("sqs", region_name="eu-west-1")
        urls = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("a", "b")}
        for body in ("1", "2"):
            sqs.send_message(QueueUrl=urls["a"], MessageBody=body)

        assert SqsGauge(sqs, urls).waiting() == {"a": 2, "b": 0}
