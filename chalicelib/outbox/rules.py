"""What a webhook may be: pure decisions over records."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from chalicelib.lineage.alerts import Severity
from chalicelib.lineage.records import Webhook
from chalicelib.outbox.events import ACTIONS, GROUPS
from tiltyard.errors import Conflict, Fault, InvalidInput
from tiltyard.runtime.identifiers import NAME

T = TypeVar("T")

# The outbox reads all of a team's for every batch of changes.
MAX_WEBHOOKS = 20
MAX_MODELS = 50


@dataclass(frozen=True, slots=True)
class NewWebhook:
    team: str
    url: str
    events: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    description: str = ""
    severity: Severity = "info"


@dataclass(frozen=True, slots=True)
class WebhookChanges:
    """What becomes of a webhook; None leaves a value as it is."""

    url: str | None = None
    events: tuple[str, ...] | None = None
    models: tuple[str, ...] | None = None
    description: str | None = None
    severity: Severity | None = None
    enabled: bool | None = None


def check_room(webhooks: Sequence[Webhook], team: str) -> None:
    if len(webhooks) >= MAX_WEBHOOKS:
        raise Conflict(f"Team {team!r} has {MAX_WEBHOOKS} webhooks, and may have no more; remove one.")


def check_wanted(events: Collection[str], models: Collection[str]) -> None:
    """Raises `InvalidInput` for events that there are none of, and for what can't be a model's name."""
    known = {*ACTIONS, *GROUPS}
    faults = [
        Fault(f"/events/{i}", f"{event!r} never happens; known are {', '.join((*ACTIONS, *GROUPS))}")
        for i, event in enumerate(events)
        if event not in known
    ]
    faults += [
        Fault(f"/models/{i}", f"{model!r} can't be a model's name")
        for i, model in enumerate(models)
        if not NAME.fullmatch(model)
    ]
    if len(models) > MAX_MODELS:
        faults.append(Fault("/models", f"names {len(models)} models and may name {MAX_MODELS}"))
    if faults:
        raise InvalidInput("The webhook can't be set like this.", faults=faults)


def changed(webhook: Webhook, changes: WebhookChanges) -> Webhook:
    return replace(
        webhook,
        url=_or(changes.url, webhook.url),
        events=_or(changes.events, webhook.events),
        models=_or(changes.models, webhook.models),
        description=_or(changes.description, webhook.description),
        severity=_or(changes.severity, webhook.severity),
        enabled=_or(changes.enabled, webhook.enabled),
    )


def _or(new: T | None, old: T) -> T:
    return old if new is None else new
