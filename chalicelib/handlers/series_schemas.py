"""Answers of the monitoring routes, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from chalicelib.handlers.schema_types import Name, Number, Schema, Time

Rows = Annotated[int, Field(ge=0)]


class Window(Schema):
    start: Time
    end: Time
    rows: Rows
    late: Rows = Field(description="Of them, those that came after their hour was closed")
    hours: int = Field(ge=0, description="Hours that have rows")
    closed: int = Field(ge=0, description="Of them, those that are closed")


class ColumnQuality(Schema):
    rows: Rows
    missing: Rows
    coerced: Rows
    unseen: Rows | None
    other: Rows | None
    below: Rows | None
    above: Rows | None
    constant: bool


class Duplicates(Schema):
    distinct: Rows = Field(description="A sample of the window's distinct rows")
    repeated: Rows = Field(description="Of them, those that came more than once")


class QualityWindow(Window):
    columns: dict[str, ColumnQuality]
    flagged: dict[str, int] = Field(description="Rows by what was odd about them")
    actions: dict[str, int]
    rules: dict[str, int]
    ahead: int = Field(ge=0, description="Rows whose caller named a time that was still to come")
    duplicates: Duplicates | None = Field(description="Null where rows were counted before these were")


class Verdict(Schema):
    state: Literal["steady", "drift", "small", "too few rows", "uncalibrated", "not tested"]
    rows: Rows
    effect: float = Field(description="PSI beyond what noise gives")
    psi: float
    psi_threshold: float | None = Field(description="What noise alone exceeds with probability `threshold`")
    chi_square: float
    chi_square_p: float
    z: float | None = Field(description="Of the mean; null where values have no order")
    z_p: float | None
    shift: float | None = Field(description="Of the mean, in standard deviations of the reference")
    jensen_shannon: float
    kolmogorov_smirnov: float | None
    wasserstein: float | None = Field(description="In the column's unit")
    threshold: float = Field(description="The p-value that both tests are held against")
    overdispersion: float | None = Field(description="That the tests allowed for, at so many rows")
    is_scaled: bool
    is_seasonal: bool = Field(description="Held against the same hours of the week alone")


class DriftWindow(Window):
    features: dict[str, Verdict] = Field(description="By column, by distance (`titles`), and `prediction`")


class DriftBudget(Schema):
    alerts_a_year: float = Field(description="False alerts a feature and year, at most")
    smallest_effect: float


class QualityReference(Schema):
    missing: dict[str, float]


class _Series(Schema):
    model: Name
    version: Number
    step: Literal["hour", "day", "week"]
    known_on: str | None


class Drift(_Series):
    budget: DriftBudget
    titles: dict[str, str] = Field(description="Of the features that are distances of columns together")
    overdispersion: dict[str, float | None] = Field(
        description="By feature, of the latest window that has one"
    )
    windows: list[DriftWindow]


class Quality(_Series):
    reference: QualityReference = Field(description="Of the held-out rows")
    windows: list[QualityWindow]


class OddRow(Schema):
    id: str
    at: Time = Field(description="Event time")
    columns: dict[str, Any] = Field(description="As they were sent, without the personal ones")
    masked: list[str] = Field(description="The personal columns, whose values aren't shown")
    scores: list[float]
    warnings: list[dict[str, Any]] = Field(description="What was odd, by column")
    action: str | None = Field(description="What the policy made of it")
    rules: list[str]


class OddRows(Schema):
    model: Name
    version: Number
    kind: str
    items: list[OddRow]
    next: str | None
