"""Whether the service lives and can work; asked without a token."""

from __future__ import annotations

from typing import Any

from chalice.app import Blueprint

from chalicelib.bootstrap import container
from chalicelib.handlers.problems import problem_details

bp = Blueprint(__name__)


@bp.route("/v1/health/live")
@problem_details
def live() -> dict[str, Any]:
    """This function runs."""
    return {"status": "live"}


@bp.route("/v1/health/ready")
@problem_details
def ready() -> dict[str, Any]:
    """The settings hold and the lineage table answers."""
    container().lineage.model("ready")
    return {"status": "ready"}
