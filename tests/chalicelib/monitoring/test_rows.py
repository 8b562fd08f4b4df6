"""Rows of telemetry records, and their lines in the lake."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.monitoring.rows import SKEW, lake_object, lines_of, rows_of
from tiltyard.errors import MalformedRequest

RECEIVED = "2026-02-01T06:15:00Z"
RECORD = {
    "format": 1,
    "request_id": "request-1",
    "received_at": RECEIVED,
    "model": "delays",
    "version": 3,
    "digest": "d" * 64,
    "role": "champion",
    "n": 2,
    "ids": ["a", "b"],
    "columns": {"distance": [100.5, None], "carrier": ["AA", "ü"]},
    "scores": [[0.25, 0.75], [0.5, 0.5]],
    "subjects": [None, "f" * 64],
    "warnings": {"1": [{"column": "distance", "kind": "missing"}]},
    "decisions": {"1": {"action": "abstain", "rules": ["uncertain"]}},
    "policy": {"number": 4, "digest": "p" * 64},
}


def test_a_record_is_taken_apart_row_by_row():
    first, second = rows_of(RECORD)

    assert (first.id, first.columns, first.scores) == (
        "a",
        {"distance": 100.5, "carrier": "AA"},
        [0.25, 0.75],
    )
    assert (first.subject, first.warnings, first.action, first.rules) == (None, (), None, ())
    assert (second.subject, second.action, second.rules, second.policy) == (
        "f" * 64,
        "abstain",
        ["uncertain"],
        4,
    )
    assert first.at == first.received_at == datetime(2026, 2, 1, 6, 15, tzinfo=UTC)


@pytest.mark.parametrize("at", ["2026-01-31T23:30:00-01:00", ["2026-02-01T00:30:00Z"] * 2])
def test_the_callers_time_is_the_rows_time(at):
    assert {row.at for row in rows_of({**RECORD, "at": at})} == {datetime(2026, 2, 1, 0, 30, tzinfo=UTC)}


@pytest.mark.parametrize(("ahead", "expected"), [(SKEW, False), (SKEW + timedelta(seconds=1), True)])
def test_a_time_that_is_still_to_come_counts_as_received(ahead, expected):
    received = datetime.fromisoformat(RECEIVED)
    at = (received + ahead).isoformat()

    row = rows_of({**RECORD, "at": at})[0]

    assert row.is_ahead is expected
    assert row.at == (received if expected else received + ahead)


def test_who_asks_by_number_is_not_counted():
    assert [row.is_counted for row in rows_of({**RECORD, "role": "direct"})] == [False, False]
    assert rows_of({**RECORD, "role": "night"})[0].is_counted


def test_rows_of_no_columns_are_rows_all_the_same():
    assert [row.columns for row in rows_of({**RECORD, "columns": {}})] == [{}, {}]


@pytest.mark.parametrize(
    "change",
    [
        {"n": 3},
        {"ids": ["a"]},
        {"ids": ["a", ""]},
        {"ids": ["a", 5]},
        {"scores": [[0.5]]},
        {"columns": {"distance": [1.0]}},
        {"subjects": ["x"]},
        {"received_at": "now"},
        {"at": "2026-02-01T00:00:00"},
        {"at": ["2026-02-01T00:00:00Z"]},
        {"model": None, "columns": None},
        {"decisions": []},
    ],
)
def test_a_record_of_another_form_is_refused_whole(change):
    with pytest.raises(MalformedRequest):
        rows_of({**RECORD, **change})


@given(st.sampled_from(sorted(set(RECORD) - {"format", "subjects", "warnings", "decisions", "policy"})))
def test_a_record_without_a_part_is_refused(name):
    record = copy.deepcopy(RECORD)
    del record[name]

    with pytest.raises(MalformedRequest):
        rows_of(record)


def test_a_lake_object_holds_the_rows_and_its_name_follows_from_them():
    rows = rows_of(RECORD)
    first, again, other = lake_object(rows), lake_object(rows_of(RECORD)), lake_object(rows[:1])

    assert first == again
    assert first.key.startswith("rows/model=delays/version=3/day=2026-02-01/hour=06/")
    assert first.key != other.key
    assert [line["columns"] for line in lines_of(first.content)] == [row.columns for row in rows]
    assert lines_of(first.content)[1] == {
        "id": "b",
        "at": "2026-02-01T06:15:00Z",
        "received_at": "2026-02-01T06:15:00Z",
        "request_id": "request-1",
        "role": "champion",
        "digest": "d" * 64,
        "columns": {"distance": None, "carrier": "ü"},
        "scores": [0.5, 0.5],
        "subject": "f" * 64,
        "warnings": [{"column": "distance", "kind": "missing"}],
        "action": "abstain",
        "rules": ["uncertain"],
        "policy": 4,
        "is_ahead": False,
    }
