"""Monitoring's functions: telemetry from the queue (`ingest`), and hours that are due (`watch`)."""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chalice.app import Blueprint, CloudWatchEvent, Rate, SQSEvent

from chalicelib.bootstrap import Container, container

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

    from chalicelib.monitoring.counting import Counters
    from chalicelib.triage.rules import Finding

bp = Blueprint(__name__)
log = logging.getLogger("tiltyard.ingest")


def _lag_s(records: Sequence[Mapping[str, Any]], now: datetime) -> int:
    """How many seconds the oldest message of a batch has waited (SQS: SentTimestamp, milliseconds)."""
    sent = [int(record.get("attributes", {}).get("SentTimestamp", 0)) for record in records]
    oldest = min((at for at in sent if at), default=None)
    return 0 if oldest is None else max(0, round(now.timestamp() - oldest / 1000))


# Left for the hour at hand once the time is found to be short.
MARGIN_MS = 15_000


# The packaging points this at the stack's own queue, and says how long telemetry is collected.
@bp.on_sqs_message(
    queue="tiltyard-telemetry", batch_size=1000, name="ingest", maximum_batching_window_in_seconds=5
)
def ingest(event: SQSEvent) -> dict[str, Any]:
    """Count a batch together, and name the messages that must come again."""
    from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

    from chalicelib.monitoring.ingest import Ingest, Message

    at_hand = container()
    batch = event.to_dict()
    taken = Ingest(
        counters(at_hand), at_hand.ledger, at_hand.lake, at_hand.spool_reader, now=at_hand.clock()
    ).take([Message(record["messageId"], record["body"]) for record in batch["Records"]])
    at_hand.ledger.beat("ingest", at_hand.wall(), _lag_s(batch["Records"], at_hand.wall()))
    log.info(
        "%d rows counted, %d of them late; %d were known, %d too old; %d messages failed",
        taken.counted,
        taken.late,
        taken.known,
        taken.too_old,
        len(taken.failed),
    )

    def told(record: SQSRecord) -> None:
        if record.message_id in taken.failed:
            raise taken.failed[record.message_id]

    # A batch that failed whole comes again message by message, like any other.
    processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
    return dict(process_partial_response(batch, told, processor))


@bp.schedule(Rate(5, unit=Rate.MINUTES), name="watch")
def watch(event: CloudWatchEvent) -> dict[str, Any]:
    """Close the hours that are due, check them, and tell what is new."""
    from chalicelib.settings import REPLAY

    at_hand = container()
    context: Any = event.context
    request_id = str(event.event_id)
    done = Closed(0, {})
    if at_hand.settings.clock != REPLAY:
        done = close_hours(
            at_hand,
            now=at_hand.clock(),
            request_id=request_id,
            is_time_left=lambda: context is None or context.get_remaining_time_in_millis() > MARGIN_MS,
        )
    wrong = _look_after_the_stage(at_hand, _Alarms(at_hand, request_id), done.failed)
    log.info(
        "closed %d hours of versions; %d checks failed; %d faults of the stage",
        done.hours,
        len(done.failed),
        wrong,
    )
    return {"closed": done.hours, "failed": len(done.failed), "faults": wrong}


@dataclass(frozen=True, slots=True)
class Closed:
    """How many hours of versions were closed, and the models whose check broke, with why."""

    hours: int
    failed: Mapping[str, str]


def close_hours(
    at_hand: Container, *, now: datetime, request_id: str, is_time_left: Callable[[], bool]
) -> Closed:
    """Close and check the hours that are due at `now`, in order, while there is time."""
    from chalicelib.monitoring import closing
    from chalicelib.monitoring.watching import Watch

    watch = Watch(at_hand.ledger, at_hand.lineage, counters(at_hand), _Alarms(at_hand, request_id=request_id))
    hours = closing.close_due(
        at_hand.ledger,
        at_hand.lineage,
        counters(at_hand),
        now=now,
        then=watch.closed,
        is_time_left=is_time_left,
    )
    return Closed(hours, watch.failed)


def _look_after_the_stage(at_hand: Container, alarms: _Alarms, failed: Mapping[str, str]) -> int:
    """Alert of what is wrong with the stage itself, and end what isn't any more; how much is wrong."""
    from chalicelib.lineage.ids import time_of_uuid7
    from chalicelib.monitoring.diagnosis import KINDS, Vitals, diagnose
    from chalicelib.settings import REPLAY
    from chalicelib.triage.service import STAGE
    from tiltyard.runtime.policy import RUNBOOK

    waiting = at_hand.log.waiting(limit=1)
    # Hours of a replay are closed by its ticks, and none is behind real time.
    cursor = None if at_hand.settings.clock == REPLAY else at_hand.ledger.cursor()
    found = list(
        diagnose(
            Vitals(
                now=at_hand.wall(),
                queues=at_hand.gauge.waiting(),
                beat=at_hand.ledger.last_beat("ingest"),
                unlogged_since=time_of_uuid7(waiting[0].id) if waiting else None,
                closed_until=None if cursor is None else cursor[0],
                failed=failed,
            )
        )
    )
    if found:
        alarms.raise_found(STAGE, found, version=None, runbook=RUNBOOK)
    well = set(KINDS) - {finding.kind for finding in found}
    alarms.recover(STAGE, sorted(well))
    return len(found)


@dataclass(frozen=True, slots=True)
class _Alarms:
    """Tells by alerts."""

    at_hand: Container
    request_id: str

    def raise_found(
        self, model: str, findings: Iterable[Finding], *, version: int | None, runbook: str
    ) -> None:
        from chalicelib.triage import service

        at_hand = self.at_hand
        attempt = service.attempt(at_hand.pseudonyms, at=at_hand.clock(), request_id=self.request_id)
        service.raise_found(
            at_hand.lineage,
            at_hand.pseudonyms,
            model,
            findings,
            version=version,
            runbook=runbook,
            attempt=attempt,
        )

    def recover(self, model: str, kinds: Iterable[str]) -> None:
        from chalicelib.triage import service

        at_hand = self.at_hand
        attempt = service.attempt(at_hand.pseudonyms, at=at_hand.clock(), request_id=self.request_id)
        service.recover(at_hand.lineage, at_hand.pseudonyms, model, kinds, attempt=attempt)


@functools.lru_cache(maxsize=1)
def counters(at_hand: Container) -> Counters:
    """Kept, for the next batch is of the same versions."""
    from chalicelib.monitoring.counting import Counters

    return Counters(at_hand.lineage, at_hand.artifacts)
