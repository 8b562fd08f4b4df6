"""The commands as a user runs them: each a process of its own, which the stack outlives."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import jwt
import pytest

# `stacks_folder` answers for a checkout; here the stacks belong under the test's own folder.
COMMAND = """
import sys
from pathlib import Path
import tiltyard.local.checkout as checkout
checkout.checkout = lambda: None
from tiltyard.cli import main
main(sys.argv[1:])
"""


@pytest.fixture
def tiltyard(tmp_path, package):
    def run(*arguments, answer=None):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TILTYARD")}
        return subprocess.run(
            [sys.executable, "-c", COMMAND, "local", *map(str, arguments)],
            cwd=tmp_path,
            env=environment,
            input=answer,
            capture_output=True,
            text=True,
            check=False,
        )

    yield run
    for name in ("default", "blue"):
        run("reset", "--yes", "--name", name)


def test_a_stack_outlives_the_commands(tiltyard, package):
    up = tiltyard("up", "--package", package, "--set", "GREETING=hello")
    status = json.loads(tiltyard("status", "--json").stdout)
    with urllib.request.urlopen(f"{status['url']}/one", timeout=30) as answer:
        body = json.load(answer)
    down = tiltyard("down")

    assert up.returncode == 0, up.stderr
    assert up.stdout.startswith(status["url"])
    assert f"export TILTYARD_URL={status['url']}" in up.stdout
    assert status["condition"] == "running"
    assert body == {"kept": ["/one"], "greeting": "hello"}
    assert down.returncode == 0
    assert "its state is kept" in down.stderr


def test_a_token_needs_no_running_stack_and_names_who_asked(tiltyard, package):
    tiltyard("up", "--package", package)
    tiltyard("down")

    token = tiltyard("token", "--role", "engineer", "--role", "caller", "--team", "demo", "--sub", "ada")

    claims = jwt.decode(token.stdout.strip(), options={"verify_signature": False})
    assert (claims["sub"], claims["roles"], claims["teams"]) == ("ada", ["engineer", "caller"], ["demo"])


def test_status_of_nothing_says_how_to_begin(tiltyard):
    status = tiltyard("status")

    assert status.returncode == 0
    assert "absent" in status.stdout
    assert "tiltyard local up" in status.stderr


def test_logs_hold_the_emulators_own_lines(tiltyard, package):
    missing = tiltyard("logs")
    tiltyard("up", "--package", package)

    logs = tiltyard("logs", "-n", "1000")

    assert missing.returncode == 1
    assert "no log yet" in missing.stderr
    assert "Running on http://127.0.0.1:" in logs.stdout


def test_following_a_log_goes_on(tiltyard, package, tmp_path):
    tiltyard("up", "--package", package)
    log = Path(json.loads(tiltyard("status", "--json").stdout)["folder"]) / "emulator.log"
    command = [sys.executable, "-c", COMMAND, "local", "logs", "-f", "-n", "1"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as follower:
        try:
            follower.stdout.readline()  # it is reading by now
            with log.open("a") as file:
                file.write("a new line\n")
            line = follower.stdout.readline()
        finally:
            follower.kill()

    assert line == "a new line\n"


def test_reset_asks_first(tiltyard, package, tmp_path):
    tiltyard("up", "--package", package, "--name", "blue")

    kept = tiltyard("reset", "--name", "blue", answer="n\n")
    condition = json.loads(tiltyard("status", "--name", "blue", "--json").stdout)["condition"]
    deleted = tiltyard("reset", "--name", "blue", answer="y\n")

    assert kept.returncode == 1
    assert condition == "running"
    assert deleted.returncode == 0
    assert not (tmp_path / ".tiltyard" / "blue").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["up"], 1, "--package DIR"),
        (["up", "--set", "no-equals-sign"], 2, "isn't KEY=VALUE"),
        (["up", "--name", "../elsewhere"], 1, "no name of a stack"),
        (["token", "--role", "root"], 2, "root"),
        (["token", "--role", "viewer"], 1, "tiltyard local up"),
    ],
)
def test_wrong_usage_is_told_without_a_trace(tiltyard, arguments, status, message):
    refused = tiltyard(*arguments)

    assert refused.returncode == status
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr
