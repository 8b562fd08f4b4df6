"""Every refusal says its problem type and changes nothing (issue's list of bad input)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from bundles import logistic_bundle
from fakes import token_of

VALID = {"name": "fares", "team": "airport", "task": "binary"}


def manifest(**changes: Any) -> dict[str, Any]:
    return {**logistic_bundle().manifest, **changes}


@pytest.mark.parametrize(
    ("body", "headers", "status", "problem"),
    [
        (b"", {}, 400, "malformed-request"),
        (b"{", {}, 400, "malformed-request"),
        (b"[" * 5000, {}, 400, "malformed-request"),
        (b'{"name": NaN}', {}, 400, "malformed-request"),
        (b'{"name": Infinity}', {}, 400, "malformed-request"),
        (b'{"name": "a", "name": "b"}', {}, 400, "malformed-request"),
        (b"\xff\xfe", {}, 400, "malformed-request"),
        (b'{"name": ' + b"9" * 5000 + b"}", {}, 400, "malformed-request"),
        (b" " * (2**20 + 1), {}, 413, "payload-too-large"),
        (b"{}", {"Content-Type": "text/plain"}, 415, "unsupported-media-type"),
        (b"{}", {"Content-Type": "text/plain, application/json"}, 415, "unsupported-media-type"),
        (b"null", {}, 422, "invalid-input"),
        (b"[]", {}, 422, "invalid-input"),
        (json.dumps(VALID).encode(), {"Idempotency-Key": ""}, 400, "malformed-request"),
        (json.dumps(VALID).encode(), {"Idempotency-Key": "k" * 256}, 400, "malformed-request"),
        (json.dumps(VALID).encode(), {"Idempotency-Key": "schlüssel"}, 400, "malformed-request"),
    ],
)
def test_unreadable_body_is_refused(stage, changes, body, headers, status, problem):
    before = changes()

    answer = stage.call("POST", "/v1/models", role="scientist", body=body, headers=headers)

    assert (answer.status, answer.problem) == (status, problem)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["instance"] == answer.headers["X-Request-Id"]
    assert changes() == before


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"name": "Fares"}, "/name"),
        ({"name": "1fares"}, "/name"),
        ({"name": "fares\n"}, "/name"),
        ({"name": "f" * 64}, "/name"),
        ({"name": "fares/3"}, "/name"),
        ({"name": 3}, "/name"),
        ({"name": None}, "/name"),
        ({"task": "ranking"}, "/task"),
        ({"team": "air port"}, "/team"),
        ({"owner": " "}, "/owner"),
        ({"owner": "\ud800"}, "/owner"),
        ({"description": "d" * 2001}, "/description"),
        ({"a/b~c": 1}, "/a~1b~0c"),
    ],
)
def test_schema_breach_names_its_place(stage, changes, wrong, pointer):
    answer = stage.call("POST", "/v1/models", {**VALID, **wrong}, role="scientist")

    assert (answer.status, answer.problem) == (422, "invalid-input")
    assert [fault["pointer"] for fault in answer.json["errors"]] == [pointer]
    assert changes() == 0


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/models/nowhere", None),
        ("GET", "/v1/models/NO!WHERE", None),
        ("GET", "/v1/models/delays/versions/9", None),
        ("GET", "/v1/models/delays/versions/0", None),
        ("GET", "/v1/models/delays/versions/one", None),
        ("GET", "/v1/models/delays/versions/99999999999", None),
        ("GET", "/v1/models/delays/aliases/blue", None),
        ("DELETE", "/v1/models/delays/aliases/blue", None),
        ("PUT", "/v1/models/delays/aliases/blue", {"version": 9}),
        ("POST", "/v1/models/delays/promote", {"version": 9, "reason": "better"}),
        ("POST", "/v1/models/delays/rollback", {"version": 9, "reason": "worse"}),
        ("GET", "/v1/models/delays/champion", None),
    ],
)
def test_what_is_not_there_is_not_found(stage, changes, method, path, body):
    stage.add_model()
    before = changes()

    answer = stage.call(method, path, body, role="engineer")

    assert (answer.status, answer.problem) == (404, "not-found")
    assert changes() == before


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"format": 2}, "/manifest/format"),
        ({"task": "ranking"}, "/manifest/task"),
        ({"task": "regression"}, "/manifest/task"),
        ({"files": {}}, "/manifest/files"),
        ({"more": 2**60}, "/manifest"),
        ({"more": "\ud800"}, "/manifest"),
        ({"more": "x" * 300_000}, "/manifest"),
    ],
)
def test_malformed_manifest_is_refused(stage, changes, changed, pointer):
    stage.add_model()
    stage.at_hand.upload(logistic_bundle())
    before = changes()

    answer = stage.call(
        "POST", "/v1/models/delays/versions", {"manifest": manifest(**changed)}, role="scientist"
    )

    assert (answer.status, answer.problem) == (422, "invalid-bundle")
    assert [fault["pointer"] for fault in answer.json["errors"]] == [pointer]
    assert changes() == before
    assert stage.at_hand.examination_queue.sent == []


def test_deep_manifest_is_refused(stage):
    stage.add_model()
    nested = b'{"manifest": ' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}"

    answer = stage.call("POST", "/v1/models/delays/versions", body=nested, role="scientist")

    assert answer.status in (400, 422)


def test_upload_that_never_came_is_named(stage, changes):
    stage.add_model()
    bundle = logistic_bundle()
    stage.at_hand.upload(bundle)
    for name in ("model.onnx", "parity.json"):
        del stage.at_hand.artifacts.stored[bundle.manifest["files"][name]["sha256"]]
    before = changes()

    answer = stage.call("POST", "/v1/models/delays/versions", {"manifest": bundle.manifest}, role="scientist")

    assert (answer.status, answer.problem) == (422, "artifact-missing")
    assert {fault["pointer"] for fault in answer.json["errors"]} == {
        "/manifest/files/model.onnx",
        "/manifest/files/parity.json",
    }
    assert changes() == before


def test_upload_of_another_size_is_named(stage):
    stage.add_model()
    bundle = logistic_bundle()
    stage.at_hand.upload(bundle)
    stage.at_hand.artifacts.stored[bundle.manifest["files"]["model.onnx"]["sha256"]] += b"!"

    answer = stage.call("POST", "/v1/models/delays/versions", {"manifest": bundle.manifest}, role="scientist")

    assert (answer.status, answer.problem) == (422, "invalid-bundle")
    assert answer.json["errors"][0]["pointer"] == "/manifest/files/model.onnx/size"


@pytest.mark.parametrize(
    ("size", "media_type"),
    [
        (64 * 2**20 + 1, "application/octet-stream"),
        (8 * 2**20 + 1, "application/json"),
        (0, "application/json"),
        (10, "text/html"),
    ],
)
def test_upload_that_no_bundle_may_hold_is_refused(stage, size, media_type):
    body = {"sha256": "0" * 64, "size": size, "media_type": media_type}

    answer = stage.call("POST", "/v1/artifacts", body, role="scientist")

    assert (answer.status, answer.problem) == (422, "invalid-input")
    assert answer.json["errors"][0]["pointer"] == ("/media_type" if media_type == "text/html" else "/size")


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "limit=1&limit=2", "cursor=x", "limit=-1"]
)
def test_bad_page_is_refused(stage, query):
    answer = stage.call("GET", f"/v1/models?{query}", role="viewer")

    assert (answer.status, answer.problem) == (400, "malformed-request")


@pytest.mark.parametrize(
    "as_of", ["yesterday", "2026-01-01", "2026-01-01T00:00:00", "0001-01-01T00:00:00+12:00"]
)
def test_bad_moment_is_refused(stage, as_of):
    stage.add_model()

    answer = stage.call("GET", f"/v1/models/delays/champion?as_of={as_of}", role="viewer")

    assert (answer.status, answer.problem) == (400, "malformed-request")


@pytest.mark.parametrize("cursor", ["x", "W10=", "WzEsMl0=", "bnVsbA==", "W" * 6000])
def test_bad_timeline_cursor_is_refused(stage, cursor):
    stage.add_model()

    answer = stage.call("GET", f"/v1/models/delays/timeline?cursor={cursor}", role="viewer")

    assert (answer.status, answer.problem) == (400, "malformed-request")


def test_validating_version_is_not_ready(stage, changes):
    stage.add_model()
    number = stage.add_version(accepted=False)
    before = changes()

    promoted = stage.promote(number)
    named = stage.call("PUT", "/v1/models/delays/aliases/blue", {"version": number}, role="engineer")

    assert (promoted.status, promoted.problem) == (409, "not-ready")
    assert (named.status, named.problem) == (409, "not-ready")
    assert "being examined" in promoted.json["detail"]
    assert changes() == before


def test_rejected_version_is_not_ready_and_says_why(stage):
    stage.add_model()
    number = stage.add_version(accepted=False)
    stage.at_hand.accept("delays", number, reasons=("/model.onnx/operator: Loop",))

    promoted = stage.promote(number)
    read = stage.call("GET", f"/v1/models/delays/versions/{number}", role="viewer")

    assert (promoted.status, promoted.problem) == (409, "not-ready")
    assert read.json["reasons"] == ["/model.onnx/operator: Loop"]


@pytest.mark.parametrize("name", ["champion", "challenger", "Blue", "b_lue", "b" * 64])
def test_reserved_or_ill_formed_alias_is_refused(stage, changes, name):
    stage.add_model()
    number = stage.add_version()
    before = changes()

    answer = stage.call("PUT", f"/v1/models/delays/aliases/{name}", {"version": number}, role="engineer")

    assert (answer.status, answer.problem) == (422, "invalid-input")
    assert changes() == before


def test_taken_name_is_a_conflict(stage):
    stage.add_model("delays", "airport")

    answer = stage.call(
        "POST", "/v1/models", {**VALID, "name": "delays"}, token=token_of("scientist", teams=("airport",))
    )

    assert (answer.status, answer.problem) == (409, "conflict")


def test_unknown_method_is_a_problem(stage):
    answer = stage.call("PATCH", "/v1/models", {}, role="admin")

    assert (answer.status, answer.problem) == (405, "method-not-allowed")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "POST"}


def test_unexpected_error_is_logged_and_tells_nothing(stage, monkeypatch, caplog):
    def fails(name):
        raise RuntimeError("secret of table lineage")

    monkeypatch.setattr(stage.at_hand.lineage, "model", fails)

    answer = stage.call("GET", "/v1/models/delays", role="viewer")

    assert (answer.status, answer.problem) == (500, "internal-error")
    assert b"secret" not in answer.body
    assert "secret of table lineage" in caplog.text


def test_every_answer_leaves_one_line_without_what_was_asked(stage, capsys):
    stage.call("GET", "/v1/models/secret-name", role="viewer")

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    assert [(line["method"], line["route"], line["status"]) for line in lines] == [
        ("GET", "/v1/models/{model}", 404)
    ]
    assert "secret" not in json.dumps(lines)
