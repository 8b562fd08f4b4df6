from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bundles import logistic_bundle
from fakes import Gateway, MemoryContainer, service, token_of
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app import app
from chalicelib.handlers.schemas import PredictionAnswer, PredictionRequest
from chalicelib.serving import body, telemetry
from tiltyard.errors import InvalidRows

ROW = {"a": 1.0, "b": 2.0}
PREDICT = "/v1/models/delays/predict"


class Served:
    """Model ``delays``: version 1 is champion and alias ``pinned``, version 2 is validating."""

    def __init__(self, stage: MemoryContainer, gateway: Gateway) -> None:
        self.stage = stage
        self.gateway = gateway
        owner = token_of("scientist", "engineer")
        self._call("POST", "/v1/models", {"name": "delays", "team": "airport", "task": "binary"}, owner)
        for number, weights in enumerate(((0.5, -0.25), (1.0, 1.0)), start=1):
            bundle = logistic_bundle(weights)
            stage.upload(bundle)
            self._call("POST", "/v1/models/delays/versions", {"manifest": bundle.manifest}, owner)
            if number == 1:
                stage.accept("delays", 1)
        self._call("POST", "/v1/models/delays/promote", {"version": 1, "reason": "first"}, owner)
        self._call("PUT", "/v1/models/delays/aliases/pinned", {"version": 1}, owner)

    def _call(self, method: str, path: str, sent: Any, token: str) -> None:
        answer = self.gateway.call(method, path, sent, token=token)
        assert answer.status < 300, answer

    def predict(
        self, sent: Any = None, *, path: str = PREDICT, roles: tuple[str, ...] = ("caller",), **more: Any
    ):
        token = more.pop("token", None) or token_of(*roles, teams=more.pop("teams", ("airport",)))
        sent = {"rows": [ROW]} if sent is None and "body" not in more else sent
        return self.gateway.call("POST", path, sent, token=token, **more)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with service(app) as (stage, gateway):
        yield Served(stage, gateway)


def test_the_champion_answers_and_one_message_is_sent(served):
    before = len(served.stage.telemetry_queue.sent)

    answer = served.predict({"rows": [ROW, {"a": None, "b": 99.0}], "ids": ["x", "y"]})

    assert answer.status == 200, answer
    PredictionAnswer.model_validate_json(answer.body)
    assert (answer.json["version"], answer.json["role"]) == (1, "champion")
    assert [p["id"] for p in answer.json["predictions"]] == ["x", "y"]
    assert answer.json["applied"] == Counter(r for p in answer.json["predictions"] for r in p["rules"])
    (message,) = served.stage.telemetry_queue.sent[before:]
    assert telemetry.decode(message)["ids"] == ["x", "y"]
    assert answer.headers["X-Request-Id"] == telemetry.decode(message)["request_id"]


def test_an_explanation_shares_the_answer_out_among_the_columns(served):
    answer = served.predict({"rows": [ROW], "explain": True})

    PredictionAnswer.model_validate_json(answer.body)
    (found,) = answer.json["predictions"]
    told = found["explanation"]
    log_odds = math.log(found["score"] / (1 - found["score"]))
    assert set(told["values"]) == {"a", "b"}
    assert told["base"] + sum(told["values"].values()) == pytest.approx(log_odds, abs=1e-4)


def test_more_rows_than_can_be_explained_are_refused_with_the_limit(served):
    before = len(served.stage.telemetry_queue.sent)

    answer = served.predict({"rows": [ROW] * 21, "explain": True})

    assert answer.status == 422
    assert [(e["pointer"], "20" in e["detail"]) for e in answer.json["errors"]] == [("/explain", True)]
    assert len(served.stage.telemetry_queue.sent) == before


@pytest.mark.parametrize(
    ("path", "roles", "role"),
    [
        ("/v1/models/delays@pinned/predict", ("caller",), "pinned"),
        ("/v1/models/delays@champion/predict", ("engineer",), "champion"),
        (PREDICT + "?version=1", ("scientist",), "direct"),
    ],
)
def test_an_alias_and_a_version_answer_too(served, path, roles, role):
    answer = served.predict(path=path, roles=roles)

    assert (answer.status, answer.json["version"], answer.json["role"]) == (200, 1, role)


@pytest.mark.parametrize(
    ("change", "status", "problem"),
    [
        ({"token": "nonsense"}, 401, "unauthenticated"),
        ({"roles": ("viewer",)}, 403, "forbidden"),
        ({"roles": ("business",)}, 403, "forbidden"),
        ({"roles": ("auditor",)}, 403, "forbidden"),
        ({"roles": ("caller",), "path": PREDICT + "?version=1"}, 403, "forbidden"),
        ({"teams": ("other",)}, 404, "not-found"),
        ({"path": "/v1/models/unknown/predict"}, 404, "not-found"),
        ({"path": "/v1/models/delays@unknown/predict"}, 404, "not-found"),
        ({"path": "/v1/models/delays@challenger/predict"}, 404, "not-found"),
        ({"path": "/v1/models/DELAYS/predict"}, 404, "not-found"),
        ({"path": PREDICT + "?version=9", "roles": ("scientist",)}, 404, "not-found"),
        ({"path": PREDICT + "?version=2", "roles": ("scientist",)}, 409, "not-ready"),
        ({"path": PREDICT + "?version=one", "roles": ("scientist",)}, 422, "invalid-input"),
        ({"body": b"{", "headers": {"Content-Type": "application/json"}}, 400, "malformed-request"),
        ({"body": b"a,b\n1,2", "headers": {"Content-Type": "text/csv"}}, 415, "unsupported-media-type"),
        (
            {"body": b" " * (body.MAX_BODY + 1), "headers": {"Content-Type": "application/json"}},
            413,
            "payload-too-large",
        ),
        ({"sent": {"rows": []}}, 422, "invalid-rows"),
        ({"sent": {"rows": [ROW] * 5001}}, 422, "invalid-rows"),
        ({"sent": {"rows": [ROW, ROW], "ids": ["a", "a"]}}, 422, "invalid-rows"),
        ({"sent": {"rows": [{"a": 1.0}]}}, 422, "invalid-rows"),
        ({"sent": {"rows": [{**ROW, "c": 1}]}}, 422, "invalid-rows"),
        ({"sent": {"rows": [{"a": "1", "b": 2.0}]}}, 422, "invalid-rows"),
        ({"sent": {"rows": [{"a": 1.0, "b": None}]}}, 422, "invalid-rows"),
    ],
)
def test_what_cannot_be_answered_says_why_and_sends_nothing(served, change, status, problem):
    before = len(served.stage.telemetry_queue.sent)

    answer = served.predict(**change)

    assert (answer.status, answer.problem) == (status, problem)
    assert len(served.stage.telemetry_queue.sent) == before


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_none_is_refused_with_its_place(served, value):
    raw = b'{"rows": [{"a": 1, "b": 2}, {"a": 1, "b": %s}]}' % value.encode()

    answer = served.predict(body=raw, headers={"Content-Type": "application/json"})

    assert (answer.status, answer.problem) == (422, "invalid-rows")
    assert answer.json["errors"][0]["pointer"] == "/rows/1/b"
    assert answer.json["instance"] == answer.headers["X-Request-Id"]


texts = st.one_of(st.sampled_from(["", "a", "x" * 128, "x" * 129, "x" * 257]), st.none(), st.integers())
times = st.sampled_from(["2013-02-01T06:15:00Z", "2013-02-01T06:15:00+02:00", "2013-02-01", "soon", "", 5])


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    """Bodies right and wrong, but for what no schema says: lists are as long as rows, ids differ."""
    n = draw(st.integers(0, 3))
    optional = {
        "ids": st.one_of(st.none(), st.just("a"), st.lists(texts, min_size=n, max_size=n, unique=True)),
        "subjects": st.one_of(st.none(), st.lists(texts, min_size=n, max_size=n)),
        "at": st.one_of(st.none(), times, st.lists(times, min_size=n, max_size=n)),
        "extra": st.just(1),
    }
    rows = st.one_of(st.just([ROW] * n), st.just(ROW), st.none())
    return draw(st.fixed_dictionaries({"rows": rows}, optional=optional))


def is_taken(read: Callable[[], object]) -> bool:
    try:
        read()
    except (InvalidRows, ValidationError):
        return False
    return True


@given(bodies())
def test_plain_code_and_the_documented_model_take_the_same_bodies(sent):
    raw = json.dumps(sent).encode()

    assert is_taken(lambda: body.parse(raw)) == is_taken(lambda: PredictionRequest.model_validate_json(raw))
