"""MLflow's scoring protocol: the answer is the decided values alone."""

from __future__ import annotations

from chalice.app import Blueprint, Response

from chalicelib.handlers.answering import answerer, json_answer, raw_of, version_of
from chalicelib.handlers.authorizer import bearer
from chalicelib.handlers.problems import problem_details
from chalicelib.serving import body, dataframes
from chalicelib.serving.translation import relocated
from tiltyard.errors import InvalidRows

bp = Blueprint(__name__)


@bp.route(
    "/v1/models/{model}/invocations",
    methods=["POST"],
    authorizer=bearer,
    content_types=["application/json"],
)
@problem_details
def invoke(model: str) -> Response:
    """Answer one of MLflow's four shapes, as `predict` does."""
    request = bp.current_request
    asked = answerer(request, model, number=version_of(request))
    sent = body.load(raw_of(request))
    translated = dataframes.read(sent, asked.signature())
    try:
        answer = asked.answer(body.of({**(sent.get(dataframes.PARAMS) or {}), "rows": translated.rows}))
    except InvalidRows as error:
        raise relocated(error, translated, others=f"/{dataframes.PARAMS}") from error
    return json_answer({"predictions": [prediction["value"] for prediction in answer["predictions"]]})
