from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from tiltyard.client.rows import Request, plain_rows
from tiltyard.errors import InvalidRows


def request(rows, **columns):
    return Request.of(rows, **{"ids": None, "subjects": None, "at": None, **columns})


def test_a_data_frame_becomes_rows_of_json_values():
    frame = pd.DataFrame(
        {
            "carrier": ["UA", None],
            "distance": [1400, 200],
            "gust": [np.nan, 12.5],
            "weekend": [True, False],
            "seen": pd.to_datetime(["2013-02-01T06:15:00Z", None]),
            "level": pd.array([1, pd.NA], dtype="Int64"),
            "origin": pd.Categorical(["EWR", "JFK"]),
        }
    )

    rows = plain_rows(frame)

    assert rows == [
        {
            "carrier": "UA",
            "distance": 1400,
            "gust": None,
            "weekend": True,
            "seen": "2013-02-01T06:15:00Z",
            "level": 1,
            "origin": "EWR",
        },
        {
            "carrier": None,
            "distance": 200,
            "gust": 12.5,
            "weekend": False,
            "seen": None,
            "level": None,
            "origin": "JFK",
        },
    ]
    assert type(rows[0]["distance"]) is int
    assert type(rows[0]["weekend"]) is bool


def test_mappings_keep_their_values_and_lose_their_numpy():
    row = {
        "a": np.float32(0.5),
        "b": np.int64(3),
        "c": np.bool_(True),
        "d": float("nan"),
        "e": pd.NaT,
        "f": pd.NA,
    }

    assert plain_rows([row]) == [{"a": 0.5, "b": 3, "c": True, "d": None, "e": None, "f": None}]


def test_times_are_sent_in_utc():
    row = {
        "naive": datetime(2013, 2, 1, 6, 15),  # noqa: DTZ001
        "zoned": datetime(2013, 2, 1, 6, 15, tzinfo=timezone(timedelta(hours=-5))),
        "day": date(2013, 2, 1),
    }

    assert plain_rows([row]) == [
        {"naive": "2013-02-01T06:15:00Z", "zoned": "2013-02-01T11:15:00Z", "day": "2013-02-01T00:00:00Z"}
    ]


@pytest.mark.parametrize(("value", "said"), [(float("inf"), "must be finite"), (Decimal(1), "is a Decimal")])
def test_what_json_cannot_hold_is_refused_with_its_place(value, said):
    with pytest.raises(InvalidRows, match=said) as caught:
        plain_rows([{"x": 1}, {"x": value}])
    assert caught.value.faults[0].pointer == "/rows/1/x"


@pytest.mark.parametrize("rows", [{"a": 1}, "text", [1, 2], 7])
def test_what_is_not_rows_is_refused(rows):
    with pytest.raises(InvalidRows, match="mapping"):
        plain_rows(rows)


def test_rows_without_ids_get_ones_that_sort_by_time():
    ids = request([{"a": 1}] * 3).ids

    assert len(set(ids)) == 3
    assert all(i[14] == "7" for i in ids)


def test_large_inputs_are_cut_by_rows_and_nothing_is_lost():
    rows = [{"a": i} for i in range(11)]
    at = [datetime(2013, 1, 1, tzinfo=UTC) + timedelta(hours=i) for i in range(11)]
    whole = request(rows, ids=[f"id-{i}" for i in range(11)], subjects=["s"] * 11, at=at)

    parts = list(whole.batches(max_rows=4))

    assert [len(p.rows) for p in parts] == [4, 4, 3]
    bodies = [json.loads(p.body()) for p in parts]
    assert [i for b in bodies for i in b["ids"]] == list(whole.ids)
    assert [r for b in bodies for r in b["rows"]] == rows
    assert bodies[2]["at"][-1] == "2013-01-01T10:00:00Z"
    assert all(len(b["subjects"]) == len(b["rows"]) for b in bodies)


def test_large_inputs_are_cut_by_bytes():
    rows = [{"text": "ü" * 1000} for _ in range(50)]

    parts = list(request(rows, at="2013-01-01T00:00:00Z").batches(max_bytes=10_000))

    assert sum(len(p.rows) for p in parts) == 50
    assert max(len(p.body()) for p in parts) <= 10_200


def test_one_row_that_is_too_large_is_sent_alone():
    parts = list(request([{"t": "x" * 100}, {"t": "y"}]).batches(max_bytes=50))

    assert [len(p.rows) for p in parts] == [1, 1]


def test_no_rows_are_left_to_the_service_to_refuse():
    assert [p.body() for p in request([]).batches()] == [b'{"rows":[],"ids":[]}']


@pytest.mark.parametrize("column", ["ids", "subjects", "at"])
def test_a_list_that_is_not_as_long_as_the_rows_is_refused(column):
    with pytest.raises(InvalidRows, match=f"{column} must have one entry a row"):
        request([{"a": 1}, {"a": 2}], **{column: ["2013-01-01T00:00:00Z"]})
