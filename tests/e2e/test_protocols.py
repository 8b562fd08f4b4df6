"""Clients that know nothing of Tiltyard: Triton over HTTP, and MLflow bodies as pandas writes them."""

from __future__ import annotations

import json

import httpx
import numpy as np
import pandas as pd
import pytest
import tritonclient.http as triton
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from tritonclient.utils import InferenceServerException

NAME = "protocols"
DATATYPES = {"distance": "FP64", "seats": "INT64", "carrier": "BYTES", "weekend": "BOOL"}
ATOL = 1e-4


@pytest.fixture(scope="module")
def frame():
    generator = np.random.default_rng(11)
    return pd.DataFrame(
        {
            "distance": generator.normal(1000, 300, 900),
            "seats": generator.integers(50, 300, 900),
            "carrier": generator.choice(["AA", "B6", "UA"], 900),
            "weekend": generator.random(900) < 0.3,
        }
    )


@pytest.fixture(scope="module")
def estimator(live, frame):
    """A champion of numbers, text and truth, alias ``night`` beside it; the estimator as the oracle."""
    target = (frame["distance"] / 300 + (frame["carrier"] == "UA") > 3.5).astype(int)
    encoder = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["carrier"]), remainder="passthrough"
    )
    model = make_pipeline(encoder, LogisticRegression(max_iter=5000)).fit(frame[:400], target[:400])
    with live.client("scientist", "engineer") as client:
        version = client.register(
            NAME, model, data=frame[400:], target=target[400:], team="demo", progress=None
        )
        client.promote(NAME, version.version, reason="the first")
        client.set_alias(NAME, "night", version.version)
    return model


@pytest.fixture
def client(live):
    """Under the stage's path, as an API without a domain of its own is."""
    with triton.InferenceServerClient(live.url.removeprefix("http://")) as client:
        yield client


@pytest.fixture
def caller(live):
    return {"Authorization": f"Bearer {live.token('caller')}"}


def tensors_of(frame: pd.DataFrame, *, binary: bool = False) -> list[triton.InferInput]:
    made = []
    for name, datatype in DATATYPES.items():
        values = frame[name].to_numpy(dtype=object if datatype == "BYTES" else None)
        tensor = triton.InferInput(name, list(values.shape), datatype)
        made.append(tensor.set_data_from_numpy(values, binary_data=binary))
    return made


def test_the_server_lives_and_is_ready_without_a_token(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.get_server_metadata()["name"] == "tiltyard"


def test_a_model_tells_its_tensors(client, caller, estimator):
    metadata = client.get_model_metadata(NAME, headers=caller)

    assert client.is_model_ready(NAME, headers=caller)
    assert {tensor["name"]: tensor["datatype"] for tensor in metadata["inputs"]} == DATATYPES
    score = next(tensor for tensor in metadata["outputs"] if tensor["name"] == "score")
    assert json.loads(score["parameters"]["classes"]) == ["0", "1"]


@pytest.mark.parametrize("name", [NAME, f"{NAME}@night"])
def test_tensors_of_every_kind_are_answered_as_the_estimator_does(client, caller, frame, estimator, name):
    rows = frame[:50]

    answer = client.infer(
        name, tensors_of(rows), request_id="r-1", parameters={"trace": "t-1"}, headers=caller
    )

    assert answer.get_response()["id"] == "r-1"
    assert answer.get_response()["parameters"]["trace"] == "t-1"
    np.testing.assert_allclose(
        answer.as_numpy("score"), estimator.predict_proba(rows)[:, 1], atol=ATOL, rtol=0
    )
    assert answer.as_numpy("value").tolist() == [str(value) for value in estimator.predict(rows)]
    assert all(set(json.loads(text)) <= {"0", "1"} for text in answer.as_numpy("set"))
    assert len(set(answer.as_numpy("id").tolist())) == len(rows)


def test_a_version_is_answered_to_those_who_may_ask_for_one(live, client, caller, frame, estimator):
    scientist = {"Authorization": f"Bearer {live.token('scientist')}"}
    asked = [triton.InferRequestedOutput("value", binary_data=False)]

    answer = client.infer(NAME, tensors_of(frame[:1]), model_version="1", outputs=asked, headers=scientist)

    assert answer.get_response()["model_version"] == "1"
    assert [output["name"] for output in answer.get_response()["outputs"]] == ["value"]
    with pytest.raises(InferenceServerException) as caught:
        client.infer(NAME, tensors_of(frame[:1]), model_version="1", headers=caller)
    assert caught.value.status() == "403"


def test_one_matrix_answers_a_model_of_numbers(client, caller, champion):
    matrix = np.array([[1.0, 1.0], [-1.0, -1.0]], dtype=np.float32)
    tensor = triton.InferInput("input-0", [2, 2], "FP32").set_data_from_numpy(matrix, binary_data=False)

    answer = client.infer(champion, [tensor], headers=caller)

    assert answer.as_numpy("value").tolist() == ["1", "0"]


def test_what_is_refused_is_told_in_the_clients_own_error(client, caller, frame, estimator):
    wrong = triton.InferInput("distance", [1], "INT32").set_data_from_numpy(
        np.array([1], dtype=np.int32), binary_data=False
    )

    with pytest.raises(InferenceServerException) as caught:
        client.infer(NAME, [wrong], headers=caller)

    assert caught.value.status() == "422"
    assert "lacks a tensor for the column 'carrier'" in caught.value.message()


def test_binary_tensors_are_refused_with_the_way_out(client, caller, frame, estimator):
    with pytest.raises(InferenceServerException, match="binary_data=False"):
        client.infer(NAME, tensors_of(frame[:3], binary=True), headers=caller)


def test_roles_teams_and_tokens_are_held(live, client, frame, estimator):
    seen = {}
    for who, headers in {
        "nobody": {},
        "viewer": {"Authorization": f"Bearer {live.token('viewer')}"},
        "stranger": {"Authorization": f"Bearer {live.token('caller', teams=('other',))}"},
    }.items():
        assert not client.is_model_ready(NAME, headers=headers)
        with pytest.raises(InferenceServerException) as caught:
            client.infer(NAME, tensors_of(frame[:1]), headers=headers)
        seen[who] = caught.value.status()

    assert seen == {"nobody": "401", "viewer": "403", "stranger": "404"}


def test_mlflows_bodies_are_answered_as_pandas_writes_them(live, caller, frame, estimator):
    rows = frame[:20]
    written = {
        "dataframe_split": rows.to_json(orient="split"),
        "dataframe_records": rows.to_json(orient="records"),
        "inputs": json.dumps(rows.to_dict(orient="list")),
    }
    expected = [str(value) for value in estimator.predict(rows)]

    for shape, text in written.items():
        answer = httpx.post(
            f"{live.url}/v1/models/{NAME}/invocations", json={shape: json.loads(text)}, headers=caller
        )

        assert answer.status_code == 200, answer.text
        assert answer.json() == {"predictions": expected}


def test_mlflows_other_forms_are_answered_too(live, caller, frame, estimator):
    records = json.loads(frame[:3].to_json(orient="records"))
    expected = [str(value) for value in estimator.predict(frame[:3])]
    bodies = [
        ({"instances": records, "params": {"ids": ["m-1", "m-2", "m-3"]}}, expected),
        ({"inputs": records}, expected),
        ({"inputs": records[0]}, expected[:1]),
    ]

    for body, predictions in bodies:
        answer = httpx.post(f"{live.url}/v1/models/{NAME}@night/invocations", json=body, headers=caller)

        assert answer.json() == {"predictions": predictions}


def test_mlflow_bodies_with_repeated_columns_are_told_where(live, caller, estimator):
    columns = [*DATATYPES, "carrier"]
    body = {"dataframe_split": {"columns": columns, "data": [[1.0, 100, "UA", True, "UA"]]}}

    answer = httpx.post(f"{live.url}/v1/models/{NAME}/invocations", json=body, headers=caller)

    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["errors"] == [
        {"pointer": "/dataframe_split/columns/4", "detail": "repeats /dataframe_split/columns/2"}
    ]
