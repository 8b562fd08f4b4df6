"""Bodies of the telemetry routes."""

from __future__ import annotations

from pydantic import Field

from chalicelib.handlers.schema_types import Name, Number, Schema, Time


class DeadLetter(Schema):
    id: str = Field(description="The queue's")
    sent_at: Time | None
    model: Name | None = Field(description="Null where the message doesn't say it, as are version and rows")
    version: Number | None
    rows: int | None = Field(ge=0)
    why: str | None = Field(description="What would keep it from being counted now; null: nothing known")


class DeadLetters(Schema):
    count: int = Field(ge=0, description="The queue's own estimate")
    items: list[DeadLetter] = Field(max_length=10, description="Some of them")


class TelemetryRedriven(Schema):
    redriven: int = Field(ge=0, description="Messages that are on their way to be counted")
    left: int = Field(ge=0, description="The queue's own estimate: ask again while there are some")
