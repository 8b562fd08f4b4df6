"""Bodies of the alert routes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from chalicelib.handlers.schema_types import Name, Number, Reason, Schema, Team, Time
from chalicelib.lineage.alerts import Severity


class Acknowledgement(Schema):
    comment: Reason | None = None


class Resolution(Schema):
    comment: Reason = Field(description="How it was taken care of")


class Alert(Schema):
    id: str = Field(description="model.kind.number")
    model: Name | None = Field(description="Null when it is about the stage itself")
    team: Team
    kind: str = Field(description="feature-drift, prediction-drift, data-quality, volume, …")
    severity: Severity
    state: Literal["open", "acknowledged", "resolved"]
    summary: str
    subjects: dict[str, dict[str, Any]] = Field(
        description="What it is about (columns, queues), each with the figures that raised it"
    )
    version: Number | None
    runbook: str = Field(description="What to do about it")
    opened_at: Time
    changed_at: Time
    acknowledged_by: str | None
    resolved_by: str | None = Field(description="Null when it ended by itself, and once erased")
    resolved_at: Time | None
    comment: str | None


class AlertPage(Schema):
    items: list[Alert]
    next: str | None
