"""Models: create, list, read, change."""

from __future__ import annotations

from chalice.app import Blueprint, Response

from chalicelib.handlers.access import DESCRIBE, READ, REGISTER, require_anywhere, require_team
from chalicelib.handlers.authorizer import bearer
from chalicelib.handlers.bodies import model_body, page, tagged
from chalicelib.handlers.problems import problem_details
from chalicelib.handlers.requests import if_match, open_call, page_query, parse_body

bp = Blueprint(__name__)


@bp.route("/v1/models", methods=["POST"], authorizer=bearer)
@problem_details
def create() -> Response:
    """Create a model in one of the caller's teams."""
    from chalicelib.handlers.schemas import NewModel
    from chalicelib.registry import service
    from chalicelib.registry.rules import NewModel as Wanted

    call = open_call(bp.current_request)
    body = parse_body(call.request, NewModel)
    attempt = call.attempt(require_team(call.principal, body.team, REGISTER))
    wanted = Wanted(body.name, body.team, body.task, body.owner or call.principal.sub, body.description)
    lineage = call.at_hand.lineage
    model = call.once(
        attempt,
        lambda: service.create_model(lineage, call.at_hand.pseudonyms, wanted, attempt=attempt),
        lambda made: service.find_model(lineage, made["model"]),
    )
    return tagged(model_body(model), model.revision, status=201, location=f"/v1/models/{model.name}")


@bp.route("/v1/models", methods=["GET"], authorizer=bearer)
@problem_details
def list_models() -> Response:
    """The models of the caller's teams, by name."""
    call = open_call(bp.current_request)
    require_anywhere(call.principal, READ)
    asked = page_query(call.request)
    found = call.at_hand.lineage.models(
        teams=call.principal.visible_teams, limit=asked.limit, cursor=asked.cursor
    )
    return page((model_body(model) for model in found.items), found.next)


@bp.route("/v1/models/{model}", methods=["GET"], authorizer=bearer)
@problem_details
def read(model: str) -> Response:
    """One model."""
    found = open_call(bp.current_request).model(model, READ)
    return tagged(model_body(found), found.revision)


@bp.route("/v1/models/{model}", methods=["PATCH"], authorizer=bearer)
@problem_details
def change(model: str) -> Response:
    """Change a model's owner, description or team."""
    from chalicelib.handlers.schemas import ModelChanges
    from chalicelib.registry import service
    from chalicelib.registry.rules import ModelChanges as Changes

    call = open_call(bp.current_request)
    found = call.model(model, DESCRIBE)
    body = parse_body(call.request, ModelChanges)
    precondition = if_match(call.request)
    if body.team is not None:
        require_team(call.principal, body.team, DESCRIBE)
    attempt = call.attempt_on(found, DESCRIBE)
    lineage = call.at_hand.lineage
    changed = call.once(
        attempt,
        lambda: service.change_model(
            lineage,
            call.at_hand.pseudonyms,
            found.name,
            Changes(body.owner, body.description, body.team),
            precondition=precondition,
            attempt=attempt,
        ),
        lambda made: service.find_model(lineage, made["model"]),
    )
    return tagged(model_body(changed), changed.revision)
