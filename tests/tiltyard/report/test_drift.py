"""The section on drift says what the service's answer says, the worst first."""

from __future__ import annotations

import pytest
from html_document import Document
from series_bodies import NO_ROWS, drift_body, verdict

from tiltyard.report.drift import drift_section, features
from tiltyard.report.markup import joined
from tiltyard.report.wording import counted

DRIFT, STEADY, FEW = (
    verdict("drift", 0.4, -1.25),
    verdict("steady", 0.01, 0.1),
    verdict("too few rows", rows=3),
)
UNCALIBRATED, NOT_TESTED = verdict("uncalibrated", 0.5), verdict("not tested", 0.3)
TABLE = "Every feature, the worst first"


def read(section):
    return Document(joined(*section.blocks))


@pytest.mark.parametrize(
    ("features", "lead"),
    [
        ({}, "No rows came in these 0 days, so there is nothing to compare."),
        ({"temp": [NO_ROWS, NO_ROWS]}, "No rows came in these 2 days, so there is nothing to compare."),
        ({"temp": [FEW]}, "Nothing can be said about drift in this day yet: no day could be judged."),
        (
            {"temp": [UNCALIBRATED] * 2},
            "Nothing can be said about drift in these 2 days yet: no day could be judged.",
        ),
        ({"temp": [STEADY]}, "None of 1 feature drifted in this day."),
        ({"temp": [DRIFT]}, "1 of 1 features drifted in this day; worst: temp."),
        ({"temp": [DRIFT], "dest": [DRIFT]}, "All 2 features drifted in this day; worst: dest."),
        (
            {"temp": [STEADY, DRIFT], "dest": [STEADY] * 2, "prediction": [STEADY, DRIFT]},
            "1 of 2 features drifted in these 2 days; worst: temp. The model's predictions drifted too.",
        ),
        (
            {"temp": [STEADY], "month": [NOT_TESTED], "prediction": [DRIFT]},
            "None of 2 features drifted in this day. The model's predictions drifted nevertheless. "
            "1 feature could not be judged, of which month drifted strongly.",
        ),
        (
            {"temp": [STEADY], "prediction": [STEADY]},
            "None of 1 feature drifted in this day. The model's predictions held steady.",
        ),
    ],
)  # fmt: skip
def test_the_lead_says_in_words_what_was_found(features, lead):
    section = drift_section(drift_body(features))

    assert section.lead == lead
    read(section)


def test_the_table_has_the_bodys_figures_the_worst_first():
    body = drift_body(
        {
            "carrier": [verdict("small", 0.015, rows=1200), STEADY, NO_ROWS],
            "few": [FEW, FEW, NO_ROWS],
            "month": [NOT_TESTED, NOT_TESTED, NO_ROWS],
            "dest": [STEADY, verdict("drift", 0.1), NO_ROWS],
            "temp": [DRIFT, verdict("drift", 0.3), NO_ROWS],
        },
        overdispersion={"temp": 1.43, "month": None},
    )

    rows = read(drift_section(body)).tables[TABLE]

    assert rows[1:] == [
        ["temp", "◆ drift", "drift 2", "1 Feb 2026", "0.400", "-1.25 sd", "1.43", "500"],
        ["dest", "◆ drift", "drift 1, steady 1", "2 Feb 2026", "0.100", "–", "1.00", "500"],
        ["carrier", "small", "small 1, steady 1", "1 Feb 2026", "0.015", "–", "1.00", "1,200"],
        ["month", "not tested", "not tested 2", "1 Feb 2026", "0.300", "–", "–", "500"],
        ["few", "too few rows", "too few rows 2", "–", "–", "–", "1.00", "–"],
    ]


def test_the_worst_window_is_one_that_got_the_verdict():
    body = drift_body({"temp": [verdict("steady", 0.9, rows=20), verdict("drift", 0.1)]})

    (row,) = read(drift_section(body)).tables[TABLE][1:]

    assert row[3:5] == ["2 Feb 2026", "0.100"]


def test_only_what_drifted_has_a_chart_of_its_own():
    body = drift_body(
        {"temp": [DRIFT, STEADY], "dest": [verdict("drift", 0.1), FEW], "carrier": [STEADY] * 2}
    )

    document = read(drift_section(body))

    names = [given["aria-label"] for given in document.named("svg")]
    assert names == ["Largest effect by feature", "Drift of temp over time", "Drift of dest over time"]
    assert (
        "Drift on 1 of 2 days with rows; largest effect 0.400 (1 Feb 2026), when the mean was 1.25 standard "
        "deviations below that of registration."
    ) in document.words


def test_the_budget_counts_the_verdicts_that_were_reached():
    body = drift_body({"temp": [DRIFT, STEADY, FEW], "month": [NOT_TESTED, UNCALIBRATED, NO_ROWS]})

    words = read(drift_section(body)).words

    assert "at most 0.7 false alerts a feature and year, and no alert for an effect below 0.02" in words
    # Two tests each, and two verdicts: 4 * 0.0003.
    assert "Among the 2 verdicts in this report, fewer than 0.01 false alerts are to be expected" in words


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (UNCALIBRATED, "hasn't reigned for 8 windows"),
        (FEW, "fewer than 10 rows for each cell"),
        (NOT_TESTED, "only whole weeks are compared"),
    ],
)
def test_a_verdict_is_explained_where_it_was_given(found, words):
    assert words in read(drift_section(drift_body({"temp": [found]}))).words
    assert words not in read(drift_section(drift_body({"temp": [STEADY]}))).words


def test_hundreds_of_features_and_windows_are_one_table_and_the_first_bars():
    body = drift_body({f"column-{n:03}": [STEADY, DRIFT] * 20 for n in range(200)})

    section = drift_section(body)

    document = read(section)
    assert section.lead.startswith(f"All {counted(200, 'feature')} drifted in these 40 days")
    assert len(document.tables[TABLE]) == 201
    assert "The first 30 of 200 are shown." in document.words


def test_a_distance_is_called_by_its_title():
    body = drift_body(
        {"~reconstruction": [verdict("drift", 0.3)]},
        titles={"~reconstruction": "columns together (reconstruction error)"},
    )

    (feature,) = features(body)

    assert feature.name == "columns together (reconstruction error)"
