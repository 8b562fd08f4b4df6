"""The lineage graph: what a version came from, what came of a data set, and both as OpenLineage."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, get_args

from chalice.app import Blueprint, Request, Response

from chalicelib.handlers.access import READ, require_anywhere
from chalicelib.handlers.authorizer import bearer
from chalicelib.handlers.problems import problem_details
from chalicelib.handlers.requests import Call, open_call, page_query, query, version_number
from tiltyard.audit.entry import canonical_time
from tiltyard.errors import MalformedRequest, NotFound

if TYPE_CHECKING:
    from chalicelib.governance.lineage import Lineage, Question, Thing
    from chalicelib.lineage.graph import Step

bp = Blueprint(__name__)

# Of one OpenLineage document, which has no pages: some 3 MB at most.
MAX_EXPORTED = 2000

_DIGEST = re.compile(r"[0-9a-f]{64}")


@bp.route("/v1/models/{model}/lineage", methods=["GET"], authorizer=bearer)
@problem_details
def of_model(model: str) -> Response:
    """The lineage of ``?version=``; of the champion, or else of the newest version, without one."""
    from chalicelib.governance import lineage

    call = open_call(bp.current_request)
    found = call.model(model, READ)
    given = query(call.request, "version")
    number = None if given is None else version_number(given, found.name)
    return _answer(
        call,
        lambda question: lineage.of_version(
            call.at_hand.lineage, found, number, question, teams=call.principal.visible_teams, now=call.now
        ),
    )


@bp.route("/v1/lineage/{digest}", methods=["GET"], authorizer=bearer)
@problem_details
def of_digest(digest: str) -> Response:
    """The lineage of whatever has a digest: a version, a run, a data set, a file, a policy."""
    from chalicelib.governance import lineage

    call = open_call(bp.current_request)
    require_anywhere(call.principal, READ)
    if not _DIGEST.fullmatch(digest):
        raise NotFound(f"{digest!r} is no digest: 64 lower-case hexadecimal digits are one.")
    return _answer(
        call,
        lambda question: lineage.of_digest(
            call.at_hand.lineage, digest, question, teams=call.principal.visible_teams, now=call.now
        ),
    )


def _answer(call: Call, ask: Callable[[Question], Lineage]) -> Response:
    form = query(call.request, "format")
    if form is None or form == "json":
        return Response(_body(ask(_question(call.request))))
    if form != "openlineage":
        raise MalformedRequest("format must be json or openlineage.")
    return Response(_exported(call, ask))


def _exported(call: Call, ask: Callable[[Question], Lineage]) -> dict[str, Any]:
    from dataclasses import replace

    from chalicelib.governance.openlineage import run_events

    if query(call.request, "cursor") is not None or query(call.request, "limit") is not None:
        raise MalformedRequest("format=openlineage is one document: leave limit and cursor out.")
    found = ask(replace(_question(call.request), limit=MAX_EXPORTED))
    namespace = f"tiltyard://{call.at_hand.settings.stage}"
    return {
        "items": run_events([step.edge for step in found.steps], found.nodes, namespace=namespace),
        "withheld": found.withheld,
        "truncated": found.is_truncated or found.next is not None,
    }


def _question(request: Request) -> Question:
    from chalicelib.governance.lineage import DEFAULT_DEPTH, MAX_DEPTH, Direction, Question

    asked = page_query(request)
    given = query(request, "direction") or "both"
    direction = next((known for known in get_args(Direction) if known == given), None)
    if direction is None:
        raise MalformedRequest(f"direction must be one of {', '.join(get_args(Direction))}.")
    depth = query(request, "depth") or str(DEFAULT_DEPTH)
    if not re.fullmatch("[0-9]{1,2}", depth) or not 1 <= int(depth) <= MAX_DEPTH:
        raise MalformedRequest(f"depth must be a whole number from 1 to {MAX_DEPTH}.")
    return Question(direction, int(depth), asked.limit, asked.cursor)


def _body(found: Lineage) -> dict[str, Any]:
    return {
        "roots": list(found.roots),
        "items": [_step_body(step) for step in found.steps],
        "nodes": {node: _thing_body(thing) for node, thing in found.nodes.items()},
        "withheld": found.withheld,
        "truncated": found.is_truncated,
        "next": found.next,
    }


def _step_body(step: Step) -> dict[str, Any]:
    edge = step.edge
    return {
        "source": edge.source,
        "relation": edge.relation,
        "target": edge.target,
        "depth": step.depth,
        "direction": step.way,
        "at": None if edge.at is None else canonical_time(edge.at),
        "facts": dict(edge.facts),
    }


def _thing_body(thing: Thing) -> dict[str, Any]:
    return {
        "kind": thing.kind,
        "label": thing.label,
        "model": thing.model,
        "team": thing.team,
        "at": None if thing.at is None else canonical_time(thing.at),
        "facts": dict(thing.facts),
    }
