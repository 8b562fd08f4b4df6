"""Predictions and their counts in the `ledger` table: a row and its count exist together, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.lineage import ledger_items as shapes
from chalicelib.lineage.items import LAST, Item, time_of
from chalicelib.lineage.ledger_items import Hour, LedgerRow, Shard
from chalicelib.lineage.store import Rows, Table
from chalicelib.lineage.writes import (
    Absent,
    AtRevision,
    CheckItem,
    Condition,
    DeleteItem,
    Operation,
    PutItem,
)
from tiltyard.errors import LostRace

# A transaction holds 100 operations: these, the shard, the check that the hour is open, and its marker.
ROWS_AT_ONCE = 97
# Of a day: 24 hours of 16 shards, and as many again for each day on which rows came late.
MANY = 100_000


class NotCounted(Exception):
    """Why nothing was written: `known` are ids that are there already, with their counts."""

    def __init__(self, known: frozenset[str], *, is_closed: bool, is_shard_lost: bool) -> None:
        super().__init__(f"{len(known)} known, closed: {is_closed}, shard lost: {is_shard_lost}")
        self.known = known
        self.is_closed = is_closed
        self.is_shard_lost = is_shard_lost


@dataclass(frozen=True, slots=True)
class Counts:
    """An encoded summary of (a part of) an hour; `known_on` is None for rows that came in time."""

    hour: datetime
    content: bytes
    known_on: str | None
    is_closed: bool


@dataclass(frozen=True, slots=True)
class Beat:
    """A function's last sign of life: when it was, and how many seconds its oldest message had waited."""

    at: datetime
    lag_s: int


@dataclass(frozen=True, slots=True)
class HourCounts:
    """All that is stored of an hour's counts. `revision` is the merged sum's, 0 while there is none."""

    merged: bytes | None
    revision: int
    on_time: tuple[Shard, ...]
    late: tuple[Shard, ...]
    is_closed: bool

    @property
    def is_empty(self) -> bool:
        return self.merged is None and not self.on_time and not self.late

    @property
    def on_time_contents(self) -> tuple[bytes, ...]:
        """What counts of the rows that came in time: their sum once there is one, else its parts."""
        return tuple(shard.content for shard in self.on_time) if self.merged is None else (self.merged,)

    @property
    def contents(self) -> tuple[bytes, ...]:
        return (*self.on_time_contents, *(shard.content for shard in self.late))


class TableLedger:
    """The `Ledger` port over a table. `retention` is how long after its event a row is kept.

    A replay's events are long past: with a `clock`, that long after it was written.
    """

    def __init__(
        self, table: Table, *, retention: timedelta, clock: Callable[[], datetime] | None = None
    ) -> None:
        self._table = table
        self.retention = retention
        self._clock = clock

    def _expiry(self, hour: Hour) -> datetime:
        return (hour.start if self._clock is None else self._clock()) + self.retention

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
        expires_at = self._expiry(shard.hour)
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
            if shard.revision == 0:
                operations.append(PutItem(shapes.marker_item(shard.hour, expires_at=expires_at), None))
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

    def rows(self, model: str, ids: Sequence[str]) -> Mapping[str, LedgerRow]:
        """Those of these predictions that are there, by id; ids must differ."""
        found = self._table.get_many([shapes.row_key(model, row_id) for row_id in ids])
        return {item["id"]: shapes.row_from(item) for item in found}

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
        item = shapes.closed_item(hour, at, expires_at=self._expiry(hour))
        try:
            self._table.transact([PutItem(item, Absent())])
        except LostRace:
            return False
        return True

    def waiting(self, start: datetime) -> Iterator[Hour]:
        """The versions that have rows in time of the hour that begins at `start`."""
        rows = Rows(shapes.marker_pk(start), "0", LAST, is_consistent=True)
        return (shapes.marker_from(item) for item in self._table.query(rows, limit=MANY))

    def shards(self, hour: Hour) -> list[Shard]:
        """The shards of the rows that came in time, strongly consistent."""
        return list(self._shards(hour, shapes.ON_TIME))

    def put_merged(self, hour: Hour, content: bytes) -> None:
        """Keep a closed hour's sum beside its shards, which don't change any more.

        One that is there stays: it is the same, or it was mended.
        """
        item = shapes.merged_item(hour, content, revision=1, expires_at=self._expiry(hour))
        try:
            self._table.transact([PutItem(item, Absent())])
        except LostRace:
            if self._table.get(shapes.merged_key(hour)) is None:
                raise

    def hour(self, hour: Hour) -> HourCounts:
        """All that is stored of an hour; when it is the same twice, both are of one moment."""
        merged = self._table.get(shapes.merged_key(hour))
        return HourCounts(
            merged=None if merged is None else merged["summary"],
            revision=0 if merged is None else merged["revision"],
            on_time=tuple(self._shards(hour, shapes.ON_TIME)),
            late=tuple(self._shards(hour, shapes.LATE)),
            is_closed=self.is_closed(hour),
        )

    def mend(self, hour: Hour, content: bytes, revision: int, wrong: Sequence[Shard]) -> None:
        """Put another sum in the place of the one at `revision` (0: none), and drop these late parts.

        Raises
        ------
        LostRace
            When the sum or one of these parts changed since it was read. Nothing is written then.
        """
        item = shapes.merged_item(hour, content, revision=revision + 1, expires_at=self._expiry(hour))
        condition: Condition = AtRevision(revision) if revision else Absent()
        gone = [
            DeleteItem(
                shapes.shard_key(hour, shard.number, known_on=shard.known_on), AtRevision(shard.revision)
            )
            for shard in wrong
        ]
        self._table.transact([PutItem(item, condition), *gone])

    def counts(self, model: str, version: int, day: str) -> Iterator[Counts]:
        """All that was counted of a day's hours, late parts by the day that they became known.

        Of hours that were merged their sums, of the others their shards.
        """
        merged = self._of_day(model, version, day, f"{shapes.MERGED}#")
        for item in merged:
            yield Counts(time_of(item["hour"]), item["summary"], None, is_closed=True)
        known = {item["hour"] for item in merged}
        for kind in (shapes.LATE, shapes.ON_TIME):
            for item in self._of_day(model, version, day, f"{kind}#"):
                if kind == shapes.LATE or item["hour"] not in known:
                    yield Counts(time_of(item["hour"]), item["summary"], item["known_on"], is_closed=False)

    def cursor(self) -> tuple[datetime, int] | None:
        """The first hour that isn't closed yet, and the revision that `move_cursor` asks for."""
        item = self._table.get(shapes.CURSOR_KEY)
        return None if item is None else (time_of(item["hour"]), item["revision"])

    def move_cursor(self, start: datetime, revision: int) -> bool:
        """Whether it still was at `revision` (0: there was none)."""
        condition: Condition = AtRevision(revision) if revision else Absent()
        try:
            self._table.transact([PutItem(shapes.cursor_item(start, revision + 1), condition)])
        except LostRace:
            return False
        return True

    def beat(self, function: str, at: datetime, lag_s: int) -> None:
        """Leave a sign of life; of several at a time, one stays."""
        self._table.transact([PutItem(shapes.beat_item(function, at, lag_s), None)])

    def last_beat(self, function: str) -> Beat | None:
        item = self._table.get(shapes.beat_key(function))
        return None if item is None else Beat(time_of(item["at"]), item["lag_s"])

    def memory(self, model: str) -> tuple[bytes, int] | None:
        """What the watch remembers of a model, and the revision that `put_memory` asks for."""
        item = self._table.get(shapes.memory_key(model))
        return None if item is None else (item["content"], item["revision"])

    def put_memory(self, model: str, content: bytes, revision: int) -> bool:
        """Whether it still was at `revision` (0: there was none)."""
        condition: Condition = AtRevision(revision) if revision else Absent()
        item = shapes.memory_item(model, content, revision + 1)
        try:
            self._table.transact([PutItem(item, condition)])
        except LostRace:
            return False
        return True

    def _shards(self, hour: Hour, kind: str) -> Iterator[Shard]:
        prefix = f"{kind}#{hour.start:%H}#"
        for item in self._of_day(hour.model, hour.version, f"{hour.start:%Y-%m-%d}", prefix):
            yield shapes.shard_from(item, model=hour.model, version=hour.version)

    def _of_day(self, model: str, version: int, day: str, prefix: str) -> list[Item]:
        rows = Rows(shapes.window_pk(model, version, day), prefix, prefix + LAST, is_consistent=True)
        return self._table.query(rows, limit=MANY)
