"""``tiltyard predict`` against the packaged service."""

from __future__ import annotations

import csv
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

ROWS = 12_000


@pytest.fixture
def rows(tmp_path):
    generator = np.random.default_rng(5)
    frame = pd.DataFrame({"height": generator.normal(size=ROWS), "width": generator.normal(size=ROWS)})
    frame.insert(0, "key", [f"r{i}" for i in range(ROWS)])
    frame.to_csv(tmp_path / "rows.csv", index=False, sep=";")
    return frame


def predict(live, folder, *arguments):
    command = [sys.executable, "-c", "from tiltyard.cli import main; main()", "predict", *arguments]
    environment = {**os.environ, "TILTYARD_URL": live.url, "TILTYARD_TOKEN": live.token("caller")}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_file_is_answered_in_its_order_by_the_live_service(live, champion, rows, tmp_path):
    done = predict(live, tmp_path, champion, "rows.csv", "--id-column", "key", "--output", "answers.csv")

    with (tmp_path / "answers.csv").open(newline="") as file:
        answers = list(csv.DictReader(file, delimiter=";"))
    with live.client("caller") as client:
        one_by_one = client.predict(champion, rows[["height", "width"]].iloc[[0, 5_000, ROWS - 1]])
    assert done.returncode == 0, done.stderr
    assert [answer["key"] for answer in answers] == list(rows["key"])
    assert [answer["height"] for answer in answers[:9]] == [str(value) for value in rows["height"][:9]]
    assert [float(answers[i]["score"]) for i in (0, 5_000, ROWS - 1)] == list(one_by_one.scores)
    assert [answers[i]["prediction"] for i in (0, 5_000, ROWS - 1)] == one_by_one.values
    assert "12,000 rows in" in done.stderr


def test_a_refused_row_is_named_by_its_line(live, champion, rows, tmp_path):
    rows.loc[7_000, "width"] = np.nan
    rows.to_csv(tmp_path / "rows.csv", index=False)

    stopped = predict(live, tmp_path, champion, "rows.csv", "--output", "answers.csv")
    gone_on = predict(live, tmp_path, champion, "rows.csv", "--output", "answers.csv", "--keep-going")

    assert stopped.returncode == 1
    assert "line 7002, column width: must not be null" in stopped.stderr
    assert "5,000 rows before are answered, in answers.csv.part" in stopped.stderr
    assert gone_on.returncode == 0, gone_on.stderr
    assert "1 refused" in gone_on.stderr
    assert len((tmp_path / "answers.csv").read_text().splitlines()) == ROWS + 1
