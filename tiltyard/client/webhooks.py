"""A team's webhooks through the API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from tiltyard.client.alerts import Severity
from tiltyard.client.transport import Transport

PAGE = 200


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """`event` is the event's id, `detail` what the receiver answered or why it couldn't."""

    at: datetime
    event: str
    detail: str


@dataclass(frozen=True, slots=True)
class Webhook:
    """An address that hears of a team's changes.

    `secret` is there in the answer to `create_webhook` and `rotate_webhook`
    alone: keep it then. `etag` is for `if_match`.
    """

    id: str
    team: str
    url: str
    events: tuple[str, ...]
    models: tuple[str, ...]
    description: str
    enabled: bool
    last_taken: DeliveryAttempt | None
    last_failed: DeliveryAttempt | None
    secret: str | None
    etag: str | None
    body: Mapping[str, Any]

    @classmethod
    def of(cls, body: Mapping[str, Any], etag: str | None = None) -> Webhook:
        shown = {name: value for name, value in body.items() if name != "secret"}
        return cls(
            body["id"],
            body["team"],
            body["url"],
            tuple(body["events"]),
            tuple(body["models"]),
            body["description"],
            body["enabled"],
            _attempt(body["last_taken"]),
            _attempt(body["last_failed"]),
            secret=body.get("secret"),
            etag=etag,
            body=shown,
        )


@dataclass(frozen=True, slots=True)
class WebhookTest:
    """How a test call went; `status` is None when nobody answered."""

    event: str
    taken: bool
    status: int | None
    detail: str
    milliseconds: int


@dataclass(frozen=True, slots=True)
class Redriven:
    """`moved` deliveries are on their way again; `all` is False when there may be more: call again."""

    moved: int
    all: bool


class WebhookCalls:
    """The client's calls on webhooks. `team` is needed where the token acts across teams."""

    _http: Transport

    def create_webhook(
        self,
        team: str,
        url: str,
        *,
        events: Sequence[str] = (),
        models: Sequence[str] = (),
        description: str = "",
        severity: Severity = "info",
    ) -> Webhook:
        """Have a team's changes sent to `url`, all of them or those chosen; keep the answer's `secret`.

        Of alerts, those of `severity` and above are sent.
        """
        body = {
            "team": team,
            "url": url,
            "events": list(events),
            "models": list(models),
            "description": description,
            "severity": severity,
        }
        answer = self._http.write("POST", "/v1/webhooks", body)
        return Webhook.of(answer.body, answer.headers.get("etag"))

    def webhooks(self, team: str | None = None) -> Iterator[Webhook]:
        """By age; of one's only team when none is named."""
        cursor: str | None = None
        while True:
            page = self._http.get("/v1/webhooks", team=team, limit=PAGE, cursor=cursor).body
            yield from map(Webhook.of, page["items"])
            cursor = page["next"]
            if cursor is None:
                return

    def webhook(self, webhook_id: str, team: str | None = None) -> Webhook:
        answer = self._http.get(f"/v1/webhooks/{quote(webhook_id, safe='')}", team=team)
        return Webhook.of(answer.body, answer.headers.get("etag"))

    def change_webhook(
        self,
        webhook_id: str,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        models: Sequence[str] | None = None,
        description: str | None = None,
        severity: Severity | None = None,
        enabled: bool | None = None,
        if_match: str | None = None,
        team: str | None = None,
    ) -> Webhook:
        """Change what is given; an empty list of events or models means all of them."""
        given = {
            "url": url,
            "events": None if events is None else list(events),
            "models": None if models is None else list(models),
            "description": description,
            "severity": severity,
            "enabled": enabled,
        }
        body = {name: value for name, value in given.items() if value is not None}
        answer = self._http.write("PATCH", _path(webhook_id, team), body, if_match=if_match)
        return Webhook.of(answer.body, answer.headers.get("etag"))

    def rotate_webhook(self, webhook_id: str, team: str | None = None) -> Webhook:
        """Give it another secret. The one before it signs, too, for 24 hours, to change receivers in."""
        answer = self._http.write("POST", _path(webhook_id, team, "/rotate"), {})
        return Webhook.of(answer.body, answer.headers.get("etag"))

    def remove_webhook(
        self, webhook_id: str, *, if_match: str | None = None, team: str | None = None
    ) -> None:
        self._http.write("DELETE", _path(webhook_id, team), None, if_match=if_match)

    def test_webhook(self, webhook_id: str, team: str | None = None) -> WebhookTest:
        """Send a test event (type ``io.tiltyard.webhook.test``) right away, once."""
        found = self._http.write("POST", _path(webhook_id, team, "/test"), {}).body
        return WebhookTest(**found)

    def redrive(self, webhook_id: str | None = None, team: str | None = None) -> Redriven:
        """Send again what a webhook (None: whoever, role admin) didn't take in ten attempts."""
        path = "/v1/events/redrive" if webhook_id is None else _path(webhook_id, team, "/redrive")
        return Redriven(**self._http.write("POST", path, {}).body)


def _path(webhook_id: str, team: str | None, rest: str = "") -> str:
    named = "" if team is None else f"?team={quote(team, safe='')}"
    return f"/v1/webhooks/{quote(webhook_id, safe='')}{rest}{named}"


def _attempt(body: Mapping[str, Any] | None) -> DeliveryAttempt | None:
    if body is None:
        return None
    return DeliveryAttempt(datetime.fromisoformat(body["at"]), body["event"], body["detail"])
