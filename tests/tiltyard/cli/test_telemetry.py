"""`tiltyard telemetry` against the service in this process."""

from __future__ import annotations

import json

import pytest
from fakes import token_of
from in_process import running_service

from tiltyard.cli import main


@pytest.fixture(scope="module")
def service():
    with running_service() as service:
        yield service


@pytest.fixture
def run(service, capsys, monkeypatch):
    def run(*arguments, role="admin"):
        monkeypatch.setenv("TILTYARD_URL", service.url)
        monkeypatch.setenv("TILTYARD_TOKEN", token_of(role, teams=()))
        with pytest.raises(SystemExit) as ended:
            main(["telemetry", *arguments], prog_name="tiltyard")
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return run


def test_letters_are_shown_and_redriven_to_the_last(run, service):
    for _ in range(1005):
        service.at_hand.telemetry_dead_letters.add("no record")

    code, out, err = run("dead-letters")
    assert code == 0
    assert "1,005 messages couldn't be counted." in err
    assert out.count("it is no telemetry record") == 10
    assert json.loads(run("dead-letters", "--json")[1])["count"] == 1005
    code, _, err = run("redrive")
    assert code == 0
    assert "1,000 are on their way; going on." in err
    assert "1,005 messages are on their way to be counted; about 0 are left." in err
    assert json.loads(run("redrive", "--json")[1]) == {"redriven": 0, "left": 0}
    assert len(service.at_hand.telemetry_queue.sent) == 1005


def test_others_are_refused(run):
    code, _, err = run("redrive", role="engineer")

    assert code == 1
    assert "admin" in err
