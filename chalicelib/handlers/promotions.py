"""The champion: promote, roll back, and who reigned when."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from chalice.app import Blueprint, Response

from chalicelib.handlers.access import OPERATE, READ
from chalicelib.handlers.authorizer import bearer
from chalicelib.handlers.bodies import nobody_body, page, reign_body
from chalicelib.handlers.problems import problem_details
from chalicelib.handlers.requests import moment, open_call, page_query, parse_body
from tiltyard.errors import MalformedRequest

if TYPE_CHECKING:
    from chalicelib.gating.service import Period

bp = Blueprint(__name__)


@bp.route("/v1/models/{model}/promote", methods=["POST"], authorizer=bearer)
@problem_details
def promote(model: str) -> dict[str, Any]:
    """Make a version the champion."""
    from chalicelib.gating import service
    from chalicelib.handlers.schemas import Promotion

    call = open_call(bp.current_request)
    found = call.model(model, OPERATE)
    body = parse_body(call.request, Promotion)
    attempt = call.attempt_on(found, OPERATE)
    at_hand = call.at_hand
    return call.once(
        attempt,
        lambda: service.promote(
            at_hand.lineage,
            at_hand.artifacts,
            at_hand.pseudonyms,
            found.name,
            body.version,
            reason=body.reason,
            attempt=attempt,
        ).to_json(),
        dict,
    )


@bp.route("/v1/models/{model}/rollback", methods=["POST"], authorizer=bearer)
@problem_details
def roll_back(model: str) -> dict[str, Any]:
    """Make a past champion the champion again."""
    from chalicelib.gating import service
    from chalicelib.handlers.schemas import Rollback

    call = open_call(bp.current_request)
    found = call.model(model, OPERATE)
    body = parse_body(call.request, Rollback)
    attempt = call.attempt_on(found, OPERATE)
    return call.once(
        attempt,
        lambda: service.roll_back(
            call.at_hand.lineage,
            call.at_hand.artifacts,
            call.at_hand.pseudonyms,
            found.name,
            body.version,
            reason=body.reason,
            attempt=attempt,
        ).to_json(),
        dict,
    )


@bp.route("/v1/models/{model}/champion", methods=["GET"], authorizer=bearer)
@problem_details
def champion(model: str) -> dict[str, Any]:
    """Who reigns, or reigned at ``?as_of=``: then nobody is an answer too."""
    from chalicelib.gating import service

    call = open_call(bp.current_request)
    found = call.model(model, READ)
    lineage = call.at_hand.lineage
    at = moment(call.request, "as_of")
    if at is None:
        period: Period | None = service.champion(lineage, found.name)
    else:
        period = service.champion_at(lineage, found.name, at)
    if period is None:
        return nobody_body(found.name)
    reign = period.reign
    return reign_body(reign, period.ended_at, lineage.texts(frozenset({reign.approved_by, reign.reason})))


@bp.route("/v1/models/{model}/timeline", methods=["GET"], authorizer=bearer)
@problem_details
def timeline(model: str) -> Response:
    """All reigns, newest first."""
    from chalicelib.gating import service

    call = open_call(bp.current_request)
    found = call.model(model, READ)
    asked = page_query(call.request)
    cursor, ended_at = _read_cursor(asked.cursor)
    lineage = call.at_hand.lineage
    periods = service.timeline(lineage, found.name, limit=asked.limit, cursor=cursor, ended_at=ended_at)
    reigns = [period.reign for period in periods.items]
    texts = lineage.texts(frozenset(text for reign in reigns for text in (reign.approved_by, reign.reason)))
    following = _write_cursor(periods.next, reigns[-1].started_at) if periods.next else None
    return page((reign_body(p.reign, p.ended_at, texts) for p in periods.items), following)


def _write_cursor(cursor: str, ended_at: datetime) -> str:
    """A reign ends where the next one starts, which the page before showed: the cursor carries it."""
    return base64.urlsafe_b64encode(json.dumps([cursor, ended_at.isoformat()]).encode()).decode()


def _read_cursor(text: str | None) -> tuple[str | None, datetime | None]:
    if text is None:
        return None, None
    try:
        cursor, ended_at = json.loads(base64.urlsafe_b64decode(text))
        return str(cursor), datetime.fromisoformat(ended_at)
    except (binascii.Error, ValueError, TypeError, RecursionError) as exc:
        raise MalformedRequest("The cursor isn't one that this list gave.") from exc
