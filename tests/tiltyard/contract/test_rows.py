from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from bundles import signature_of
from hypothesis import given
from hypothesis import strategies as st

from tiltyard.contract.faults import MAX_FAULTS, MAX_TEXT
from tiltyard.contract.features import Boolean, DateTimePart, FeatureSpec, Fill
from tiltyard.contract.rows import RowReader, Warn
from tiltyard.contract.signature import Column, Signature
from tiltyard.errors import InvalidRows

COLUMNS = [
    Column("distance", "number", minimum=0.0, maximum=5000.0),
    Column("carrier", "string", categories=("AA", "UA")),
    Column("seats", "integer", is_nullable=True, minimum=1.0, maximum=500.0),
    Column("person", "string", role="subject", is_input=False, is_nullable=True),
]
GOOD = {"distance": 100.0, "carrier": "AA", "seats": 20}

values: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from(["AA", "UA", "ZZ", "", "x" * (MAX_TEXT + 1)]),
    st.lists(st.integers(), max_size=1),
)
rows = st.one_of(
    st.fixed_dictionaries(
        {"distance": st.floats(-10, 6000, width=32), "carrier": st.sampled_from(["AA", "UA", "ZZ"])}
        | {"seats": st.one_of(st.none(), st.integers(-5, 600))},
        optional={"person": st.one_of(st.none(), st.just("p1"))},
    ),
    st.dictionaries(st.sampled_from(["distance", "carrier", "seats", "person", "other"]), values),
)


@pytest.fixture
def reader() -> RowReader:
    return RowReader(signature_of(COLUMNS))


def outcome(read: Any, batch: list[Any]) -> tuple[Any, ...]:
    try:
        result = read(batch)
    except InvalidRows as exc:
        return ("refused", exc.faults)
    return (
        result.numbers.tobytes(),
        result.strings.tolist(),
        result.columns,
        result.warnings,
    )


@given(st.lists(rows, min_size=1, max_size=4))
def test_reading_by_row_and_by_column_give_the_same_bits_warnings_and_faults(batch):
    by_row = RowReader(signature_of(COLUMNS))
    by_column = RowReader(signature_of(COLUMNS))
    by_column._by_row = lambda rows, plan: by_column._by_column(rows)  # type: ignore[method-assign]

    assert outcome(by_row.read, batch) == outcome(by_column.read, batch)


@pytest.mark.parametrize("copies", [1, 50])
@pytest.mark.parametrize(
    ("change", "pointer", "detail"),
    [
        ({"distance": None}, "/rows/0/distance", "must not be null"),
        ({"distance": "far"}, "/rows/0/distance", "must be a number, not a string"),
        ({"distance": True}, "/rows/0/distance", "must be a number, not a boolean"),
        ({"distance": math.nan}, "/rows/0/distance", "must be finite"),
        ({"distance": -math.inf}, "/rows/0/distance", "must be finite"),
        ({"distance": 1e39}, "/rows/0/distance", "must fit a 32-bit float"),
        ({"distance": 10**400}, "/rows/0/distance", "must fit a 32-bit float"),
        ({"seats": 1.5}, "/rows/0/seats", "must be a whole number"),
        ({"carrier": 7}, "/rows/0/carrier", "must be a string, not a number"),
        ({"carrier": None}, "/rows/0/carrier", "must not be null"),
        ({"carrier": "x" * 5000}, "/rows/0/carrier", "at most 4096 characters"),
        ({"a/b~c": 1}, "/rows/0/a~1b~0c", "is not a column of this model"),
        ({"person": 5}, "/rows/0/person", "must be a string, not a number"),
    ],
)
def test_a_bad_value_is_refused_with_its_place(reader, copies, change, pointer, detail):
    batch = [{**GOOD, **change}, *[GOOD] * (copies - 1)]

    with pytest.raises(InvalidRows) as refused:
        reader.read(batch)

    assert [(f.pointer, detail in f.detail) for f in refused.value.faults] == [(pointer, True)]


@pytest.mark.parametrize("copies", [1, 50])
def test_a_missing_column_is_named(reader, copies):
    batch = [*[GOOD] * (copies - 1), {"carrier": "AA", "seats": 1}]

    with pytest.raises(InvalidRows, match=f"/rows/{copies - 1}/distance: is missing"):
        reader.read(batch)


@pytest.mark.parametrize("row", [7, None, [1], "row"])
def test_what_is_not_an_object_is_refused(reader, row):
    with pytest.raises(InvalidRows, match="/rows/1: must be an object"):
        reader.read([GOOD, row])


def test_no_rows_are_refused(reader):
    with pytest.raises(InvalidRows, match="/rows: must hold at least one row"):
        reader.read([])


def test_at_most_a_hundred_faults_are_listed(reader):
    with pytest.raises(InvalidRows) as refused:
        reader.read([{}] * 1000)

    assert len(refused.value.faults) == MAX_FAULTS


@pytest.mark.parametrize("copies", [1, 50])
def test_odd_values_are_answered_and_flagged(reader, copies):
    odd = {"distance": 9000.0, "carrier": "ZZ", "seats": None}

    batch = reader.read([GOOD] * (copies - 1) + [odd])

    assert batch.warnings == {
        copies - 1: (Warn("distance", "out_of_range"), Warn("carrier", "unseen_category"))
    }
    assert np.isnan(batch.numbers[-1, 1])


def test_operations_run_before_the_graph():
    signature = Signature(
        "regression",
        (
            Column("departed", "datetime", is_nullable=True),
            Column("weekend", "boolean", is_nullable=True),
            Column("wind", "string", is_nullable=True),
        ),
        FeatureSpec(
            ("hour", "weekend"),
            ("wind",),
            (DateTimePart("departed", "hour", "hour"), Boolean("weekend"), Fill("wind", "none")),
        ),
    )

    batch = RowReader(signature).read(
        [
            {"departed": "2013-02-01T06:15:00+02:00", "weekend": True, "wind": None},
            {"departed": None, "weekend": None, "wind": "N"},
        ]
    )

    np.testing.assert_array_equal(batch.numbers, np.array([[4, 1], [np.nan, np.nan]], dtype=np.float32))
    assert batch.strings.tolist() == [["none"], ["N"]]


@pytest.mark.parametrize("stamp", ["2013-02-01", "2013-02-01T06:15:00", "yesterday", "2013-13-01T00:00:00Z"])
def test_a_time_without_its_zone_is_refused(stamp):
    signature = Signature(
        "regression",
        (Column("t", "datetime"),),
        FeatureSpec(("h",), (), (DateTimePart("t", "hour", "h"),)),
    )

    with pytest.raises(InvalidRows, match="RFC 3339 timestamp with its time zone"):
        RowReader(signature).read([{"t": stamp}])
