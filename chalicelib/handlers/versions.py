"""Artifacts and versions: upload, register, list, read, put away; and what to send one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from chalice.app import Blueprint, Response

from chalicelib.handlers.access import OPERATE, READ, REGISTER, require_anywhere
from chalicelib.handlers.authorizer import bearer
from chalicelib.handlers.bodies import page, tagged, upload_body, version_body
from chalicelib.handlers.problems import problem_details
from chalicelib.handlers.requests import open_call, page_query, parse_body, version_number

if TYPE_CHECKING:
    from chalicelib.lineage.records import Version

bp = Blueprint(__name__)


@bp.route("/v1/artifacts", methods=["POST"], authorizer=bearer)
@problem_details
def offer_upload() -> Response:
    """Say whether a file is there, and where to send it when it isn't."""
    from chalicelib.handlers.schemas import FileToUpload
    from chalicelib.lineage.records import Blob
    from chalicelib.registry import service

    call = open_call(bp.current_request)
    require_anywhere(call.principal, REGISTER)
    body = parse_body(call.request, FileToUpload)
    upload = service.offer_upload(
        call.at_hand.artifacts,
        Blob(body.sha256, body.size),
        media_type=body.media_type,
        now=call.at_hand.wall(),
    )
    if upload is None:
        return Response({"sha256": body.sha256, "present": True})
    answer = {"sha256": body.sha256, "present": False, "upload": upload_body(upload)}
    return Response(answer, status_code=201)


@bp.route("/v1/models/{model}/versions", methods=["POST"], authorizer=bearer)
@problem_details
def register(model: str) -> Response:
    """Register an uploaded bundle; its examination goes on after the answer."""
    from chalicelib.handlers.schemas import NewVersion
    from chalicelib.registry import service
    from chalicelib.registry.service import Registration

    call = open_call(bp.current_request)
    found = call.model(model, REGISTER)
    body = parse_body(call.request, NewVersion)
    attempt = call.attempt_on(found, REGISTER)
    at_hand = call.at_hand
    made = call.once(
        attempt,
        lambda: service.register_version(
            at_hand.lineage,
            at_hand.artifacts,
            at_hand.examination_queue,
            at_hand.pseudonyms,
            found.name,
            body.manifest,
            description=body.description,
            attempt=attempt,
        ),
        lambda made: Registration(
            service.find_version(at_hand.lineage, made["model"], made["version"]), is_new=True
        ),
    )
    version = made.version
    return tagged(
        version_body(version, at_hand.lineage.texts(frozenset({version.registered_by}))),
        version.revision,
        status=202 if made.is_new else 200,
        location=f"/v1/models/{version.model}/versions/{version.number}",
    )


@bp.route("/v1/models/{model}/versions", methods=["GET"], authorizer=bearer)
@problem_details
def list_versions(model: str) -> Response:
    """A model's versions, newest first."""
    call = open_call(bp.current_request)
    found = call.model(model, READ)
    asked = page_query(call.request)
    versions = call.at_hand.lineage.versions(found.name, limit=asked.limit, cursor=asked.cursor)
    texts = call.at_hand.lineage.texts(frozenset(version.registered_by for version in versions.items))
    return page((version_body(version, texts) for version in versions.items), versions.next)


@bp.route("/v1/models/{model}/versions/{version}", methods=["GET"], authorizer=bearer)
@problem_details
def read(model: str, version: str) -> Response:
    """One version, with its stage and what the examination found."""
    from chalicelib.registry import service

    call = open_call(bp.current_request)
    name = call.model(model, READ).name
    lineage = call.at_hand.lineage
    found = service.find_version(lineage, name, version_number(version, name))
    return tagged(version_body(found, lineage.texts(frozenset({found.registered_by}))), found.revision)


@bp.route("/v1/models/{model}/versions/{version}/archive", methods=["POST"], authorizer=bearer)
@problem_details
def archive(model: str, version: str) -> Response:
    """Put a version away that nobody counts on."""
    from chalicelib.registry.archive import archive as put_away

    return _put(model, version, put_away)


@bp.route("/v1/models/{model}/versions/{version}/restore", methods=["POST"], authorizer=bearer)
@problem_details
def restore(model: str, version: str) -> Response:
    """Put an archived version back to the stage that it had."""
    from chalicelib.registry.archive import restore as put_back

    return _put(model, version, put_back)


def _put(model: str, version: str, change: Callable[..., Version]) -> Response:
    from chalicelib.handlers.schemas import Archiving
    from chalicelib.registry import service

    call = open_call(bp.current_request)
    found = call.model(model, OPERATE)
    number = version_number(version, found.name)
    body = parse_body(call.request, Archiving)
    attempt = call.attempt_on(found, OPERATE)
    lineage = call.at_hand.lineage
    changed = call.once(
        attempt,
        lambda: change(
            lineage, call.at_hand.pseudonyms, found.name, number, reason=body.reason, attempt=attempt
        ),
        lambda made: service.find_version(lineage, found.name, number),
    )
    return tagged(version_body(changed, lineage.texts(frozenset({changed.registered_by}))), changed.revision)


@bp.route("/v1/models/{model}/versions/{version}/contract", methods=["GET"], authorizer=bearer)
@problem_details
def read_contract(model: str, version: str) -> Response:
    """What a version takes: its signature, and an example row ready to send."""
    from chalicelib.registry import contract, service

    call = open_call(bp.current_request)
    name = call.model(model, READ).name
    found = service.find_version(call.at_hand.lineage, name, version_number(version, name))
    made = contract.read_contract(call.at_hand.artifacts, found)
    return Response({"signature": made.signature, "example": made.example})
