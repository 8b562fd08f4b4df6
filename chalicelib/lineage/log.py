"""The transparency log's head and the entries that wait for it, as items of the `lineage` table.

``AUDIT#LOG``/``HEAD`` is moved by one conditional write on its revision, so of
two notaries one loses and has changed nothing. An entry leaves ``AUDIT#PENDING``
in the same transaction that marks its change on record with its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chalicelib.lineage import items, record_items
from chalicelib.lineage.items import Item, Key
from chalicelib.lineage.store import Rows, Table
from chalicelib.lineage.writes import Absent, AtRevision, DeleteItem, Operation, PutItem
from tiltyard.audit.merkle import EMPTY_ROOT
from tiltyard.errors import IntegrityError

HEAD_KEY = Key("AUDIT#LOG", "HEAD")
# A change and its pending entry are two operations of a transaction, which holds 100.
MARKED_AT_ONCE = 25


@dataclass(frozen=True, slots=True)
class Planned:
    """An entry whose place is decided: its id, and its leaf hash (32 bytes)."""

    id: str
    leaf: bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """Entries in their order from index `first` on; done once the head has moved past them."""

    first: int
    entries: tuple[Planned, ...]
    is_done: bool = False


@dataclass(frozen=True, slots=True)
class LogHead:
    """The state of the log: `frontier` are the roots that it grows from (see `merkle.Frontier`).

    `revision` is the fence: a notary that read another one can't move the head.
    """

    size: int = 0
    root: bytes = EMPTY_ROOT
    frontier: tuple[bytes, ...] = ()
    plan: Plan | None = None
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Pending:
    """A committed entry that waits for its place; `scope` and `number` name its change on record."""

    id: str
    entry: bytes
    scope: str
    number: int


class TableLog:
    """Reads and writes of the head and of pending entries. Reads are strongly consistent."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def head(self) -> LogHead:
        item = self._table.get(HEAD_KEY)
        return LogHead() if item is None else _head_from(item)

    def move(self, head: LogHead) -> LogHead:
        """Put `head` in place of the one of its revision; raises `LostRace` when there is another by now."""
        moved = replace(head, revision=head.revision + 1)
        condition = AtRevision(head.revision) if head.revision else Absent()
        self._table.transact([PutItem(_head_item(moved), condition)])
        return moved

    def waiting(self, *, limit: int) -> list[Pending]:
        """The oldest entries without a place."""
        rows = Rows(record_items.AUDIT_PENDING, items.FIRST, items.LAST, is_consistent=True)
        return [_pending_from(item) for item in self._table.query(rows, limit=limit)]

    def pending(self, ids: Sequence[str]) -> dict[str, Pending]:
        """Those of the entries that still wait, by id."""
        found = self._table.get_many([Key(record_items.AUDIT_PENDING, i) for i in ids])
        return {pending.id: pending for pending in map(_pending_from, found)}

    def settle(self, placed: Sequence[tuple[Pending, int]]) -> None:
        """Mark changes on record with their index, and end the wait of their entries; may be repeated."""
        for start in range(0, len(placed), MARKED_AT_ONCE):
            part = placed[start : start + MARKED_AT_ONCE]
            keys = [
                Key(items.head_pk(pending.scope), record_items.change_sk(pending.number))
                for pending, _ in part
            ]
            changes = {items.key_of(item): item for item in self._table.get_many(keys)}
            operations: list[Operation] = []
            for key, (pending, index) in zip(keys, part, strict=True):
                if key not in changes or changes[key]["entry"] != pending.entry:
                    raise IntegrityError(
                        f"change {pending.number} of {pending.scope} isn't on record as it was logged"
                    )
                # Nothing else ever writes a change again, so this needs no condition.
                operations.append(PutItem(changes[key] | {"index": index}, None))
                operations.append(DeleteItem(Key(record_items.AUDIT_PENDING, pending.id), None))
            self._table.transact(operations)


def _head_item(head: LogHead) -> Item:
    plan = head.plan
    return {
        "pk": HEAD_KEY.pk,
        "sk": HEAD_KEY.sk,
        "kind": "log",
        "size": head.size,
        "root": head.root,
        "frontier": list(head.frontier),
        "plan": None
        if plan is None
        else {
            "first": plan.first,
            "entries": [{"id": planned.id, "leaf": planned.leaf} for planned in plan.entries],
            "is_done": plan.is_done,
        },
        "revision": head.revision,
    }


def _head_from(item: Item) -> LogHead:
    plan = item["plan"]
    return LogHead(
        size=item["size"],
        root=item["root"],
        frontier=tuple(item["frontier"]),
        plan=None
        if plan is None
        else Plan(
            plan["first"],
            tuple(Planned(planned["id"], planned["leaf"]) for planned in plan["entries"]),
            plan["is_done"],
        ),
        revision=item["revision"],
    )


def _pending_from(item: Item) -> Pending:
    return Pending(item["sk"], item["entry"], item["scope"], item["number"])
