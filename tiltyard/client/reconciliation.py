"""A day's counts against its rows, through the API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from tiltyard.client.registration import model_path
from tiltyard.client.transport import Transport, encode


@dataclass(frozen=True, slots=True)
class ReconciledHour:
    """An hour that has rows: `rows` by the lake, `found` by its windows (before they were mended).

    `state` is ``equal``, ``different``, ``mended``, ``changing`` (rows kept coming),
    ``unfinished`` (too many for one call) or ``unreadable`` (an object of the lake).
    `differences` are up to 50 of the `differing` figures. `advice` says what is left to do.
    """

    version: int
    start: datetime
    state: str
    rows: int
    found: int
    closed: bool
    differing: int
    differences: tuple[Mapping[str, Any], ...]
    advice: str | None
    body: Mapping[str, Any]

    @classmethod
    def of(cls, body: Mapping[str, Any], version: int) -> ReconciledHour:
        return cls(
            version,
            datetime.fromisoformat(body["start"]),
            body["state"],
            body["rows"],
            body["found"],
            body["closed"],
            body["differing"],
            tuple(body["differences"]),
            body["advice"],
            body,
        )


class ReconciliationCalls:
    """The client's call that proves counts, or mends them."""

    _http: Transport

    def reconcile(
        self, name: str, day: date | str, *, version: int | None = None, mend: bool = False
    ) -> Iterator[ReconciledHour]:
        """Count a day's rows (UTC) of the champion, or of `version`, again from the lake, hour by hour.

        `mend` puts right what differs and needs the role engineer. Doing it again changes nothing.
        """
        said: dict[str, Any] = {"day": day if isinstance(day, str) else f"{day:%Y-%m-%d}", "mend": mend}
        hour: str | None = "00"
        while hour is not None:
            given = said if version is None else {**said, "version": version}
            body = self._http.post(
                f"{model_path(name)}/reconciliations", encode({**given, "hour": hour}), is_repeatable=True
            ).body
            # Whoever is champion by now, the day goes on with the version that it began with.
            version, hour = body["version"], body["next"]
            for item in body["items"]:
                yield ReconciledHour.of(item, body["version"])
