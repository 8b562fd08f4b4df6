"""Monitoring's functions: telemetry from the queue (`ingest`), and hours that are due (`watch`)."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any

from chalice.app import Blueprint, CloudWatchEvent, Rate, SQSEvent

from chalicelib.bootstrap import Container, container

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

    from chalicelib.monitoring.counting import Counters

bp = Blueprint(__name__)
log = logging.getLogger("tiltyard.ingest")

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
    """Close the hours that are due."""
    from chalicelib.monitoring import closing

    at_hand = container()
    context: Any = event.context
    closed = closing.close_due(
        at_hand.ledger,
        at_hand.lineage,
        counters(at_hand),
        now=at_hand.clock(),
        is_time_left=lambda: context is None or context.get_remaining_time_in_millis() > MARGIN_MS,
    )
    log.info("closed %d hours of versions", closed)
    return {"closed": closed}


@functools.lru_cache(maxsize=1)
def counters(at_hand: Container) -> Counters:
    """Kept, for the next batch is of the same versions."""
    from chalicelib.monitoring.counting import Counters

    return Counters(at_hand.lineage, at_hand.artifacts)
