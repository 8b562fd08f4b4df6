"""One change as a list of conditional operations: pure, to be carried out all or none.

The head of the model is always the first operation. It is conditional on the
revision that was read, so changes of one model come one after the other and
their numbers have no gap; a plan made from stale records can't be carried out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Generic

from chalicelib.lineage import alert_items, items, record_items
from chalicelib.lineage.alerts import Alert
from chalicelib.lineage.items import Item, Key
from chalicelib.lineage.records import (
    Alias,
    Append,
    Change,
    H,
    Head,
    Logged,
    Model,
    Pointer,
    Policy,
    Put,
    Remove,
    Version,
    Webhook,
)
from tiltyard.audit.entry import Entry
from tiltyard.errors import InvalidInput, LostRace, TiltyardError

MAX_OPERATIONS = 50
MAX_EDGES = 30
MAX_POINTER_BYTES = 16 * 1024
# DynamoDB allows 400 KB; what is left over pays for the indexes' keys.
MAX_ITEM_BYTES = 390 * 1024
IDEMPOTENCY_LIFETIME = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Absent:
    """Nothing may be stored under the key."""


@dataclass(frozen=True, slots=True)
class AtRevision:
    """The stored item must have this revision."""

    revision: int


@dataclass(frozen=True, slots=True)
class AbsentOrExpired:
    """What is stored, if anything, must have expired by `now` (epoch seconds).

    DynamoDB deletes expired items only some time later, so absence alone would
    keep a key blocked for longer than was promised.
    """

    now: int


Condition = Absent | AtRevision | AbsentOrExpired


@dataclass(frozen=True, slots=True)
class PutItem:
    item: Item
    condition: Condition | None


@dataclass(frozen=True, slots=True)
class DeleteItem:
    key: Key
    condition: Condition | None


@dataclass(frozen=True, slots=True)
class CheckItem:
    """Writes nothing: the others are written only if this holds."""

    key: Key
    condition: Condition


Operation = PutItem | DeleteItem | CheckItem


def key_of(operation: Operation) -> Key:
    return items.key_of(operation.item) if isinstance(operation, PutItem) else operation.key


def lost_race(keys: Sequence[Key]) -> LostRace:
    """What a transaction raises when the conditions on these keys don't hold."""
    first = keys[0]
    return LostRace(
        f"{first.pk} {first.sk} changed since it was read; read it again",
        keys=[(key.pk, key.sk) for key in keys],
    )


@dataclass(frozen=True, slots=True)
class Plan(Generic[H]):
    """What a change writes, and the head once it is written."""

    head: H
    operations: tuple[Operation, ...]


def plan(change: Change[H], *, now: datetime, entry_id: str, commitment: str | None) -> Plan[H]:
    """The operations of a change, at most 50.

    Parameters
    ----------
    change
        What to write; every record in it must belong to `change.model`.
    now
        Real time: idempotency keys expire by it, whatever the time of the change is.
    entry_id
        Id of the pending audit entry, ordered by time.
    commitment
        Keyed commitment of `change.reason`; None exactly when there is no reason.

    Raises
    ------
    InvalidInput
        If a record or the audit entry would be too large to store.
    TiltyardError
        If the change isn't one change of one model: a caller's mistake in the
        service, never in the request.
    """
    if (change.reason is None) != (commitment is None):
        raise TiltyardError(f"{change.action}: a reason and its commitment go together")
    head = replace(change.model, revision=change.model.revision + 1, changes=change.model.changes + 1)
    at = items.text_of(change.attempt.at)
    operations = (
        PutItem(_head_item(head), _condition(change.model.revision)),
        *(operation for write in change.writes for operation in _record(write, head)),
        *(PutItem(record_items.edge_item(edge, at=at), None) for edge in change.edges),
        *(PutItem(record_items.node_item(node), None) for node in change.nodes),
        *_beside(change, now=now, entry_id=entry_id, commitment=commitment, number=head.changes),
    )
    _check(change, operations)
    return Plan(head, operations)


def _head_item(head: Head) -> Item:
    return items.model_item(head) if isinstance(head, Model) else record_items.team_item(head)


def _record(write: Put | Append | Remove, head: Head) -> Iterator[Operation]:
    record, scope = write.record, head.name
    if isinstance(record, Model):
        raise TiltyardError(f"the head of {record.name} is the change's own head, not one of its writes")
    if record.model != scope:
        raise TiltyardError(f"a change of {scope} can't write a record of {record.model}")
    if isinstance(write, Remove):
        yield DeleteItem(_removed(write.record), AtRevision(write.record.revision))
    elif isinstance(write, Append):
        yield PutItem(items.reign_item(replace(write.record, change=head.changes)), Absent())
    else:
        yield from _put(write, number=head.changes)


def _removed(record: Alias | Webhook) -> Key:
    sk = items.alias_sk(record.name) if isinstance(record, Alias) else record_items.webhook_sk(record.id)
    return Key(items.head_pk(record.model), sk)


def _put(write: Put, *, number: int) -> Iterator[Operation]:
    record = write.record
    condition = _condition(record.revision)
    if isinstance(record, Version):
        yield PutItem(items.version_item(replace(record, revision=record.revision + 1)), condition)
        if record.revision == 0:
            # The same bundle can't become two versions, however close together they are registered.
            yield PutItem(items.digest_item(record), Absent())
    elif isinstance(record, Pointer):
        yield PutItem(items.pointer_item(replace(record, revision=record.revision + 1)), condition)
    elif isinstance(record, Policy):
        current, past = items.policy_items(replace(record, revision=record.revision + 1))
        yield PutItem(current, condition)
        yield PutItem(past, Absent())
    elif isinstance(record, Alias):
        # A change raises a revision by one at most, so this one is above all that the name ever had.
        revision = record.revision + 1 if record.revision else number
        yield PutItem(items.alias_item(replace(record, revision=revision)), condition)
    elif isinstance(record, Alert):
        yield PutItem(alert_items.alert_item(replace(record, revision=record.revision + 1)), condition)
    elif isinstance(record, Webhook):
        yield PutItem(record_items.webhook_item(replace(record, revision=record.revision + 1)), condition)


def _beside(
    change: Change[H], *, now: datetime, entry_id: str, commitment: str | None, number: int
) -> Iterator[Operation]:
    """What every change carries: its audit entry, pending and on record, and what stays out of it."""
    attempt = change.attempt
    entry = Entry(
        id=entry_id,
        time=attempt.at,
        model=change.model.name,
        change=number,
        actor=attempt.actor,
        role=attempt.role,
        action=change.action,
        object=change.object,
        before=change.before,
        after=change.after,
        reason=commitment,
        request_id=attempt.request_id,
    )
    logged = Logged(change.model.name, number, change.model.team, entry.to_bytes(), change.result)
    yield PutItem(record_items.pending_item(entry_id, logged), Absent())
    yield PutItem(record_items.logged_item(logged), Absent())
    yield PutItem(items.text_item(items.actor_key(attempt.actor), attempt.name), None)
    if change.reason is not None and commitment is not None:
        yield PutItem(items.text_item(items.reason_key(commitment), change.reason), None)
    if attempt.idempotency is not None:
        expires_at = int((now + IDEMPOTENCY_LIFETIME).timestamp())
        item = items.done_item(attempt.idempotency, change.result, expires_at=expires_at)
        yield PutItem(item, AbsentOrExpired(int(now.timestamp())))


def _condition(revision: int) -> Condition:
    return AtRevision(revision) if revision else Absent()


def _check(change: Change[H], operations: tuple[Operation, ...]) -> None:
    if len(change.edges) > MAX_EDGES:
        raise TiltyardError(f"{change.action} has {len(change.edges)} edges and may have {MAX_EDGES}")
    if len(operations) > MAX_OPERATIONS:
        raise TiltyardError(f"{change.action} needs {len(operations)} operations of at most {MAX_OPERATIONS}")
    keys = [key_of(operation) for operation in operations]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise TiltyardError(f"{change.action} writes {twice.pk} {twice.sk} twice")
    for operation in operations:
        if isinstance(operation, PutItem):
            _check_size(operation.item)


def _check_size(item: Mapping[str, Any]) -> None:
    size, limit = size_of(item), MAX_POINTER_BYTES if item["sk"] == items.POINTER else MAX_ITEM_BYTES
    if size > limit:
        raise InvalidInput(f"the {item['kind']} takes {size} bytes of at most {limit}; shorten its texts")


def size_of(value: Any) -> int:
    """Bytes of a value as DynamoDB counts them, to within a few: names and values in UTF-8.

    Raises `TiltyardError` for a value that an item can't hold: a fraction, above
    all, since numbers in items are whole.
    """
    if isinstance(value, str):
        try:
            return len(value.encode())
        except UnicodeEncodeError as exc:
            raise InvalidInput("a text holds half of a surrogate pair, which isn't valid Unicode") from exc
    if isinstance(value, bytes):
        return len(value)
    if value is None or isinstance(value, bool):
        return 1
    if isinstance(value, int):
        if abs(value) >= 10**38:
            raise TiltyardError(f"the number {value} is too large for an item")
        return 21
    if isinstance(value, dict):
        return 3 + sum(size_of(name) + size_of(part) + 1 for name, part in value.items())
    if isinstance(value, list):
        return 3 + sum(size_of(part) + 1 for part in value)
    raise TiltyardError(f"an item can't hold a {type(value).__name__}: {value!r}")
