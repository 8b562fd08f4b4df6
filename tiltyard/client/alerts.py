"""Alerts through the API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

from tiltyard.client.transport import Transport

PAGE = 200

Severity = Literal["info", "warning", "critical"]
AlertState = Literal["open", "acknowledged", "resolved", "all"]


@dataclass(frozen=True, slots=True)
class Alert:
    """What was found wrong.

    `subjects` holds the figures that raised it; `model` is None for the stage's own alerts.
    """

    id: str
    model: str | None
    kind: str
    severity: Severity
    state: str
    summary: str
    subjects: Mapping[str, Mapping[str, Any]]
    opened_at: datetime
    runbook: str
    body: Mapping[str, Any]

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Alert:
        return cls(
            body["id"],
            body["model"],
            body["kind"],
            body["severity"],
            body["state"],
            body["summary"],
            body["subjects"],
            datetime.fromisoformat(body["opened_at"]),
            body["runbook"],
            body=body,
        )


class AlertCalls:
    """The client's calls on alerts."""

    _http: Transport

    def alerts(
        self,
        model: str | None = None,
        *,
        state: AlertState | None = None,
        severity: Severity | None = None,
    ) -> Iterator[Alert]:
        """Of one's teams, newest first; the active ones (open and acknowledged) unless `state` is named."""
        cursor: str | None = None
        while True:
            page = self._http.get(
                "/v1/alerts", model=model, state=state, severity=severity, limit=PAGE, cursor=cursor
            ).body
            yield from map(Alert.of, page["items"])
            cursor = page["next"]
            if cursor is None:
                return

    def alert(self, alert_id: str) -> Alert:
        return Alert.of(self._http.get(_path(alert_id)).body)

    def acknowledge_alert(self, alert_id: str, comment: str | None = None) -> Alert:
        """Say that somebody is at it."""
        return Alert.of(self._http.write("POST", f"{_path(alert_id)}/acknowledge", {"comment": comment}).body)

    def resolve_alert(self, alert_id: str, comment: str) -> Alert:
        """Say that it is taken care of, and how. It alerts again only after it was over once."""
        return Alert.of(self._http.write("POST", f"{_path(alert_id)}/resolve", {"comment": comment}).body)


def _path(alert_id: str) -> str:
    return f"/v1/alerts/{quote(alert_id, safe='')}"
