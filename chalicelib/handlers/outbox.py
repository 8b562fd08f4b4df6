"""Telling the world: the stream's one consumer (`outbox`), and who hands each message over (`courier`).

The packaging points `outbox` at the lineage table's stream and lets through only
changes that were put on record; they are told apart here once more. What fails
comes again, in its order, so a change may be announced twice and is never left out.
"""

from __future__ import annotations

import logging
from typing import Any

from chalice.app import Blueprint, DynamoDBEvent, SQSEvent

from chalicelib.bootstrap import Container, container

bp = Blueprint(__name__)
log = logging.getLogger("tiltyard.outbox")


@bp.on_dynamodb_record(
    stream_arn="arn:aws:dynamodb:::table/tiltyard-lineage/stream/by-the-packaging",
    batch_size=100,
    starting_position="TRIM_HORIZON",
    name="outbox",
)
def announce(event: DynamoDBEvent) -> dict[str, Any]:
    """Wake the notary once for all changes of the batch, and queue each for all who hear of it.

    A failure fails the batch: the stream gives it again, in halves to find what is at fault.
    """
    from chalicelib.handlers.notary import wake
    from chalicelib.lineage.record_items import scope_of
    from chalicelib.outbox.service import Outbox

    at_hand = container()
    changes = [record for record in (given.to_dict() for given in event) if _is_change(record)]
    if changes:
        wake(at_hand)
    outbox = Outbox(at_hand.lineage, at_hand.delivery_queue, stage=at_hand.settings.stage)
    for record in changes:
        keys = record["dynamodb"]["Keys"]
        scope, number = scope_of(keys["pk"]["S"]), int(keys["sk"]["S"].rpartition("#")[2])
        outbox.announce(scope, number)
    return {"announced": len(changes)}


# The packaging points this at the stack's own queue. One message at a time: a slow receiver holds up its own.
@bp.on_sqs_message(queue="tiltyard-delivery", batch_size=1, name="courier")
def deliver(event: SQSEvent) -> dict[str, list[dict[str, str]]]:
    """Hand messages over. One that wasn't taken comes again, later each time, and is kept aside at last."""
    failed = []
    for record in event:
        message = record.to_dict()
        try:
            _deliver(str(record.body))
        except Exception:
            log.exception("delivery %s failed", message["messageId"])
            failed.append({"itemIdentifier": str(message["messageId"])})
            _postpone(container(), message)
    return {"batchItemFailures": failed}


def _deliver(body: str) -> None:
    from chalicelib.outbox import service
    from chalicelib.outbox.calls import Caller
    from chalicelib.outbox.messages import Delivery

    at_hand = container()
    targets = service.Targets(
        lineage=at_hand.lineage,
        bus=at_hand.event_bus,
        topic=at_hand.event_topic,
        caller=Caller(at_hand.settings.webhook_networks),
        deliveries=at_hand.deliveries,
        pseudonyms=at_hand.pseudonyms,
    )
    service.deliver(Delivery.from_text(body), targets, now=at_hand.wall())


def _postpone(at_hand: Container, message: dict[str, Any]) -> None:
    from chalicelib.outbox.messages import pause_s

    attempts = int(message.get("attributes", {}).get("ApproximateReceiveCount", "1"))
    try:
        at_hand.delivery_queue.postpone(message["receiptHandle"], pause_s(attempts))
    except Exception:
        # Then it comes again after the queue's own timeout.
        log.exception("delivery %s couldn't be postponed", message["messageId"])


def _is_change(record: dict[str, Any]) -> bool:
    """Whether a change was put on record; the notary marks it later, which is news to nobody."""
    key = record.get("dynamodb", {}).get("Keys", {}).get("sk", {}).get("S", "")
    return record.get("eventName") == "INSERT" and str(key).startswith("CHANGE#")
