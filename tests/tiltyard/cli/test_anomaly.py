"""`tiltyard anomaly` against a scripted server, whose bodies have the schema of the real one."""

from __future__ import annotations

import json

import pytest

from chalicelib.handlers.series_schemas import OddRows
from tiltyard.cli import main


def row(number, **more):
    return {
        "id": f"flight-{number}",
        "at": "2026-02-01T06:30:00.000Z",
        "columns": {"temp": -40.0, "wind": 3.0},
        "masked": ["age"],
        "scores": [0.25, 0.75],
        "warnings": [
            {"column": "temp", "kind": "anomalous", "p": 0.001},
            {"column": "age", "kind": "anomalous"},
        ],
        "action": "flag",
        "rules": ["anomalous"],
        **more,
    }


def page(*rows, following=None):
    body = {"model": "flights", "version": 3, "kind": "anomalous", "items": list(rows), "next": following}
    OddRows.model_validate(body, strict=True)
    return (200, {}, body)


@pytest.fixture
def run(server, capsys, monkeypatch):
    def run(*arguments):
        server.answers = [page(row(1), row(2), following="2026-02-01T05.0"), page(row(3))]
        monkeypatch.setenv("TILTYARD_URL", server.url)
        monkeypatch.setenv("TILTYARD_TOKEN", "t")
        with pytest.raises(SystemExit) as ended:
            main(["anomaly", "list", "flights", *arguments], prog_name="tiltyard")
        return ended.value.code, capsys.readouterr().out

    return run


def test_odd_rows_are_listed_over_pages_with_what_is_odd(run):
    code, out = run()

    assert code == 0
    lines = out.splitlines()
    assert len(lines) == 4
    assert "temp=-40.0, age" in lines[1]
    assert "flag" in lines[1]


def test_as_many_as_are_wanted_and_whole_as_json(run):
    code, out = run("--limit", "2", "--json", "--kind", "out_of_range")

    assert code == 0
    assert [found["id"] for found in json.loads(out)] == ["flight-1", "flight-2"]
