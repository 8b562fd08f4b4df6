"""The notary's function: a wake-up on its queue, whatever it says, and it logs all that waits."""

from __future__ import annotations

import logging
from typing import Any

from chalice.app import Blueprint, SQSEvent

from chalicelib.bootstrap import Container, container

bp = Blueprint(__name__)
log = logging.getLogger("tiltyard.notary")

WAKE_UP = "{}"
# Left for what a batch still writes once the time is found to be short.
MARGIN_MS = 20_000


# The packaging points this at the stack's own queue.
@bp.on_sqs_message(
    queue="tiltyard-notary", batch_size=10, name="notary", maximum_batching_window_in_seconds=1
)
def notarise(event: SQSEvent) -> dict[str, Any]:
    """Log what waits. A failure fails the whole batch of wake-ups, and they come again."""
    from chalicelib.governance import notary

    at_hand = container()
    context: Any = event.context
    is_done = notary.notarise(
        at_hand.log,
        at_hand.log_objects,
        at_hand.log_signer,
        origin=at_hand.log_origin,
        is_time_left=lambda: context is None or context.get_remaining_time_in_millis() > MARGIN_MS,
    )
    if not is_done:
        wake(at_hand)
    return {"batchItemFailures": []}


def wake(at_hand: Container) -> None:
    at_hand.notary_queue.send(WAKE_UP)
