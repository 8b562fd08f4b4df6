"""Keys and item shapes of the `ledger` table.

=========================  ===========================  ============================================
pk                         sk                           what
=========================  ===========================  ============================================
``P#m#id``                 ``ROW``                      a prediction: what was answered, where it lies
``W#m#000003#2026-02-01``  ``ON#06#11``                 counts of an hour, one of up to 16 shards
``W#m#000003#2026-02-01``  ``LATE#06#2026-02-03#11``    counts of rows that came after it was closed
``W#m#000003#2026-02-01``  ``CLOSED#06``                when the hour was closed
``W#m#000003#2026-02-01``  ``MERGED#06``                a closed hour's shards, added up
``HOUR#2026-02-01T06``     ``m#000003``                 that a version has rows of this hour
``BEAT#ingest``            ``BEAT``                     when ingest last counted, and how old that was
``WATCH``                  ``CURSOR``                   the first hour that isn't closed yet
``WATCH#m``                ``MEMORY``                   what the watch remembers of a model
=========================  ===========================  ============================================

Sparse indexes: `cohort` (``cpk`` = ``C#m#day#s``, s of 32 by subject or id, so that a
subject's day lies in one) and `subject` (``spk`` = ``S#pseudonym``). Times are text
as in `items`; ``expires_at`` is epoch seconds (TTL).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from chalicelib.lineage.items import Item, Key, text_of, time_of
from chalicelib.lineage.tables import TTL_ATTRIBUTE

ROW = "ROW"
ON_TIME, LATE, CLOSED, MERGED = "ON", "LATE", "CLOSED", "MERGED"
CURSOR_KEY = Key("WATCH", "CURSOR")
COHORT_SHARDS = 32
SHARDS = 16


@dataclass(frozen=True, slots=True)
class Hour:
    """An hour of event time of one version; `start` is its first moment, UTC."""

    model: str
    version: int
    start: datetime

    @property
    def end(self) -> datetime:
        return self.start + timedelta(hours=1)

    @classmethod
    def of(cls, model: str, version: int, at: datetime) -> Hour:
        return cls(model, version, at.astimezone(UTC).replace(minute=0, second=0, microsecond=0))


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """A prediction as the ledger keeps it.

    `scores` are the bytes of its float32 scores (little-endian), `value` what was
    answered as text; `lake` names the object that holds the row itself and `line`
    its line there, counted from 0; `cells` are its columns' cells (`stats.binned`; empty
    in rows older than these). `at` is event time, `subject` a pseudonym.
    """

    model: str
    id: str
    version: int
    role: str
    at: datetime
    received_at: datetime
    scores: bytes
    lake: str
    line: int
    cells: bytes = b""
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of an hour's counts: `content` is an encoded summary, `revision` counts up from 1.

    `known_on` is the day on which late rows came, None for rows that came in time.
    """

    hour: Hour
    number: int
    content: bytes
    revision: int
    known_on: str | None = None


def row_key(model: str, row_id: str) -> Key:
    return Key(f"P#{model}#{row_id}", ROW)


def row_item(row: LedgerRow, *, expires_at: datetime) -> Item:
    key = row_key(row.model, row.id)
    item: Item = {
        "pk": key.pk,
        "sk": key.sk,
        "kind": "row",
        "model": row.model,
        "id": row.id,
        "version": row.version,
        "role": row.role,
        "at": text_of(row.at),
        "received_at": text_of(row.received_at),
        "scores": row.scores,
        "lake": row.lake,
        "line": row.line,
        "cpk": f"C#{row.model}#{row.at:%Y-%m-%d}#{_cohort(row.subject or row.id):02d}",
        "csk": row.id,
        TTL_ATTRIBUTE: int(expires_at.timestamp()),
    }
    if row.cells:
        item["cells"] = row.cells
    if row.subject is not None:
        item["subject"] = row.subject
        item["spk"] = f"S#{row.subject}"
        item["ssk"] = f"{row.model}#{row.id}"
    return item


def row_from(item: Item) -> LedgerRow:
    return LedgerRow(
        model=item["model"],
        id=item["id"],
        version=item["version"],
        role=item["role"],
        at=time_of(item["at"]),
        received_at=time_of(item["received_at"]),
        scores=item["scores"],
        lake=item["lake"],
        line=item["line"],
        cells=item.get("cells", b""),
        subject=item.get("subject"),
    )


def window_pk(model: str, version: int, day: str) -> str:
    return f"W#{model}#{version:06d}#{day}"


def shard_key(hour: Hour, number: int, *, known_on: str | None) -> Key:
    part = f"{ON_TIME}#{hour.start:%H}" if known_on is None else f"{LATE}#{hour.start:%H}#{known_on}"
    return Key(_pk(hour), f"{part}#{number:02d}")


def shard_item(shard: Shard, *, expires_at: datetime) -> Item:
    key = shard_key(shard.hour, shard.number, known_on=shard.known_on)
    return {
        "pk": key.pk,
        "sk": key.sk,
        "kind": "window",
        "hour": text_of(shard.hour.start),
        "shard": shard.number,
        "known_on": shard.known_on,
        "summary": shard.content,
        "revision": shard.revision,
        TTL_ATTRIBUTE: int(expires_at.timestamp()),
    }


def shard_from(item: Item, *, model: str, version: int) -> Shard:
    return Shard(
        hour=Hour(model, version, time_of(item["hour"])),
        number=item["shard"],
        content=item["summary"],
        revision=item["revision"],
        known_on=item["known_on"],
    )


def closed_key(hour: Hour) -> Key:
    return Key(_pk(hour), f"{CLOSED}#{hour.start:%H}")


def closed_item(hour: Hour, at: datetime, *, expires_at: datetime) -> Item:
    key = closed_key(hour)
    return {
        "pk": key.pk,
        "sk": key.sk,
        "kind": "closed",
        "hour": text_of(hour.start),
        "at": text_of(at),
        TTL_ATTRIBUTE: int(expires_at.timestamp()),
    }


def merged_key(hour: Hour) -> Key:
    return Key(_pk(hour), f"{MERGED}#{hour.start:%H}")


def merged_item(hour: Hour, content: bytes, *, revision: int, expires_at: datetime) -> Item:
    key = merged_key(hour)
    return {
        "pk": key.pk,
        "sk": key.sk,
        "kind": "merged",
        "hour": text_of(hour.start),
        "summary": content,
        "revision": revision,
        TTL_ATTRIBUTE: int(expires_at.timestamp()),
    }


def marker_pk(start: datetime) -> str:
    return f"HOUR#{start:%Y-%m-%dT%H}"


def marker_item(hour: Hour, *, expires_at: datetime) -> Item:
    return {
        "pk": marker_pk(hour.start),
        "sk": f"{hour.model}#{hour.version:06d}",
        "kind": "marker",
        "model": hour.model,
        "version": hour.version,
        "hour": text_of(hour.start),
        TTL_ATTRIBUTE: int(expires_at.timestamp()),
    }


def marker_from(item: Item) -> Hour:
    return Hour(item["model"], item["version"], time_of(item["hour"]))


def cursor_item(start: datetime, revision: int) -> Item:
    return {
        "pk": CURSOR_KEY.pk,
        "sk": CURSOR_KEY.sk,
        "kind": "cursor",
        "hour": text_of(start),
        "revision": revision,
    }


def beat_key(function: str) -> Key:
    return Key(f"BEAT#{function}", "BEAT")


def beat_item(function: str, at: datetime, lag_s: int) -> Item:
    key = beat_key(function)
    return {"pk": key.pk, "sk": key.sk, "kind": "beat", "at": text_of(at), "lag_s": lag_s}


def memory_key(model: str) -> Key:
    return Key(f"WATCH#{model}", "MEMORY")


def memory_item(model: str, content: bytes, revision: int) -> Item:
    key = memory_key(model)
    return {"pk": key.pk, "sk": key.sk, "kind": "memory", "content": content, "revision": revision}


def _pk(hour: Hour) -> str:
    return window_pk(hour.model, hour.version, f"{hour.start:%Y-%m-%d}")


def _cohort(key: str) -> int:
    return hashlib.sha256(key.encode()).digest()[0] % COHORT_SHARDS


def days_between(start: datetime, end: datetime) -> list[str]:
    """The days (UTC) that ``[start, end)`` touches."""
    day = start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    found = []
    while day < end:
        found.append(f"{day:%Y-%m-%d}")
        day += timedelta(days=1)
    return found
