"""The audit log: its entries, its checkpoints, and proofs that anyone can check."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from chalice.app import Blueprint, Request, Response

from chalicelib.handlers.access import ADMIN, AUDITOR, READ, require, require_anywhere
from chalicelib.handlers.authorizer import bearer
from chalicelib.handlers.bodies import page
from chalicelib.handlers.problems import problem_details
from chalicelib.handlers.requests import Call, moment, open_call, page_query, query
from tiltyard.errors import MalformedRequest, NotFound

if TYPE_CHECKING:
    from datetime import datetime

    from chalicelib.governance.log import Log
    from chalicelib.lineage.records import Head

bp = Blueprint(__name__)

AUDIT = frozenset({AUDITOR, ADMIN})
_NUMBER = re.compile(r"0|[1-9][0-9]{0,14}")


@bp.route("/v1/audit", methods=["GET"], authorizer=bearer)
@problem_details
def list_entries() -> Response:
    """The log in its order, or the changes of one model, or of a team's own settings, in theirs."""
    call = open_call(bp.current_request)
    name, team = query(call.request, "model"), query(call.request, "team")
    if name is not None and team is not None:
        raise MalformedRequest("Name a model or a team, not both.")
    if name is not None:
        return _changes(call, call.model(name, READ))
    if team is not None:
        require(call.principal, team, READ, what=f"team {team!r}")
        return _changes(call, call.at_hand.lineage.team(team))
    require_anywhere(call.principal, AUDIT)
    return _entries(call)


@bp.route("/v1/audit/checkpoint", methods=["GET"], authorizer=bearer)
@problem_details
def checkpoint() -> Response:
    """The latest signed checkpoint, or the one of ``?size=``; as it is with ``Accept: text/plain``."""
    call = open_call(bp.current_request)
    require_anywhere(call.principal, READ)
    shown = _log(call).checkpoint(_number(call.request, "size"))
    if call.request.headers.get("accept", "").partition(";")[0].strip() == "text/plain":
        return Response(shown.note, headers={"Content-Type": "text/plain; charset=utf-8"})
    found = shown.checkpoint
    return Response(
        {
            "origin": found.origin,
            "size": found.size,
            "root": found.root.hex(),
            "note": shown.note,
            "key": str(shown.key),
        }
    )


@bp.route("/v1/audit/proof/inclusion", methods=["GET"], authorizer=bearer)
@problem_details
def inclusion() -> dict[str, Any]:
    """Proof that an entry is in the log: by ``?index=``, or by ``?model=&change=``."""
    call = open_call(bp.current_request)
    require_anywhere(call.principal, READ)
    proof = _log(call).inclusion(_index(call), _number(call.request, "size"))
    return {
        "index": proof.index,
        "size": proof.size,
        "leaf_hash": proof.leaf.hex(),
        "root": proof.root.hex(),
        "proof": [step.hex() for step in proof.proof],
    }


@bp.route("/v1/audit/proof/consistency", methods=["GET"], authorizer=bearer)
@problem_details
def consistency() -> dict[str, Any]:
    """Proof that the log of size ``?second=`` (the latest, without it) begins with that of ``?first=``."""
    call = open_call(bp.current_request)
    require_anywhere(call.principal, READ)
    first = _number(call.request, "first")
    if first is None:
        raise MalformedRequest("first is needed: the size of the log that you remember.")
    proof = _log(call).consistency(first, _number(call.request, "second"))
    return {
        "first": proof.first,
        "second": proof.second,
        "root_1": proof.root_1.hex(),
        "root_2": proof.root_2.hex(),
        "proof": [step.hex() for step in proof.proof],
    }


def _entries(call: Call) -> Response:
    asked, log = page_query(call.request), _log(call)
    start = _start(call)
    if asked.cursor is not None:
        if not _NUMBER.fullmatch(asked.cursor):
            raise MalformedRequest("The cursor isn't one that this list gave.")
        first = int(asked.cursor)
    else:
        try:
            first = log.first_since(start) if not isinstance(start, int) else start
            log.checkpoint()
        except NotFound:
            if isinstance(start, int) and start:
                raise
            return page([], None)  # nothing is logged yet: an empty list
    found, size = log.entries(first, limit=asked.limit)
    following = first + len(found)
    return page(_bodies(call, found), str(following) if following < size else None)


def _changes(call: Call, head: Head) -> Response:
    from chalicelib.governance.log import change_since
    from tiltyard.audit.merkle import leaf_hash

    asked, lineage = page_query(call.request), call.at_hand.lineage
    start = _start(call)
    if not isinstance(start, int):
        start = change_since(lineage, head.name, head.changes, start)
    found = lineage.changes(head.name, first=max(1, start), limit=asked.limit, cursor=asked.cursor)
    rows = [(logged.index, leaf_hash(logged.entry), logged.entry) for logged in found.items]
    return page(_bodies(call, rows), found.next)


def _bodies(call: Call, rows: Sequence[tuple[int | None, bytes, bytes]]) -> list[dict[str, Any]]:
    """Entries with the names and texts that stand beside the log; null where those were erased."""
    entries = [json.loads(content) for _, _, content in rows]
    ids = frozenset(entry[name] for entry in entries for name in ("actor", "reason") if entry[name])
    texts = call.at_hand.lineage.texts(ids)
    return [
        {
            "index": index,
            "leaf_hash": leaf.hex(),
            "entry": entry,
            "actor": texts.get(entry["actor"]),
            "reason": texts.get(entry["reason"]),
        }
        for (index, leaf, _), entry in zip(rows, entries, strict=True)
    ]


def _index(call: Call) -> int:
    index, name = _number(call.request, "index"), query(call.request, "model")
    if (index is None) == (name is None):
        raise MalformedRequest("Name the entry by index, or by model and change.")
    if index is not None:
        return index
    number = _number(call.request, "change")
    if number is None:
        raise MalformedRequest("change is needed beside model: the number of the model's change.")
    model = call.model(str(name), READ)
    logged = call.at_hand.lineage.change(model.name, number)
    if logged is None:
        raise NotFound(f"{model.name!r} has no change {number}; its last one is {model.changes}.")
    if logged.index is None:
        raise NotFound(f"Change {number} of {model.name!r} isn't in the log yet; it is within a minute.")
    return logged.index


def _start(call: Call) -> int | datetime:
    """``?from=``: a whole number (an index; with a model, a change's number) or a time."""
    given = query(call.request, "from")
    if given is None or _NUMBER.fullmatch(given):
        return int(given or 0)
    at = moment(call.request, "from")
    assert at is not None
    return at


def _number(request: Request, name: str) -> int | None:
    given = query(request, name)
    if given is None:
        return None
    if not _NUMBER.fullmatch(given):
        raise MalformedRequest(f"{name} must be a whole number from 0 up.")
    return int(given)


def _log(call: Call) -> Log:
    from chalicelib.governance.log import Log

    at_hand = call.at_hand
    return Log(at_hand.log_objects, at_hand.log_signer, origin=at_hand.log_origin)
