"""Telemetry that couldn't be counted: seen, and counted again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalice.app import Blueprint

from chalicelib.handlers.access import ADMIN, require_anywhere
from chalicelib.handlers.authorizer import bearer
from chalicelib.handlers.problems import problem_details
from chalicelib.handlers.requests import open_call
from tiltyard.audit.entry import canonical_time

if TYPE_CHECKING:
    from chalicelib.monitoring.letters import Shown

bp = Blueprint(__name__)

# The queue holds messages of all teams.
EVERY_TEAM = frozenset({ADMIN})


@bp.route("/v1/telemetry/dead-letters", methods=["GET"], authorizer=bearer)
@problem_details
def read_dead_letters() -> dict[str, Any]:
    """How much couldn't be counted, and what is the matter with some of it; never the rows."""
    from chalicelib.monitoring import letters

    call = open_call(bp.current_request)
    require_anywhere(call.principal, EVERY_TEAM)
    found = letters.waiting(call.at_hand.telemetry_dead_letters, call.at_hand.lineage)
    return {"count": found.count, "items": [_body(shown) for shown in found.shown]}


@bp.route("/v1/telemetry/redrive", methods=["POST"], authorizer=bearer)
@problem_details
def redrive() -> dict[str, Any]:
    """Give ingest again what it failed to take five times."""
    from chalicelib.monitoring import letters

    call = open_call(bp.current_request)
    require_anywhere(call.principal, EVERY_TEAM)
    done = letters.redrive(call.at_hand.telemetry_dead_letters, call.at_hand.telemetry_queue)
    return {"redriven": done.redriven, "left": done.left}


def _body(shown: Shown) -> dict[str, Any]:
    return {
        "id": shown.id,
        "sent_at": None if shown.sent_at is None else canonical_time(shown.sent_at),
        "model": shown.model,
        "version": shown.version,
        "rows": shown.rows,
        "why": shown.why,
    }
