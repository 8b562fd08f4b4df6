"""Bodies of the clock's routes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

from chalicelib.handlers.schema_types import Schema, Time


def _read(given: object) -> object:
    """RFC 3339 text; a strict schema takes no text for a time by itself."""
    return datetime.fromisoformat(given) if isinstance(given, str) else given


def _to_utc(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(microsecond=at.microsecond // 1000 * 1000)


Moment = Annotated[AwareDatetime, BeforeValidator(_read), AfterValidator(_to_utc)]


class TickRequest(Schema):
    now: Moment = Field(description="With a UTC offset; not before the clock's own time")


class Clock(Schema):
    now: Time = Field(description="The time that decisions are made at")
    is_replay: bool = Field(description="Of a local stage whose clock is ticked; else it is real time")
    closed_until: Time | None = Field(description="The first hour that isn't closed; null before any was")
    is_behind: bool = Field(description="More hours are due: give the same tick again")
