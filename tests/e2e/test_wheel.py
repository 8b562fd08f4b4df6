import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from infra.requirements import PROJECT

FOREIGN_APP = """\
from chalice import Chalice
from chalicelib.greeting import GREETING

app = Chalice(app_name=GREETING)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "build", "--quiet", "--wheel", "--out-dir", folder, PROJECT], check=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_tiltyard_alone(wheel):
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}

    assert {name for name in tops if not name.endswith(".dist-info")} == {"tiltyard"}


def test_it_lives_beside_a_foreign_chalice_project(wheel, tmp_path):
    """A project with an `app` and a `chalicelib` of its own keeps both."""
    environment = tmp_path / "environment"
    venv.create(environment, symlinks=True)
    python = environment / "bin" / "python"
    uv = Path(sys.executable).with_name("uv")
    install = [
        uv,
        "pip",
        "install",
        "--quiet",
        "--python",
        python,
        "--constraint",
        PROJECT / "requirements.lock",
    ]
    subprocess.run([*install, wheel, "chalice"], check=True)
    project = tmp_path / "project"
    (project / "chalicelib").mkdir(parents=True)
    (project / "app.py").write_text(FOREIGN_APP)
    (project / "chalicelib" / "__init__.py").touch()
    (project / "chalicelib" / "greeting.py").write_text("GREETING = 'foreign'\n")

    script = "import app, tiltyard, chalicelib; from tiltyard import Client; "
    script += "print(app.app.app_name, chalicelib.__file__, tiltyard.__file__, Client.__name__)"
    found = subprocess.run([python, "-c", script], cwd=project, capture_output=True, text=True, check=True)

    name, foreign, ours, client = found.stdout.split()
    assert (name, client) == ("foreign", "Client")
    assert Path(foreign).is_relative_to(project)
    assert Path(ours).is_relative_to(environment)


def test_its_command_line_says_that_the_service_needs_a_checkout(wheel, tmp_path):
    environment = tmp_path / "environment"
    venv.create(environment, symlinks=True)
    python = environment / "bin" / "python"
    uv = Path(sys.executable).with_name("uv")
    install = [
        uv,
        "pip",
        "install",
        "--quiet",
        "--python",
        python,
        "--constraint",
        PROJECT / "requirements.lock",
    ]
    subprocess.run([*install, wheel], check=True)

    command = [environment / "bin" / "tiltyard", "local", "up"]
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert refused.returncode == 1
    assert "--package DIR" in refused.stderr
    assert "Traceback" not in refused.stderr
