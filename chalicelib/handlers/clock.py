"""The stage's clock, and the ticks of a replay on a local stage (docs/replay.md)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from chalice.app import Blueprint

from chalicelib.handlers.access import ADMIN, require_anywhere
from chalicelib.handlers.authorizer import bearer
from chalicelib.handlers.monitoring import close_hours
from chalicelib.handlers.problems import problem_details
from chalicelib.handlers.requests import open_call, parse_body
from tiltyard.audit.entry import canonical_time
from tiltyard.errors import Conflict

if TYPE_CHECKING:
    from chalicelib.bootstrap import Container

bp = Blueprint(__name__)

EVERY_TEAM = frozenset({ADMIN})
# API Gateway waits 29 seconds for an answer; the hour at hand is finished within the rest.
CLOSING_S = 18.0


@bp.route("/v1/clock", methods=["GET"], authorizer=bearer)
@problem_details
def read_clock() -> dict[str, Any]:
    """What time it is for decisions."""
    call = open_call(bp.current_request)
    return _body(call.at_hand)


@bp.route("/v1/clock", methods=["POST"], authorizer=bearer)
@problem_details
def tick() -> dict[str, Any]:
    """Put the clock of a replay forward, and close the hours that are due by it."""
    from chalicelib.handlers.clock_schemas import TickRequest
    from chalicelib.lineage.records import Tick
    from chalicelib.settings import REPLAY

    call = open_call(bp.current_request)
    require_anywhere(call.principal, EVERY_TEAM)
    at_hand = call.at_hand
    if at_hand.settings.clock != REPLAY:
        raise Conflict(
            "This stage goes by real time. A local stack that was started with "
            "`tiltyard local up --replay` can be ticked."
        )
    to = parse_body(call.request, TickRequest).now
    former, begun = at_hand.lineage.tick(), time.monotonic()
    if former is not None and to < call.now:
        # The same tick again goes on with the hours that the one before had no time for.
        if to != former.to:
            raise Conflict(f"The clock is at {canonical_time(call.now)} by now, and never goes back.")
    else:
        at_hand.lineage.put_tick(Tick(to, at_hand.wall(), 1 if former is None else former.revision + 1))
    close_hours(
        at_hand,
        now=at_hand.clock(),
        request_id=call.attempt(ADMIN).request_id,
        is_time_left=lambda: time.monotonic() - begun < CLOSING_S,
    )
    return _body(at_hand)


def _body(at_hand: Container) -> dict[str, Any]:
    from chalicelib.monitoring.closing import first_due
    from chalicelib.settings import REPLAY

    now, cursor = at_hand.clock(), at_hand.ledger.cursor()
    return {
        "now": canonical_time(now),
        "is_replay": at_hand.settings.clock == REPLAY,
        "closed_until": None if cursor is None else canonical_time(cursor[0]),
        "is_behind": cursor is not None and first_due(cursor[0]) <= now,
    }
