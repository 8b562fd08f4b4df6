"""MLflow's scoring protocol and the Open Inference Protocol v2, through the API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from bundles import logistic_bundle
from fakes import Answer, Gateway, MemoryContainer, service, token_of

from app import app
from chalicelib.handlers import protocol_schemas
from chalicelib.serving import body, telemetry

ROWS = [{"a": 1.0, "b": 2.0}, {"a": None, "b": 99.0}]
INVOKE = "/v1/models/delays/invocations"
INFER = "/v2/models/delays/infer"
MATRIX = {"name": "input-0", "datatype": "FP64", "shape": [2, 2], "data": [1.0, 2.0, None, 99.0]}
TENSORS = [
    {"name": "a", "datatype": "FP64", "shape": [2], "data": [1.0, None]},
    {"name": "b", "datatype": "FP32", "shape": [2, 1], "data": [[2.0], [99.0]]},
]


class Served:
    """``delays``: version 1 is champion and alias ``pinned``, 2 is validating. ``empty`` has no version."""

    def __init__(self, stage: MemoryContainer, gateway: Gateway) -> None:
        self.stage = stage
        self.gateway = gateway
        owner = token_of("scientist", "engineer")
        for name in ("delays", "empty"):
            self._set_up("POST", "/v1/models", {"name": name, "team": "airport", "task": "binary"}, owner)
        for number, weights in enumerate(((0.5, -0.25), (1.0, 1.0)), start=1):
            bundle = logistic_bundle(weights)
            stage.upload(bundle)
            self._set_up("POST", "/v1/models/delays/versions", {"manifest": bundle.manifest}, owner)
            if number == 1:
                stage.accept("delays", 1)
        self._set_up("POST", "/v1/models/delays/promote", {"version": 1, "reason": "first"}, owner)
        self._set_up("PUT", "/v1/models/delays/aliases/pinned", {"version": 1}, owner)

    def _set_up(self, method: str, path: str, sent: Any, token: str) -> None:
        answer = self.gateway.call(method, path, sent, token=token)
        assert answer.status < 300, answer

    def call(
        self, path: str, sent: Any = None, *, roles: tuple[str, ...] = ("caller",), **more: Any
    ) -> Answer:
        token = more.pop("token", None) or token_of(*roles, teams=more.pop("teams", ("airport",)))
        method = "GET" if sent is None and "body" not in more else "POST"
        return self.gateway.call(method, path, sent, token=token, **more)

    def predicted(self) -> list[dict[str, Any]]:
        """What `predict` says of `ROWS`."""
        answer = self.call("/v1/models/delays/predict", {"rows": ROWS})
        return list(answer.json["predictions"])


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with service(app) as (stage, gateway):
        yield Served(stage, gateway)


# --- MLflow ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        {"dataframe_split": {"columns": ["b", "a"], "data": [[2.0, 1.0], [99.0, None]], "index": [0, 1]}},
        {"dataframe_records": ROWS},
        {"instances": ROWS},
        {"inputs": {"a": [1.0, None], "b": [2.0, 99.0]}},
        {"inputs": ROWS, "params": {}},
    ],
)
@pytest.mark.parametrize(
    ("path", "roles"),
    [
        (INVOKE, ("caller",)),
        ("/v1/models/delays@pinned/invocations", ("caller",)),
        (INVOKE + "?version=1", ("scientist",)),
    ],
)
def test_invocations_answer_what_predict_decides(served, sent, path, roles):
    answer = served.call(path, sent, roles=roles)

    assert answer.status == 200, answer
    protocol_schemas.InvocationRequest.model_validate(sent)
    protocol_schemas.InvocationAnswer.model_validate(answer.json)
    assert answer.json == {"predictions": [prediction["value"] for prediction in served.predicted()]}


def test_invocations_answer_scalars_as_one_row(served):
    answer = served.call(INVOKE, {"inputs": ROWS[0]})

    protocol_schemas.InvocationRequest.model_validate({"inputs": ROWS[0]})
    assert answer.json == {"predictions": [served.predicted()[0]["value"]]}


def test_invocations_take_ids_and_subjects_as_params(served):
    params = {"ids": ["x", "y"], "at": "2013-02-01T06:15:00Z"}

    answer = served.call(INVOKE, {"instances": ROWS, "params": params})

    assert answer.status == 200, answer
    assert telemetry.decode(served.stage.telemetry_queue.sent[-1])["ids"] == ["x", "y"]


@pytest.mark.parametrize(
    ("sent", "pointers"),
    [
        ({"instances": ROWS, "inputs": ROWS}, ["/inputs"]),
        ({"instances": ROWS, "params": {"ids": ["x", "x"]}}, ["/params/ids/1"]),
        ({"instances": ROWS, "params": {"explain": True}}, ["/params/explain"]),
        ({"dataframe_records": [{"a": 1.0}]}, ["/dataframe_records/0/b"]),
        ({"inputs": {"a": ["one"], "b": [None]}}, ["/inputs/a/0", "/inputs/b/0"]),
        (
            {"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}},
            ["/dataframe_split/columns/1", "/dataframe_split/columns"],
        ),
    ],
)
def test_invocations_that_cannot_be_answered_point_to_the_place(served, sent, pointers):
    before = len(served.stage.telemetry_queue.sent)

    answer = served.call(INVOKE, sent)

    assert (answer.status, answer.problem) == (422, "invalid-rows")
    assert [fault["pointer"] for fault in answer.json["errors"]] == pointers
    assert "error" not in answer.json
    assert len(served.stage.telemetry_queue.sent) == before


# --- Open Inference Protocol -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/v2", {"name": "tiltyard", "version": "1", "extensions": []}),
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
    ],
)
def test_the_server_is_asked_without_a_token(served, path, said):
    answer = served.gateway.call("GET", path)

    assert (answer.status, answer.json) == (200, said)


@pytest.mark.parametrize(
    ("name", "roles"),
    [("delays", ("caller",)), ("delays@pinned", ("caller",)), ("delays/versions/1", ("engineer",))],
)
def test_a_model_tells_its_tensors_and_that_it_is_ready(served, name, roles):
    metadata = served.call(f"/v2/models/{name}", roles=roles)
    ready = served.call(f"/v2/models/{name}/ready", roles=roles)

    protocol_schemas.ModelMetadata.model_validate(metadata.json)
    assert (metadata.json["name"], metadata.json["versions"]) == ("delays", ["1"])
    assert [tensor["name"] for tensor in metadata.json["inputs"]] == ["a", "b"]
    assert (ready.status, ready.json) == (200, {"name": "delays", "ready": True})


@pytest.mark.parametrize("inputs", [TENSORS, [MATRIX]])
@pytest.mark.parametrize(
    ("path", "roles", "role"),
    [
        (INFER, ("caller",), "champion"),
        ("/v2/models/delays%40pinned/infer", ("caller",), "pinned"),
        ("/v2/models/delays/versions/1/infer", ("scientist",), "direct"),
    ],
)
def test_tensors_are_answered_as_rows_are(served, inputs, path, roles, role):
    sent = {
        "id": "r-1",
        "inputs": inputs,
        "parameters": {"binary_data_output": True, "trace": 7, "role": "x"},
    }

    answer = served.call(path, sent, roles=roles)

    assert answer.status == 200, answer
    protocol_schemas.InferenceRequest.model_validate(sent)
    protocol_schemas.InferenceAnswer.model_validate(answer.json)
    assert (answer.json["id"], answer.json["model_version"]) == ("r-1", "1")
    assert answer.json["parameters"] == {"trace": 7, "role": role, "policy": 0}
    found = {output["name"]: output["data"] for output in answer.json["outputs"]}
    predicted = served.predicted()
    assert found["value"] == [prediction["value"] for prediction in predicted]
    assert found["score"] == [prediction["score"] for prediction in predicted]
    for name in ("set", "warnings"):
        assert [json.loads(text) for text in found[name]] == [prediction[name] for prediction in predicted]
    assert telemetry.decode(served.stage.telemetry_queue.sent[-2])["ids"] == found["id"]


@pytest.mark.parametrize(("row", "status"), [("NaN, 99.0", 200), ("1.0, NaN", 422), ("Infinity, 1.0", 422)])
def test_nan_is_a_missing_value_where_one_may_be(served, row, status):
    matrix = json.dumps({**MATRIX, "shape": [1, 2], "data": "ROW"}).replace('"ROW"', f"[{row}]")

    answer = served.call(
        INFER, body=f'{{"inputs": [{matrix}]}}'.encode(), headers={"Content-Type": "application/json"}
    )

    assert answer.status == status, answer


def test_only_the_outputs_that_are_asked_for_are_told(served):
    asked = [{"name": "score", "parameters": {"binary_data": True}}, {"name": "value"}]

    answer = served.call(INFER, {"inputs": [MATRIX], "outputs": asked})

    assert [output["name"] for output in answer.json["outputs"]] == ["score", "value"]
    assert "id" not in answer.json


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [
        ({"inputs": [{**MATRIX, "shape": [4, 1]}]}, "/inputs/0/shape"),
        ({"inputs": [{**MATRIX, "datatype": "BF16"}]}, "/inputs/0/datatype"),
        ({"inputs": [TENSORS[0]]}, "/inputs"),
        ({"inputs": [TENSORS[0], {**TENSORS[1], "name": "c"}]}, "/inputs/1/name"),
        ({"inputs": [TENSORS[0], {**TENSORS[1], "data": [[2.0], [None]]}]}, "/inputs/1/data/1/0"),
        ({"inputs": [{**MATRIX, "data": [1.0, 2.0, 1.0, None]}]}, "/inputs/0/data/3"),
        ({"inputs": [MATRIX], "outputs": [{"name": "scores"}]}, "/outputs/0/name"),
    ],
)
def test_tensors_that_cannot_be_answered_point_to_the_place_in_one_text_too(served, sent, pointer):
    before = len(served.stage.telemetry_queue.sent)

    answer = served.call(INFER, sent)

    assert (answer.status, answer.problem) == (422, "invalid-rows")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["errors"][0]["pointer"] == pointer
    assert pointer in answer.json["error"]
    assert answer.json["error"].startswith(answer.json["detail"])
    assert len(served.stage.telemetry_queue.sent) == before


def test_the_one_text_names_the_first_places_and_counts_the_others(served):
    matrix = {**MATRIX, "shape": [4, 2], "data": ["x"] * 8}

    answer = served.call(INFER, {"inputs": [matrix]})

    assert len(answer.json["errors"]) == 8
    assert answer.json["error"].count("/inputs/0/data/") == 5
    assert answer.json["error"].endswith("; and 3 more)")


@pytest.mark.parametrize("content_type", ["application/json", "application/octet-stream"])
def test_binary_tensors_are_refused_with_the_way_out(served, content_type):
    headers = {"Content-Type": content_type, "Inference-Header-Content-Length": "2"}

    answer = served.call(INFER, body=b"{}\x00\x00\x80\x3f", headers=headers)

    assert (answer.status, answer.problem) == (415, "unsupported-media-type")
    assert "binary_data=False" in answer.json["error"]


@pytest.mark.parametrize("path", [INVOKE, INFER])
@pytest.mark.parametrize(
    ("change", "status", "problem"),
    [
        ({"token": "nonsense"}, 401, "unauthenticated"),
        ({"roles": ("viewer",)}, 403, "forbidden"),
        ({"roles": ("auditor",)}, 403, "forbidden"),
        ({"teams": ("other",)}, 404, "not-found"),
        ({"model": "unknown"}, 404, "not-found"),
        ({"model": "delays@unknown"}, 404, "not-found"),
        ({"model": "DELAYS"}, 404, "not-found"),
        ({"model": "empty"}, 404, "not-found"),
        ({"content": b"{"}, 400, "malformed-request"),
        ({"content": b"[]"}, 400, "malformed-request"),
        ({"content": b'{"id": "\\ud800", "instances": [], "inputs": []}'}, 400, "malformed-request"),
        ({"content": b"{}", "type": "text/csv"}, 415, "unsupported-media-type"),
        ({"content": b" " * (body.MAX_BODY + 1)}, 413, "payload-too-large"),
    ],
)
def test_both_protocols_refuse_as_predict_does(served, path, change, status, problem):
    change = dict(change)
    content = change.pop("content", json.dumps({"instances": ROWS, "inputs": [MATRIX]}).encode())
    headers = {"Content-Type": change.pop("type", "application/json")}

    answer = served.call(
        path.replace("delays", change.pop("model", "delays")), body=content, headers=headers, **change
    )

    assert (answer.status, answer.problem) == (status, problem)
    assert ("error" in answer.json) == (path == INFER and status != 401)


@pytest.mark.parametrize("route", ["", "/ready"])
@pytest.mark.parametrize(
    ("model", "change", "status"),
    [
        ("delays", {"roles": ("viewer",)}, 403),
        ("delays", {"teams": ("other",)}, 404),
        ("unknown", {}, 404),
        ("empty", {}, 404),
        ("delays/versions/1", {}, 403),
        ("delays/versions/2", {"roles": ("scientist",)}, 409),
        ("delays/versions/9", {"roles": ("scientist",)}, 404),
        ("delays/versions/one", {"roles": ("scientist",)}, 422),
        ("delays@pinned/versions/1", {"roles": ("scientist",)}, 422),
    ],
)
def test_what_does_not_answer_is_not_ready(served, route, model, change, status):
    answer = served.call(f"/v2/models/{model}{route}", **change)

    assert answer.status == status, answer
    assert answer.json["error"] == answer.json["detail"] or status == 422


def test_a_method_that_a_route_does_not_know_is_told_in_one_text(served):
    answer = served.gateway.call("POST", "/v2/health/live", {})

    assert (answer.status, answer.problem) == (405, "method-not-allowed")
    assert answer.json["error"] == answer.json["detail"]
