"""The unpacked zip on an interpreter that sees nothing else: what is missing in it is missed here.

The embedded AWS can't tell, its functions see the development environment.
"""

import json
import re
import subprocess
import time

import pytest
from runtime_emulator import BARE_PYTHON, api_event, bare_environment, running

ROW = {"height": 1.0, "width": 2.0}

# Imports the app and answers one event as Lambda would; the last line lists the modules that are loaded then.
ONE_EVENT = """
import json, sys
import app
answer = app.app(json.loads(sys.argv[1]), None)
print(json.dumps({"answer": answer, "modules": sorted(sys.modules)}))
"""


@pytest.fixture
def authorizer():
    context = {"sub": "tester", "roles": "caller", "teams": "demo", "exp": str(int(time.time()) + 600)}
    return context | {"principalId": "tester"}


@pytest.fixture
def variables(live):
    """The deployed predictor's own settings, so that the function under the emulator works on the stack."""
    return live.variables(live.outputs["PredictorName"]) | {"AWS_ENDPOINT_URL": live.endpoint}


@pytest.fixture
def prediction(champion, authorizer):
    return api_event(
        "POST",
        f"/v1/models/{champion}/predict",
        resource="/v1/models/{model}/predict",
        parameters={"model": champion},
        body={"rows": [ROW]},
        authorizer=authorizer,
    )


def test_a_function_starts_and_answers(unpacked, tmp_path):
    with running(unpacked, tmp_path, {}) as function:
        answer = function.invoke(api_event("GET", "/v1/health/live"))

    assert answer["statusCode"] == 200
    assert json.loads(answer["body"]) == {"status": "live"}


def test_a_prediction_is_the_stacks_own(unpacked, tmp_path, variables, prediction, live, champion):
    with live.client("caller") as client:
        expected = client.predict(champion, [ROW]).items[0]

    with running(unpacked, tmp_path, variables) as function:
        answer = function.invoke(prediction)

    assert answer["statusCode"] == 200, answer["body"]
    (found,) = json.loads(answer["body"])["predictions"]
    assert (found["value"], found["score"]) == (expected.value, expected.score)


def test_the_routes_of_the_api_need_nothing_else(unpacked, tmp_path, variables, champion, authorizer):
    """pydantic, PyJWT and KMS behind them: the OpenAPI document and a read."""
    context = authorizer | {"roles": "scientist"}
    model = api_event(
        "GET",
        f"/v1/models/{champion}",
        resource="/v1/models/{model}",
        parameters={"model": champion},
        authorizer=context,
    )

    with running(unpacked, tmp_path, variables) as function:
        document = function.invoke(api_event("GET", "/openapi.json"))
        found = function.invoke(model)

    assert json.loads(document["body"])["openapi"].startswith("3.1")
    assert json.loads(found["body"])["name"] == champion


def test_the_emulator_reports_the_start(unpacked, tmp_path):
    with running(unpacked, tmp_path, {}) as function:
        function.invoke(api_event("GET", "/v1/health/live"))
        log = (tmp_path / "emulator.log").read_text()

    (duration_ms,) = re.findall(r"INIT REPORT\(durationMs: ([0-9.]+)\)", log)
    assert float(duration_ms) < 10_000  # Lambda's own limit of an init


def test_the_prediction_path_loads_only_what_it_needs(unpacked, variables, prediction):
    environment = bare_environment(unpacked, variables)

    done = subprocess.run(
        [*BARE_PYTHON, "-c", ONE_EVENT, json.dumps(prediction)],
        cwd=unpacked,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    result = json.loads(done.stdout.splitlines()[-1])
    tops = {name.partition(".")[0] for name in result["modules"]}
    assert result["answer"]["statusCode"] == 200, done.stdout
    assert {"numpy", "onnxruntime", "orjson", "botocore"} <= tops
    assert tops.isdisjoint(
        {"pydantic", "jwt", "cryptography", "pandas", "sklearn", "scipy", "onnx", "httpx", "click", "moto"}
    )
    assert "tiltyard.training" not in result["modules"]
    ours = {name for name in result["modules"] if name.startswith("chalicelib.registry")}
    assert ours == set()
