"""Answers of the monitoring routes, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from chalicelib.handlers.schemas import Name, Number, Time

Rows = Annotated[int, Field(ge=0)]


class _Schema(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Window(_Schema):
    start: Time
    end: Time
    rows: Rows
    late: Rows = Field(description="Of them, those that came after their hour was closed")
    hours: int = Field(ge=0, description="Hours that have rows")
    closed: int = Field(ge=0, description="Of them, those that are closed")


class ColumnQuality(_Schema):
    rows: Rows
    missing: Rows
    coerced: Rows
    unseen: Rows | None
    other: Rows | None
    below: Rows | None
    above: Rows | None
    constant: bool


class QualityWindow(Window):
    columns: dict[str, ColumnQuality]
    flagged: dict[str, int] = Field(description="Rows by what was odd about them")
    actions: dict[str, int]
    rules: dict[str, int]
    ahead: int = Field(ge=0, description="Rows whose caller named a time that was still to come")


class QualityReference(_Schema):
    missing: dict[str, float]


class _Series(_Schema):
    model: Name
    version: Number
    step: Literal["hour", "day", "week"]
    known_on: str | None


class Quality(_Series):
    reference: QualityReference = Field(description="Of the held-out rows")
    windows: list[QualityWindow]
