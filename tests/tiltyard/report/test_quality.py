"""The section on data quality says what the service's answer says, of columns in which something happened."""

from __future__ import annotations

import pytest
from html_document import Document
from series_bodies import column, quality_body

from tiltyard.report.markup import joined
from tiltyard.report.quality import quality_section

TABLE = "Columns in which something happened, the most changed first"
ODD = "Odd rows, actions and rules of the policy"


def read(section):
    return Document(joined(*section.blocks))


@pytest.mark.parametrize(
    ("columns", "lead"),
    [
        ({}, "No rows came in these 0 days."),
        ({"temp": [column(0)]}, "No rows came in this day."),
        (
            {"temp": [column(1), column(0)]},
            "1 row came in these 2 days; on 1 day none did. "
            "All of their values were present, known and in range.",
        ),
        (
            {"temp": [column(1200, above=1)], "dest": [column(1200, unseen=0)]},
            "1,200 rows came in this day. 1 of 2 columns has missing, unknown or out-of-range values.",
        ),
    ],
)
def test_the_lead_says_in_words_what_was_found(columns, lead):
    section = quality_section(quality_body(columns))

    assert section.lead == lead
    read(section)


def test_the_table_has_the_bodys_figures_the_most_changed_first():
    body = quality_body(
        {
            "clean": [column(), column()],
            "stuck": [column(), column(constant=True)],
            "temp": [column(below=1, above=4), column(coerced=1)],
            "usual": [column(missing=100), column(missing=100)],
            "dest": [column(unseen=250), column(unseen=0)],
        },
        reference={"usual": 0.2},
    )

    rows = read(quality_section(body)).tables[TABLE]

    assert rows[1:] == [
        ["dest", "0", "0.0%", "250 (25.0%)", "–", "0", "–"],
        ["temp", "0", "0.0%", "–", "5 (0.5%)", "1 (0.1%)", "–"],
        ["stuck", "0", "0.0%", "–", "0", "0", "1 of 2 days"],
        ["usual", "200 (20.0%)", "20.0%", "–", "0", "0", "–"],
    ]


def test_each_kind_that_happened_has_a_chart_and_no_other():
    body = quality_body({"temp": [column(missing=10, above=1), column(0)], "clean": [column(), column(0)]})

    document = read(quality_section(body))

    assert [given["aria-label"] for given in document.named("svg")] == [
        "Rows a day",
        "temp, missing: share of rows over time",
        "temp, out of range: share of rows over time",
    ]
    assert "missing: 2.0% of all rows" in document.words


def test_late_rows_and_rows_ahead_are_told_where_there_are_any():
    quiet = quality_body({"temp": [column()]})
    body = quality_body({"temp": [column()]}, late=[25], ahead=[1])

    words = read(quality_section(body)).words

    assert "25 rows (5.0%) came late" in words
    assert "1 row (0.2%) named a time that was still to come" in words
    assert "late" not in read(quality_section(quiet)).words


def test_what_followed_is_counted_by_row():
    body = quality_body(
        {"temp": [column(), column()]},
        flagged=[{"anomalous": 10}, {"anomalous": 5, "out_of_range": 1}],
        actions=[{"abstain": 10}, {"new-action": 1}],
        rules=[{"odd-row": 10}, {"never": 0}],
    )

    rows = read(quality_section(body)).tables[ODD]

    assert rows[1:] == [
        ["Rows that are anomalous: extreme, or an odd combination", "15", "1.5%"],
        ["Rows with a number outside of what registration saw", "1", "0.1%"],
        ["Answers withheld", "10", "1.0%"],
        ["new-action", "1", "0.1%"],
        ["Rule “odd-row” fired", "10", "1.0%"],
    ]


def test_nothing_odd_is_said_in_a_sentence():
    document = read(quality_section(quality_body({"temp": [column()]})))

    assert document.tables == {}
    assert "No row was odd, and no rule of the policy fired." in document.words
