"""From the table's stream to the targets, in two steps that each may be done again at any time.

The outbox turns a committed change into a message for every target; the
courier hands over one message. Between them is a queue, so that a target that
is away keeps nobody else waiting.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.lineage.deliveries import DeliveryAttempt
from chalicelib.lineage.records import Webhook
from chalicelib.outbox import rules
from chalicelib.outbox.calls import Caller, Reply
from chalicelib.outbox.events import MEDIA_TYPE
from chalicelib.outbox.messages import Delivery, deliveries
from chalicelib.ports import Announcer, Deliveries, DeliveryQueue, LineageStore, Pseudonyms
from tiltyard.errors import IntegrityError, InvalidInput, Unavailable
from tiltyard.events.signature import headers

log = logging.getLogger("tiltyard.outbox")

USER_AGENT = "Tiltyard-Webhooks"
GONE = 410
# How long the secret before a rotation still signs beside the new one.
BOTH_SECRETS = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Targets:
    """What the courier hands over to, and where it notes how that went."""

    lineage: LineageStore
    bus: Announcer
    topic: Announcer
    caller: Caller
    deliveries: Deliveries
    pseudonyms: Pseudonyms


class Outbox:
    """Announces changes of one batch; webhooks are read once a team."""

    def __init__(self, lineage: LineageStore, queue: DeliveryQueue, *, stage: str) -> None:
        self._lineage = lineage
        self._queue = queue
        self._stage = stage
        self._webhooks: dict[str, tuple[Webhook, ...]] = {}

    def announce(self, scope: str, number: int) -> None:
        """Queue a change for all who hear of it.

        It is read again from the table, strongly consistent: what isn't there
        was never committed. Raises `IntegrityError` then. When it fails, some may
        be queued already: announcing it again queues them twice.
        """
        logged = self._lineage.change(scope, number)
        if logged is None:
            raise IntegrityError(f"the stream tells of change {number} of {scope}, which isn't on record")
        for delivery in deliveries(logged, self._of_team(logged.team), stage=self._stage):
            self._queue.send(delivery.to_text())

    def _of_team(self, team: str) -> Iterable[Webhook]:
        if team not in self._webhooks:
            page = self._lineage.webhooks(team, limit=rules.MAX_WEBHOOKS, cursor=None)
            self._webhooks[team] = page.items
        return self._webhooks[team]


def deliver(delivery: Delivery, targets: Targets, *, now: datetime) -> None:
    """Hand one message over.

    A webhook that was deleted or disabled since, or that answers 410, gets it
    no more; that isn't a failure. A message may come twice: whoever receives it
    tells by the event's id.

    Raises
    ------
    Unavailable, InvalidInput
        When the target didn't take it, or may not be called.
    """
    match delivery.target.kind:
        case "bus":
            targets.bus.publish(json.loads(delivery.body))
        case "topic":
            targets.topic.publish(json.loads(delivery.body))
        case "webhook":
            webhook = targets.lineage.webhook(delivery.target.team, delivery.target.webhook)
            if webhook is None or not webhook.enabled:
                log.info("event %s: webhook %s is gone", delivery.event_id, delivery.target.webhook)
                return
            _call(webhook, delivery, targets, now=now)


def send(
    webhook: Webhook, delivery: Delivery, caller: Caller, pseudonyms: Pseudonyms, *, now: datetime
) -> Reply:
    """Sign a delivery and send it; see `Caller.post` for what may go wrong."""
    body = delivery.body.encode()
    signed = headers(
        secrets_of(webhook, pseudonyms, now=now),
        delivery_id=f"{delivery.event_id}.{webhook.id}",
        at=now,
        body=body,
    )
    return caller.post(webhook.url, body, {**signed, "Content-Type": MEDIA_TYPE, "User-Agent": USER_AGENT})


def secrets_of(webhook: Webhook, pseudonyms: Pseudonyms, *, now: datetime) -> tuple[str, ...]:
    """The webhook's secret, and the one before it for a day, so that receivers can change over."""
    secrets = [pseudonyms.webhook_secret(webhook.id, webhook.rotation)]
    if webhook.rotated_at is not None and now - webhook.rotated_at < BOTH_SECRETS:
        secrets.append(pseudonyms.webhook_secret(webhook.id, webhook.rotation - 1))
    return tuple(secrets)


def _call(webhook: Webhook, delivery: Delivery, targets: Targets, *, now: datetime) -> None:
    try:
        reply = send(webhook, delivery, targets.caller, targets.pseudonyms, now=now)
    except (InvalidInput, Unavailable) as exc:
        targets.deliveries.note(webhook, DeliveryAttempt(now, delivery.event_id, str(exc), is_taken=False))
        raise
    detail = f"HTTP {reply.status}"
    if reply.status == GONE:
        detail += ": the receiver wants no more of them"
    attempt = DeliveryAttempt(now, delivery.event_id, detail, is_taken=reply.is_success)
    targets.deliveries.note(webhook, attempt)
    if not reply.is_success and reply.status != GONE:
        raise Unavailable(f"webhook {webhook.id} answered {detail}")
