"""The pages' files in the zip, and on a runtime that sees nothing but the zip."""

from __future__ import annotations

import hashlib
import json
import zipfile

import pytest
from runtime_emulator import api_event, running

from chalicelib.handlers import assets

LAMBDA_LIMIT_BYTES = 6_291_556


@pytest.fixture(scope="module")
def archive(package):
    with zipfile.ZipFile(package / "deployment.zip") as opened:
        yield opened


def test_the_zip_holds_swagger_ui_as_pinned(archive):
    folder = f"{assets.VENDOR_PACKAGE}/{assets.VENDOR_FOLDER}"

    found = {name: hashlib.sha256(archive.read(f"{folder}/{name}")).hexdigest() for name in assets.VENDORED}

    assert found == assets.VENDORED


def test_of_its_package_nothing_else_is_in_but_the_licence(archive):
    names = {name for name in archive.namelist() if name.startswith(f"{assets.VENDOR_PACKAGE}/")}

    code = {name for name in names if name.endswith((".py", ".pyc"))}
    assert all("__init__" in name for name in code)
    assert archive.read(f"{assets.VENDOR_PACKAGE}/__init__.py") == b""
    assert b"MIT License" in archive.read(f"{assets.VENDOR_PACKAGE}/LICENSE")
    assert len(names - code) == len(assets.VENDORED) + 1


def test_a_bare_runtime_answers_pages_and_files(unpacked, tmp_path):
    """The emulator refuses answers above Lambda's 6 MB, too."""
    release = assets.release()
    resource = "/docs/assets/{release}/{name}"

    def asset(name):
        path, parameters = f"/docs/assets/{release}/{name}", {"release": release, "name": name}
        return api_event("GET", path, resource=resource, parameters=parameters)

    with running(unpacked, tmp_path, {}) as function:
        pages = [function.invoke(api_event("GET", path)) for path in ("/docs", "/docs/api")]
        files = {name: function.invoke(asset(name)) for name in (*assets.OWN, *assets.VENDORED)}

    assert [page["statusCode"] for page in pages] == [200, 200]
    for name, answer in files.items():
        assert answer["statusCode"] == 200, name
        assert answer["body"] == assets.asset(name)
        assert not answer.get("isBase64Encoded")
        assert len(json.dumps(answer)) < LAMBDA_LIMIT_BYTES


def test_what_is_large_is_compressed_by_the_gateway(package):
    api = json.loads((package / "template.json").read_text())["Resources"]["RestAPI"]["Properties"]

    assert api["MinimumCompressionSize"] == 65_536
    assert min(len(assets.asset(name)) for name in assets.VENDORED) > 65_536
