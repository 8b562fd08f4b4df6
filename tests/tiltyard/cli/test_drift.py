"""`tiltyard drift` against a scripted server."""

from __future__ import annotations

import json

import pytest
from series_bodies import column, drift_body, quality_body
from series_bodies import verdict as whole_verdict

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
    "titles": {},
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


@pytest.fixture
def report(server, capsys, monkeypatch, tmp_path):
    """Runs ``drift report`` in an empty directory."""
    drift = drift_body({"temp": [whole_verdict("drift", 0.4, -1.25), whole_verdict()]})
    quality = quality_body({"temp": [column(missing=50), column()]})

    def report(*arguments):
        server.answers = [(200, {}, drift), (200, {}, quality)]
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("TILTYARD_URL", server.url)
        monkeypatch.setenv("TILTYARD_TOKEN", "t")
        with pytest.raises(SystemExit) as ended:
            main(["drift", "report", "late-flights", *arguments], prog_name="tiltyard")
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return report


def test_the_report_is_one_file_named_for_the_model(report, tmp_path):
    code, out, err = report()

    assert (code, out, err) == (0, "", "Wrote late-flights-drift.html.\n")
    assert [path.name for path in tmp_path.iterdir()] == ["late-flights-drift.html"]
    page = (tmp_path / "late-flights-drift.html").read_text(encoding="utf-8")
    assert "1 of 1 features drifted in these 2 days; worst: temp." in page
    assert "50 (5.0%)" in page


def test_the_report_asks_for_the_quality_of_the_very_windows_of_drift(report, server):
    report("--known-on", "2026-02-10", "--step", "day")

    drift, quality = (seen.path for seen in server.seen)
    assert drift == "/v1/models/late-flights/drift?step=day&known_on=2026-02-10"
    assert quality.startswith("/v1/models/late-flights/quality?")
    asked = ("from=2026-02-01T00", "to=2026-02-03T00", "step=day", "version=3", "known_on=2026-02-10")
    assert all(part in quality for part in asked)


def test_a_report_takes_the_place_of_the_one_before(report, tmp_path):
    (tmp_path / "r.html").write_text("old")

    code, _, err = report("-o", "r.html")

    assert (code, err) == (0, "Wrote r.html.\n")
    assert (tmp_path / "r.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("output", ["no/such/place.html", "taken"])
def test_a_report_that_cant_be_written_leaves_nothing_behind(report, tmp_path, output):
    (tmp_path / "taken").mkdir()

    code, _, err = report("-o", output)

    assert code == 1
    assert f"{output} can't be written" in err
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_day_is_written_as_one(report):
    code, _, err = report("--known-on", "yesterday")

    assert code == 2
    assert "write 2026-02-01" in err


def test_a_report_in_json_also_prints_what_it_was_made_of(report):
    _, out, _ = report("--json")

    assert {name: body["step"] for name, body in json.loads(out).items()} == {
        "drift": "day",
        "quality": "day",
    }
