"""Odd rows to look at: which ones they were, what was odd about them, and what followed.

The windows say in which hours there are any, so only those hours' objects of the lake
are read. Of personal columns no value is shown, nor what a warning says of it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from chalicelib.lineage.records import Version
from chalicelib.monitoring.counting import Counter
from chalicelib.monitoring.rows import lake_folder, numbered_lines
from chalicelib.monitoring.series import Span, windows
from chalicelib.ports import Lake, Ledger
from tiltyard.errors import MalformedRequest

Kind = Literal["anomalous", "out_of_range", "unseen_category"]
KINDS: tuple[Kind, ...] = get_args(Kind)

# An API call ends after 29 seconds: no hour is begun after this.
BEGIN_S = 12.0

_CURSOR = re.compile(r"(\d{4}-\d\d-\d\dT\d\d)\.(\d{1,9})")
# Of a warning on a personal column, all that is said.
_SAID = ("kind", "column")


@dataclass(frozen=True, slots=True)
class OddRow:
    """A row that was answered. `columns` lacks the personal ones, which `masked` names."""

    id: str
    at: str
    columns: Mapping[str, Any]
    masked: tuple[str, ...]
    scores: Sequence[float]
    warnings: Sequence[Mapping[str, Any]]
    action: str | None
    rules: Sequence[str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins: with the rows of an hour beyond the first `skipped` ones."""

    hour: datetime
    skipped: int

    @classmethod
    def of(cls, text: str) -> Place:
        """Raises `MalformedRequest` for what `text` never wrote."""
        found = _CURSOR.fullmatch(text)
        try:
            if found is not None:
                return cls(datetime.fromisoformat(f"{found[1]}:00+00:00"), int(found[2]))
        except ValueError:
            pass
        raise MalformedRequest("cursor must be what the page before called next.")

    @property
    def text(self) -> str:
        return f"{self.hour.astimezone(UTC):%Y-%m-%dT%H}.{self.skipped}"


@dataclass(frozen=True, slots=True)
class Found:
    items: tuple[OddRow, ...]
    next: Place | None


def odd_rows(
    ledger: Ledger,
    lake: Lake,
    version: Version,
    counter: Counter,
    kind: Kind,
    span: Span,
    *,
    limit: int,
    place: Place | None,
    clock: Callable[[], float] = time.monotonic,
) -> Found:
    """Rows of a kind in production, the latest hour's first, within an hour by time.

    A page may be shorter than `limit` where time ran out; `next` goes on from there.
    """
    started, found = clock(), list[OddRow]()
    hours = [
        window.start
        for window in windows(ledger, counter, version.model, version.number, span)
        if window.summary.events.get(f"rows:{kind}", 0) and (place is None or window.start <= place.hour)
    ]
    for hour in reversed(hours):
        skipped = place.skipped if place is not None and place.hour == hour else 0
        if clock() - started > BEGIN_S:
            return Found(tuple(found), Place(hour, skipped))
        rows = sorted(_of_hour(lake, version, kind, hour), key=lambda row: (row["at"], row["id"]))
        shown = rows[skipped : skipped + limit - len(found)]
        found += [_shown(row, counter) for row in shown]
        if skipped + len(shown) < len(rows):
            return Found(tuple(found), Place(hour, skipped + len(shown)))
        if len(found) == limit:
            rest = [other for other in hours if other < hour]
            return Found(tuple(found), Place(rest[-1], 0) if rest else None)
    return Found(tuple(found), None)


def _of_hour(lake: Lake, version: Version, kind: Kind, hour: datetime) -> Iterator[dict[str, Any]]:
    """Each once, though the lake may hold a row twice."""
    seen = set()
    for key in lake.keys(lake_folder(version.model, version.number, hour)):
        content = lake.read(key)
        if content is None:
            continue  # its life ended between the two calls
        for _, row in numbered_lines(key, content):
            is_odd = any(warning["kind"] == kind for warning in row["warnings"])
            if is_odd and row["role"] != "direct" and row["id"] not in seen:
                seen.add(row["id"])
                yield row


def _shown(row: Mapping[str, Any], counter: Counter) -> OddRow:
    personal = {column.name for column in counter.signature.columns if column.is_personal}
    return OddRow(
        id=row["id"],
        at=row["at"],
        columns={name: value for name, value in row["columns"].items() if name not in personal},
        masked=tuple(sorted(personal & row["columns"].keys())),
        scores=row["scores"],
        warnings=[
            {name: warning[name] for name in _SAID} if warning["column"] in personal else warning
            for warning in row["warnings"]
        ],
        action=row["action"],
        rules=row["rules"],
    )
