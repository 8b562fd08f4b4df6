"""A model's policy: how sure an answer must be, and what becomes of it when it isn't."""

from __future__ import annotations

from chalice.app import Blueprint, Response

from chalicelib.handlers.access import OPERATE, READ
from chalicelib.handlers.authorizer import bearer
from chalicelib.handlers.bodies import policy_body, tagged
from chalicelib.handlers.problems import problem_details
from chalicelib.handlers.requests import if_match, open_call, policy_number, read_json

bp = Blueprint(__name__)


@bp.route("/v1/models/{model}/policy", methods=["GET"], authorizer=bearer)
@problem_details
def read(model: str) -> Response:
    """The policy in force, or the one of ``?number=``."""
    from chalicelib.governance import service

    call = open_call(bp.current_request)
    found = call.model(model, READ)
    lineage = call.at_hand.lineage
    policy = service.find_policy(lineage, found, policy_number(call.request))
    return tagged(policy_body(policy, lineage.texts(frozenset({policy.put_by}))), policy.number)


@bp.route("/v1/models/{model}/policy", methods=["PUT"], authorizer=bearer)
@problem_details
def put(model: str) -> Response:
    """Put a policy in force."""
    from chalicelib.governance import service

    call = open_call(bp.current_request)
    found = call.model(model, OPERATE)
    document = read_json(call.request)
    precondition = if_match(call.request)
    attempt = call.attempt_on(found, OPERATE)
    at_hand = call.at_hand
    policy = call.once(
        attempt,
        lambda: service.put_policy(
            at_hand.lineage,
            at_hand.artifacts,
            at_hand.pseudonyms,
            found.name,
            document,
            precondition=precondition,
            attempt=attempt,
        ),
        lambda made: service.find_policy(at_hand.lineage, found, made["policy"]),
    )
    return tagged(policy_body(policy, at_hand.lineage.texts(frozenset({policy.put_by}))), policy.number)
