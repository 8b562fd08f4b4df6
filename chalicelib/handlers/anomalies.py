"""Odd rows of production, to look at."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from chalice.app import Blueprint

from chalicelib.handlers.access import DESCRIBE, RISK
from chalicelib.handlers.authorizer import bearer
from chalicelib.handlers.monitoring import counters
from chalicelib.handlers.problems import problem_details
from chalicelib.handlers.requests import moment, open_call, page_query, query
from chalicelib.handlers.series import asked_version
from tiltyard.errors import MalformedRequest

bp = Blueprint(__name__)

# Rows are more than figures: who only reads doesn't see them.
LOOK = DESCRIBE | {RISK}


@bp.route("/v1/models/{model}/anomalies", methods=["GET"], authorizer=bearer)
@problem_details
def read_anomalies(model: str) -> dict[str, Any]:
    """Odd rows, the latest hour's first, personal columns masked; of the last day unless said."""
    from chalicelib.monitoring.anomalies import KINDS, Place, odd_rows
    from chalicelib.monitoring.series import Span

    call = open_call(bp.current_request)
    version = asked_version(call, call.model(model, LOOK).name)
    kind = query(call.request, "kind") or KINDS[0]
    if kind not in KINDS:
        raise MalformedRequest(f"kind must be one of {', '.join(KINDS)}.")
    start, end = moment(call.request, "from"), moment(call.request, "to") or call.now
    span = Span.of(start or end - timedelta(days=1), end, "hour", None, now=call.now)
    asked = page_query(call.request)
    at_hand = call.at_hand
    found = odd_rows(
        at_hand.ledger,
        at_hand.lake,
        version,
        counters(at_hand).of(version.model, version.number, version.digest),
        kind,
        span,
        limit=asked.limit,
        place=None if asked.cursor is None else Place.of(asked.cursor),
    )
    return {
        "model": version.model,
        "version": version.number,
        "kind": kind,
        "items": [asdict(row) for row in found.items],
        "next": None if found.next is None else found.next.text,
    }
