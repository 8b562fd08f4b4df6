"""The Open Inference Protocol v2 over HTTP (KServe, Triton): tensors travel as JSON."""

from __future__ import annotations

from typing import Any

from chalice.app import Blueprint, Response

from chalicelib.bootstrap import container
from chalicelib.handlers.answering import answerer, json_answer, raw_of
from chalicelib.handlers.authorizer import bearer
from chalicelib.handlers.openapi import API_VERSION
from chalicelib.handlers.problems import problem_details
from chalicelib.serving import body, outputs, tensors
from chalicelib.serving.translation import relocated
from tiltyard.errors import InvalidRows, UnsupportedMediaType

bp = Blueprint(__name__)

# A binary request gets as far as being told how to send JSON.
_BODIES = ["application/json", "application/octet-stream"]
_BINARY = "inference-header-content-length"


@bp.route("/v2", methods=["GET"])
@problem_details
def server() -> dict[str, Any]:
    """The server's metadata; no extension of the protocol is there."""
    return {"name": "tiltyard", "version": API_VERSION, "extensions": []}


@bp.route("/v2/health/live", methods=["GET"])
@problem_details
def live() -> dict[str, Any]:
    """This function runs."""
    return {"live": True}


@bp.route("/v2/health/ready", methods=["GET"])
@problem_details
def ready() -> dict[str, Any]:
    """The settings hold and the lineage table answers."""
    container().lineage.model("ready")
    return {"ready": True}


@bp.route("/v2/models/{model}", methods=["GET"], authorizer=bearer)
@problem_details
def model_metadata(model: str) -> Response:
    """What the version that answers takes and gives."""
    return _metadata(model, None)


@bp.route("/v2/models/{model}/versions/{version}", methods=["GET"], authorizer=bearer)
@problem_details
def version_metadata(model: str, version: str) -> Response:
    """What a version takes and gives."""
    return _metadata(model, version)


@bp.route("/v2/models/{model}/ready", methods=["GET"], authorizer=bearer)
@problem_details
def is_model_ready(model: str) -> Response:
    """Whether a version answers, loaded by now."""
    return _readiness(model, None)


@bp.route("/v2/models/{model}/versions/{version}/ready", methods=["GET"], authorizer=bearer)
@problem_details
def is_version_ready(model: str, version: str) -> Response:
    """Whether a version may answer, loaded by now."""
    return _readiness(model, version)


@bp.route("/v2/models/{model}/infer", methods=["POST"], authorizer=bearer, content_types=_BODIES)
@problem_details
def infer(model: str) -> Response:
    """Answer tensors by the champion of ``model``, or by ``model@alias``."""
    return _infer(model, None)


@bp.route(
    "/v2/models/{model}/versions/{version}/infer", methods=["POST"], authorizer=bearer, content_types=_BODIES
)
@problem_details
def infer_by_version(model: str, version: str) -> Response:
    """Answer tensors by a version."""
    return _infer(model, version)


def _metadata(model: str, number: str | None) -> Response:
    asked = answerer(bp.current_request, model, number=number)
    signature = asked.signature()
    target = asked.resolved.target
    assert target is not None  # without one there is no signature
    return json_answer(outputs.metadata(asked.resolved.model, target.version, signature))


def _readiness(model: str, number: str | None) -> Response:
    asked = answerer(bp.current_request, model, number=number)
    asked.signature()
    return json_answer({"name": asked.resolved.model, "ready": True})


def _infer(model: str, number: str | None) -> Response:
    request = bp.current_request
    asked = answerer(request, model, number=number)
    if _BINARY in request.headers:
        raise UnsupportedMediaType(
            "Binary tensors are not taken: send the values as JSON (with tritonclient, binary_data=False)."
        )
    sent = body.load(raw_of(request))
    signature = asked.signature()
    inference = tensors.read(sent, signature)
    try:
        answer = asked.answer(body.of({"rows": inference.translated.rows}))
    except InvalidRows as error:
        raise relocated(error, inference.translated) from error
    return json_answer(
        outputs.answer(
            answer,
            signature,
            names=inference.outputs,
            request_id=inference.id,
            parameters=inference.parameters,
        )
    )
