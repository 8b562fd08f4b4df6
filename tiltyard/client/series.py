"""What production looked like, through the API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from tiltyard.client.registration import model_path
from tiltyard.client.transport import Transport, time_text

PAGE = 200

Step = Literal["hour", "day", "week"]
Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Series:
    """Windows of a version by time; `body` is the service's whole answer.

    Each window is a mapping with `start`, `end`, `rows`, `late`, and what was asked for.
    """

    model: str
    version: int
    step: str
    windows: Sequence[Body]
    body: Body

    @classmethod
    def of(cls, body: Body) -> Series:
        return cls(body["model"], body["version"], body["step"], tuple(body["windows"]), body)


class SeriesCalls:
    """The client's calls on monitoring."""

    _http: Transport

    def quality(
        self,
        name: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        step: Step = "day",
        version: int | None = None,
        known_on: date | None = None,
    ) -> Series:
        """Data quality of the champion (or of `version`) by window.

        Without `start`, the last 48 hours, 30 days or 13 weeks. Times without a zone
        are UTC. `known_on` leaves out rows that became known after that day.
        """
        return self._series("quality", name, start, end, step, version, known_on)

    def drift(
        self,
        name: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        step: Step = "day",
        version: int | None = None,
        known_on: date | None = None,
    ) -> Series:
        """Drift of every column, of columns together and of the prediction by window, with verdicts.

        Asked for like `quality`.
        """
        return self._series("drift", name, start, end, step, version, known_on)

    def anomalies(
        self,
        name: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        kind: Literal["anomalous", "out_of_range", "unseen_category"] = "anomalous",
        version: int | None = None,
    ) -> Iterator[Body]:
        """Odd rows of the champion (or of `version`), the latest hour's first; of a day without `start`.

        Each has `id`, `at`, `columns` (without the personal ones, which `masked` names),
        `scores`, `warnings`, `action` and `rules`.
        """
        cursor: str | None = None
        while True:
            page = self._http.get(
                f"{model_path(name)}/anomalies",
                **{"from": time_text(start), "to": time_text(end)},
                kind=kind,
                version=version,
                limit=PAGE,
                cursor=cursor,
            ).body
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return

    def _series(
        self,
        what: str,
        name: str,
        start: datetime | None,
        end: datetime | None,
        step: Step,
        version: int | None,
        known_on: date | None,
    ) -> Series:
        given: dict[str, str | int | None] = {
            "from": time_text(start),
            "to": time_text(end),
            "step": step,
            "version": version,
            "known_on": None if known_on is None else f"{known_on:%Y-%m-%d}",
        }
        return Series.of(self._http.get(f"{model_path(name)}/{what}", **given).body)
