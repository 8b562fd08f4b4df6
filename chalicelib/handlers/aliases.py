"""A team's own names for versions."""

from __future__ import annotations

from chalice.app import Blueprint, Response

from chalicelib.handlers.access import OPERATE, READ
from chalicelib.handlers.authorizer import bearer
from chalicelib.handlers.bodies import alias_body, page, tagged
from chalicelib.handlers.problems import problem_details
from chalicelib.handlers.requests import if_match, open_call, page_query, parse_body

bp = Blueprint(__name__)


@bp.route("/v1/models/{model}/aliases", methods=["GET"], authorizer=bearer)
@problem_details
def list_aliases(model: str) -> Response:
    """A model's aliases, by name."""
    call = open_call(bp.current_request)
    found = call.model(model, READ)
    asked = page_query(call.request)
    listed = call.at_hand.lineage.aliases(found.name, limit=asked.limit, cursor=asked.cursor)
    return page((alias_body(alias) for alias in listed.items), listed.next)


@bp.route("/v1/models/{model}/aliases/{alias}", methods=["GET"], authorizer=bearer)
@problem_details
def read(model: str, alias: str) -> Response:
    """The version that an alias names."""
    from chalicelib.registry import aliases

    call = open_call(bp.current_request)
    found = aliases.find_alias(call.at_hand.lineage, call.model(model, READ).name, alias)
    return tagged(alias_body(found), found.revision)


@bp.route("/v1/models/{model}/aliases/{alias}", methods=["PUT"], authorizer=bearer)
@problem_details
def put(model: str, alias: str) -> Response:
    """Point an alias at a version that passed its examination."""
    from chalicelib.handlers.schemas import AliasSetting as Body
    from chalicelib.registry import aliases
    from chalicelib.registry.aliases import AliasSetting

    call = open_call(bp.current_request)
    found = call.model(model, OPERATE)
    body = parse_body(call.request, Body)
    precondition = if_match(call.request)
    attempt = call.attempt_on(found, OPERATE)
    lineage = call.at_hand.lineage
    setting = call.once(
        attempt,
        lambda: aliases.set_alias(
            lineage,
            call.at_hand.pseudonyms,
            found.name,
            alias,
            body.version,
            pinned=body.pinned,
            precondition=precondition,
            attempt=attempt,
        ),
        lambda made: AliasSetting(
            aliases.find_alias(lineage, made["model"], made["alias"]), is_new=made["is_new"]
        ),
    )
    return tagged(alias_body(setting.alias), setting.alias.revision, status=201 if setting.is_new else 200)


@bp.route("/v1/models/{model}/aliases/{alias}", methods=["DELETE"], authorizer=bearer)
@problem_details
def delete(model: str, alias: str) -> Response:
    """Delete an alias; the version stays."""
    from chalicelib.registry import aliases

    call = open_call(bp.current_request)
    found = call.model(model, OPERATE)
    precondition = if_match(call.request)
    attempt = call.attempt_on(found, OPERATE)
    call.once(
        attempt,
        lambda: aliases.remove_alias(
            call.at_hand.lineage,
            call.at_hand.pseudonyms,
            found.name,
            alias,
            precondition=precondition,
            attempt=attempt,
        ),
        lambda made: None,
    )
    return Response("", status_code=204)
