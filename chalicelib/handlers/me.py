"""Who the caller is to Tiltyard."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from chalice.app import Blueprint

from chalicelib.handlers.authorizer import bearer
from chalicelib.handlers.problems import problem_details
from chalicelib.handlers.requests import open_call
from tiltyard.audit.entry import canonical_time

bp = Blueprint(__name__)


@bp.route("/v1/me", authorizer=bearer)
@problem_details
def me() -> dict[str, Any]:
    """The caller's subject, roles and teams; needs a token and no role."""
    principal = open_call(bp.current_request).principal
    return {
        "sub": principal.sub,
        "roles": sorted(principal.roles),
        "teams": sorted(principal.teams),
        "expires_at": canonical_time(datetime.fromtimestamp(principal.exp, UTC)),
    }
