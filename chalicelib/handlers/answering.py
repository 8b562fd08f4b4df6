"""What every prediction route does alike, whatever its protocol: who answers, for whom, and one log line.

Nothing here, or below it, loads pydantic, PyJWT or a training library.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import unquote

import orjson
from chalice.app import Request, Response

from chalicelib.bootstrap import Container, container
from chalicelib.handlers.access import PREDICT, PREDICT_VERSION, principal_of, require
from chalicelib.handlers.problems import request_id
from chalicelib.serving.body import PredictBody
from chalicelib.serving.pointers import Check, Name
from chalicelib.serving.service import Predictor, Resolved
from chalicelib.serving.stored import stored_row
from tiltyard.contract.signature import Signature
from tiltyard.errors import Fault, InvalidInput, NotFound

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


class Answerer(NamedTuple):
    """A version that the caller may ask."""

    predictor: Predictor
    resolved: Resolved
    request: Request
    now: datetime

    def signature(self) -> Signature:
        """Its contract; `NotFound` or `NotReady` when no version answers."""
        return self.predictor.signature(self.resolved)

    def answer(self, asked: PredictBody) -> dict[str, Any]:
        """`predict`'s answer, written to the log as one line."""
        name = request_id(self.request)
        answer = self.predictor.answer(self.resolved, asked, request_id=name, now=self.now)
        _log(self.request, answer)
        return answer


def answerer(request: Request, model: str, *, number: str | None = None) -> Answerer:
    """Who answers ``name`` or ``name@alias``, or version `number` of a name (as text, unchecked).

    Raises
    ------
    Unauthenticated, Forbidden, NotFound
        As `access.require` says; a name that leads nowhere is nobody's.
    InvalidInput
        For a version's number that can't be one, or beside an alias.
    """
    at_hand = container()
    now = at_hand.wall()
    principal = principal_of(request, now=now)
    predictor = _predictor(at_hand)
    model = unquote(model)
    what = f"model {model!r}"
    resolved, roles = _resolve(
        predictor, model, number, check=lambda team: require(principal, team, PREDICT, what=what)
    )
    require(principal, resolved.team if resolved else None, roles, what=what)
    if resolved is None:  # `require` has raised by now: a name that leads nowhere is nobody's
        raise NotFound(f"There is no model {model!r}.")
    return Answerer(predictor, resolved, request, now)


def explain_stored(request: Request, model: str, prediction: str) -> dict[str, Any]:
    """The explanation of a prediction that was made before.

    Raises what `answerer` does, and `NotFound` for a prediction that isn't kept.
    """
    at_hand = container()
    principal = principal_of(request, now=at_hand.wall())
    predictor = _predictor(at_hand)
    name, row_id = unquote(model), unquote(prediction)
    what = f"model {name!r}"

    def check(team: str | None) -> None:
        require(principal, team, PREDICT, what=what)

    pointed = predictor.resolve(Name(name, None), check=check) if _NAME.fullmatch(name) else None
    check(pointed.team if pointed else None)
    row = stored_row(at_hand.ledger, at_hand.lake, name, row_id)
    resolved = predictor.resolve_version(name, row.version)
    if resolved is None:
        raise NotFound(f"There is no {what}.")
    explanation = predictor.explain(resolved, row.columns)
    return {"model": name, "version": row.version, "id": row_id, "explanation": explanation.to_json()}


def version_of(request: Request) -> str | None:
    """The version that ``?version=`` names, unchecked."""
    query: Mapping[str, str] = request.query_params or {}
    return query.get("version")


def raw_of(request: Request) -> bytes:
    raw = request.raw_body
    return raw.encode() if isinstance(raw, str) else bytes(raw)


def json_answer(content: Mapping[str, Any]) -> Response:
    return Response(orjson.dumps(content).decode(), headers={"Content-Type": "application/json"})


def _resolve(
    predictor: Predictor, model: str, number: str | None, *, check: Check
) -> tuple[Resolved | None, frozenset[str]]:
    name, at, alias = model.partition("@")
    if not _NAME.fullmatch(name) or (at and not _NAME.fullmatch(alias)):
        return None, PREDICT
    if number is None:
        return predictor.resolve(Name(name, alias or None), check=check), PREDICT
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
        sealer=lambda: at_hand.sealer,
        pseudonyms=lambda: at_hand.pseudonyms,
        interval_s=settings.pointer_interval_s,
        memory_bytes=settings.session_memory_mb * 2**20,
    )


def _log(request: Request, answer: dict[str, Any]) -> None:
    """One line a request: what answered, never what was asked."""
    line = {
        "message": "predicted",
        "request_id": request_id(request),
        "model": answer["model"],
        "version": answer["version"],
        "role": answer["role"],
        "rows": len(answer["predictions"]),
        "applied": answer["applied"],
    }
    sys.stderr.write(orjson.dumps(line).decode() + "\n")
