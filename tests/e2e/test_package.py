import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from infra.package import LIMIT_BYTES, unpacked_bytes
from infra.package import package as build


@pytest.fixture(scope="module")
def names(package):
    with zipfile.ZipFile(package / "deployment.zip") as archive:
        return archive.namelist()


def test_it_fits_a_function(package):
    assert unpacked_bytes(package / "deployment.zip") <= LIMIT_BYTES


def test_the_template_has_no_errors(package):
    cfn_lint = Path(sys.executable).with_name("cfn-lint")

    found = subprocess.run(
        [cfn_lint, "--format", "json", package / "template.json"], capture_output=True, text=True
    )

    assert [match["Message"] for match in json.loads(found.stdout or "[]")] == []
    assert found.returncode == 0


def test_api_and_predictor_are_two_functions_of_one_zip_each_with_its_role(package):
    resources = json.loads((package / "template.json").read_text())["Resources"]

    api, predictor = resources["APIHandler"]["Properties"], resources["Predictor"]["Properties"]
    assert api["CodeUri"] == predictor["CodeUri"] == "./deployment.zip"
    assert api["Handler"] == predictor["Handler"] == "app.app"
    assert api["Runtime"] == predictor["Runtime"]
    assert api["Role"] != predictor["Role"]


def test_all_modules_are_compiled(names):
    compiled = {name for name in names if name.endswith(".pyc")}
    version = f"cpython-{sys.version_info.major}{sys.version_info.minor}"

    missing = []
    for name in (Path(name) for name in names if name.endswith(".py")):
        if (name.parent / "__pycache__" / f"{name.stem}.{version}.pyc").as_posix() not in compiled:
            missing.append(name)
    assert missing == []


def test_of_onnx_only_its_messages_are_in(names):
    of_onnx = {name for name in names if name.startswith("onnx/") and name.endswith(".py")}

    assert of_onnx == {"onnx/__init__.py", "onnx/onnx_ml_pb2.py"}


def test_the_client_side_stays_out(names):
    packages = {"/".join(Path(name).parts[:2]) for name in names if name.startswith("tiltyard/")}

    assert packages.isdisjoint({"tiltyard/cli", "tiltyard/client", "tiltyard/local", "tiltyard/training"})
    assert {"tiltyard/contract", "tiltyard/runtime", "tiltyard/errors.py"} <= packages


def test_nothing_is_in_twice(names):
    assert len(names) == len(set(names))


def test_an_unchanged_package_isnt_built_again(package):
    before = (package / "deployment.zip").stat().st_mtime_ns

    built = build()

    assert not built
    assert (package / "deployment.zip").stat().st_mtime_ns == before
