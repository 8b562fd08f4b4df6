"""What each function of the zip loads, seen in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("pydantic", "jwt", "cryptography", "pandas", "sklearn", "onnx", "skl2onnx", "boto3")


def loaded_by(statements: str) -> set[str]:
    program = f"import sys\n{statements}\nprint(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(ran.stdout.splitlines()[-1].split())


PREDICTION_ROUTES = (
    "/v1/models/{model}/predict",
    "/v1/models/{model}/invocations",
    "/v2/models/{model}/infer",
)


@pytest.mark.parametrize("route", PREDICTION_ROUTES)
def test_predictor_loads_nothing_that_it_does_not_need(route):
    loaded = loaded_by(f"import app\napp.app.routes[{route!r}]['POST'].view_function")

    assert "chalicelib.serving.service" in loaded
    assert loaded.isdisjoint(HEAVY)
    assert not {name for name in loaded if name.startswith(("chalicelib.registry", "chalicelib.gating"))}


def test_authorizer_loads_no_app_and_no_numpy():
    loaded = loaded_by("import chalicelib.handlers.authorizer")

    assert loaded.isdisjoint({*HEAVY, "numpy", "onnxruntime", "app"})


@pytest.mark.parametrize("module", ["examination", "models", "promotions", "openapi"])
def test_handlers_load_their_services_late(module):
    loaded = loaded_by(f"import chalicelib.handlers.{module}")

    assert loaded.isdisjoint({*HEAVY, "onnxruntime"})
