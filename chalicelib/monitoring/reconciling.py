"""Was counted what happened? A day's rows in the lake are counted again, against its windows.

A line of the lake counts when the ledger's row names just that line, for the lake is
written first: it may hold a row twice, with other values even, and rows whose
transaction never was. The ledger's counts are read before and after the lake: when
they are the same, nothing was counted in between, and both sides are of one moment.

An hour is mended after it was closed: its merged sum is written such that it and
what came late make up what the lake says. The change goes on record first. After a
crash in between the difference is still there, and running again writes it under the
same record.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Literal

from chalicelib.lineage.ledger import ROWS_AT_ONCE, HourCounts
from chalicelib.lineage.ledger_items import Hour, Shard
from chalicelib.lineage.races import settle
from chalicelib.lineage.records import Attempt, Change, IdempotencyKey, Version
from chalicelib.monitoring.counting import Counter
from chalicelib.monitoring.rows import GRACE, SKEW, Row, lake_folder, numbered_lines, row_of
from chalicelib.ports import Lake, Ledger, LineageStore
from tiltyard.errors import Fault, IntegrityError, InvalidInput, LostRace, NotFound
from tiltyard.stats.layout import NumberCells
from tiltyard.stats.summary import Summary

State = Literal["equal", "different", "mended", "changing", "unfinished", "unreadable"]
Figure = int | float | None

# An API call ends after 29 seconds: no hour is begun after the first, none goes on after the second.
BEGIN_S, END_S = 12.0, 22.0
READERS = 8
CHUNK = 1000
TRIES = 3
SHOWN = 50
HOURS = 24


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure that isn't what the lake says; `name` is of a column, `cell` the place within it."""

    where: Literal["rows", "column", "scores", "answers", "events", "content"]
    name: str | None
    cell: str
    expected: Figure
    found: Figure


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What became of an hour that has rows.

    `rows` are counted by the lake, `found` by the windows (before they were mended).
    `differing` figures differ, up to 50 of which are in `differences`. `advice` says
    what to do where something is left to do.
    """

    start: datetime
    state: State
    rows: int
    found: int
    is_closed: bool
    differing: int = 0
    differences: tuple[Difference, ...] = ()
    advice: str | None = None


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """`next` is the first hour (0 to 23) that there was no time for, None when the day is done."""

    items: tuple[Reconciled, ...]
    next: int | None


class _OutOfTime(Exception):
    """The call ends before the hour's rows are counted."""


def start_of(day: str, *, now: datetime, retention: timedelta) -> datetime:
    """A day's first moment, UTC.

    Raises
    ------
    InvalidInput
        For what is no day as in 2026-02-01, and one of which something has expired.
    """
    try:
        # It goes into keys: of all the forms that a date may have, just the one that they have.
        start = datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)
        if f"{start:%Y-%m-%d}" != day:
            raise ValueError
    except ValueError:
        raise InvalidInput("That is no day.", faults=[Fault("/day", "write 2026-02-01")]) from None
    if start <= now - retention:
        kept = Fault("/day", f"predictions are kept for {retention.days} days")
        raise InvalidInput("Of that day something has expired.", faults=[kept])
    return start


class Reconciler:
    """Reconciles hours of one version. With `mending`, who mends, differences are mended."""

    def __init__(
        self,
        ledger: Ledger,
        lake: Lake,
        lineage: LineageStore,
        version: Version,
        counter: Counter,
        *,
        now: datetime,
        mending: Attempt | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._lake = lake
        self._lineage = lineage
        self._version = version
        self._counter = counter
        self._now = now
        self._mending = mending
        self._clock = clock
        self._end = clock() + END_S

    def day(self, start: datetime, first: int = 0) -> Reconciliation:
        """The hours of a day from `first` on that have rows, as many as there is time for."""
        last_begin = self._end - END_S + BEGIN_S
        items: list[Reconciled] = []
        for number in range(first, HOURS):
            hour = Hour(self._version.model, self._version.number, start + timedelta(hours=number))
            if hour.start > self._now + SKEW:
                break
            if number > first and self._clock() > last_begin:
                return Reconciliation(tuple(items), number)
            found = self.hour(hour)
            if found is None:
                continue
            if found.state == "unfinished" and number > first:
                return Reconciliation(tuple(items), number)  # it gets all the time of another call
            items.append(found)
        return Reconciliation(tuple(items), None)

    def hour(self, hour: Hour) -> Reconciled | None:
        """One hour; None when nothing was ever counted or laid down in it."""
        before = self._ledger.hour(hour)
        for _ in range(TRIES):
            try:
                expected = self._recounted(hour)
            except _OutOfTime:
                return self._told(hour, before, "unfinished", advice=TOO_MANY)
            except IntegrityError as exc:
                return self._told(hour, before, "unreadable", advice=str(exc))
            after = self._ledger.hour(hour)
            if after != before:
                before = after
                continue
            if expected.rows == 0 and before.is_empty:
                return None
            found, is_readable = self._sum(before.contents)
            if is_readable and found.encode() == expected.encode():
                return Reconciled(hour.start, "equal", expected.rows, found.rows, before.is_closed)
            differences = list(_differences(expected, found))
            if not is_readable:
                differences.insert(0, Difference("content", None, "readable", 1, 0))
            told = Reconciled(
                hour.start,
                "different",
                expected.rows,
                found.rows,
                before.is_closed,
                len(differences),
                tuple(differences[:SHOWN]),
            )
            if self._mending is None:
                return told
            if not before.is_closed:
                if self._now < hour.end + GRACE:
                    return replace(told, advice=STILL_OPEN)
                # As the watch does: from here on its rows are late, and its sum may be written.
                self._ledger.close(hour, self._now)
                before = self._ledger.hour(hour)
                continue
            try:
                self._mend(hour, before, expected, self._mending)
            except LostRace:
                before = self._ledger.hour(hour)
                continue
            except IntegrityError as exc:
                return replace(told, advice=str(exc))
            return replace(told, state="mended")
        return self._told(hour, before, "changing", advice=CHANGING)

    def _told(self, hour: Hour, counts: HourCounts, state: State, *, advice: str) -> Reconciled:
        found, _ = self._sum(counts.contents)
        return Reconciled(hour.start, state, 0, found.rows, counts.is_closed, advice=advice)

    # What the lake says

    def _recounted(self, hour: Hour) -> Summary:
        """The counts of the hour's rows. Only so many objects are held at once as are being read."""
        total = Summary.empty(self._counter.layout)
        keys = self._lake.keys(lake_folder(hour.model, hour.version, hour.start))
        waiting: deque[Future[Summary]] = deque()
        with ThreadPoolExecutor(READERS) as pool:
            try:
                for key in keys:
                    waiting.append(pool.submit(self._of_object, hour, key))
                    if len(waiting) > READERS:
                        total += waiting.popleft().result()
                while waiting:
                    total += waiting.popleft().result()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
        return total

    def _of_object(self, hour: Hour, key: str) -> Summary:
        total = Summary.empty(self._counter.layout)
        content = self._lake.read(key)
        if content is None:
            return total  # expired since it was listed
        lines = iter(numbered_lines(key, content))
        while chunk := list(islice(lines, CHUNK)):
            if self._clock() > self._end:
                raise _OutOfTime
            rows = {number: row_of(line, hour.model, hour.version) for number, line in chunk}
            total += self._counter.count(list(self._counted(hour, key, rows)))
        return total

    def _counted(self, hour: Hour, key: str, rows: dict[int, Row]) -> Iterator[Row]:
        stored = self._ledger.rows(hour.model, list({row.id for row in rows.values()}))
        for number, row in rows.items():
            found = stored.get(row.id)
            if found is not None and (found.lake, found.line) == (key, number) and row.is_counted:
                yield row

    # What was counted

    def _sum(self, contents: Iterable[bytes]) -> tuple[Summary, bool]:
        """What stored parts add up to, and whether all of them could be read."""
        total, is_readable = Summary.empty(self._counter.layout), True
        for content in contents:
            try:
                total += Summary.decode(content, self._counter.layout)
            except IntegrityError:
                is_readable = False
        return total, is_readable

    def _mend(self, hour: Hour, counts: HourCounts, expected: Summary, attempt: Attempt) -> None:
        """Write the sum that is missing beside the late parts; those that can't be right go into it."""
        late, is_readable = self._sum(shard.content for shard in counts.late)
        was, _ = self._sum(counts.on_time_contents)
        on_time = expected.less(late, was=was) if is_readable else None
        wrong: tuple[Shard, ...] = () if on_time is not None else counts.late
        if len(wrong) >= ROWS_AT_ONCE:
            raise IntegrityError(f"{len(wrong)} late parts of {hour.start:%Y-%m-%dT%H} are wrong")
        content = (expected if on_time is None else on_time).encode()
        before = b"".join(counts.on_time_contents)
        self._put_on_record(hour, attempt, before=before, after=content, revision=counts.revision)
        self._ledger.mend(hour, content, counts.revision, wrong)

    def _put_on_record(
        self, hour: Hour, attempt: Attempt, *, before: bytes, after: bytes, revision: int
    ) -> None:
        """One entry for one mending, however often it is begun: its key is made of what is mended."""
        name = f"window:{hour.model}/{hour.version}/{hour.start:%Y-%m-%dT%H}"
        digests = hashlib.sha256(before).hexdigest() if before else None, hashlib.sha256(after).hexdigest()
        bound = hashlib.sha256(f"window.mend\n{name}\n{digests}\n{revision}".encode()).hexdigest()

        def change() -> None:
            if self._lineage.done(bound) is not None:
                return
            model = self._lineage.model(hour.model)
            if model is None:
                raise NotFound(f"There is no model {hour.model!r}, or it is not your team's.")
            self._lineage.commit(
                Change(
                    model=model,
                    attempt=replace(attempt, idempotency=IdempotencyKey(bound, bound)),
                    action="window.mend",
                    object=name,
                    before=digests[0],
                    after=digests[1],
                    result={
                        "model": hour.model,
                        "version": hour.version,
                        "hour": f"{hour.start:%Y-%m-%dT%H}",
                    },
                )
            )

        settle(change)


STILL_OPEN = "The hour can be mended once it is closed, 15 minutes after its end: run again then."
CHANGING = "Rows kept being counted meanwhile: run again."
TOO_MANY = "The hour has more rows than one call can count again: ask the lake (docs/monitoring.md)."


def _differences(expected: Summary, found: Summary) -> Iterator[Difference]:
    figures, others = _figures(expected), _figures(found)
    for where, name, cell in figures | others:
        # Of events, which have a name only once they happen, none is zero.
        missing = 0 if where == "events" else None
        a, b = (of.get((where, name, cell), missing) for of in (figures, others))
        if a != b:
            yield Difference(where, name, cell, a, b)


Place = tuple[Literal["rows", "column", "scores", "answers", "events"], str | None, str]


def _figures(summary: Summary) -> dict[Place, Figure]:
    """Every figure by its place. A column's values aren't named: they may be people's."""
    layout = summary.layout
    figures: dict[Place, Figure] = {("rows", None, "rows"): summary.rows}
    for cells in layout.columns:
        is_number = isinstance(cells, NumberCells)
        ends = ("below", "above", "missing") if is_number else ("other", "missing")
        for cell, count in _labelled(summary.cells[cells.name], "bin" if is_number else "level", ends):
            figures["column", cells.name, cell] = count
        if is_number:
            moments = summary.moments[cells.name]
            figures["column", cells.name, "sum"] = moments.total
            figures["column", cells.name, "sum of squares"] = moments.squares
            figures["column", cells.name, "smallest"] = moments.smallest
            figures["column", cells.name, "largest"] = moments.largest
    for cell, count in _labelled(summary.scores, "bin", ("below", "above")):
        figures["scores", None, cell] = count
    for label, count in zip(layout.classes, summary.answers, strict=True):
        figures["answers", None, label] = count
    for event, count in summary.events.items():
        figures["events", None, event] = count
    return figures


def _labelled(counts: tuple[int, ...], word: str, ends: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    size = len(counts) - len(ends)
    return zip([*(f"{word} {place}" for place in range(size)), *ends], counts, strict=True)
