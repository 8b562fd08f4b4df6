"""A team's webhooks: made, changed, tried out, and given again what they missed."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from chalicelib.lineage.ids import RANDOM_BYTES, uuid7
from chalicelib.lineage.races import settle
from chalicelib.lineage.records import Attempt, Change, Put, Remove, Team, Webhook
from chalicelib.lineage.states import state_digest
from chalicelib.outbox import rules
from chalicelib.outbox.calls import Caller, Reply
from chalicelib.outbox.events import TYPE_PREFIX, text_of
from chalicelib.outbox.messages import Delivery, Target
from chalicelib.outbox.rules import NewWebhook, WebhookChanges
from chalicelib.outbox.service import send
from chalicelib.ports import DeadLetters, DeliveryQueue, Letter, LineageStore, Pseudonyms
from chalicelib.registry.rules import Precondition
from tiltyard.audit.entry import canonical_time
from tiltyard.errors import InvalidInput, MalformedRequest, NotFound, Unavailable

TEST_TYPE = TYPE_PREFIX + "webhook.test"
# An API call ends after 29 seconds.
REDRIVE_S = 20.0


@dataclass(frozen=True, slots=True)
class Tried:
    """How a test call went: `status` is None when nobody answered, and `detail` says why."""

    event: str
    status: int | None
    detail: str
    milliseconds: int

    @property
    def is_taken(self) -> bool:
        return self.status is not None and Reply(self.status).is_success


@dataclass(frozen=True, slots=True)
class Redriven:
    """`moved` dead letters are on their way again; `is_all` is False when time ran out before the last."""

    moved: int
    is_all: bool


def create(
    lineage: LineageStore,
    pseudonyms: Pseudonyms,
    caller: Caller,
    new: NewWebhook,
    *,
    attempt: Attempt,
) -> Webhook:
    """Raises `InvalidInput` for an address that may not be called, `Conflict` when the team has 20."""
    rules.check_wanted(new.events, new.models)
    caller.check(new.url)

    def change() -> Webhook:
        rules.check_room(_all(lineage, new.team), new.team)
        webhook = Webhook(
            id=uuid7(attempt.at, os.urandom(RANDOM_BYTES)),
            team=new.team,
            url=new.url,
            created_at=attempt.at,
            created_by=attempt.actor,
            events=new.events,
            models=new.models,
            description=new.description,
            severity=new.severity,
        )
        return _put(lineage, pseudonyms, "webhook.create", None, webhook, attempt=attempt)

    return settle(change)


def find(lineage: LineageStore, team: str, webhook_id: str) -> Webhook:
    webhook = lineage.webhook(team, webhook_id)
    if webhook is None:
        raise NotFound(f"There is no webhook {webhook_id!r}, or it is not your team's.")
    return webhook


def change(
    lineage: LineageStore,
    pseudonyms: Pseudonyms,
    caller: Caller,
    team: str,
    webhook_id: str,
    changes: WebhookChanges,
    *,
    precondition: Precondition | None,
    attempt: Attempt,
) -> Webhook:
    """Raises what `create` does, and `PreconditionFailed` when it changed since it was read."""
    rules.check_wanted(changes.events or (), changes.models or ())
    if changes.url is not None:
        caller.check(changes.url)

    def once() -> Webhook:
        webhook = _found(lineage, team, webhook_id, precondition)
        wanted = rules.changed(webhook, changes)
        if wanted == webhook:
            return webhook
        return _put(lineage, pseudonyms, "webhook.change", webhook, wanted, attempt=attempt)

    return settle(once)


def rotate(
    lineage: LineageStore,
    pseudonyms: Pseudonyms,
    team: str,
    webhook_id: str,
    *,
    precondition: Precondition | None,
    attempt: Attempt,
) -> Webhook:
    """Give it another secret. The one before it signs for another 24 hours, beside the new one."""

    def once() -> Webhook:
        webhook = _found(lineage, team, webhook_id, precondition)
        rotated = replace(webhook, rotation=webhook.rotation + 1, rotated_at=attempt.at)
        return _put(lineage, pseudonyms, "webhook.rotate", webhook, rotated, attempt=attempt)

    return settle(once)


def remove(
    lineage: LineageStore,
    pseudonyms: Pseudonyms,
    team: str,
    webhook_id: str,
    *,
    precondition: Precondition | None,
    attempt: Attempt,
) -> None:
    """Delete it. What is on its way to it is dropped."""

    def once() -> None:
        webhook = _found(lineage, team, webhook_id, precondition)
        _commit(lineage, pseudonyms, "webhook.remove", webhook, None, attempt=attempt)

    settle(once)


def try_out(webhook: Webhook, caller: Caller, pseudonyms: Pseudonyms, *, stage: str, now: datetime) -> Tried:
    """Send a test event, once and right away, whether or not it is enabled."""
    event_id = str(uuid.uuid4())
    event = {
        "specversion": "1.0",
        "id": event_id,
        "source": f"/tiltyard/{stage}/teams/{webhook.team}",
        "type": TEST_TYPE,
        "subject": f"webhook:{webhook.id}",
        "time": canonical_time(now),
        "datacontenttype": "application/json",
        "data": {"team": webhook.team, "webhook": webhook.id},
    }
    delivery = Delivery(Target("webhook", webhook.team, webhook.id), event_id, text_of(event))
    began = time.monotonic()
    try:
        reply = send(webhook, delivery, caller, pseudonyms, now=now)
        status, detail = reply.status, f"HTTP {reply.status}"
    except (InvalidInput, Unavailable) as exc:
        status, detail = None, str(exc)
    return Tried(event_id, status, detail, round(1000 * (time.monotonic() - began)))


def redrive(
    dead: DeadLetters,
    queue: DeliveryQueue,
    is_meant: Callable[[Delivery], bool],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Redriven:
    """Put dead letters back on the queue, each to be tried anew.

    A letter is deleted once it is on the queue: a crash in between sends it
    twice, and never loses it.
    """
    end, moved, others, is_all = clock() + REDRIVE_S, 0, [], False
    while clock() < end:
        letters = dead.receive()
        if not letters:
            is_all = True
            break
        meant = [letter for letter in letters if _is_meant(letter, is_meant)]
        others += [letter for letter in letters if letter not in meant]
        for letter in meant:
            queue.send(letter.body)
            dead.delete(letter.receipt)
        moved += len(meant)
    for letter in others:
        dead.release(letter.receipt)
    return Redriven(moved, is_all)


def _is_meant(letter: Letter, is_meant: Callable[[Delivery], bool]) -> bool:
    try:
        return is_meant(Delivery.from_text(letter.body))
    except MalformedRequest:
        return False  # sent by somebody else: it stays where an operator finds it


def _found(lineage: LineageStore, team: str, webhook_id: str, precondition: Precondition | None) -> Webhook:
    webhook = find(lineage, team, webhook_id)
    if precondition is not None:
        precondition.check(webhook.revision, what=f"webhook {webhook_id!r}")
    return webhook


def _all(lineage: LineageStore, team: str) -> tuple[Webhook, ...]:
    return lineage.webhooks(team, limit=rules.MAX_WEBHOOKS, cursor=None).items


def _put(
    lineage: LineageStore,
    pseudonyms: Pseudonyms,
    action: str,
    before: Webhook | None,
    after: Webhook,
    *,
    attempt: Attempt,
) -> Webhook:
    _commit(lineage, pseudonyms, action, before, after, attempt=attempt)
    return replace(after, revision=after.revision + 1)


def _commit(
    lineage: LineageStore,
    pseudonyms: Pseudonyms,
    action: str,
    before: Webhook | None,
    after: Webhook | None,
    *,
    attempt: Attempt,
) -> None:
    """Put `after` in the place of `before`, or remove `before` when there is no `after`."""
    webhook = after or before
    assert webhook is not None
    write = Remove(webhook) if after is None else Put(after)
    rotation = {} if after is None else {"rotation": after.rotation}
    change: Change[Team] = Change(
        model=lineage.team(webhook.team),
        attempt=attempt,
        action=action,
        object=f"webhook:{webhook.id}",
        before=state_digest(before, commitment=pseudonyms.commitment),
        after=state_digest(after, commitment=pseudonyms.commitment),
        writes=(write,),
        result={"team": webhook.team, "webhook": webhook.id, **rotation},
    )
    lineage.commit(change)
