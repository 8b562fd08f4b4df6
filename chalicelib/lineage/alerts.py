"""An alert: what was found wrong, about what, how bad it is, and who took care of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

Severity = Literal["info", "warning", "critical"]
AlertState = Literal["open", "acknowledged", "resolved"]

SEVERITIES: tuple[Severity, ...] = get_args(Severity)
STATES: tuple[AlertState, ...] = get_args(AlertState)
ACTIVE: tuple[AlertState, ...] = ("open", "acknowledged")

KINDS = (
    "prediction-drift",
    "feature-drift",
    "data-quality",
    "volume",
    "late-data",
    "clock-skew",
)
"""What a model is alerted about; the stage's own kinds are in `monitoring.diagnosis`."""

# A model's name or ``team:…``, the kind, and a number that counts the alerts of that kind.
_ID = re.compile(r"(?P<scope>[A-Za-z0-9/_.:-]+)\.(?P<kind>[a-z]+(-[a-z]+)*)\.(?P<number>[1-9][0-9]{0,5})")


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert of a kind at a time is active for a model (or ``team:…``, for the stage itself).

    `subjects` are what it is about (columns, queues), each with the figures of the
    window that raised it, as JSON. `resolved_by` and `acknowledged_by` are pseudonyms;
    an alert that ended because what it is about did has none. `comment` is the keyed
    commitment of the last comment's text.
    """

    model: str
    team: str
    kind: str
    number: int
    severity: Severity
    state: AlertState
    opened_at: datetime
    changed_at: datetime
    subjects: Mapping[str, Mapping[str, Any]] = field(hash=False)
    version: int | None = None
    runbook: str = ""
    acknowledged_by: str | None = None
    resolved_by: str | None = None
    resolved_at: datetime | None = None
    comment: str | None = None
    revision: int = 0

    @property
    def id(self) -> str:
        return f"{self.model}.{self.kind}.{self.number}"

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE


@dataclass(frozen=True, slots=True)
class AlertId:
    scope: str
    kind: str
    number: int

    @classmethod
    def of(cls, text: str) -> AlertId | None:
        """None for what can't be an alert's id."""
        found = _ID.fullmatch(text)
        return None if found is None else cls(found["scope"], found["kind"], int(found["number"]))


def rank(severity: Severity) -> int:
    """0 is the least severe."""
    return SEVERITIES.index(severity)
