"""Tiltyard's own prediction routes; the predictor's function runs them and those of the other protocols.

Nothing here, or below it, loads pydantic, PyJWT or a training library.
"""

from __future__ import annotations

from chalice.app import Blueprint, Response

from chalicelib.handlers import media_types
from chalicelib.handlers.answering import answerer, explain_stored, json_answer, raw_of, version_of
from chalicelib.handlers.authorizer import bearer
from chalicelib.handlers.problems import problem_details
from chalicelib.serving import body

bp = Blueprint(__name__)
media_types.remember()


@bp.route(
    "/v1/models/{model}/predict",
    methods=["POST"],
    authorizer=bearer,
    content_types=["application/json"],
)
@problem_details
def predict(model: str) -> Response:
    """Answer rows by the champion of ``model``, by ``model@alias``, or by ``?version=``."""
    request = bp.current_request
    asked = answerer(request, model, number=version_of(request))
    return json_answer(asked.answer(body.parse(raw_of(request))))


@bp.route("/v1/models/{model}/predictions/{prediction}/explanation", methods=["GET"], authorizer=bearer)
@problem_details
def explain(model: str, prediction: str) -> Response:
    """Why a stored prediction came out as it did, by the version that made it."""
    return json_answer(explain_stored(bp.current_request, model, prediction))
