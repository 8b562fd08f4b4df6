"""`tiltyard reconcile` against a scripted server."""

from __future__ import annotations

import json

import pytest

from tiltyard.cli import main


def hour(number, state="equal", rows=1200, **more):
    told = {"start": f"2026-02-01T{number:02d}:00:00.000Z", "state": state, "rows": rows, "found": rows}
    return {**told, "closed": True, "differing": 0, "differences": [], "advice": None, **more}


def answer(*items, following=None):
    body = {"model": "late-flights", "version": 3, "day": "2026-02-01", "items": items, "next": following}
    return 200, {}, body


@pytest.fixture
def run(server, capsys, monkeypatch):
    def run(*arguments, answers):
        server.answers = list(answers)
        monkeypatch.setenv("TILTYARD_URL", server.url)
        monkeypatch.setenv("TILTYARD_TOKEN", "t")
        with pytest.raises(SystemExit) as ended:
            main(["reconcile", "late-flights", "--day", "2026-02-01", *arguments], prog_name="tiltyard")
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return run


def test_a_day_is_asked_for_to_its_end_with_the_version_it_began_with(run, server):
    code, out, err = run(answers=[answer(hour(0), following="07"), answer(hour(7))])

    asked = [json.loads(seen.body) for seen in server.seen]
    assert asked == [
        {"day": "2026-02-01", "mend": False, "hour": "00"},
        {"day": "2026-02-01", "mend": False, "hour": "07", "version": 3},
    ]
    assert (code, out.splitlines()) == (0, ["HOUR  ROWS  STATE", "00    1200  equal", "07    1200  equal"])
    assert "00:00  1,200 rows, equal" in err
    assert "2 hours with rows, 2,400 rows. All are counted as the lake says." in err


def test_what_differs_is_named_and_fails(run):
    differences = [
        {"where": "rows", "name": None, "cell": "rows", "expected": 9, "found": 10},
        {"where": "column", "name": "wind_gust", "cell": "bin 3", "expected": 16, "found": 17},
    ]
    item = hour(6, "different", 9, differing=3, differences=differences, advice="Wait.")

    code, out, err = run(answers=[answer(item)])

    assert code == 1
    assert out.splitlines()[2:] == [
        "      rows: 10, and the lake says 9",
        "      wind_gust, bin 3: 17, and the lake says 16",
        "      and 1 more",
        "      Wait.",
    ]
    assert "as the lake says" not in err


def test_what_was_mended_is_fine(run, server):
    code, _, err = run("--mend", "--version", "2", answers=[answer(hour(6, "mended"), hour(7))])

    assert code == 0
    assert "1 were mended; now all are counted as the lake says." in err
    assert json.loads(server.seen[-1].body)["mend"] is True


def test_a_day_without_rows_says_so_and_json_is_the_services_answer(run):
    assert "has no rows" in run(answers=[answer()])[2]
    assert json.loads(run("--json", answers=[answer(hour(1))])[1]) == [hour(1)]
