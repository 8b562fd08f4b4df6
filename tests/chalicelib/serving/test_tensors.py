from __future__ import annotations

import json
from typing import Any

import pytest
from bundles import signature_of
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.serving import outputs, tensors
from chalicelib.serving.translation import relocated
from tiltyard.contract.features import FeatureSpec
from tiltyard.contract.rows import RowReader
from tiltyard.contract.signature import Column, Signature
from tiltyard.errors import InvalidRows

MIXED = signature_of(
    [
        Column("a", "number", is_nullable=True),
        Column("n", "integer"),
        Column("flag", "boolean"),
        Column("text", "string"),
        Column("at", "datetime", role="time", is_input=False, is_nullable=True),
    ]
)
NUMBERS = signature_of([Column("a", "number", is_nullable=True), Column("n", "integer")])


def tensor(
    name: str, datatype: str, data: Any, shape: list[int] | None = None, **more: Any
) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape or [len(data)], "data": data, **more}


def mixed(**change: dict[str, Any] | None) -> dict[str, Any]:
    """A request of two rows; `change` replaces or drops tensors."""
    made = {
        "a": tensor("a", "FP64", [1.5, None]),
        "n": tensor("n", "INT64", [1, 2]),
        "flag": tensor("flag", "BOOL", [True, False]),
        "text": tensor("text", "BYTES", ["x", "y"]),
        **change,
    }
    return {"inputs": [part for part in made.values() if part is not None]}


def rows_of(body: dict[str, Any], signature: Signature = MIXED) -> list[dict[str, Any]]:
    return [dict(row) for row in tensors.read(body, signature).translated.rows]


def faults_of(body: dict[str, Any], signature: Signature = MIXED) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRows) as caught:
        tensors.read(body, signature)
    return [(fault.pointer, fault.detail) for fault in caught.value.faults]


ROWS = [{"a": 1.5, "n": 1, "flag": True, "text": "x"}, {"a": None, "n": 2, "flag": False, "text": "y"}]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"a": tensor("a", "FP32", [1.5, None], [2, 1])},
        {"a": tensor("a", "FP64", [[1.5], [None]], [2, 1])},
        {"a": tensor("a", "FP64", [1.5, float("nan")])},
        {"a": tensor("a", "FP16", [1.5, float("nan")])},
        {"n": tensor("n", "UINT8", [1, 2])},
        {"text": tensor("text", "BYTES", ["x", "y"], parameters={"content_type": "str"})},
    ],
)
def test_one_tensor_a_column_gives_rows(change):
    assert rows_of(mixed(**change)) == ROWS


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "a": st.none() | st.floats(allow_nan=False),
                "n": st.integers(-(2**63), 2**63 - 1),
                "flag": st.booleans(),
                "text": st.text(max_size=3),
            }
        ),
        min_size=1,
        max_size=5,
    ),
    st.permutations(["a", "n", "flag", "text"]),
    st.sampled_from(["flat", "column", "nested"]),
)
def test_any_rows_come_through_tensors_of_any_order_and_form_unchanged(rows, order, form):
    datatypes = {"a": "FP64", "n": "INT64", "flag": "BOOL", "text": "BYTES"}
    shape = [len(rows)] if form == "flat" else [len(rows), 1]
    inputs = [
        tensor(name, datatypes[name], [[row[name]] if form == "nested" else row[name] for row in rows], shape)
        for name in order
    ]

    assert rows_of({"inputs": inputs}) == rows


def test_columns_that_the_model_does_not_read_may_be_sent():
    rows = rows_of(mixed(at=tensor("at", "BYTES", ["2013-02-01T06:15:00Z", None])))

    assert [row["at"] for row in rows] == ["2013-02-01T06:15:00Z", None]


@pytest.mark.parametrize(
    "data", [[1.5, 1.0, None, 2.0], [[1.5, 1.0], [None, 2.0]], [[1.5, 1.0], [float("nan"), 2.0]]]
)
@pytest.mark.parametrize("datatype", ["FP32", "FP64"])
def test_a_matrix_answers_for_a_contract_of_numbers(data, datatype):
    rows = rows_of({"inputs": [tensor("input-0", datatype, data, [2, 2])]}, NUMBERS)

    assert rows == [{"a": 1.5, "n": 1.0}, {"a": None, "n": 2.0}]


@pytest.mark.parametrize(
    ("sent", "where", "said"),
    [
        (tensor("all", "FP64", [1.0] * 3, [1, 3]), "/inputs/0/shape", "must be [n, 2] for the columns a, n"),
        (tensor("all", "INT64", [1, 2], [1, 2]), "/inputs/0/datatype", "must be FP32 or FP64"),
        (tensor("all", "FP32", [1, "x"], [1, 2]), "/inputs/0/data/1", "must be a number, as FP32 is"),
        (tensor("all", "FP32", [[1, 2], [True, 1]], [2, 2]), "/inputs/0/data/1/0", "must be a number"),
    ],
)
def test_a_matrix_that_is_not_the_contracts_is_refused(sent, where, said):
    ((pointer, detail),) = faults_of({"inputs": [sent]}, NUMBERS)

    assert pointer == where
    assert said in detail


@pytest.mark.parametrize("most", [65504.0, -65504.0])
def test_the_ends_of_a_datatype_are_taken(most):
    assert rows_of({"inputs": [tensor("x", "FP32", [most, 1], [1, 2])]}, NUMBERS) == [{"a": most, "n": 1}]
    assert rows_of(mixed(a=tensor("a", "FP16", [most, 1])))[0]["a"] == most


def test_a_matrix_is_refused_where_a_column_is_no_number():
    faults = faults_of({"inputs": [tensor("input-0", "FP64", [1.0] * 4, [1, 4])]})

    assert faults[0] == ("/inputs/0/name", "'input-0' is not a column of this model")


@pytest.mark.parametrize(
    ("change", "where", "said"),
    [
        ({"n": tensor("n", "FP64", [1.0, 2.0])}, "/inputs/1/datatype", "must be INT64 (or INT8, "),
        ({"flag": tensor("flag", "INT64", [1, 0])}, "/inputs/2/datatype", "must be BOOL, not INT64"),
        ({"text": tensor("text", "STRING", ["x", "y"])}, "/inputs/3/datatype", "must be BYTES, not STRING"),
        ({"a": tensor("a", "BYTES", ["1", "2"])}, "/inputs/0/datatype", "must be FP64 (or FP16, "),
        ({"n": tensor("n", "INT64", [1, 2.0])}, "/inputs/1/data/1", "must be a whole number from -9223"),
        ({"n": tensor("n", "INT64", [1, True])}, "/inputs/1/data/1", "must be a whole number"),
        ({"n": tensor("n", "UINT8", [1, 256])}, "/inputs/1/data/1", "from 0 to 255, as UINT8 is"),
        ({"flag": tensor("flag", "BOOL", [1, True])}, "/inputs/2/data/0", "must be true or false"),
        ({"text": tensor("text", "BYTES", [5, "y"])}, "/inputs/3/data/0", "must be a string"),
        ({"a": tensor("a", "FP16", [1, 65505])}, "/inputs/0/data/1", "FP16 is, from -65504 to 65504"),
        ({"a": tensor("a", "FP32", [1.0, -3.5e38])}, "/inputs/0/data/1", "as FP32 is, from -3.40282e+38"),
        ({"a": tensor("a", "FP64", [1, 10**400])}, "/inputs/0/data/1", "as FP64 is"),
        ({"a": tensor("a", "FP64", ["1", 2])}, "/inputs/0/data/0", "must be a number, as FP64 is"),
        (
            {"a": tensor("a", "FP64", [1, 2, 3], [2])},
            "/inputs/0/data",
            "must hold 2 values, as the shape says",
        ),
        ({"a": tensor("a", "FP64", [1, 2, 3, 4], [2, 2])}, "/inputs/0/shape", "[n] or [n, 1] for one column"),
        (
            {"a": tensor("a", "FP64", [[1], [2, 3]], [2, 1])},
            "/inputs/0/data",
            "must hold 2 lists of 1 values",
        ),
        ({"a": tensor("a", "FP64", [[1], 2], [2, 1])}, "/inputs/0/data", "must hold 2 lists of 1 values"),
        ({"a": tensor("a", "FP64", [[1], 2], [2])}, "/inputs/0/data/0", "must be a number"),
        ({"a": tensor("a", "FP64", 1.0, [1])}, "/inputs/0/data", "must be a list"),
        ({"a": tensor("a", "FP64", [1], [-1])}, "/inputs/0/shape", "must be a list of whole numbers"),
        ({"a": tensor("a", "FP64", [1], [True])}, "/inputs/0/shape", "must be a list of whole numbers"),
        ({"a": tensor("a", "FP64", [1, 2], [1, 1, 2])}, "/inputs/0/shape", "must be [n], or [n, 1]"),
        ({"a": {**tensor("a", "FP64", []), "shape": []}}, "/inputs/0/shape", "must be [n], or [n, 1]"),
        ({"a": {**tensor("a", "FP64", []), "shape": [0]}}, "/inputs/0/shape", "must hold 1 to 5000 rows"),
        ({"a": tensor("a", "FP64", [1.0], [5001])}, "/inputs/0/shape", "must hold 1 to 5000 rows, not 5001"),
        (
            {"a": tensor("a", "FP64", [1.0], [5000, 10**15])},
            "/inputs/0/data",
            "must hold 5000000000000000000",
        ),
        ({"a": None}, "/inputs", "lacks a tensor for the column 'a'"),
        ({"b": tensor("b", "FP64", [1, 2])}, "/inputs/4/name", "'b' is not a column of this model"),
        ({"b": tensor("a", "FP64", [1, 2])}, "/inputs/4/name", "repeats /inputs/0/name"),
        ({"a": {**tensor("a", "FP64", [1, 2]), "name": 5}}, "/inputs/0/name", "must be a string"),
        ({"a": tensor("a", "FP64", [1, 2], binary=True)}, "/inputs/0/binary", "is not known here"),
        ({"a": tensor("a", "FP64", [1, 2], parameters=3)}, "/inputs/0/parameters", "must be an object"),
        (
            {"a": {"name": "a", "shape": [2], "datatype": "FP64", "parameters": {"binary_data_size": 16}}},
            "/inputs/0/parameters/binary_data_size",
            "binary_data=False",
        ),
        (
            {"a": tensor("a", "FP64", [1, 2], parameters={"shared_memory_region": "r"})},
            "/inputs/0/parameters/shared_memory_region",
            "tensors travel as JSON here",
        ),
    ],
)
def test_a_tensor_that_is_not_the_contracts_is_refused_with_its_place(change, where, said):
    ((pointer, detail),) = faults_of(mixed(**change))

    assert pointer == where
    assert said in detail


def test_tensors_of_different_lengths_are_refused():
    faults = faults_of(mixed(n=tensor("n", "INT64", [1, 2, 3])))

    assert faults == [("/inputs/1/shape", "must begin with 2 as /inputs/0/shape does")]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"inputs": None}, "/inputs"),
        ({"inputs": []}, "/inputs"),
        ({"inputs": [1]}, "/inputs/0"),
        ({"id": 5}, "/id"),
        ({"parameters": []}, "/parameters"),
        ({"parameters": {"a": 1, "b/c": [1]}}, "/parameters/b~1c"),
        ({"parameters": {"a": None}}, "/parameters/a"),
        ({"parameters": {"a": 2**64}}, "/parameters/a"),
        ({"parameters": {"a": float("nan")}}, "/parameters/a"),
        ({"outputs": [{"name": "value", "parameters": 5}]}, "/outputs/0/parameters"),
        ({"rows": []}, "/rows"),
        ({"outputs": "value"}, "/outputs"),
        ({"outputs": ["value"]}, "/outputs/0"),
        ({"outputs": [{"name": "values"}]}, "/outputs/0/name"),
        ({"outputs": [{"name": []}]}, "/outputs/0/name"),
        ({"outputs": [{"name": "interval"}]}, "/outputs/0/name"),
        ({"outputs": [{"name": "value"}, {"name": "value"}]}, "/outputs/1/name"),
        (
            {"outputs": [{"name": "value", "parameters": {"classification": 2}}]},
            "/outputs/0/parameters/classification",
        ),
    ],
)
def test_a_request_that_is_not_the_protocols_is_refused_with_its_place(change, where):
    assert [pointer for pointer, _ in faults_of({**mixed(), **change})] == [where]


def test_at_most_a_hundred_faults_are_told():
    body = mixed(
        a=tensor("a", "FP64", ["x"] * 500),
        n=tensor("n", "INT64", [1] * 500),
        flag=tensor("flag", "BOOL", [True] * 500),
        text=tensor("text", "BYTES", ["x"] * 500),
    )

    assert len(faults_of(body)) == 100


@pytest.mark.parametrize(
    ("body", "signature", "where"),
    [
        (mixed(n=tensor("n", "INT64", [1, None])), MIXED, "/inputs/1/data/1"),
        (mixed(n=tensor("n", "INT64", [[1], [None]], [2, 1])), MIXED, "/inputs/1/data/1/0"),
        (mixed(a=tensor("a", "FP64", [1.0, 1e300])), MIXED, "/inputs/0/data/1"),
        ({"inputs": [tensor("x", "FP64", [1.0, 1.0, 1.0, 1.5], [2, 2])]}, NUMBERS, "/inputs/0/data/3"),
        ({"inputs": [tensor("x", "FP64", [[1.0, 1.0], [1.0, None]], [2, 2])]}, NUMBERS, "/inputs/0/data/1/1"),
    ],
)
def test_the_contracts_faults_point_into_the_tensors(body, signature, where):
    translated = tensors.read(body, signature).translated

    with pytest.raises(InvalidRows) as caught:
        RowReader(signature).read(translated.rows)

    assert [fault.pointer for fault in relocated(caught.value, translated).faults] == [where]


def predicted(*predictions: dict[str, Any]) -> dict[str, Any]:
    return {"model": "m", "version": 3, "role": "champion", "policy": 2, "predictions": list(predictions)}


def test_a_binary_answer_has_score_set_and_warnings():
    warning = {"column": "a", "kind": "out_of_range"}
    answer = predicted(
        {"id": "p", "value": "yes", "score": 0.75, "set": ["yes", "no"], "warnings": [], "action": "flag"},
        {"id": "q", "value": None, "score": 0.25, "set": ["no"], "warnings": [warning], "action": "abstain"},
    )

    told = outputs.answer(answer, MIXED, names=None, request_id="r", parameters={})

    assert (told["model_name"], told["model_version"], told["id"]) == ("m", "3", "r")
    assert told["parameters"] == {"role": "champion", "policy": 2}
    found = {output["name"]: output for output in told["outputs"]}
    assert list(found) == ["value", "score", "set", "action", "warnings", "id"]
    assert all(output["shape"] == [2] for output in found.values())
    assert (found["value"]["datatype"], found["value"]["data"]) == ("BYTES", ["yes", None])
    assert (found["score"]["datatype"], found["score"]["data"]) == ("FP64", [0.75, 0.25])
    assert [json.loads(text) for text in found["set"]["data"]] == [["yes", "no"], ["no"]]
    assert [json.loads(text) for text in found["warnings"]["data"]] == [[], [warning]]
    assert found["action"]["data"] == ["flag", "abstain"]
    assert found["id"]["data"] == ["p", "q"]


def test_a_multiclass_answer_has_scores_in_the_order_of_the_classes():
    signature = signature_of(
        [Column("a", "number")], task="multiclass", classes=("x", "y", "z"), threshold=None
    )
    answer = predicted({"value": "z", "scores": {"z": 0.5, "y": 0.3, "x": 0.2}})

    told = outputs.answer(answer, signature, names=["scores", "value"], request_id=None, parameters={})

    assert told["outputs"] == [
        {"name": "scores", "datatype": "FP64", "shape": [1, 3], "data": [0.2, 0.3, 0.5]},
        {"name": "value", "datatype": "BYTES", "shape": [1], "data": ["z"]},
    ]
    assert "id" not in told


def regression() -> Signature:
    columns = (Column("a", "number"),)
    return Signature("regression", columns, FeatureSpec(("a",), ()))


def test_a_regressions_answer_has_value_and_interval():
    answer = predicted({"value": 2.5, "interval": [1.0, None]})

    told = outputs.answer(answer, regression(), names=["value", "interval"], request_id=None, parameters={})

    assert [output["datatype"] for output in told["outputs"]] == ["FP64", "BYTES"]
    assert [output["data"] for output in told["outputs"]] == [[2.5], ["[1.0,null]"]]


def test_metadata_has_an_input_a_column_and_the_outputs_of_the_task():
    told = outputs.metadata("m", 3, MIXED)

    assert (told["name"], told["versions"]) == ("m", ["3"])
    assert [(i["name"], i["datatype"], i["shape"]) for i in told["inputs"]] == [
        ("a", "FP64", [-1]),
        ("n", "INT64", [-1]),
        ("flag", "BOOL", [-1]),
        ("text", "BYTES", [-1]),
        ("at", "BYTES", [-1]),
    ]
    assert told["inputs"][0]["parameters"] == {"nullable": True, "optional": False}
    assert told["inputs"][4]["parameters"] == {"nullable": True, "optional": True}
    by_name = {output["name"]: output for output in told["outputs"]}
    assert json.loads(by_name["score"]["parameters"]["classes"]) == ["no", "yes"]
    assert [output["name"] for output in outputs.metadata("m", 1, regression())["outputs"]] == [
        "value",
        "interval",
        "action",
        "warnings",
        "id",
    ]
