"""Telemetry that ingest failed to take five times: looked at, and given to it again.

What a message holds are people's rows: nothing of it is shown but whose rows they
are, how many, and what keeps them from being counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chalicelib.monitoring.rows import rows_of
from chalicelib.ports import DeadLetters, Letter, LineageStore, Queue
from chalicelib.serving.telemetry import decode
from tiltyard.errors import MalformedRequest
from tiltyard.runtime.identifiers import NAME

SHOWN = 10
# An API call ends after 29 seconds.
REDRIVE_S = 20.0
REDRIVEN_AT_ONCE = 1000
_LAST_VERSION = 999_999


@dataclass(frozen=True, slots=True)
class Shown:
    """What may be told of a message.

    `model`, `version` and `rows` are None where it doesn't say them. `why` is what
    keeps it from being counted now; None when nothing does, or when that lies in the spool.
    """

    id: str
    sent_at: datetime | None
    model: str | None = None
    version: int | None = None
    rows: int | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """`count` is the queue's own estimate; `shown` are a few of them."""

    count: int
    shown: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class Redriven:
    """How many are on their way to ingest again, and how many are left by the queue's estimate."""

    redriven: int
    left: int


def waiting(dead: DeadLetters, lineage: LineageStore) -> Waiting:
    """How many there are, and what is the matter with up to 10 of them. All of them stay."""
    count, letters = dead.count(), dead.receive()
    for letter in letters:
        dead.release(letter.receipt)
    shown = tuple(_shown(letter, lineage) for letter in letters[:SHOWN])
    return Waiting(max(count, len(letters)), shown)


def redrive(
    dead: DeadLetters,
    queue: Queue,
    *,
    limit: int = REDRIVEN_AT_ONCE,
    clock: Callable[[], float] = time.monotonic,
) -> Redriven:
    """Give up to `limit` messages to ingest again, within 20 seconds.

    Each is deleted once it is on the queue: a crash in between, or somebody who does
    the same at the same time, sends it twice, which counts once.
    """
    end, redriven = clock() + REDRIVE_S, 0
    while redriven < limit and clock() < end:
        letters = dead.receive()
        if not letters:
            break
        taken, others = letters[: limit - redriven], letters[limit - redriven :]
        for letter in others:
            dead.release(letter.receipt)
        for letter in taken:
            queue.send(letter.body)
            dead.delete(letter.receipt)
        redriven += len(taken)
    return Redriven(redriven, dead.count())


def _shown(letter: Letter, lineage: LineageStore) -> Shown:
    try:
        record = decode(letter.body)
    except ValueError:
        return Shown(letter.id, letter.sent_at, why="it is no telemetry record")
    if "spool" in record:
        return Shown(letter.id, letter.sent_at)
    model, version, rows = record.get("model"), record.get("version"), record.get("n")
    is_named = isinstance(model, str) and NAME.fullmatch(model) is not None
    is_numbered = type(version) is int and 0 < version <= _LAST_VERSION
    return Shown(
        letter.id,
        letter.sent_at,
        model=model if is_named else None,
        version=version if is_numbered else None,
        rows=rows if type(rows) is int and rows >= 0 else None,
        why=_why(record, lineage) if is_named and is_numbered else "it names no version of a model",
    )


def _why(record: Mapping[str, Any], lineage: LineageStore) -> str | None:
    found = lineage.version(record["model"], record["version"])
    if found is None:
        return "its version isn't there"
    if found.digest != record.get("digest"):
        return "its version has another bundle"
    try:
        rows_of(record)
    except MalformedRequest:
        # Which value it is stays unsaid: it may be a person's.
        return "its rows can't be read"
    return None
