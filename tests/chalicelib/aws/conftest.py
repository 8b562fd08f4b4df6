"""moto's AWS with what a stage has: table, buckets, queue and key."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from chalicelib import aws
from chalicelib.lineage import tables
from chalicelib.settings import Settings

REGION = "eu-west-1"


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """`settings` of the stage and a client for each service: `dynamodb`, `s3`, `sqs`, `kms`."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        clients: dict[str, Any] = {
            name: boto3.client(name, region_name=REGION)  # type: ignore[call-overload]
            for name in ("dynamodb", "s3", "sqs", "kms")
        }
        clients["dynamodb"].create_table(TableName="lineage", **tables.lineage_schema())
        for bucket in ("artifacts-bucket", "lake-bucket"):
            clients["s3"].create_bucket(
                Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION}
            )
        names = (
            "telemetry",
            "exams",
            "notary",
            "delivery",
            "delivery-dead-letters",
            "telemetry-dead-letters",
        )
        queues = [clients["sqs"].create_queue(QueueName=name)["QueueUrl"] for name in names]
        key = clients["kms"].create_key()["KeyMetadata"]["KeyId"]
        aws.forget()
        yield SimpleNamespace(settings=settings_of(queues, key), **clients)
        aws.forget()


def settings_of(queues: list[str], key: str) -> Settings:
    return Settings(
        stage="test",
        lineage_table="lineage",
        ledger_table="ledger",
        artifacts_bucket="artifacts-bucket",
        lake_bucket="lake-bucket",
        incoming_bucket="incoming-bucket",
        audit_bucket="audit-bucket",
        telemetry_queue_url=queues[0],
        examination_queue_url=queues[1],
        notary_queue_url=queues[2],
        delivery_queue_url=queues[3],
        delivery_dead_letters_url=queues[4],
        telemetry_dead_letters_url=queues[5],
        event_bus="events",
        event_topic_arn=f"arn:aws:sns:{REGION}:123456789012:events",
        audit_key_id=key,
        pepper_key_id=key,
        telemetry_key_id=key,
        issuers=(),
    )
