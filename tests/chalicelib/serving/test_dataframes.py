from __future__ import annotations

from typing import Any

import pytest
from bundles import signature_of
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.serving import dataframes
from chalicelib.serving.translation import relocated
from tiltyard.contract.rows import RowReader
from tiltyard.contract.signature import Column
from tiltyard.errors import Fault, InvalidRows

SIGNATURE = signature_of(
    [
        Column("a", "number", is_nullable=True),
        Column("b/c", "string"),
        Column("person", "string", role="subject", is_input=False, is_nullable=True),
    ]
)
ROWS = [{"a": 1.5, "b/c": "x"}, {"a": None, "b/c": "y"}]

SAME = {
    "dataframe_split": {"columns": ["a", "b/c"], "data": [[1.5, "x"], [None, "y"]]},
    "dataframe_records": ROWS,
    "instances": ROWS,
    "inputs": {"a": [1.5, None], "b/c": ["x", "y"]},
}


@pytest.mark.parametrize("shape", SAME)
def test_every_shape_gives_the_same_rows(shape):
    translated = dataframes.read({shape: SAME[shape]}, SIGNATURE)

    assert translated.rows == ROWS


values = st.one_of(
    st.none(), st.floats(), st.text(max_size=3), st.booleans(), st.lists(st.integers(), max_size=2)
)


@given(
    st.lists(st.fixed_dictionaries({"a": values, "b/c": values, "person": values}), min_size=1, max_size=5)
)
def test_any_rows_come_through_every_shape_unchanged(rows):
    columns = ["person", "a", "b/c"]
    bodies = (
        {"dataframe_split": {"columns": columns, "data": [[row[name] for name in columns] for row in rows]}},
        {"dataframe_records": rows},
        {"instances": rows},
        {"inputs": rows},
        {"inputs": {name: [row[name] for row in rows] for name in columns}},
    )

    for body in bodies:
        assert repr([sorted(row.items()) for row in dataframes.read(body, SIGNATURE).rows]) == repr(
            [sorted(row.items()) for row in rows]
        )


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {**SAME["dataframe_split"], "index": [7, "last"]}},
        {"inputs": ROWS},
        {"instances": ROWS, "params": None},
        {"instances": ROWS, "params": {"ids": ["1", "2"], "at": "2013-02-01T06:15:00Z"}},
    ],
)
def test_what_the_protocol_leaves_open_is_taken(body):
    assert dataframes.read(body, SIGNATURE).rows == ROWS


@pytest.mark.parametrize("row", [{"a": 1.5, "b/c": "x"}, {"a": None, "b/c": "x", "person": None}])
def test_scalars_by_column_are_one_row(row):
    assert dataframes.read({"inputs": row}, SIGNATURE).rows == [row]


def test_columns_that_the_model_does_not_read_may_be_sent():
    translated = dataframes.read({"inputs": {**SAME["inputs"], "person": ["p", None]}}, SIGNATURE)

    assert [row["person"] for row in translated.rows] == ["p", None]


def split(**change: Any) -> dict[str, Any]:
    return {"dataframe_split": {**SAME["dataframe_split"], **change}}


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ({}, [("", "must hold one of dataframe_split, dataframe_records, instances, inputs")]),
        ({"rows": ROWS}, [("/rows", "is not known here"), ("", "must hold one of")]),
        ({"instances": ROWS, "inputs": ROWS}, [("/inputs", "can't stand beside instances")]),
        (
            {**SAME},
            [
                ("/dataframe_records", "beside dataframe_split"),
                ("/instances", "beside dataframe_split"),
                ("/inputs", "beside dataframe_split"),
            ],
        ),
        ({"instances": ROWS, "params": [1]}, [("/params", "must be an object")]),
        ({"instances": ROWS, "params": {"top/k": 3}}, [("/params/top~1k", "is not a parameter here")]),
        ({"dataframe_split": ROWS}, [("/dataframe_split", "must be an object")]),
        (split(dtypes=[]), [("/dataframe_split/dtypes", "is not known here")]),
        (split(columns=None), [("/dataframe_split/columns", "must be a list of column names")]),
        (split(columns=[0, 1]), [("/dataframe_split/columns", "must be a list of column names")]),
        (
            split(columns=["a", "b"]),
            [
                ("/dataframe_split/columns/1", "is not a column of this model"),
                ("/dataframe_split/columns", "lacks the column 'b/c'"),
            ],
        ),
        (
            split(columns=["a", "a"]),
            [
                ("/dataframe_split/columns/1", "repeats /dataframe_split/columns/0"),
                ("/dataframe_split/columns", "lacks the column 'b/c'"),
            ],
        ),
        (split(columns=["a"], data=[[1]]), [("/dataframe_split/columns", "lacks the column 'b/c'")]),
        (split(data=None), [("/dataframe_split/data", "must be a list of rows")]),
        (split(data=[]), [("/dataframe_split/data", "must hold 1 to 5000 rows, not 0")]),
        (split(data=[[1, "x"]] * 5001), [("/dataframe_split/data", "must hold 1 to 5000 rows, not 5001")]),
        (
            split(data=[[1, "x"], [1], [1, "x", 2]]),
            [
                ("/dataframe_split/data/1", "must have 2 values, one a column, not 1"),
                ("/dataframe_split/data/2", "must have 2 values, one a column, not 3"),
            ],
        ),
        (split(data=[{"a": 1}]), [("/dataframe_split/data/0", "must be a list of 2 values")]),
        (split(index=[1]), [("/dataframe_split/index", "must be a list of 2, one a row")]),
        ({"dataframe_records": {}}, [("/dataframe_records", "must be a list of rows")]),
        ({"dataframe_records": []}, [("/dataframe_records", "must hold 1 to 5000 rows, not 0")]),
        ({"instances": [[1, "x"]]}, [("/instances/0", "must be an object of column names and values")]),
        ({"instances": ROWS * 2501}, [("/instances", "must hold 1 to 5000 rows, not 5002")]),
        ({"inputs": 5}, [("/inputs", "must be an object of columns, or a list of rows")]),
        ({"inputs": [1]}, [("/inputs/0", "must be an object of column names and values")]),
        ({"inputs": {"a": [1]}}, [("/inputs", "lacks the column 'b/c'")]),
        (
            {"inputs": {"a": 1, "b/c": ["x"]}},
            [("/inputs/a", "must be a list of values, as the other columns are")],
        ),
        (
            {"inputs": {"a": {}, "b/c": "x"}},
            [("/inputs/a", "must be a list"), ("/inputs/b~1c", "must be a list")],
        ),
        ({"inputs": {"a": 1}}, [("/inputs", "lacks the column 'b/c'")]),
        ({"inputs": {"a": 1, "b/c": "x", "d": 1}}, [("/inputs/d", "is not a column of this model")]),
        ({"inputs": {}}, [("/inputs", "lacks the column 'a'"), ("/inputs", "lacks the column 'b/c'")]),
        ({"inputs": {"a": [1], "b/c": ["x"], "d": [2]}}, [("/inputs/d", "is not a column of this model")]),
        ({"inputs": {"a": [], "b/c": []}}, [("/inputs", "must hold 1 to 5000 rows, not 0")]),
        (
            {"inputs": {"a": [1, 2], "b/c": ["x"], "person": ["p", "q"]}},
            [("/inputs/b~1c", "must have 2 values as the other columns do, not 1")],
        ),
    ],
)
def test_a_form_that_does_not_fit_is_refused_with_its_place(body, faults):
    with pytest.raises(InvalidRows) as caught:
        dataframes.read(body, SIGNATURE)

    assert [fault.pointer for fault in caught.value.faults] == [where for where, _ in faults]
    for fault, (_, said) in zip(caught.value.faults, faults, strict=True):
        assert said in fault.detail


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (split(data=[[1, "x"], ["no number", "y"]]), "/dataframe_split/data/1/0"),
        (split(data=[[1, "x"], [1, 2]]), "/dataframe_split/data/1/1"),
        ({"dataframe_records": [ROWS[0], {"a": 1.0, "b/c": None}]}, "/dataframe_records/1/b~1c"),
        ({"instances": [{"a": 1.0}]}, "/instances/0/b~1c"),
        ({"instances": [{**ROWS[0], "d~": 1}]}, "/instances/0/d~0"),
        ({"inputs": {"a": [1, 2], "b/c": ["x", 5]}}, "/inputs/b~1c/1"),
        ({"inputs": {"a": 1, "b/c": 5}}, "/inputs/b~1c"),
    ],
)
def test_the_contracts_faults_point_into_the_body_as_it_was_sent(body, where):
    translated = dataframes.read(body, SIGNATURE)

    with pytest.raises(InvalidRows) as caught:
        RowReader(SIGNATURE).read(translated.rows)

    assert [fault.pointer for fault in relocated(caught.value, translated).faults] == [where]


def test_faults_of_no_row_are_moved_to_where_the_others_are():
    translated = dataframes.read({"instances": ROWS}, SIGNATURE)
    error = InvalidRows(
        "", faults=[Fault("/ids/1", "repeats"), Fault("/rows", "too many"), Fault("/rows/1", "odd")]
    )

    moved = relocated(error, translated, others="/params")

    assert [fault.pointer for fault in moved.faults] == ["/params/ids/1", "/instances", "/instances/1"]
