"""API Gateway's own answers, as the problem details that the handlers give (RFC 9457).

Written as the ``x-amazon-apigateway-gateway-responses`` of the API's
definition, because there they belong to the same deployment as the routes.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from tiltyard import errors

EXTENSION = "x-amazon-apigateway-gateway-responses"


class Answer(NamedTuple):
    """`status` is None where API Gateway's own status, whatever it is, stays."""

    status: int | None
    problem: str
    title: str
    detail: str


def _answer(status: int | None, error: type[errors.TiltyardError], detail: str) -> Answer:
    return Answer(status, error.problem, error.title, detail)


_NO_ROUTE = _answer(404, errors.NotFound, "There is no such route: /openapi.json lists those that there are.")
_NO_TOKEN = _answer(401, errors.Unauthenticated, "Send a valid token as `Authorization: Bearer …`.")
_REFUSED = _answer(403, errors.Forbidden, "This request is not allowed.")
_INTERNAL = _answer(
    500, errors.TiltyardError, "The request could not be handled; its id finds it in the logs."
)

ANSWERS = {
    "ACCESS_DENIED": _REFUSED,
    "API_CONFIGURATION_ERROR": _INTERNAL,
    "AUTHORIZER_CONFIGURATION_ERROR": _INTERNAL,
    "AUTHORIZER_FAILURE": _INTERNAL,
    "BAD_REQUEST_BODY": _answer(400, errors.MalformedRequest, "The body can't be read."),
    "BAD_REQUEST_PARAMETERS": _answer(400, errors.MalformedRequest, "The parameters can't be read."),
    "DEFAULT_4XX": _answer(None, errors.MalformedRequest, "The request can't be read."),
    "DEFAULT_5XX": _answer(None, errors.TiltyardError, _INTERNAL.detail),
    "EXPIRED_TOKEN": _NO_TOKEN,
    "INTEGRATION_FAILURE": _answer(502, errors.Unavailable, "The function didn't answer: try again."),
    "INTEGRATION_TIMEOUT": _answer(504, errors.Unavailable, "The function took longer than 29 s: try again."),
    "INVALID_API_KEY": _REFUSED,
    "INVALID_SIGNATURE": _NO_TOKEN,
    # What API Gateway says of a path or method that it doesn't know.
    "MISSING_AUTHENTICATION_TOKEN": _NO_ROUTE,
    "QUOTA_EXCEEDED": _answer(429, errors.TooManyRequests, "The quota is used up."),
    "REQUEST_TOO_LARGE": _answer(413, errors.PayloadTooLarge, "A body may have 3 MB."),
    "RESOURCE_NOT_FOUND": _NO_ROUTE,
    "THROTTLED": _answer(429, errors.TooManyRequests, "Slow down and try again."),
    "UNAUTHORIZED": _NO_TOKEN,
    "UNSUPPORTED_MEDIA_TYPE": _answer(415, errors.UnsupportedMediaType, "Send `application/json`."),
    "WAF_FILTERED": _REFUSED,
}


def gateway_responses() -> dict[str, dict[str, Any]]:
    """`ANSWERS` in the form of the OpenAPI extension."""
    return {name: _response(answer) for name, answer in ANSWERS.items()}


def _response(answer: Answer) -> dict[str, Any]:
    body: dict[str, object] = {
        "type": f"/problems/{answer.problem}",
        "title": answer.title,
        "detail": answer.detail,
        "instance": "$context.requestId",
        # What clients of the Open Inference Protocol read; the gateway can't tell the routes apart.
        "error": answer.detail,
    }
    headers = {
        "gatewayresponse.header.Content-Type": "'application/problem+json'",
        "gatewayresponse.header.X-Request-Id": "context.requestId",
    }
    if answer.status is not None:
        body["status"] = answer.status
    if answer.status == 401:
        headers["gatewayresponse.header.WWW-Authenticate"] = "'Bearer'"
    response: dict[str, Any] = {
        "responseParameters": headers,
        "responseTemplates": {"application/json": json.dumps(body, ensure_ascii=False, sort_keys=True)},
    }
    if answer.status is not None:
        response["statusCode"] = str(answer.status)
    return response
