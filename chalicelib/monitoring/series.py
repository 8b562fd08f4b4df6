"""Windows of a version over time: hours added up to days and weeks, with what came late."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args

from chalicelib.lineage.ledger_items import days_between
from chalicelib.monitoring.counting import Counter
from chalicelib.ports import Ledger
from tiltyard.errors import Fault, InvalidInput
from tiltyard.stats.summary import Summary

Step = Literal["hour", "day", "week"]
STEPS: tuple[Step, ...] = get_args(Step)
LENGTHS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}
MAX_WINDOWS = 800


@dataclass(frozen=True, slots=True)
class Window:
    """Counts of ``[start, end)``. `late` are those of `summary`'s rows that came after their hour was closed.

    `hours` says how many of its hours have rows, `closed` how many of these are closed.
    """

    start: datetime
    end: datetime
    summary: Summary
    late: int
    hours: int
    closed: int


@dataclass(frozen=True, slots=True)
class Span:
    """What is asked for; `known_on` leaves out what became known after that day (YYYY-MM-DD)."""

    start: datetime
    end: datetime
    step: Step
    known_on: str | None = None

    @classmethod
    def of(
        cls, start: datetime | None, end: datetime | None, step: Step, known_on: str | None, *, now: datetime
    ) -> Span:
        """Widened to whole windows; without a start the last 48 hours, 30 days or 13 weeks.

        Raises `InvalidInput` for a start after the end, and for more than 800 windows.
        """
        length = LENGTHS[step]
        last = ceiling(end or now, step)
        windows = {"hour": 48, "day": 30, "week": 13}[step]
        first = last - windows * length if start is None else floor(start, step)
        if first >= last:
            raise InvalidInput("Nothing lies between these times.", faults=[Fault("/from", "is after to")])
        if (last - first) / length > MAX_WINDOWS:
            raise InvalidInput(
                f"These are more than {MAX_WINDOWS} windows.",
                faults=[Fault("/step", "take a longer step, or times that are closer")],
            )
        return cls(first, last, step, known_on)


def windows(ledger: Ledger, counter: Counter, model: str, version: int, span: Span) -> Iterator[Window]:
    """Every window of the span, the empty ones too, by time."""
    by_hour = _by_hour(ledger, counter, model, version, span)
    start = span.start
    while start < span.end:
        end = start + LENGTHS[span.step]
        total, late, hours, closed = Summary.empty(counter.layout), 0, 0, 0
        hour = start
        while hour < end:
            found = by_hour.get(hour)
            if found is not None:
                total += found.summary
                late += found.late
                hours += 1
                closed += found.is_closed
            hour += LENGTHS["hour"]
        yield Window(start, end, total, late, hours, closed)
        start = end


@dataclass(slots=True)
class _Hour:
    summary: Summary
    late: int = 0
    is_closed: bool = False


def _by_hour(ledger: Ledger, counter: Counter, model: str, version: int, span: Span) -> dict[datetime, _Hour]:
    found: dict[datetime, _Hour] = {}
    for day in days_between(span.start, span.end):
        for counts in ledger.counts(model, version, day):
            if counts.known_on is not None and span.known_on is not None and counts.known_on > span.known_on:
                continue
            if not span.start <= counts.hour < span.end:
                continue  # of the same day
            summary = Summary.decode(counts.content, counter.layout)
            hour = found.setdefault(counts.hour, _Hour(Summary.empty(counter.layout)))
            hour.summary += summary
            hour.late += summary.rows if counts.known_on is not None else 0
            hour.is_closed = hour.is_closed or counts.is_closed
    return found


def floor(at: datetime, step: Step) -> datetime:
    """The start of the window that holds `at`: a full hour, midnight UTC, or Monday's."""
    at = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if step != "hour":
        at = at.replace(hour=0)
    return at - timedelta(days=at.weekday()) if step == "week" else at


def ceiling(at: datetime, step: Step) -> datetime:
    """The end of the last window that begins before `at`."""
    start = floor(at, step)
    return start if start == at else start + LENGTHS[step]
