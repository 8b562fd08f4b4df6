"""A day's counts against its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalice.app import Blueprint

from chalicelib.handlers.access import DESCRIBE, OPERATE
from chalicelib.handlers.authorizer import bearer
from chalicelib.handlers.monitoring import counters
from chalicelib.handlers.problems import problem_details
from chalicelib.handlers.requests import open_call, parse_body
from chalicelib.handlers.series import version_or_champion
from tiltyard.audit.entry import canonical_time

if TYPE_CHECKING:
    from chalicelib.monitoring.reconciling import Reconciled

bp = Blueprint(__name__)


@bp.route("/v1/models/{model}/reconciliations", methods=["POST"], authorizer=bearer)
@problem_details
def reconcile(model: str) -> dict[str, Any]:
    """Count a day's rows again, as many hours as there is time for, and mend what differs if asked to."""
    from chalicelib.handlers.telemetry_schemas import ReconciliationRequest
    from chalicelib.monitoring.reconciling import Reconciler, start_of

    call = open_call(bp.current_request)
    found = call.model(model, DESCRIBE)
    body = parse_body(call.request, ReconciliationRequest)
    mending = call.attempt_on(found, OPERATE) if body.mend else None
    at_hand = call.at_hand
    start = start_of(body.day, now=call.now, retention=at_hand.ledger.retention)
    version = version_or_champion(call, found.name, body.version)
    counter = counters(at_hand).of(version.model, version.number, version.digest)
    done = Reconciler(
        at_hand.ledger, at_hand.lake, at_hand.lineage, version, counter, now=call.now, mending=mending
    ).day(start, int(body.hour))
    return {
        "model": version.model,
        "version": version.number,
        "day": body.day,
        "items": [_body(item) for item in done.items],
        "next": None if done.next is None else f"{done.next:02d}",
    }


def _body(item: Reconciled) -> dict[str, Any]:
    return {
        "start": canonical_time(item.start),
        "state": item.state,
        "rows": item.rows,
        "found": item.found,
        "closed": item.is_closed,
        "differing": item.differing,
        "differences": [
            {
                "where": difference.where,
                "name": difference.name,
                "cell": difference.cell,
                "expected": difference.expected,
                "found": difference.found,
            }
            for difference in item.differences
        ],
        "advice": item.advice,
    }
