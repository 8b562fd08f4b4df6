"""The examiner (a queue) and its sweeper (a schedule).

The queue delivers one message at a time, at least once and in no order; the
answer names the messages that must come again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from chalice.app import Blueprint, CloudWatchEvent, Rate, SQSEvent

from chalicelib.bootstrap import Container, container
from tiltyard.errors import MalformedRequest, NotFound

if TYPE_CHECKING:
    from chalicelib.lineage.records import Attempt

bp = Blueprint(__name__)
log = logging.getLogger("tiltyard.examination")

# Of one sweep; the next one takes the rest.
MAX_UNSENT = 500


# The packaging points this at the stack's own queue.
@bp.on_sqs_message(queue="tiltyard-examination", batch_size=1, name="examiner")
def examine(event: SQSEvent) -> dict[str, list[dict[str, str]]]:
    """Examine the versions that the messages name."""
    failed = []
    for record in event:
        message_id = str(record.to_dict()["messageId"])
        try:
            _examine(str(record.body), request_id=message_id)
        except Exception:
            # Whatever it is, the queue tries again, and keeps the message aside after some times.
            log.exception("examination message %s failed", message_id)
            failed.append({"itemIdentifier": message_id})
    return {"batchItemFailures": failed}


@bp.schedule(Rate(5, unit=Rate.MINUTES), name="sweeper")
def sweep(event: CloudWatchEvent) -> dict[str, Any]:
    """Send again what is still validating or unsent, give up on what waits for an hour, wake the notary."""
    from chalicelib.handlers.notary import wake
    from chalicelib.registry import examination

    at_hand = container()
    wake(at_hand)
    unsent = _send_unsent(at_hand)
    done = examination.sweep(
        lineage=at_hand.lineage,
        queue=at_hand.examination_queue,
        pseudonyms=at_hand.pseudonyms,
        attempt=_attempt(at_hand, request_id=str(event.event_id)),
    )
    log.info("swept: %d sent again, %d rejected, %d records found unsent", done.resent, done.rejected, unsent)
    return {"resent": done.resent, "rejected": done.rejected, "unsent": unsent}


def _send_unsent(at_hand: Container) -> int:
    """Name the telemetry that the queue didn't take; ingest deletes it once it is counted."""
    from chalicelib.serving.telemetry import reference

    keys = at_hand.spool_reader.unsent(MAX_UNSENT)
    for key in keys:
        at_hand.telemetry_queue.send(reference(key))
    return len(keys)


def _examine(body: str, *, request_id: str) -> None:
    from chalicelib.registry import examination
    from chalicelib.registry.trials import TrialLimits

    at_hand = container()
    try:
        model, number = examination.parse_message(body)
        version = examination.examine(
            model,
            number,
            lineage=at_hand.lineage,
            artifacts=at_hand.artifacts,
            pseudonyms=at_hand.pseudonyms,
            attempt=_attempt(at_hand, request_id=request_id),
            limits=TrialLimits(session_memory_bytes=at_hand.settings.session_memory_mb * 2**20),
        )
    except (MalformedRequest, NotFound) as exc:
        # Coming again wouldn't make it better.
        log.error("examination message %s is dropped: %s", request_id, exc)
        return
    log.info("examined version %d of %s: %s", version.number, version.model, version.stage)


def _attempt(at_hand: Container, *, request_id: str) -> Attempt:
    from chalicelib.registry import examination

    return examination.attempt(at_hand.pseudonyms, at=at_hand.clock(), request_id=request_id)
