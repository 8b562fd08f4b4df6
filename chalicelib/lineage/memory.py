"""The lineage store in memory: the same plans and the same conditions, under one lock."""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Callable, Sequence
from datetime import datetime

from chalicelib.lineage import items, tables
from chalicelib.lineage.items import Item, Key
from chalicelib.lineage.store import Commitments, Rows, TableLineage, real_time
from chalicelib.lineage.writes import (
    Absent,
    AbsentOrExpired,
    AtRevision,
    Condition,
    DeleteItem,
    Operation,
    PutItem,
    key_of,
    lost_race,
)


class MemoryTable:
    """Items by key. Reads and writes copy, so nobody else holds what is stored."""

    def __init__(self) -> None:
        self._items: dict[Key, Item] = {}
        self._lock = threading.Lock()

    def get(self, key: Key) -> Item | None:
        with self._lock:
            return copy.deepcopy(self._items.get(key))

    def get_many(self, keys: Sequence[Key]) -> list[Item]:
        with self._lock:
            return [copy.deepcopy(self._items[key]) for key in keys if key in self._items]

    def query(self, rows: Rows, *, limit: int) -> list[Item]:
        partition, sort = tables.INDEX_KEYS[rows.index]
        with self._lock:
            found = [
                item
                for item in self._items.values()
                if item.get(partition) == rows.pk and rows.low <= item[sort] <= rows.high
            ]
            found.sort(key=lambda item: str(item[sort]), reverse=rows.newest_first)
            return copy.deepcopy(found[:limit])

    def transact(self, operations: Sequence[Operation]) -> None:
        with self._lock:
            lost = [
                key
                for operation in operations
                if not _holds(operation.condition, self._items.get(key := key_of(operation)))
            ]
            if lost:
                raise lost_race(lost)
            for operation in operations:
                if isinstance(operation, PutItem):
                    self._items[items.key_of(operation.item)] = copy.deepcopy(operation.item)
                elif isinstance(operation, DeleteItem):
                    self._items.pop(operation.key, None)

    def dump(self) -> list[Item]:
        """Everything that is stored, by key."""
        with self._lock:
            return copy.deepcopy(sorted(self._items.values(), key=lambda item: (item["pk"], item["sk"])))


class MemoryLineage(TableLineage):
    """A `LineageStore` for tests and for trying things out."""

    def __init__(
        self,
        commitments: Commitments,
        *,
        clock: Callable[[], datetime] = real_time,
        randomness: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.table = MemoryTable()
        super().__init__(self.table, commitments, clock=clock, randomness=randomness)


def _holds(condition: Condition | None, stored: Item | None) -> bool:
    match condition:
        case None:
            return True
        case Absent():
            return stored is None
        case AtRevision(revision):
            return stored is not None and stored.get("revision") == revision
        case AbsentOrExpired(now):
            return stored is None or stored[tables.TTL_ATTRIBUTE] <= now
