"""Errors as problem details (RFC 9457): the one place where an error meets a status code.

Chalice turns a view's exception into a response of its own before any
middleware runs, so two pieces are needed: `problem_details` around every view
catches what the view raises, and `dress`, the one ``http`` middleware, re-dresses
what Chalice itself answers (400, 405, 415, 500) and gives every answer its
``X-Request-Id``.
"""

from __future__ import annotations

import functools
import json
import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec

from chalice.app import Request, Response

from tiltyard.errors import (
    Conflict,
    Fault,
    Forbidden,
    IntegrityError,
    InvalidInput,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    PreconditionFailed,
    TiltyardError,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
)

P = ParamSpec("P")

log = logging.getLogger("tiltyard.problems")

MEDIA_TYPE = "application/problem+json"

# The nearest base wins.
STATUS: Mapping[type[TiltyardError], int] = {
    TiltyardError: 500,
    InvalidInput: 422,
    MalformedRequest: 400,
    PayloadTooLarge: 413,
    UnsupportedMediaType: 415,
    MethodNotAllowed: 405,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    PreconditionFailed: 412,
    IntegrityError: 500,
    Unavailable: 503,
    TooManyRequests: 429,
}

# RFC 6750 section 3 for 401. API Gateway renames the header on its way out
# (x-amzn-remapped-www-authenticate), which harms nobody.
_HEADERS: Mapping[type[TiltyardError], Mapping[str, str]] = {
    Unauthenticated: {"WWW-Authenticate": 'Bearer error="invalid_token"'},
    Unavailable: {"Retry-After": "1"},
}

# What Chalice answers by itself, by status.
_OWN: Mapping[int, type[TiltyardError]] = {
    400: MalformedRequest,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    405: MethodNotAllowed,
    409: Conflict,
    413: PayloadTooLarge,
    415: UnsupportedMediaType,
    422: InvalidInput,
    503: Unavailable,
}

# Where clients read one member, `error` (Open Inference Protocol v2).
_INFERENCE = "/v2"
# What logs its own success.
_PREDICTIONS = ("/predict", "/invocations", "/infer")
_MAX_TOLD = 5

_NO_INTERNALS = "An unexpected error occurred; it was logged under this answer's X-Request-Id."


def status_of(error: type[TiltyardError]) -> int:
    return next(STATUS[cls] for cls in error.__mro__ if cls in STATUS)


def problem_document(
    slug: str, title: str, status: int, detail: str, *, faults: tuple[Fault, ...] = ()
) -> dict[str, Any]:
    document: dict[str, Any] = {
        "type": f"/problems/{slug}",
        "title": title,
        "status": status,
        "detail": detail,
    }
    if faults:
        document["errors"] = [fault.to_json() for fault in faults]
    return document


def problem(error: TiltyardError) -> Response:
    """The answer to one of our own errors; `dress` adds ``instance``."""
    status = status_of(type(error))
    # A broken invariant may name keys and digests: that is for the log.
    detail = error.detail if status != 500 else _NO_INTERNALS
    document = problem_document(
        error.problem, error.title, status, detail, faults=error.faults if status != 500 else ()
    )
    return Response(body=document, headers=_headers_of(type(error)), status_code=status)


def problem_details(view: Callable[P, Any]) -> Callable[P, Any]:
    """Answer a view's errors as problem details; what isn't ours is a bare 500, logged with its stack."""

    @functools.wraps(view)
    def answered(*args: P.args, **kwargs: P.kwargs) -> Any:
        try:
            return view(*args, **kwargs)
        except TiltyardError as error:
            if status_of(type(error)) >= 500:
                log.exception("%s: %s", type(error).__name__, error)
            return problem(error)
        except Exception:
            log.exception("unexpected error in %s", view.__name__)
            return problem(TiltyardError(_NO_INTERNALS))

    return answered


def dress(request: Request | None, get_response: Callable[[Request | None], Response]) -> Response:
    """Middleware: Chalice's own errors become problems, and every answer names its request."""
    response = get_response(request)
    if response.status_code >= 400 and _media_type(response) != MEDIA_TYPE:
        response = _redressed(response)
    if isinstance(response.body, dict) and _media_type(response) == MEDIA_TYPE:
        # The occurrence is the request; API Gateway's own answers name it in the same way.
        response.body.setdefault("instance", request_id(request))
        if request is not None and request.path.startswith(_INFERENCE):
            response.body.setdefault("error", _as_one_text(response.body))
    if response.body and not _media_type(response):
        response.headers["Content-Type"] = "application/json"
    response.headers["X-Request-Id"] = request_id(request)
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    if str(response.headers.get("Location", "")).startswith("/"):
        # A path starts at the host; API Gateway's own host has the stage before it.
        response.headers["Location"] = f"{_stage_of(request)}{response.headers['Location']}"
    if request is not None and (response.status_code != 200 or not request.path.endswith(_PREDICTIONS)):
        _note(request, response.status_code)
    return response


def _as_one_text(problem: Mapping[str, Any]) -> str:
    """What is wrong and the first places where, for a client that reads no more than a text."""
    places = [f"{fault['pointer']}: {fault['detail']}" for fault in problem.get("errors", ())]
    more = [f"and {len(places) - _MAX_TOLD} more"] if len(places) > _MAX_TOLD else []
    told = "; ".join([*places[:_MAX_TOLD], *more])
    return f"{problem['detail']} ({told})" if told else str(problem["detail"])


def _note(request: Request, status: int) -> None:
    """One line an answer, by route: never what was asked. A prediction that succeeds writes its own."""
    line = {
        "message": "answered",
        "request_id": request_id(request),
        "method": request.method,
        "route": request.path,
        "status": status,
    }
    sys.stderr.write(json.dumps(line) + "\n")


def request_id(request: Request | None) -> str:
    """API Gateway's request id, or the function's own where there is none."""
    if request is None:
        return "unknown"
    own = getattr(request.lambda_context, "aws_request_id", "unknown")
    return str(request.context.get("requestId") or own)


def path_of(request: Request | None) -> str:
    """The path as the caller sent it, without the API's stage."""
    if request is None:
        return ""
    event = request.to_original_event()
    return str(event.get("path") or request.context.get("path") or request.path)


def _stage_of(request: Request | None) -> str:
    """What stands before the path in the address that was called: ``/prod``, or nothing on an own domain."""
    if request is None:
        return ""
    path = str(request.to_original_event().get("path") or "")
    called = str(request.context.get("path") or path)
    return called.removesuffix(path) if path and called.endswith(path) else ""


def _redressed(own: Response) -> Response:
    said = own.body.get("Message") if isinstance(own.body, dict) else None
    headers = {name: value for name, value in own.headers.items() if name.lower() != "content-type"}
    error = _OWN.get(own.status_code)
    if error is None:
        return problem(TiltyardError(_NO_INTERNALS))
    answer = problem(error(_sentence(own.status_code, said)))
    answer.headers = {**headers, **answer.headers}
    return answer


def _sentence(status: int, said: object) -> str:
    if status == 415:
        return f"{said}. Send application/json."
    if status == 405:
        return f"{said}. The Allow header lists what there is."
    return str(said) if said else "The request was refused."


def _headers_of(error: type[TiltyardError]) -> dict[str, Any]:
    special = next((_HEADERS[cls] for cls in error.__mro__ if cls in _HEADERS), {})
    return {"Content-Type": MEDIA_TYPE, **special}


def _media_type(response: Response) -> str:
    for name, value in response.headers.items():
        if name.lower() == "content-type" and isinstance(value, str):
            return value.partition(";")[0].strip().lower()
    return ""
