"""The document says what the service does: every route, every problem type, the same bodies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from app import app
from chalicelib.handlers import schemas
from chalicelib.handlers.openapi import document
from chalicelib.handlers.operations import OPERATIONS
from chalicelib.handlers.problems import status_of
from chalicelib.serving import body as plain
from tiltyard.errors import TiltyardError, every_error


@pytest.fixture(scope="module")
def doc() -> dict[str, Any]:
    return document()


def test_document_has_every_route_and_no_other(doc):
    served = {(path, method.lower()) for path, methods in app.routes.items() for method in methods}
    said = {(path, method) for path, methods in doc["paths"].items() for method in methods}

    assert said == served


def test_document_asks_for_a_token_where_the_route_does(doc):
    for path, methods in app.routes.items():
        for method, route in methods.items():
            said = doc["paths"][path][method.lower()]
            assert (route.authorizer is None) == (said.get("security") == []), path


def test_every_problem_type_is_documented(doc):
    said = doc["components"]["schemas"]["Problem"]["properties"]["type"]

    for error in every_error():
        if error.__module__ == "tiltyard.errors":
            assert f"/problems/{error.problem}" in said["enum"]
            assert f"- `/problems/{error.problem}` ({status_of(error)}): {error.title}" in said["description"]
    assert "/problems/method-not-allowed" in said["enum"]


def test_every_error_has_a_status_of_its_own_kind():
    for error in every_error():
        assert 400 <= status_of(error) <= 503
        assert status_of(error) == 500 or error is not TiltyardError


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from references(part)


def leads_somewhere(doc: Any, reference: str) -> bool:
    target = doc
    for step in reference.removeprefix("#/").split("/"):
        if step not in target:
            return False
        target = target[step]
    return True


def test_every_reference_leads_somewhere(doc):
    assert [found for found in references(doc) if not leads_somewhere(doc, found)] == []


def test_operation_ids_are_unique():
    assert len({operation.id for operation in OPERATIONS}) == len(OPERATIONS)


def test_document_is_served_without_a_token(stage, doc):
    answer = stage.call("GET", "/openapi.json")

    assert answer.status == 200
    assert answer.json == json.loads(json.dumps(doc))
    assert answer.json["openapi"] == "3.1.0"


def test_health_is_asked_without_a_token(stage, monkeypatch):
    assert stage.call("GET", "/v1/health/live").json == {"status": "live"}
    assert stage.call("GET", "/v1/health/ready").json == {"status": "ready"}

    def away(name):
        raise ConnectionError

    monkeypatch.setattr(stage.at_hand.lineage, "model", away)
    assert stage.call("GET", "/v1/health/live").status == 200
    assert stage.call("GET", "/v1/health/ready").status == 500


def believed_by_schema(content: object) -> bool:
    try:
        schemas.PredictionRequest.model_validate(content, strict=True)
    except ValidationError:
        return False
    return True


def believed_by_code(content: object) -> bool:
    try:
        plain.parse(json.dumps(content).encode())
    except TiltyardError:
        return False
    return True


ROW = {"a": 1}


@pytest.mark.parametrize(
    "content",
    [
        {"rows": [ROW]},
        {"rows": [ROW], "ids": ["x"]},
        {"rows": [ROW], "ids": None},
        {"rows": [ROW], "subjects": [None]},
        {"rows": [ROW], "at": "2026-03-01T12:00:00Z"},
        {"rows": [ROW], "at": ["2026-03-01T12:00:00Z"]},
        {},
        [],
        {"rows": []},
        {"rows": None},
        {"rows": [ROW] * 5001},
        {"rows": [ROW], "more": 1},
        {"rows": [ROW], "ids": [""]},
        {"rows": [ROW], "ids": ["x" * 129]},
        {"rows": [ROW], "ids": [1]},
        {"rows": [ROW], "subjects": [""]},
        {"rows": [ROW], "subjects": ["x" * 257]},
        {"rows": [ROW], "at": 3},
    ],
)
def test_schema_and_plain_code_believe_the_same_predictions(content):
    assert believed_by_schema(content) == believed_by_code(content)


@settings(deadline=None, max_examples=100)
@given(
    st.fixed_dictionaries(
        {"rows": st.lists(st.just(ROW), min_size=1, max_size=2)},
        optional={
            "ids": st.none() | st.lists(st.text("abc", max_size=3), max_size=3, unique=True) | st.integers(),
            "subjects": st.none() | st.lists(st.none() | st.text("abc", max_size=3), max_size=3),
        },
    )
)
def test_plain_code_believes_no_more_than_the_schema(content):
    assert believed_by_schema(content) or not believed_by_code(content)
