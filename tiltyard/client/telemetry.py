"""Telemetry that couldn't be counted, through the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tiltyard.client.transport import Transport


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that couldn't be counted. `why` is what would keep it from that now, None: nothing known."""

    id: str
    sent_at: datetime | None
    model: str | None
    version: int | None
    rows: int | None
    why: str | None
    body: Mapping[str, Any]

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> DeadLetter:
        sent_at = body["sent_at"]
        return cls(
            body["id"],
            None if sent_at is None else datetime.fromisoformat(sent_at),
            body["model"],
            body["version"],
            body["rows"],
            body["why"],
            body,
        )


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """`count` is an estimate, `items` are some of them."""

    count: int
    items: tuple[DeadLetter, ...]
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TelemetryRedriven:
    """`redriven` messages are on their way; about `left` are left: call again."""

    redriven: int
    left: int


class TelemetryCalls:
    """The client's calls on telemetry; they need the role admin, for it is of all teams."""

    _http: Transport

    def telemetry_dead_letters(self) -> DeadLetters:
        """How much telemetry couldn't be counted in five attempts, and what is the matter with some of it."""
        body = self._http.get("/v1/telemetry/dead-letters").body
        return DeadLetters(body["count"], tuple(map(DeadLetter.of, body["items"])), body)

    def redrive_telemetry(self) -> TelemetryRedriven:
        """Have up to 1,000 such messages counted again; none of their rows counts twice."""
        return TelemetryRedriven(**self._http.write("POST", "/v1/telemetry/redrive", {}).body)
