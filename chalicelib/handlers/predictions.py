"""The prediction routes: the one blueprint that the predictor's function runs.

Nothing here, or below it, loads pydantic, PyJWT or a training library.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import orjson
from chalice.app import Blueprint, Request, Response

from chalicelib.bootstrap import Container, container
from chalicelib.handlers import media_types
from chalicelib.handlers.access import PREDICT, PREDICT_VERSION, principal_of, require
from chalicelib.handlers.authorizer import bearer
from chalicelib.handlers.problems import problem_details, request_id
from chalicelib.serving import body
from chalicelib.serving.pointers import Name
from chalicelib.serving.service import Predictor, Resolved
from tiltyard.errors import Fault, InvalidInput, NotFound

bp = Blueprint(__name__)
media_types.remember()

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


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
    at_hand = container()
    now = at_hand.clock()
    principal = principal_of(request, now=now)
    predictor = _predictor(at_hand)
    model = unquote(model)
    resolved, roles = _resolve(predictor, request, model)
    require(principal, resolved.team if resolved else None, roles, what=f"model {model!r}")
    if resolved is None:  # `require` has raised by now: a name that leads nowhere is nobody's
        raise NotFound(f"There is no model {model!r}.")
    asked = body.parse(_raw(request))
    answer = predictor.answer(resolved, asked, request_id=request_id(request), now=now)
    _log(request, answer)
    return Response(orjson.dumps(answer).decode(), headers={"Content-Type": "application/json"})


def _resolve(predictor: Predictor, request: Request, model: str) -> tuple[Resolved | None, frozenset[str]]:
    name, at, alias = model.partition("@")
    if not _NAME.fullmatch(name) or (at and not _NAME.fullmatch(alias)):
        return None, PREDICT
    query: Mapping[str, str] = request.query_params or {}
    number = query.get("version")
    if number is None:
        return predictor.resolve(Name(name, alias or None)), PREDICT
    if at or not _NUMBER.fullmatch(number):
        raise InvalidInput(
            "The version can't be read.",
            faults=[Fault("/version", "must be a version's number, beside a name without an alias")],
        )
    return predictor.resolve_version(name, int(number)), PREDICT_VERSION


@functools.lru_cache(maxsize=1)
def _predictor(at_hand: Container) -> Predictor:
    settings = at_hand.settings
    return Predictor(
        lineage=at_hand.lineage,
        artifacts=at_hand.artifacts,
        queue=at_hand.telemetry_queue,
        spool=at_hand.spool,
        pseudonyms=lambda: at_hand.pseudonyms,
        interval_s=settings.pointer_interval_s,
        memory_bytes=settings.session_memory_mb * 2**20,
    )


def _raw(request: Request) -> bytes:
    raw = request.raw_body
    return raw.encode() if isinstance(raw, str) else bytes(raw)


def _log(request: Request, answer: dict[str, Any]) -> None:
    """One line a request: what answered, never what was asked."""
    line = {
        "message": "predicted",
        "request_id": request_id(request),
        "model": answer["model"],
        "version": answer["version"],
        "role": answer["role"],
        "rows": len(answer["predictions"]),
    }
    sys.stderr.write(orjson.dumps(line).decode() + "\n")
