"""Is the stage itself well? Its queues, ingest, log and watch, judged like a model: pure rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.lineage.alerts import Severity
from chalicelib.lineage.ledger import Beat
from chalicelib.triage.rules import Finding
from tiltyard.audit.entry import canonical_time

DEAD_LETTERS, INGEST, NOTARY, WATCH, CHECKS = (
    "dead-letters",
    "ingest-lag",
    "notary-delay",
    "watch-delay",
    "failed-checks",
)
KINDS = (DEAD_LETTERS, INGEST, NOTARY, WATCH, CHECKS)
"""What the stage itself is alerted about."""

DEAD = "-dead-letters"
"""What the names of queues of dead letters end with."""

# Telemetry is counted within seconds; an hour closes a quarter of an hour after its end.
LATE, TOO_LATE = timedelta(minutes=5), timedelta(minutes=15)
# The log promises a minute (its merge delay), and half an hour of waiting is a failure.
UNLOGGED, TOO_LONG_UNLOGGED = timedelta(minutes=5), timedelta(minutes=30)
BEHIND = timedelta(hours=3)


@dataclass(frozen=True, slots=True)
class Vitals:
    """What is known of a stage at `now`.

    `queues` are messages that wait, by queue; `beat` is ingest's last sign of life;
    `unlogged_since` the oldest audit entry that waits for its place; `closed_until`
    the first hour that isn't closed; `failed` the models whose check broke, with why.
    """

    now: datetime
    queues: Mapping[str, int]
    beat: Beat | None
    unlogged_since: datetime | None
    closed_until: datetime | None
    failed: Mapping[str, str]


def diagnose(vitals: Vitals) -> Iterator[Finding]:
    """What is wrong with the stage; nothing when it is well."""
    for queue, waiting in sorted(vitals.queues.items()):
        if queue.endswith(DEAD) and waiting:
            # Lost telemetry leaves a hole in every figure, and is kept for two weeks only.
            severity: Severity = "critical" if queue.startswith("telemetry") else "warning"
            yield Finding(DEAD_LETTERS, queue.removesuffix(DEAD), severity, {"messages": waiting})
    yield from _ingest(vitals)
    if vitals.unlogged_since is not None:
        yield from _delay(
            NOTARY, "audit log", vitals.now - vitals.unlogged_since, UNLOGGED, TOO_LONG_UNLOGGED
        )
    if vitals.closed_until is not None and vitals.now - vitals.closed_until > BEHIND:
        facts = {"first_open_hour": canonical_time(vitals.closed_until)}
        yield Finding(WATCH, "hours", "warning", facts)
    for model, why in sorted(vitals.failed.items()):
        yield Finding(CHECKS, model, "critical", {"error": why[:500]})


def _ingest(vitals: Vitals) -> Iterator[Finding]:
    """How old what is counted is; and whether anything is counted while messages wait."""
    beat, waiting = vitals.beat, vitals.queues.get("telemetry", 0)
    if beat is not None and vitals.now - beat.at <= TOO_LATE:
        yield from _delay(INGEST, "telemetry", timedelta(seconds=beat.lag_s), LATE, TOO_LATE)
    elif waiting:
        facts = {
            "messages": waiting,
            "last_counted_at": None if beat is None else canonical_time(beat.at),
        }
        yield Finding(INGEST, "telemetry", "critical" if beat is not None else "warning", facts)


def _delay(
    kind: str, subject: str, delay: timedelta, late: timedelta, too_late: timedelta
) -> Iterator[Finding]:
    if delay > late:
        severity: Severity = "critical" if delay > too_late else "warning"
        yield Finding(kind, subject, severity, {"seconds": round(delay.total_seconds())})
