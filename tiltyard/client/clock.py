"""The service's clock, through the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tiltyard.audit.entry import canonical_time
from tiltyard.client.transport import Transport


@dataclass(frozen=True, slots=True)
class Clock:
    """What time it is for decisions.

    `is_replay` says that ticks move it, else it is real time; `closed_until` is the
    first hour that isn't closed, `is_behind` that more of them are due.
    """

    now: datetime
    is_replay: bool
    closed_until: datetime | None
    is_behind: bool
    body: Mapping[str, Any]

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Clock:
        closed = body["closed_until"]
        return cls(
            datetime.fromisoformat(body["now"]),
            body["is_replay"],
            None if closed is None else datetime.fromisoformat(closed),
            body["is_behind"],
            body,
        )


class ClockCalls:
    """The client's calls on the clock."""

    _http: Transport

    def clock(self) -> Clock:
        """What time it is for decisions, and up to when hours are closed."""
        return Clock.of(self._http.get("/v1/clock").body)

    def tick(self, now: datetime) -> Clock:
        """Put a replay's clock forward (admin, local stages only) until all hours due by it are closed.

        Raises
        ------
        Conflict
            When the stage goes by real time, or its clock is past `now`.
        """
        while True:
            found = Clock.of(self._http.write("POST", "/v1/clock", {"now": canonical_time(now)}).body)
            if not found.is_behind:
                return found
