"""The stream's one consumer: what is committed wakes the notary.

The packaging points it at the lineage table's stream and lets through only
changes that were put on record; they are told apart here once more. A failure
fails the batch, which the stream gives again, in its order.
"""

from __future__ import annotations

from typing import Any

from chalice.app import Blueprint, DynamoDBEvent

from chalicelib.bootstrap import container

bp = Blueprint(__name__)


@bp.on_dynamodb_record(
    stream_arn="arn:aws:dynamodb:::table/tiltyard-lineage/stream/by-the-packaging",
    batch_size=100,
    starting_position="TRIM_HORIZON",
    name="outbox",
)
def announce(event: DynamoDBEvent) -> dict[str, Any]:
    """Wake the notary once for all changes of the batch."""
    from chalicelib.handlers.notary import wake

    if any(_is_change(record.to_dict()) for record in event):
        wake(container())
    return {"batchItemFailures": []}


def _is_change(record: dict[str, Any]) -> bool:
    """Whether a change was put on record; the notary marks it later, which is news to nobody."""
    key = record.get("dynamodb", {}).get("Keys", {}).get("sk", {}).get("S", "")
    return record.get("eventName") == "INSERT" and str(key).startswith("CHANGE#")
