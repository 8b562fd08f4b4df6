"""How the last deliveries to a webhook went, as two items beside it in the `lineage` table.

The last one that was taken and the last one that failed are written each by
itself, so that couriers at work side by side never undo one another. They are
no part of the record: both expire after 90 days.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.lineage import items, tables
from chalicelib.lineage.items import Item, Key
from chalicelib.lineage.records import Webhook
from chalicelib.lineage.store import Table
from chalicelib.lineage.writes import PutItem

KEPT = timedelta(days=90)
_TAKEN, _FAILED = "DELIVERY#TAKEN#", "DELIVERY#FAILED#"


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """One attempt: `event` is the event's id, `detail` what the receiver said of it, or why it couldn't."""

    at: datetime
    event: str
    detail: str
    is_taken: bool


@dataclass(frozen=True, slots=True)
class LastDeliveries:
    taken: DeliveryAttempt | None = None
    failed: DeliveryAttempt | None = None


class TableDeliveries:
    """The `Deliveries` port over a table."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def note(self, webhook: Webhook, attempt: DeliveryAttempt) -> None:
        key = _key(webhook, is_taken=attempt.is_taken)
        item: Item = {
            "pk": key.pk,
            "sk": key.sk,
            "kind": "delivery",
            "at": items.text_of(attempt.at),
            "event": attempt.event,
            "detail": attempt.detail,
            tables.TTL_ATTRIBUTE: int((attempt.at + KEPT).timestamp()),
        }
        self._table.transact([PutItem(item, None)])

    def last(self, webhook: Webhook) -> LastDeliveries:
        keys = [_key(webhook, is_taken=is_taken) for is_taken in (True, False)]
        found = {item["sk"]: item for item in self._table.get_many(keys)}
        taken, failed = (found.get(key.sk) for key in keys)
        return LastDeliveries(
            None if taken is None else _attempt(taken, is_taken=True),
            None if failed is None else _attempt(failed, is_taken=False),
        )


def _key(webhook: Webhook, *, is_taken: bool) -> Key:
    return Key(items.head_pk(webhook.model), (_TAKEN if is_taken else _FAILED) + webhook.id)


def _attempt(item: Item, *, is_taken: bool) -> DeliveryAttempt:
    return DeliveryAttempt(items.time_of(item["at"]), item["event"], item["detail"], is_taken)
