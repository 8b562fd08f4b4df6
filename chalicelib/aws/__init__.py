"""The ports on AWS: the only package of the service that imports boto3.

Each ``open_…`` makes its adapter on first use and keeps it for the container's
life. Clients are shared by all adapters and made late, for one client costs
more start-up time than the whole model path.
"""

from __future__ import annotations

import functools
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from chalicelib.aws.artifacts import S3Artifacts
from chalicelib.aws.dynamo import DynamoLineage, DynamoTable
from chalicelib.aws.events import EventBridgeBus, SnsTopic
from chalicelib.aws.log import KmsSigner, S3Log
from chalicelib.aws.pseudonyms import KmsPseudonyms
from chalicelib.aws.queues import SqsDeadLetters, SqsGauge, SqsQueue
from chalicelib.aws.sealing import KmsSealer
from chalicelib.aws.spool import S3Lake, S3Spool
from chalicelib.lineage.deliveries import TableDeliveries
from chalicelib.lineage.ledger import TableLedger
from chalicelib.lineage.log import TableLog

if TYPE_CHECKING:
    from chalicelib.settings import Settings

_RETRIES: Any = {"mode": "standard", "total_max_attempts": 3}
# Well under the 29 s that API Gateway waits. Keep-alive lets a thawed container notice dead connections.
_QUICK = Config(connect_timeout=1, read_timeout=3, retries=_RETRIES, tcp_keepalive=True)
_CONFIG = {
    "dynamodb": _QUICK,
    "kms": _QUICK,
    "sqs": _QUICK,
    "events": _QUICK,
    "sns": _QUICK,
    "s3": Config(
        connect_timeout=1,
        read_timeout=8,
        retries=_RETRIES,
        tcp_keepalive=True,
        # Presigned requests must go to the bucket's own region: the global endpoint redirects
        # for hours after a bucket is made, and a redirected upload fails its signature.
        signature_version="s3v4",
        s3={"addressing_style": "virtual"},
        # Uploads name their SHA-256; a CRC beside it would be a header that callers don't send.
        request_checksum_calculation="when_required",
    ),
}
_session_lock = threading.RLock()


@functools.cache
def open_lineage(settings: Settings) -> DynamoLineage:
    return DynamoLineage(_client("dynamodb"), settings.lineage_table, open_pseudonyms(settings))


@functools.cache
def open_artifacts(settings: Settings) -> S3Artifacts:
    return S3Artifacts(_client("s3"), settings.artifacts_bucket)


@functools.cache
def open_telemetry_queue(settings: Settings) -> SqsQueue:
    return SqsQueue(_client("sqs"), settings.telemetry_queue_url)


@functools.cache
def open_examination_queue(settings: Settings) -> SqsQueue:
    return SqsQueue(_client("sqs"), settings.examination_queue_url)


@functools.cache
def open_notary_queue(settings: Settings) -> SqsQueue:
    return SqsQueue(_client("sqs"), settings.notary_queue_url)


@functools.cache
def open_delivery_queue(settings: Settings) -> SqsQueue:
    return SqsQueue(_client("sqs"), settings.delivery_queue_url)


@functools.cache
def open_gauge(settings: Settings) -> SqsGauge:
    return SqsGauge(_client("sqs"), dict(settings.watched_queues))


@functools.cache
def open_dead_letters(settings: Settings) -> SqsDeadLetters:
    return SqsDeadLetters(_client("sqs"), settings.delivery_dead_letters_url)


@functools.cache
def open_telemetry_dead_letters(settings: Settings) -> SqsDeadLetters:
    return SqsDeadLetters(_client("sqs"), settings.telemetry_dead_letters_url)


@functools.cache
def open_deliveries(settings: Settings) -> TableDeliveries:
    return TableDeliveries(DynamoTable(_client("dynamodb"), settings.lineage_table))


@functools.cache
def open_bus(settings: Settings) -> EventBridgeBus:
    return EventBridgeBus(_client("events"), settings.event_bus)


@functools.cache
def open_topic(settings: Settings) -> SnsTopic:
    return SnsTopic(_client("sns"), settings.event_topic_arn)


@functools.cache
def open_log(settings: Settings) -> TableLog:
    return TableLog(DynamoTable(_client("dynamodb"), settings.lineage_table))


@functools.cache
def open_log_objects(settings: Settings) -> S3Log:
    return S3Log(_client("s3"), settings.audit_bucket)


@functools.cache
def open_log_signer(settings: Settings) -> KmsSigner:
    return KmsSigner(_client("kms"), settings.audit_key_id)


@functools.cache
def open_spool(settings: Settings) -> S3Spool:
    return S3Spool(_client("s3"), settings.lake_bucket)


@functools.cache
def open_sealer(settings: Settings) -> KmsSealer:
    return KmsSealer(_client("kms"), settings.telemetry_key_id, stage=settings.stage)


@functools.cache
def open_lake(settings: Settings) -> S3Lake:
    return S3Lake(_client("s3"), settings.lake_bucket)


@functools.cache
def open_ledger(settings: Settings) -> TableLedger:
    table = DynamoTable(_client("dynamodb"), settings.ledger_table)
    from chalicelib.settings import REPLAY

    clock = (lambda: datetime.now(UTC)) if settings.clock == REPLAY else None
    return TableLedger(table, retention=timedelta(days=settings.ledger_days), clock=clock)


@functools.cache
def open_pseudonyms(settings: Settings) -> KmsPseudonyms:
    table = DynamoTable(_client("dynamodb"), settings.lineage_table)
    return KmsPseudonyms(_client("kms"), table, key_id=settings.pepper_key_id, stage=settings.stage)


def forget() -> None:
    """Drop every adapter and client, so that the next use makes them anew (another region, another test)."""
    for made in (
        open_lineage,
        open_artifacts,
        open_telemetry_queue,
        open_examination_queue,
        open_notary_queue,
        open_delivery_queue,
        open_dead_letters,
        open_telemetry_dead_letters,
        open_deliveries,
        open_bus,
        open_topic,
        open_log,
        open_log_objects,
        open_log_signer,
        open_spool,
        open_lake,
        open_sealer,
        open_ledger,
        open_pseudonyms,
        _made_client,
        _session,
    ):
        made.cache_clear()


def _client(service: str) -> Any:
    # Making clients isn't thread-safe on a shared session; using them is.
    with _session_lock:
        return _made_client(service)


@functools.cache
def _made_client(service: str) -> Any:
    return _session().client(service, config=_CONFIG[service])  # type: ignore[call-overload]


@functools.cache
def _session() -> boto3.Session:
    return boto3.Session()
