"""Models, uploads, versions and aliases through the API."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from bundles import logistic_bundle
from chalice.app import Request, Response
from fakes import token_of

from chalicelib.handlers import schemas
from chalicelib.handlers.problems import dress

MODEL = {"name": "fares", "team": "airport", "task": "binary"}


def test_created_model_can_be_read(stage):
    made = stage.call("POST", "/v1/models", {**MODEL, "description": "Fares"}, role="scientist")
    read = stage.call("GET", made.headers["Location"], role="viewer")

    assert made.status == 201
    assert read.json == made.json
    assert read.headers["ETag"] == made.headers["ETag"] == '"1"'
    assert read.json["owner"] == "ada@example.org"
    schemas.Model.model_validate(read.json)


@pytest.mark.parametrize(
    ("called", "location"), [("/prod/v1/models", "/prod/v1/models/fares"), ("/v1/models", "/v1/models/fares")]
)
def test_a_location_can_be_followed_under_the_apis_stage(called, location):
    event = {
        "path": "/v1/models",
        "headers": {},
        "body": "",
        "isBase64Encoded": False,
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {"httpMethod": "POST", "resourcePath": "/v1/models", "path": called},
    }

    answer = dress(Request(event, None), lambda _: Response({}, headers={"Location": "/v1/models/fares"}))

    assert answer.headers["Location"] == location
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_models_come_in_pages(stage):
    for n in range(5):
        stage.add_model(f"model-{n}")
    seen, cursor = [], ""
    while cursor is not None:
        page = stage.call("GET", f"/v1/models?limit=2{cursor and '&cursor=' + cursor}", role="viewer").json
        schemas.ModelPage.model_validate(page)
        seen += [item["name"] for item in page["items"]]
        cursor = page["next"]

    assert seen == [f"model-{n}" for n in range(5)]


def test_cursor_of_another_list_is_refused(stage):
    for n in range(3):
        stage.add_model(f"model-{n}")
    cursor = stage.call("GET", "/v1/models?limit=1", role="viewer").json["next"]

    answer = stage.call("GET", f"/v1/models/model-0/versions?cursor={cursor}", role="viewer")

    assert (answer.status, answer.problem) == (400, "malformed-request")


def test_change_moves_the_etag(stage):
    tag = stage.add_model().headers["ETag"]

    changed = stage.call(
        "PATCH", "/v1/models/delays", {"owner": "grace"}, role="engineer", headers={"If-Match": tag}
    )

    assert changed.status == 200
    assert changed.json["owner"] == "grace"
    assert changed.headers["ETag"] == '"2"'


def test_stale_etag_is_refused(stage, changes):
    tag = stage.add_model().headers["ETag"]
    stage.call("PATCH", "/v1/models/delays", {"owner": "grace"}, role="engineer")
    before = changes()

    for stale in (tag, f"W/{tag}", '"99", "98"'):
        answer = stage.call(
            "PATCH", "/v1/models/delays", {"owner": "x"}, role="engineer", headers={"If-Match": stale}
        )
        assert (answer.status, answer.problem) == (412, "precondition-failed")
    assert changes() == before


def test_malformed_etag_is_refused(stage):
    stage.add_model()

    answer = stage.call(
        "PATCH", "/v1/models/delays", {"owner": "x"}, role="engineer", headers={"If-Match": "1"}
    )

    assert (answer.status, answer.problem) == (400, "malformed-request")


def test_moved_model_takes_champion_and_aliases_along(stage):
    stage.add_model()
    stage.add_version()
    stage.promote(1)
    stage.call("PUT", "/v1/models/delays/aliases/blue", {"version": 1}, role="engineer")
    both = token_of("engineer", teams=("airport", "finance"))

    moved = stage.call("PATCH", "/v1/models/delays", {"team": "finance"}, token=both)

    assert moved.status == 200
    rows = {"rows": [{"a": 1, "b": 2}]}
    for name in ("delays", "delays@blue"):
        stranger = stage.call("POST", f"/v1/models/{name}/predict", rows, role="caller")
        owner = stage.call(
            "POST", f"/v1/models/{name}/predict", rows, token=token_of("caller", teams=("finance",))
        )
        assert stranger.status == 404
        assert owner.status == 200


def test_model_cannot_be_moved_into_anothers_team(stage):
    stage.add_model()

    answer = stage.call("PATCH", "/v1/models/delays", {"team": "finance"}, role="engineer")

    assert (answer.status, answer.problem) == (403, "forbidden")


def test_repeated_key_is_answered_again_and_done_once(stage, changes):
    key = {"Idempotency-Key": "once"}
    first = stage.call("POST", "/v1/models", MODEL, role="scientist", headers=key)

    again = stage.call("POST", "/v1/models", MODEL, role="scientist", headers=key)

    assert (again.status, again.json) == (first.status, first.json)
    assert changes() == 1


def test_key_with_another_body_is_refused(stage, changes):
    key = {"Idempotency-Key": "once"}
    stage.call("POST", "/v1/models", MODEL, role="scientist", headers=key)

    answer = stage.call("POST", "/v1/models", {**MODEL, "name": "x"}, role="scientist", headers=key)

    assert (answer.status, answer.problem) == (422, "idempotency-mismatch")
    assert changes() == 1


def test_anothers_key_is_not_mine(stage):
    key = {"Idempotency-Key": "once"}
    stage.call("POST", "/v1/models", MODEL, role="scientist", headers=key)

    answer = stage.call("POST", "/v1/models", MODEL, token=token_of("scientist", sub="grace"), headers=key)

    assert (answer.status, answer.problem) == (409, "conflict")


def test_one_key_from_many_threads_is_done_once(stage, changes):
    """The client is one app with one current request, so the race is run at the service's own door."""
    from chalicelib.handlers.requests import Call
    from chalicelib.lineage.records import Attempt, IdempotencyKey
    from chalicelib.registry import service
    from chalicelib.registry.rules import NewModel

    at_hand = stage.at_hand
    call = Call(None, at_hand, None, at_hand.clock())  # type: ignore[arg-type]
    attempt = Attempt("a" * 64, "ada", "scientist", at_hand.clock(), "r", IdempotencyKey("k" * 64, "b" * 64))

    def create(_: int) -> str:
        return call.once(
            attempt,
            lambda: service.create_model(
                at_hand.lineage, at_hand.pseudonyms, NewModel("m", "t", "binary", "ada"), attempt=attempt
            ),
            lambda made: service.find_model(at_hand.lineage, made["model"]),
        ).name

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(create, range(8))) == {"m"}
    assert changes() == 1


def test_upload_is_offered_until_it_is_there(stage):
    bundle = logistic_bundle()
    entry = bundle.manifest["files"]["model.onnx"]
    body = {**entry, "media_type": "application/octet-stream"}

    offered = stage.call("POST", "/v1/artifacts", body, role="scientist")
    stage.at_hand.upload(bundle)
    present = stage.call("POST", "/v1/artifacts", body, role="scientist")

    assert offered.status == 201
    assert offered.json["present"] is False
    assert set(offered.json["upload"]) == {"method", "url", "headers", "expires_at"}
    assert (present.status, present.json) == (200, {"sha256": entry["sha256"], "present": True})
    schemas.UploadOffer.model_validate(offered.json)


def test_uploading_needs_a_role(stage):
    body = {"sha256": "0" * 64, "size": 1, "media_type": "application/json"}

    answer = stage.call("POST", "/v1/artifacts", body, role="caller")

    assert (answer.status, answer.problem) == (403, "forbidden")


def test_registered_version_is_announced_after_the_commit(stage):
    stage.add_model()
    number = stage.add_version(accepted=False)

    read = stage.call("GET", f"/v1/models/delays/versions/{number}", role="viewer")

    assert read.json["stage"] == "validating"
    assert read.json["registered_by"].startswith("ada@example.org")
    assert set(read.json["files"]) == set(logistic_bundle().files)
    assert [json.loads(sent) for sent in stage.at_hand.examination_queue.sent] == [
        {"model": "delays", "version": number}
    ]
    schemas.Version.model_validate(read.json)


def test_manifest_is_stored_under_the_versions_digest(stage):
    stage.add_model()
    stage.add_version()

    version = stage.at_hand.lineage.version("delays", 1)

    assert (
        stage.at_hand.artifacts.stored[version.digest] == logistic_bundle((0.5, -0.25)).files["manifest.json"]
    )


def test_same_bundle_is_the_same_version(stage, changes):
    stage.add_model()
    number = stage.add_version()
    before = changes()

    again = stage.call(
        "POST",
        "/v1/models/delays/versions",
        {"manifest": logistic_bundle((0.5, -0.25)).manifest},
        role="scientist",
    )

    assert (again.status, again.json["version"], again.json["stage"]) == (200, number, "candidate")
    assert changes() == before
    assert len(stage.at_hand.examination_queue.sent) == 1


def test_rejected_bundle_is_examined_again_when_it_is_handed_in_again(stage, changes):
    stage.add_model()
    number = stage.add_version(accepted=False)
    stage.at_hand.accept("delays", number, reasons=("the machine was slow",))
    registered = stage.at_hand.lineage.version("delays", number)
    before, body = changes(), {"manifest": logistic_bundle((0.5, -0.25)).manifest}

    key = {"Idempotency-Key": "again"}
    path = "/v1/models/delays/versions"
    retried = stage.call("POST", path, body, role="scientist", headers=key)
    answered_again = stage.call("POST", path, body, role="scientist", headers=key)
    at_work = stage.call("POST", path, body, role="scientist")

    assert (retried.status, answered_again.status, at_work.status) == (202, 202, 200)
    assert retried.headers["Location"] == f"/v1/models/delays/versions/{number}"
    assert (retried.json["stage"], retried.json["reasons"]) == ("validating", [])
    assert (retried.json["version"], retried.json["examined_at"]) == (number, None)
    version = stage.at_hand.lineage.version("delays", number)
    assert version.registered_at == registered.registered_at
    assert version.waiting_since >= registered.examination.at
    assert changes() == before + 1
    assert len(stage.at_hand.examination_queue.sent) == 2
    schemas.Version.model_validate(retried.json)


def test_rejected_bundle_whose_files_are_gone_is_refused_and_stays_rejected(stage, changes):
    stage.add_model()
    number = stage.add_version(accepted=False)
    stage.at_hand.accept("delays", number, reasons=("no",))
    bundle, before = logistic_bundle((0.5, -0.25)), changes()
    del stage.at_hand.artifacts.stored[bundle.manifest["files"]["model.onnx"]["sha256"]]

    again = stage.call("POST", "/v1/models/delays/versions", {"manifest": bundle.manifest}, role="scientist")

    assert (again.status, again.problem) == (422, "artifact-missing")
    assert stage.at_hand.lineage.version("delays", number).stage == "rejected"
    assert changes() == before


def test_broken_queue_fails_no_registration(stage, caplog):
    stage.add_model()
    stage.at_hand.examination_queue.breaks = True

    number = stage.add_version(accepted=False)

    assert stage.at_hand.lineage.version("delays", number).stage == "validating"
    assert "isn't queued for examination" in caplog.text


def test_versions_are_listed_newest_first(stage):
    stage.add_model()
    for n in range(3):
        stage.add_version(weight=0.1 + n)

    page = stage.call("GET", "/v1/models/delays/versions?limit=2", role="viewer").json

    assert [item["version"] for item in page["items"]] == [3, 2]
    assert page["next"]
    schemas.VersionPage.model_validate(page)


def test_alias_is_set_moved_read_listed_and_deleted(stage):
    stage.add_model()
    stage.add_version(weight=0.1)
    stage.add_version(weight=0.2)
    path = "/v1/models/delays/aliases/blue"

    made = stage.call("PUT", path, {"version": 1}, role="engineer")
    moved = stage.call(
        "PUT", path, {"version": 2}, role="engineer", headers={"If-Match": made.headers["ETag"]}
    )
    read = stage.call("GET", path, role="viewer")
    listed = stage.call("GET", "/v1/models/delays/aliases", role="viewer")
    stale = stage.call("DELETE", path, role="engineer", headers={"If-Match": made.headers["ETag"]})
    gone = stage.call("DELETE", path, role="engineer", headers={"If-Match": read.headers["ETag"]})

    assert (made.status, moved.status, read.status) == (201, 200, 200)
    assert read.json == moved.json
    assert read.json["version"] == 2
    assert [item["alias"] for item in listed.json["items"]] == ["blue"]
    assert (stale.status, gone.status) == (412, 204)
    assert stage.call("GET", path, role="viewer").status == 404
    schemas.AliasPage.model_validate(listed.json)


def test_tag_of_a_deleted_alias_does_not_fit_a_new_one_of_its_name(stage):
    stage.add_model()
    stage.add_version()
    path = "/v1/models/delays/aliases/blue"
    old = stage.call("PUT", path, {"version": 1}, role="engineer").headers["ETag"]
    stage.call("DELETE", path, role="engineer")
    new = stage.call("PUT", path, {"version": 1}, role="engineer").headers["ETag"]

    stale = stage.call("DELETE", path, role="engineer", headers={"If-Match": old})
    read = stage.call("GET", path, role="viewer")

    assert (stale.status, read.headers["ETag"]) == (412, new)


def test_repeated_delete_with_its_key_is_answered_again(stage):
    stage.add_model()
    stage.add_version()
    path, key = "/v1/models/delays/aliases/blue", {"Idempotency-Key": "bye"}
    stage.call("PUT", path, {"version": 1}, role="engineer")

    answers = [stage.call("DELETE", path, role="engineer", headers=key).status for _ in range(2)]

    assert answers == [204, 204]


def test_if_match_on_an_alias_that_is_not_there_fails(stage):
    stage.add_model()
    stage.add_version()

    answer = stage.call(
        "PUT",
        "/v1/models/delays/aliases/blue",
        {"version": 1},
        role="engineer",
        headers={"If-Match": "*"},
    )

    assert (answer.status, answer.problem) == (412, "precondition-failed")


def test_model_has_room_for_twenty_aliases(stage):
    stage.add_model()
    stage.add_version()
    statuses = [
        stage.call("PUT", f"/v1/models/delays/aliases/a{n}", {"version": 1}, role="engineer").status
        for n in range(21)
    ]

    assert statuses == [201] * 20 + [409]


def test_a_pinned_alias_neither_moves_nor_goes_until_it_is_unpinned(stage, changes):
    stage.add_model()
    stage.add_version(weight=0.5)
    stage.add_version(weight=0.75)
    path = "/v1/models/delays/aliases/audited"
    made = stage.call("PUT", path, {"version": 1, "pinned": True}, role="engineer")
    before = changes()

    moved = stage.call("PUT", path, {"version": 2}, role="engineer")
    forced = stage.call("PUT", path, {"version": 2, "pinned": False}, role="engineer")
    gone = stage.call("DELETE", path, role="engineer")
    again = stage.call("PUT", path, {"version": 1}, role="engineer")

    assert (made.status, made.json["pinned"]) == (201, True)
    assert [answer.status for answer in (moved, forced, gone)] == [409, 409, 409]
    assert "pinned to version 1" in moved.json["detail"]
    assert (again.status, again.json["pinned"]) == (200, True)
    assert changes() == before

    unpinned = stage.call("PUT", path, {"version": 1, "pinned": False}, role="engineer")
    assert (unpinned.status, unpinned.json["pinned"]) == (200, False)
    assert stage.call("PUT", path, {"version": 2}, role="engineer").json["version"] == 2
    assert stage.call("DELETE", path, role="engineer").status == 204


def test_a_pin_goes_along_when_the_model_moves_to_another_team(stage):
    stage.add_model()
    stage.add_version()
    path = "/v1/models/delays/aliases/audited"
    stage.call("PUT", path, {"version": 1, "pinned": True}, role="engineer")
    token = token_of("engineer", teams=("airport", "finance"))

    stage.call("PATCH", "/v1/models/delays", {"team": "finance"}, token=token)

    assert stage.call("GET", path, token=token).json["pinned"] is True
