"""The rows of a telemetry record, each with its event time, and as a line of the lake."""

from __future__ import annotations

import gzip
import hashlib
import io
import itertools
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from tiltyard.errors import IntegrityError, MalformedRequest

SKEW = timedelta(minutes=5)
"""How far ahead of our clock an event time may be: clocks differ, and nothing happens in advance."""

GRACE = timedelta(minutes=15)
"""After its end an hour waits so long for its rows; then it is closed, and what comes is late."""

DIRECT = "direct"


@dataclass(frozen=True, slots=True)
class Row:
    """One prediction. `at` is when it was made, by its caller's word if there is one, else `received_at`."""

    id: str
    model: str
    version: int
    digest: str
    role: str
    at: datetime
    received_at: datetime
    request_id: str
    columns: Mapping[str, Any]
    scores: Sequence[float]
    subject: str | None = None
    warnings: Sequence[Mapping[str, Any]] = ()
    action: str | None = None
    rules: Sequence[str] = ()
    policy: int = 0
    is_ahead: bool = False
    """Its caller named a time that is still to come: it counts as made when it was received."""

    @property
    def is_counted(self) -> bool:
        """A version that somebody asks by its number isn't in production."""
        return self.role != DIRECT

    def to_line(self) -> bytes:
        """The row's line in the lake."""
        return orjson.dumps(
            {
                "id": self.id,
                "at": self.at,
                "received_at": self.received_at,
                "request_id": self.request_id,
                "role": self.role,
                "digest": self.digest,
                "columns": self.columns,
                "scores": self.scores,
                "subject": self.subject,
                "warnings": self.warnings,
                "action": self.action,
                "rules": self.rules,
                "policy": self.policy,
                "is_ahead": self.is_ahead,
            },
            option=orjson.OPT_UTC_Z,
        )


def rows_of(record: Mapping[str, Any]) -> list[Row]:
    """The rows of a record as `serving.telemetry` wrote it.

    Raises
    ------
    MalformedRequest
        When its columns don't have its number of values, or a part is missing.
    """
    try:
        return list(_rows(record))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as exc:
        raise MalformedRequest(f"A telemetry record is none: {type(exc).__name__} {exc}.") from exc


def _rows(record: Mapping[str, Any]) -> Iterable[Row]:
    n, ids, columns, scores = record["n"], record["ids"], record["columns"], record["scores"]
    subjects = record.get("subjects") or [None] * n
    received_at = _time(record["received_at"])
    times = _times(record.get("at"), n, received_at)
    lengths = {len(ids), len(scores), len(subjects), len(times), *map(len, columns.values())}
    if lengths != {n} or not all(isinstance(row_id, str) and row_id for row_id in ids):
        raise ValueError("its columns have other lengths than it says, or a row has no id")
    warnings, decisions = record.get("warnings", {}), record.get("decisions", {})
    policy = record.get("policy", {}).get("number", 0)
    names, values = tuple(columns), list(columns.values())
    by_row = zip(*values, strict=True) if values else itertools.repeat((), n)
    for i, of_row in enumerate(by_row):
        decision = decisions.get(str(i), {})
        is_ahead = times[i] > received_at + SKEW
        yield Row(
            id=ids[i],
            model=record["model"],
            version=record["version"],
            digest=record["digest"],
            role=record["role"],
            at=received_at if is_ahead else times[i],
            received_at=received_at,
            request_id=record["request_id"],
            columns=dict(zip(names, of_row, strict=True)),
            scores=scores[i],
            subject=subjects[i],
            warnings=warnings.get(str(i), ()),
            action=decision.get("action"),
            rules=decision.get("rules", ()),
            policy=policy,
            is_ahead=is_ahead,
        )


def _times(at: str | Sequence[str] | None, n: int, received_at: datetime) -> Sequence[datetime]:
    if at is None:
        return [received_at] * n
    if isinstance(at, str):
        return [_time(at)] * n
    return [_time(text) for text in at]


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"the time {text} has no zone")
    return at.astimezone(UTC)


@dataclass(frozen=True, slots=True)
class LakeObject:
    """Gzipped NDJSON. Its key follows from its content, so writing it again changes nothing."""

    key: str
    content: bytes


def lake_object(rows: Sequence[Row]) -> LakeObject:
    """The object of rows of one version and event hour, in their order.

    Hive partitions (``model=…/version=…/day=…/hour=…``), so that Athena reads only
    what a query is about.
    """
    lines = b"".join(row.to_line() + b"\n" for row in rows)
    first = rows[0]
    name = hashlib.sha256(lines).hexdigest()[:32]
    folder = lake_folder(first.model, first.version, first.at)
    return LakeObject(f"{folder}{name}.ndjson.gz", gzip.compress(lines, 6, mtime=0))


def lake_folder(model: str, version: int, at: datetime) -> str:
    """What the keys of an hour's objects begin with."""
    return f"rows/model={model}/version={version}/day={at:%Y-%m-%d}/hour={at:%H}/"


def lines_of(content: bytes) -> list[dict[str, Any]]:
    """The rows of a lake object as they were written."""
    return [orjson.loads(line) for line in gzip.decompress(content).splitlines()]


def numbered_lines(key: str, content: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a lake object with their line, counted from 0, one after the other.

    Raises
    ------
    IntegrityError
        When it isn't an object that `lake_object` made.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as lines:
            for number, line in enumerate(lines):
                yield number, orjson.loads(line)
    except (OSError, EOFError, zlib.error, ValueError) as exc:
        raise IntegrityError(f"The lake's object {key} can't be read: {type(exc).__name__}.") from exc


def row_of(line: Mapping[str, Any], model: str, version: int) -> Row:
    """The row of which `line` is `to_line`; its place says model and version.

    Raises `IntegrityError` when a part is missing.
    """
    try:
        return Row(
            id=line["id"],
            model=model,
            version=version,
            digest=line["digest"],
            role=line["role"],
            at=_time(line["at"]),
            received_at=_time(line["received_at"]),
            request_id=line["request_id"],
            columns=line["columns"],
            scores=line["scores"],
            subject=line["subject"],
            warnings=line["warnings"],
            action=line["action"],
            rules=line["rules"],
            policy=line["policy"],
            is_ahead=line["is_ahead"],
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise IntegrityError(f"A line of the lake is no row: {type(exc).__name__}.") from exc
