"""What becomes of an alert: pure decisions over records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from chalicelib.lineage.alerts import Alert, Severity, rank
from tiltyard.errors import Conflict

# Of an alert's subjects: what else is wrong with the same model is told by their number.
MAX_SUBJECTS = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong about one subject of a model (or of the stage): a column, a queue.

    `facts` are figures for people, as JSON: what was seen, in which window, what was expected.
    """

    kind: str
    subject: str
    severity: Severity
    facts: Mapping[str, Any]


def raised(
    last: Alert | None,
    findings: Sequence[Finding],
    *,
    model: str,
    team: str,
    version: int | None,
    runbook: str,
    at: datetime,
) -> Alert | None:
    """The alert with these findings of one kind in it; None when it says all of that already.

    `last` is the last alert of that kind: while it is active it grows, else the next
    one opens. An alert that somebody acknowledged opens again when it grows.
    """
    found = {finding.subject: dict(finding.facts) for finding in findings}
    severity = max((finding.severity for finding in findings), key=rank)
    if last is None or not last.is_active:
        if last is not None and _says(last, found, severity):
            return None  # the same window again, after somebody resolved it
        return Alert(
            model=model,
            team=team,
            kind=findings[0].kind,
            number=1 if last is None else last.number + 1,
            severity=severity,
            state="open",
            opened_at=at,
            changed_at=at,
            subjects=_first(found),
            version=version,
            runbook=runbook,
        )
    if rank(severity) <= rank(last.severity) and found.keys() <= last.subjects.keys():
        return None
    return replace(
        last,
        severity=max(last.severity, severity, key=rank),
        state="open",
        acknowledged_by=None,
        changed_at=at,
        subjects=_first({**last.subjects, **found}),
    )


def recovered(last: Alert | None, *, at: datetime) -> Alert | None:
    """The alert, ended by itself; None when none is active."""
    if last is None or not last.is_active:
        return None
    return replace(last, state="resolved", resolved_at=at, changed_at=at)


def acknowledged(alert: Alert, *, actor: str, at: datetime, comment: str | None) -> Alert:
    """Somebody has seen it. Raises `Conflict` when it is resolved."""
    if not alert.is_active:
        raise Conflict(f"Alert {alert.id} is resolved; there is nothing to acknowledge any more.")
    return replace(
        alert, state="acknowledged", acknowledged_by=actor, changed_at=at, comment=comment or alert.comment
    )


def resolved(alert: Alert, *, actor: str, at: datetime, comment: str) -> Alert:
    """Somebody says that it is taken care of. Raises `Conflict` when it is resolved already."""
    if not alert.is_active:
        raise Conflict(f"Alert {alert.id} is resolved already.")
    return replace(alert, state="resolved", resolved_by=actor, resolved_at=at, changed_at=at, comment=comment)


def summary(alert: Alert) -> str:
    """One line for people: what, where, and about how many subjects."""
    names = sorted(alert.subjects)
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"{alert.model}: {alert.kind.replace('-', ' ')} ({shown})"


def _says(alert: Alert, found: Mapping[str, Mapping[str, Any]], severity: Severity) -> bool:
    known = all(alert.subjects.get(name) == facts for name, facts in found.items())
    return known and rank(severity) <= rank(alert.severity)


def _first(subjects: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    return dict(list(subjects.items())[:MAX_SUBJECTS])
