"""The README's twenty lines, run as they stand."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from in_process import running_service

from tiltyard import Client

SCRIPT = Path(__file__).parents[2] / "examples" / "quickstart.py"


@pytest.fixture
def service(monkeypatch):
    with running_service() as service:
        monkeypatch.setenv("TILTYARD_URL", service.url)
        monkeypatch.setenv("TILTYARD_TOKEN", service.token())
        yield service


def test_the_example_registers_promotes_and_predicts(service, capsys):
    service.examination = "real"

    runpy.run_path(str(SCRIPT), run_name="__main__")

    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert len(lines) == 3
    assert all(line.split()[0] in {"0", "1"} and line.endswith("by version 1") for line in lines)
    assert "NOT fitted on" in said.err
    assert "tumours/1: candidate" in said.err


def test_the_example_runs_a_second_time(service, capsys):
    runpy.run_path(str(SCRIPT), run_name="__main__")

    runpy.run_path(str(SCRIPT), run_name="__main__")

    with Client.from_env() as client:
        assert [version.version for version in client.versions("tumours")] == [1]
    assert "is this very bundle already: champion" in capsys.readouterr().err
