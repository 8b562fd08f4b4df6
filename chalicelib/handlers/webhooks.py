"""A team's webhooks, and giving again what they missed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalice.app import Blueprint, Response

from chalicelib.handlers.access import ADMIN, AUDITOR, OPERATE, require, require_anywhere, require_team
from chalicelib.handlers.authorizer import bearer
from chalicelib.handlers.bodies import page, tagged
from chalicelib.handlers.problems import problem_details
from chalicelib.handlers.requests import Call, if_match, open_call, page_query, parse_body, query
from chalicelib.lineage.records import Attempt
from tiltyard.audit.entry import canonical_time
from tiltyard.errors import MalformedRequest, NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chalicelib.lineage.deliveries import DeliveryAttempt
    from chalicelib.lineage.records import Webhook
    from chalicelib.outbox.calls import Caller

bp = Blueprint(__name__)

# An address may hold a key of its own: it is for those who may set it, and for auditors.
SEE = OPERATE | {AUDITOR}
EVERY_LETTER = frozenset({ADMIN})


@bp.route("/v1/webhooks", methods=["POST"], authorizer=bearer)
@problem_details
def create() -> Response:
    """Make a webhook; its secret is in this answer alone."""
    from chalicelib.handlers.webhook_schemas import NewWebhook
    from chalicelib.outbox import webhooks
    from chalicelib.outbox.rules import NewWebhook as Wanted

    call = open_call(bp.current_request)
    body = parse_body(call.request, NewWebhook)
    attempt = call.attempt(require_team(call.principal, body.team, OPERATE))
    wanted = Wanted(
        body.team, body.url, tuple(body.events), tuple(body.models), body.description, body.severity
    )
    at_hand = call.at_hand
    made = call.once(
        attempt,
        lambda: webhooks.create(at_hand.lineage, at_hand.pseudonyms, _caller(call), wanted, attempt=attempt),
        lambda done: webhooks.find(at_hand.lineage, done["team"], done["webhook"]),
    )
    return _with_secret(call, made, 1, status=201, location=f"/v1/webhooks/{made.id}")


@bp.route("/v1/webhooks", methods=["GET"], authorizer=bearer)
@problem_details
def list_webhooks() -> Response:
    """The webhooks of a team, by age."""
    call = open_call(bp.current_request)
    team = query(call.request, "team")
    if team is None:
        require_anywhere(call.principal, SEE)
        if len(call.principal.teams) != 1:
            raise MalformedRequest("Whose webhooks? Name the team: ?team=airport.")
        (team,) = call.principal.teams
    require(call.principal, team, SEE, what=f"team {team!r}")
    asked = page_query(call.request)
    found = call.at_hand.lineage.webhooks(team, limit=asked.limit, cursor=asked.cursor)
    return page((_body(call, webhook) for webhook in found.items), found.next)


@bp.route("/v1/webhooks/{webhook}", methods=["GET"], authorizer=bearer)
@problem_details
def read(webhook: str) -> Response:
    """One webhook, and how its last deliveries went."""
    call = open_call(bp.current_request)
    found, _ = _found(call, webhook, SEE)
    return tagged(_body(call, found), found.revision)


@bp.route("/v1/webhooks/{webhook}", methods=["PATCH"], authorizer=bearer)
@problem_details
def change(webhook: str) -> Response:
    """Change a webhook's address, choice, description, or switch it off and on."""
    from chalicelib.handlers.webhook_schemas import WebhookChanges
    from chalicelib.outbox import webhooks
    from chalicelib.outbox.rules import WebhookChanges as Changes

    call = open_call(bp.current_request)
    found, attempt = _found(call, webhook, OPERATE)
    body = parse_body(call.request, WebhookChanges)
    changes = Changes(
        url=body.url,
        events=None if body.events is None else tuple(body.events),
        models=None if body.models is None else tuple(body.models),
        description=body.description,
        severity=body.severity,
        enabled=body.enabled,
    )
    precondition = if_match(call.request)
    at_hand = call.at_hand
    changed = call.once(
        attempt,
        lambda: webhooks.change(
            at_hand.lineage,
            at_hand.pseudonyms,
            _caller(call),
            found.team,
            found.id,
            changes,
            precondition=precondition,
            attempt=attempt,
        ),
        lambda done: webhooks.find(at_hand.lineage, found.team, found.id),
    )
    return tagged(_body(call, changed), changed.revision)


@bp.route("/v1/webhooks/{webhook}", methods=["DELETE"], authorizer=bearer)
@problem_details
def delete(webhook: str) -> Response:
    """Delete a webhook; what is on its way to it is dropped."""
    from chalicelib.outbox import webhooks

    call = open_call(bp.current_request)
    precondition = if_match(call.request)
    # Looked up inside, so that the same request again finds that it is done.
    attempt = call.attempt(require_anywhere(call.principal, OPERATE))

    def remove() -> None:
        found, granted = _found(call, webhook, OPERATE)
        webhooks.remove(
            call.at_hand.lineage,
            call.at_hand.pseudonyms,
            found.team,
            found.id,
            precondition=precondition,
            attempt=granted,
        )

    call.once(attempt, remove, lambda done: None)
    return Response("", status_code=204)


@bp.route("/v1/webhooks/{webhook}/rotate", methods=["POST"], authorizer=bearer)
@problem_details
def rotate(webhook: str) -> Response:
    """Give a webhook another secret, which is in this answer alone."""
    from chalicelib.outbox import webhooks

    call = open_call(bp.current_request)
    found, attempt = _found(call, webhook, OPERATE)
    precondition = if_match(call.request)
    at_hand = call.at_hand
    rotated, rotation = call.once(
        attempt,
        lambda: _at_its_rotation(
            webhooks.rotate(
                at_hand.lineage,
                at_hand.pseudonyms,
                found.team,
                found.id,
                precondition=precondition,
                attempt=attempt,
            )
        ),
        lambda done: (webhooks.find(at_hand.lineage, found.team, found.id), int(done["rotation"])),
    )
    return _with_secret(call, rotated, rotation, status=200)


@bp.route("/v1/webhooks/{webhook}/test", methods=["POST"], authorizer=bearer)
@problem_details
def try_out(webhook: str) -> dict[str, Any]:
    """Send a test event right away and say how that went."""
    from chalicelib.outbox import webhooks

    call = open_call(bp.current_request)
    found, _ = _found(call, webhook, OPERATE)
    tried = webhooks.try_out(
        found,
        _caller(call),
        call.at_hand.pseudonyms,
        stage=call.at_hand.settings.stage,
        now=call.at_hand.wall(),
    )
    return {
        "event": tried.event,
        "taken": tried.is_taken,
        "status": tried.status,
        "detail": tried.detail,
        "milliseconds": tried.milliseconds,
    }


@bp.route("/v1/webhooks/{webhook}/redrive", methods=["POST"], authorizer=bearer)
@problem_details
def redrive(webhook: str) -> dict[str, Any]:
    """Send a webhook again what it failed to take ten times."""
    call = open_call(bp.current_request)
    found, _ = _found(call, webhook, OPERATE)
    return _redriven(call, found)


@bp.route("/v1/events/redrive", methods=["POST"], authorizer=bearer)
@problem_details
def redrive_all() -> dict[str, Any]:
    """Send again all that bus, topic and webhooks failed to take ten times."""
    call = open_call(bp.current_request)
    require_anywhere(call.principal, EVERY_LETTER)
    return _redriven(call, None)


def _redriven(call: Call, webhook: Webhook | None) -> dict[str, Any]:
    from chalicelib.outbox import webhooks

    done = webhooks.redrive(
        call.at_hand.dead_letters,
        call.at_hand.delivery_queue,
        lambda delivery: webhook is None or delivery.target.webhook == webhook.id,
    )
    return {"moved": done.moved, "all": done.is_all}


def _found(call: Call, webhook_id: str, roles: frozenset[str]) -> tuple[Webhook, Attempt]:
    """A webhook of one of the caller's teams, or of the one that ``?team=`` names, and by which role."""
    named, what = query(call.request, "team"), f"webhook {webhook_id!r}"
    # Before anything is looked up, so that a stranger's answer doesn't depend on what there is.
    if named is None:
        require_anywhere(call.principal, roles)
    else:
        require(call.principal, named, roles, what=what)
    for team in sorted(call.principal.teams) if named is None else [named]:
        webhook = call.at_hand.lineage.webhook(team, webhook_id)
        if webhook is not None:
            return webhook, call.attempt(require(call.principal, team, roles, what=what))
    hint = " Name its team, too: ?team=." if named is None and call.principal.visible_teams is None else ""
    raise NotFound(f"There is no {what}, or it is not your team's.{hint}")


def _at_its_rotation(webhook: Webhook) -> tuple[Webhook, int]:
    return webhook, webhook.rotation


def _with_secret(
    call: Call, webhook: Webhook, rotation: int, *, status: int, location: str | None = None
) -> Response:
    """The webhook with the secret of that rotation; null once it has been rotated again."""
    is_current = webhook.rotation == rotation
    secret = call.at_hand.pseudonyms.webhook_secret(webhook.id, rotation) if is_current else None
    body = {**_body(call, webhook), "secret": secret}
    answer = tagged(body, webhook.revision, status=status, location=location)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _caller(call: Call) -> Caller:
    from chalicelib.outbox.calls import Caller

    return Caller(call.at_hand.settings.webhook_networks)


def _body(call: Call, webhook: Webhook) -> dict[str, Any]:
    last = call.at_hand.deliveries.last(webhook)
    texts: Mapping[str, str] = call.at_hand.lineage.texts(frozenset({webhook.created_by}))
    rotated_at = webhook.rotated_at
    return {
        "id": webhook.id,
        "team": webhook.team,
        "url": webhook.url,
        "events": list(webhook.events),
        "models": list(webhook.models),
        "description": webhook.description,
        "severity": webhook.severity,
        "enabled": webhook.enabled,
        "created_at": canonical_time(webhook.created_at),
        "created_by": texts.get(webhook.created_by),
        "rotation": webhook.rotation,
        "rotated_at": None if rotated_at is None else canonical_time(rotated_at),
        "last_taken": _attempt(last.taken),
        "last_failed": _attempt(last.failed),
    }


def _attempt(attempt: DeliveryAttempt | None) -> dict[str, Any] | None:
    if attempt is None:
        return None
    return {"at": canonical_time(attempt.at), "event": attempt.event, "detail": attempt.detail}
