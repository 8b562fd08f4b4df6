"""`tiltyard drift` against a scripted server."""

from __future__ import annotations

import json

import pytest

from tiltyard.cli import main


def verdict(state, effect, shift=None, rows=500):
    return {"state": state, "effect": effect, "shift": shift, "rows": rows}


def window(day, **features):
    rows = max(found["rows"] for found in features.values())
    return {"start": f"2026-02-0{day}T00:00:00.000Z", "end": "…", "rows": rows, "features": features}


SERIES = {
    "model": "late-flights",
    "version": 3,
    "step": "day",
    "known_on": None,
    "budget": {"alerts_a_year": 0.7, "smallest_effect": 0.02},
    "overdispersion": {"carrier": 1.0, "temp": 1.4, "month_day": None},
    "windows": [
        window(
            1,
            carrier=verdict("steady", 0.0),
            temp=verdict("steady", 0.01, 0.1),
            month_day=verdict("uncalibrated", 0.2),
        ),
        window(
            2,
            carrier=verdict("small", 0.01),
            temp=verdict("drift", 0.4, -1.25),
            month_day=verdict("uncalibrated", 0.3),
        ),
        window(
            3,
            carrier=verdict("too few rows", 0.0, rows=0),
            temp=verdict("too few rows", 0.0, rows=0),
            month_day=verdict("too few rows", 0.0, rows=0),
        ),
    ],
}


@pytest.fixture
def run(server, capsys, monkeypatch):
    def run(*arguments):
        server.answers = [(200, {}, SERIES)]
        monkeypatch.setenv("TILTYARD_URL", server.url)
        monkeypatch.setenv("TILTYARD_TOKEN", "t")
        with pytest.raises(SystemExit) as ended:
            main(["drift", "show", "late-flights", *arguments], prog_name="tiltyard")
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return run


def test_what_drifted_comes_first_with_its_line(run):
    code, out, err = run()

    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["FEATURE", "temp", "carrier", "month_day"]
    assert out.splitlines()[1].split() == ["temp", "▁█·", "drift", "0.400", "-1.25", "sd", "1", "of", "2"]
    assert "0.7 false alerts a feature and year" in err
    assert "1,000 rows" in err


def test_the_span_is_asked_for(run, server):
    run("--from", "2026-02-01", "--to", "2026-02-04T00:00:00Z", "--step", "week", "--version", "3")

    path = server.seen[-1].path
    assert path.startswith("/v1/models/late-flights/drift?")
    assert all(part in path for part in ("step=week", "version=3", "from=2026-02-01", "to=2026-02-04"))


def test_json_is_the_services_answer(run):
    assert json.loads(run("--json")[1]) == SERIES
