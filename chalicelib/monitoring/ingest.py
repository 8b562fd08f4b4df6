"""Telemetry into the ledger: each prediction once, with its count, and its row in the lake.

Whatever comes twice, regrouped, late or after a crash changes nothing: a row is
written only where there is none, in the same transaction as the counts that hold it.
The lake is written first, so it may hold a row twice; readers tell by its id.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from chalicelib.lineage.ledger import ROWS_AT_ONCE, NotCounted
from chalicelib.lineage.ledger_items import SHARDS, Hour, LedgerRow, Shard
from chalicelib.monitoring.counting import Counter, Counters
from chalicelib.monitoring.rows import GRACE, Row, lake_object, rows_of
from chalicelib.ports import Lake, Ledger, SpoolReader
from chalicelib.serving.telemetry import decode
from tiltyard.errors import MalformedRequest, Unavailable

log = logging.getLogger("tiltyard.ingest")

# Of one chunk: other writers take a shard at most once a transaction, and there are 16.
TRIES = 12

MOST_HELD = 20_000
"""Rows that wait to be stored together, and those of one message: spooled messages have thousands each."""


@dataclass(frozen=True, slots=True)
class Message:
    """A queue's message: `id` is the queue's, `body` the telemetry record or the name of its object."""

    id: str
    body: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where rows are counted: an event hour of a version, whose bundle has this digest."""

    hour: Hour
    digest: str


@dataclass(slots=True)
class Taken:
    """What became of a batch. `failed` are messages that must come again, with why."""

    counted: int
    known: int
    late: int
    too_old: int
    failed: dict[str, Exception]


@dataclass(frozen=True, slots=True)
class _Held:
    """Rows that wait to be stored together, by place and id, and the messages that they came in."""

    rows: dict[Place, dict[str, Row]]
    senders: dict[Place, set[str]]

    @property
    def size(self) -> int:
        return sum(map(len, self.rows.values()))


class Ingest:
    """Takes batches of telemetry. `choose` picks a shard."""

    def __init__(
        self,
        counters: Counters,
        ledger: Ledger,
        lake: Lake,
        spool: SpoolReader,
        *,
        now: datetime,
        choose: Callable[[int], int] = random.randrange,
    ) -> None:
        self._counters = counters
        self._ledger = ledger
        self._lake = lake
        self._spool = spool
        self._now = now
        self._choose = choose

    def take(self, messages: Sequence[Message]) -> Taken:
        """Write every row of the batch once. A message fails alone; the others don't wait for it."""
        taken = Taken(0, 0, 0, 0, {})
        spooled: dict[str, str] = {}
        held = _Held({}, {})
        for message in messages:
            if held.size >= MOST_HELD:
                self._store_all(held, taken)
                held = _Held({}, {})
            try:
                rows = rows_of(self._record(message, spooled))
            except Exception as exc:
                taken.failed[message.id] = exc
                continue
            for row in rows:
                if row.at < self._now - self._ledger.retention:
                    taken.too_old += 1
                    continue
                place = Place(Hour.of(row.model, row.version, row.at), row.digest)
                # The first of two with one id counts, as it does over batches.
                held.rows.setdefault(place, {}).setdefault(row.id, row)
                held.senders.setdefault(place, set()).add(message.id)
        self._store_all(held, taken)
        for message_id, key in spooled.items():
            if message_id not in taken.failed:
                self._spool.delete(key)
        return taken

    def _store_all(self, held: _Held, taken: Taken) -> None:
        for place, of_place in held.rows.items():
            try:
                self._store(place, list(of_place.values()), taken)
            except Exception as exc:
                log.exception("rows of %s couldn't be counted", place.hour)
                taken.failed.update(dict.fromkeys(held.senders[place], exc))

    def _record(self, message: Message, spooled: dict[str, str]) -> Mapping[str, object]:
        try:
            record = decode(message.body)
            if "spool" not in record:
                return record
            key = str(record["spool"])
            content = self._spool.read(key)
            if content is None:
                # Deleted once it was counted, so this message came twice; or it expired.
                log.warning("the spooled record %s is gone", key)
                return EMPTY
            spooled[message.id] = key
            return decode(content.decode())
        except ValueError as exc:
            raise MalformedRequest(str(exc)) from exc

    def _store(self, place: Place, rows: Sequence[Row], taken: Taken) -> None:
        counter = self._counters.of(place.hour.model, place.hour.version, place.digest)
        lake = lake_object(rows)
        self._lake.write(lake.key, lake.content)
        lines = {row.id: number for number, row in enumerate(rows)}
        is_closed = self._now >= place.hour.end + GRACE or self._ledger.is_closed(place.hour)
        for chunk in _chunks(rows):
            self._store_chunk(place, chunk, lines, lake.key, counter, taken, is_closed=is_closed)

    def _store_chunk(
        self,
        place: Place,
        rows: Sequence[Row],
        lines: Mapping[str, int],
        lake_key: str,
        counter: Counter,
        taken: Taken,
        *,
        is_closed: bool,
    ) -> None:
        given = len(rows)
        for _ in range(TRIES):
            if not rows:
                break
            known_on = f"{self._now:%Y-%m-%d}" if is_closed else None
            number = self._choose(SHARDS)
            stored = self._ledger.shard(place.hour, number, known_on=known_on)
            counts, cells = counter.taken(rows)
            content = counts.encode() if stored is None else counter.added(stored.content, counts)
            revision = 0 if stored is None else stored.revision
            shard = Shard(place.hour, number, content, revision, known_on)
            try:
                items = [
                    _ledger_row(row, lake_key, lines[row.id], binned)
                    for row, binned in zip(rows, cells, strict=True)
                ]
                self._ledger.add(items, shard)
            except NotCounted as exc:
                rows = [row for row in rows if row.id not in exc.known]
                is_closed = is_closed or exc.is_closed
                continue
            taken.counted += len(rows)
            taken.late += len(rows) if is_closed else 0
            break
        else:
            raise Unavailable(f"other writers kept changing the counts of {place.hour}; try again")
        taken.known += given - len(rows)


EMPTY: Mapping[str, object] = {
    "n": 0,
    "ids": [],
    "columns": {},
    "scores": [],
    "received_at": "1970-01-01T00:00:00Z",
}


def _chunks(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    return (rows[start : start + ROWS_AT_ONCE] for start in range(0, len(rows), ROWS_AT_ONCE))


def _ledger_row(row: Row, lake: str, line: int, cells: bytes) -> LedgerRow:
    return LedgerRow(
        model=row.model,
        id=row.id,
        version=row.version,
        role=row.role,
        at=row.at,
        received_at=row.received_at,
        scores=np.asarray(row.scores, dtype="<f4").tobytes(),
        lake=lake,
        line=line,
        cells=cells,
        subject=row.subject,
    )
