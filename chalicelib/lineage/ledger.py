"""Predictions and their counts in the `ledger` table: a row and its count exist together, or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from chalicelib.lineage import ledger_items as shapes
from chalicelib.lineage.items import LAST
from chalicelib.lineage.ledger_items import Hour, LedgerRow, Shard
from chalicelib.lineage.store import Rows, Table
from chalicelib.lineage.writes import Absent, AtRevision, CheckItem, Condition, Operation, PutItem
from tiltyard.errors import LostRace

# A transaction holds 100 operations: these, the shard, and the check that the hour is open.
ROWS_AT_ONCE = 98
PAGE = 1000


class NotCounted(Exception):
    """Why nothing was written: `known` are ids that are there already, with their counts."""

    def __init__(self, known: frozenset[str], *, is_closed: bool, is_shard_lost: bool) -> None:
        super().__init__(f"{len(known)} known, closed: {is_closed}, shard lost: {is_shard_lost}")
        self.known = known
        self.is_closed = is_closed
        self.is_shard_lost = is_shard_lost


class TableLedger:
    """The `Ledger` port over a table. `retention` is how long after its event a row is kept."""

    def __init__(self, table: Table, *, retention: timedelta) -> None:
        self._table = table
        self.retention = retention

    def add(self, rows: Sequence[LedgerRow], shard: Shard) -> None:
        """Write rows and the shard that counts them, in one transaction.

        `shard.revision` is the one it was read at (0: there was none); it is written
        with the next one. A shard of rows in time is written only while its hour is open.

        Raises
        ------
        NotCounted
            When a row is there already, the shard is at another revision, or the hour
            is closed. Nothing is written then.
        """
        expires_at = shard.hour.start + self.retention
        keys = {(key.pk, key.sk): row.id for row in rows for key in [shapes.row_key(row.model, row.id)]}
        raised = Shard(shard.hour, shard.number, shard.content, shard.revision + 1, shard.known_on)
        condition: Condition = AtRevision(shard.revision) if shard.revision else Absent()
        closed = shapes.closed_key(shard.hour)
        operations: list[Operation] = [
            *(PutItem(shapes.row_item(row, expires_at=expires_at), Absent()) for row in rows),
            PutItem(shapes.shard_item(raised, expires_at=expires_at), condition),
        ]
        if shard.known_on is None:
            operations.append(CheckItem(closed, Absent()))
        try:
            self._table.transact(operations)
        except LostRace as exc:
            lost = set(exc.keys)
            known = frozenset(keys[key] for key in lost & keys.keys())
            is_closed = (closed.pk, closed.sk) in lost
            others = lost - keys.keys() - {(closed.pk, closed.sk)}
            # Without a word of what was lost it was another transaction at work: take another shard.
            raise NotCounted(known, is_closed=is_closed, is_shard_lost=bool(others) or not lost) from exc

    def known(self, model: str, ids: Sequence[str]) -> frozenset[str]:
        """Which of these predictions are there."""
        found = self._table.get_many([shapes.row_key(model, row_id) for row_id in ids])
        return frozenset(item["id"] for item in found)

    def row(self, model: str, row_id: str) -> LedgerRow | None:
        item = self._table.get(shapes.row_key(model, row_id))
        return None if item is None else shapes.row_from(item)

    def shard(self, hour: Hour, number: int, *, known_on: str | None) -> Shard | None:
        item = self._table.get(shapes.shard_key(hour, number, known_on=known_on))
        return None if item is None else shapes.shard_from(item, model=hour.model, version=hour.version)

    def is_closed(self, hour: Hour) -> bool:
        return self._table.get(shapes.closed_key(hour)) is not None

    def close(self, hour: Hour, at: datetime) -> bool:
        """Close an hour for rows in time; False when it was closed already."""
        item = shapes.closed_item(hour, at, expires_at=hour.start + self.retention)
        try:
            self._table.transact([PutItem(item, Absent())])
        except LostRace:
            return False
        return True

    def shards(self, model: str, version: int, start: datetime, end: datetime) -> Iterator[Shard]:
        """The shards of all hours in ``[start, end)``, strongly consistent, by day and hour."""
        for day in shapes.days_between(start, end):
            rows = Rows(shapes.window_pk(model, version, day), "0", LAST, is_consistent=True)
            for item in self._table.query(rows, limit=24 * (PAGE + 1)):
                if item["kind"] == "window":
                    shard = shapes.shard_from(item, model=model, version=version)
                    if start <= shard.hour.start < end:
                        yield shard
