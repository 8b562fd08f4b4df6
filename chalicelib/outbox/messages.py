"""Who is told of a change, and the message a target that waits in the delivery queue."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from chalicelib.lineage.alerts import Severity, rank
from chalicelib.lineage.records import TEAM_SCOPE, Logged, Webhook
from chalicelib.outbox.events import cloud_event, text_of
from tiltyard.errors import MalformedRequest

Kind = Literal["bus", "topic", "webhook"]

# 10 seconds, three times as long each time, 4 hours at most: ten attempts are half a day.
FIRST_PAUSE_S = 10
PAUSE_FACTOR = 3
LONGEST_PAUSE_S = 4 * 3600


@dataclass(frozen=True, slots=True)
class Target:
    """The stage's bus or topic, or one webhook of one team."""

    kind: Kind
    team: str = ""
    webhook: str = ""


BUS, TOPIC = Target("bus"), Target("topic")


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event for one target; `body` is the event's text."""

    target: Target
    event_id: str
    body: str

    def to_text(self) -> str:
        target = {"kind": self.target.kind, "team": self.target.team, "webhook": self.target.webhook}
        return json.dumps({"target": target, "event": self.event_id, "body": self.body}, ensure_ascii=False)

    @classmethod
    def from_text(cls, text: str) -> Delivery:
        """Raises `MalformedRequest` for what `to_text` never wrote."""
        try:
            found = json.loads(text)
            kind, team, webhook = (found["target"][name] for name in ("kind", "team", "webhook"))
            event_id, body = found["event"], found["body"]
        except (ValueError, KeyError, TypeError, RecursionError) as exc:
            raise MalformedRequest(f"A delivery's message is none: {type(exc).__name__}.") from exc
        texts = (team, webhook, event_id, body)
        if kind not in ("bus", "topic", "webhook") or not all(isinstance(text, str) for text in texts):
            raise MalformedRequest("A delivery's message is none: it names no target.")
        return cls(Target(kind, team, webhook), event_id, body)


def deliveries(logged: Logged, webhooks: Iterable[Webhook], *, stage: str) -> Iterator[Delivery]:
    """One delivery for the bus, one for the topic, and one for every webhook that wants to hear of it."""
    event = cloud_event(logged, stage=stage)
    body = text_of(event)
    action = event["data"]["action"]
    severity = logged.result.get("severity") if action.startswith("alert.") else None
    wanting = (hook for hook in webhooks if wants(hook, scope=logged.scope, action=action, severity=severity))
    targets = (BUS, TOPIC, *(Target("webhook", hook.team, hook.id) for hook in wanting))
    return (Delivery(target, event["id"], body) for target in targets)


def wants(webhook: Webhook, *, scope: str, action: str, severity: Severity | None = None) -> bool:
    """Whether a webhook is to hear of an action under a model or (``team:…``) under its team.

    `severity` is an alert's, None for all other actions.
    """
    if not webhook.enabled or (severity is not None and rank(severity) < rank(webhook.severity)):
        return False
    # Who chose models didn't choose the team's own settings.
    if webhook.models and (scope.startswith(TEAM_SCOPE) or scope not in webhook.models):
        return False
    group = action.partition(".")[0] + ".*"
    return not webhook.events or action in webhook.events or group in webhook.events


def pause_s(attempts: int) -> int:
    """Seconds until the next attempt, after so many that failed (1 and up)."""
    pause = FIRST_PAUSE_S
    for _ in range(min(attempts, 20) - 1):
        pause *= PAUSE_FACTOR
    return min(pause, LONGEST_PAUSE_S)
