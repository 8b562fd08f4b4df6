"""Alerts: what was found wrong, and who takes care of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalice.app import Blueprint, Response

from chalicelib.handlers.access import DESCRIBE, READ, RISK, require
from chalicelib.handlers.authorizer import bearer
from chalicelib.handlers.bodies import page, tagged
from chalicelib.handlers.problems import problem_details
from chalicelib.handlers.requests import Call, open_call, page_query, parse_body, query
from chalicelib.lineage.alerts import ACTIVE, SEVERITIES, STATES, AlertId
from chalicelib.lineage.records import Attempt
from tiltyard.audit.entry import canonical_time
from tiltyard.errors import MalformedRequest, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chalicelib.handlers.requests import PageQuery
    from chalicelib.lineage.alerts import Alert, AlertState
    from chalicelib.lineage.records import Page

bp = Blueprint(__name__)

ACT = DESCRIBE | {RISK}

_MOST_PAGES = 20


@bp.route("/v1/alerts", methods=["GET"], authorizer=bearer)
@problem_details
def list_alerts() -> Response:
    """Newest first: active ones, unless ``?state=`` asks for others."""
    call = open_call(bp.current_request)
    state, model, severity = (query(call.request, name) for name in ("state", "model", "severity"))
    if state is not None and state not in (*STATES, "all"):
        raise MalformedRequest(f"state must be one of {', '.join(STATES)}, all.")
    if severity is not None and severity not in SEVERITIES:
        raise MalformedRequest(f"severity must be one of {', '.join(SEVERITIES)}.")
    if model is not None:
        call.model(model, READ)
    states: Sequence[AlertState] = ACTIVE if state is None else STATES if state == "all" else (state,)  # type: ignore[assignment]
    asked = page_query(call.request)

    def wanted(alert: Alert) -> bool:
        return model in {None, alert.model} and severity in {None, alert.severity}

    items, following = _filtered(call, states, asked, wanted)
    return page((_body(call, alert) for alert in items), following)


@bp.route("/v1/alerts/{alert}", methods=["GET"], authorizer=bearer)
@problem_details
def read(alert: str) -> Response:
    """One alert, with the figures that raised it."""
    call = open_call(bp.current_request)
    found, _ = _found(call, alert, READ)
    return tagged(_body(call, found), found.revision)


@bp.route("/v1/alerts/{alert}/acknowledge", methods=["POST"], authorizer=bearer)
@problem_details
def acknowledge(alert: str) -> Response:
    """Say that somebody is at it."""
    from chalicelib.handlers.alert_schemas import Acknowledgement
    from chalicelib.triage import service

    call = open_call(bp.current_request)
    found, attempt = _found(call, alert, ACT)
    body = parse_body(call.request, Acknowledgement)
    named = AlertId(found.model, found.kind, found.number)
    at_hand = call.at_hand
    done = call.once(
        attempt,
        lambda: service.acknowledge(
            at_hand.lineage, at_hand.pseudonyms, named, comment=body.comment, attempt=attempt
        ),
        lambda _: service.find(at_hand.lineage, named),
    )
    return tagged(_body(call, done), done.revision)


@bp.route("/v1/alerts/{alert}/resolve", methods=["POST"], authorizer=bearer)
@problem_details
def resolve(alert: str) -> Response:
    """Say that it is taken care of, and how."""
    from chalicelib.handlers.alert_schemas import Resolution
    from chalicelib.triage import service

    call = open_call(bp.current_request)
    found, attempt = _found(call, alert, ACT)
    body = parse_body(call.request, Resolution)
    named = AlertId(found.model, found.kind, found.number)
    at_hand = call.at_hand
    done = call.once(
        attempt,
        lambda: service.resolve(
            at_hand.lineage, at_hand.pseudonyms, named, comment=body.comment, attempt=attempt
        ),
        lambda _: service.find(at_hand.lineage, named),
    )
    return tagged(_body(call, done), done.revision)


def _filtered(
    call: Call, states: Sequence[AlertState], asked: PageQuery, wanted: Any
) -> tuple[list[Alert], str | None]:
    """A page of those wanted; a few pages are read for it where most aren't."""
    teams, cursor = call.principal.visible_teams, asked.cursor
    found: list[Alert] = []
    for _ in range(_MOST_PAGES):
        part: Page[Alert] = call.at_hand.lineage.alerts(
            teams=teams, states=states, limit=asked.limit - len(found), cursor=cursor
        )
        found += [alert for alert in part.items if wanted(alert)]
        cursor = part.next
        if cursor is None or len(found) == asked.limit:
            break
    return found, cursor


def _found(call: Call, text: str, roles: frozenset[str]) -> tuple[Alert, Attempt]:
    """An alert that the caller may see, and by which role; whose it is follows from the model's team now."""
    from chalicelib.triage.service import STAGE, STAGE_TEAM

    what, named = f"alert {text!r}", AlertId.of(text)
    team: str | None = None
    if named is not None and named.scope == STAGE:
        team = STAGE_TEAM
    elif named is not None:
        model = call.at_hand.lineage.model(named.scope)
        team = None if model is None else model.team
    role = require(call.principal, team, roles, what=what)
    alert = None if named is None else call.at_hand.lineage.alert(named)
    if alert is None:
        raise NotFound(f"There is no {what}, or it is not your team's.")
    return alert, call.attempt(role)


def _body(call: Call, alert: Alert) -> dict[str, Any]:
    from chalicelib.triage.rules import summary

    texts = call.at_hand.lineage.texts(frozenset(_texts(alert)))
    return {
        "id": alert.id,
        # Alerts about the stage itself are of no model.
        "model": None if ":" in alert.model else alert.model,
        "team": alert.team,
        "kind": alert.kind,
        "severity": alert.severity,
        "state": alert.state,
        "summary": summary(alert),
        "subjects": {name: dict(facts) for name, facts in alert.subjects.items()},
        "version": alert.version,
        "runbook": alert.runbook,
        "opened_at": canonical_time(alert.opened_at),
        "changed_at": canonical_time(alert.changed_at),
        "acknowledged_by": None if alert.acknowledged_by is None else texts.get(alert.acknowledged_by),
        "resolved_by": None if alert.resolved_by is None else texts.get(alert.resolved_by),
        "resolved_at": None if alert.resolved_at is None else canonical_time(alert.resolved_at),
        "comment": None if alert.comment is None else texts.get(alert.comment),
    }


def _texts(alert: Alert) -> Iterator[str]:
    return (i for i in (alert.acknowledged_by, alert.resolved_by, alert.comment) if i is not None)
