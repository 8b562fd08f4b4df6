"""Bodies of the routes on telemetry and its counts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

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


Day = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"),
    Field(json_schema_extra={"format": "date"}, description="UTC, of the rows' event time"),
]
HourOfDay = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3])$")]
Rows = Annotated[int, Field(ge=0)]


class ReconciliationRequest(Schema):
    day: Day
    version: Number | None = Field(None, description="The champion without it")
    hour: HourOfDay = Field("00", description="The hour to begin with: `next` of the answer before")
    mend: bool = Field(False, description="Put right what differs (engineer)")


class Difference(Schema):
    where: Literal["rows", "column", "scores", "answers", "events", "content"] = Field(
        description="`content`: a part of the counts can't be read"
    )
    name: str | None = Field(description="The column's")
    cell: str
    expected: int | float | None = Field(description="By the lake")
    found: int | float | None = Field(description="By the windows, before they were mended")


class ReconciledHour(Schema):
    start: Time
    state: Literal["equal", "different", "mended", "changing", "unfinished", "unreadable"]
    rows: Rows = Field(description="Counted again; those asked for by version are stored and not counted")
    found: Rows = Field(description="By the windows, before they were mended")
    closed: bool
    differing: int = Field(ge=0, description="Figures that differ")
    differences: list[Difference] = Field(max_length=50)
    advice: str | None = Field(description="What to do where something is left to do")


class Reconciliation(Schema):
    model: Name
    version: Number
    day: Day
    items: list[ReconciledHour] = Field(description="Hours that have rows")
    next: HourOfDay | None = Field(description="The hour to ask for next; null once the day is done")
