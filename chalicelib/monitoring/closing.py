"""Hours are closed 15 minutes after their end, each once, and their shards added up.

What is closed is frozen: what the watch finds in it can be found again from what is
stored, and rows that come later amend figures without changing what was decided.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from chalicelib.lineage.ledger_items import Hour
from chalicelib.lineage.records import Version
from chalicelib.monitoring.counting import Counters
from chalicelib.monitoring.rows import GRACE
from chalicelib.monitoring.series import LENGTHS, floor
from chalicelib.ports import Ledger, LineageStore
from tiltyard.stats.summary import Summary

log = logging.getLogger("tiltyard.watch")

HOUR = LENGTHS["hour"]
# Where a stage begins that has no cursor yet: rows of older hours are late.
BACK = timedelta(days=2)


def close_due(
    ledger: Ledger,
    lineage: LineageStore,
    counters: Counters,
    *,
    now: datetime,
    then: Callable[[datetime, Sequence[Hour]], None] = lambda start, hours: None,
    is_time_left: Callable[[], bool] = lambda: True,
) -> int:
    """Close every hour that is due, in order; returns how many of a version were closed.

    `then` is called for each hour once all of its versions are merged. Resumable
    anywhere: the cursor moves past an hour once all of that is done, and doing any of
    it again changes nothing.
    """
    at = ledger.cursor()
    start, revision = at or (floor(now - BACK, "hour"), 0)
    closed, versions = 0, Versions(lineage)
    while first_due(start) <= now and is_time_left():
        hours = list(ledger.waiting(start))
        for hour in hours:
            closed += _close(ledger, versions, counters, hour, now=now)
        then(start, hours)
        start += HOUR
        if not ledger.move_cursor(start, revision):
            return closed  # another watch is at work
        revision += 1
    return closed


def first_due(start: datetime) -> datetime:
    """From when on an hour may be closed."""
    return start + HOUR + GRACE


class Versions:
    """Versions read once: a run that catches up asks for the same ones hour by hour, and none changes."""

    def __init__(self, lineage: LineageStore) -> None:
        self._lineage = lineage
        self._found: dict[tuple[str, int], Version] = {}

    def get(self, model: str, number: int) -> Version | None:
        found = self._found.get((model, number)) or self._lineage.version(model, number)
        if found is not None:
            self._found[model, number] = found
        return found


def _close(ledger: Ledger, versions: Versions, counters: Counters, hour: Hour, *, now: datetime) -> bool:
    is_new = ledger.close(hour, now)
    version = versions.get(hour.model, hour.version)
    if version is None:
        log.error("version %d of %s has counts and isn't there", hour.version, hour.model)
        return is_new
    layout = counters.of(hour.model, hour.version, version.digest).layout
    total = Summary.empty(layout)
    for shard in ledger.shards(hour):
        total += Summary.decode(shard.content, layout)
    ledger.put_merged(hour, total.encode())
    return is_new
