"""Columns that callers may leave missing although no registered row does."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper
from pipelines import TRAINED, by_column, fit, flights, late, one_hot
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, PolynomialFeatures, TargetEncoder

from tiltyard.contract.features import Fill
from tiltyard.contract.step import FeatureStep
from tiltyard.errors import InvalidInput, UnconvertibleModel
from tiltyard.runtime import documents
from tiltyard.runtime.bundle import PARITY
from tiltyard.runtime.model import ServedModel
from tiltyard.training.bundle import build_bundle
from tiltyard.training.convert import convert
from tiltyard.training.frames import json_rows

COLUMNS = ["wind", "stops", "weekend", "dest"]


@pytest.fixture(scope="module")
def whole(held_out) -> pd.DataFrame:
    """Held-out rows of columns that are never missing."""
    assert held_out[COLUMNS].notna().all().all()
    return held_out[COLUMNS]


def boosted(text=None) -> object:
    columns = ColumnTransformer(
        [("n", "passthrough", ["wind", "stops", "weekend"]), ("t", text or one_hot(), ["dest"])]
    )
    return fit(columns, HistGradientBoostingClassifier(max_iter=8, random_state=0), columns=COLUMNS)


ENCODERS = {
    "one hot": one_hot,
    "ordinal": lambda: OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    "target": TargetEncoder,
    "imputed": lambda: make_pipeline(SimpleImputer(strategy="most_frequent"), one_hot()),
}


@pytest.mark.parametrize("text", ENCODERS)
def test_parity_is_proved_on_rows_without_the_named_columns(text, whole, target):
    model = boosted(ENCODERS[text]())

    bundle = build_bundle(model, data=whole, target=target, nullable=COLUMNS)

    kept = documents.read_parity(bundle.files[PARITY]).rows
    assert all(column.is_nullable for column in bundle.signature.columns)
    for name in COLUMNS:
        assert any(r[name] is None and all(r[o] is not None for o in COLUMNS if o != name) for r in kept)
    assert any(all(row[name] is None for name in COLUMNS) for row in kept)
    gaps = whole.astype({"stops": float, "weekend": object, "dest": object})
    gaps[:50] = np.nan
    gaps.loc[50:90, "dest"] = np.nan
    answers = ServedModel.open(bundle.files).predict(json_rows(gaps, types(bundle)))
    np.testing.assert_allclose(answers.scores, model.predict_proba(gaps), atol=1e-6)


def types(bundle):
    return {column.name: column.type for column in bundle.signature.inputs}


def test_codes_that_are_numbers_may_be_missing(whole, target):
    names = ["wind", "stops"]
    columns = [ColumnTransformer([("t", one_hot(), ["stops"])], remainder="passthrough") for _ in range(2)]
    boosting = {"max_iter": 8, "random_state": 0}
    frame = flights()[names].astype(float)
    frame.loc[::9, "stops"] = np.nan
    saw_gaps = make_pipeline(columns[0], HistGradientBoostingClassifier(**boosting))
    saw_gaps.fit(frame[:TRAINED], late(flights())[:TRAINED])
    saw_none = fit(columns[1], HistGradientBoostingClassifier(**boosting), columns=names)

    for model, nullable in ((saw_gaps, []), (saw_none, ["stops"])):
        bundle = build_bundle(model, data=whole[names], target=target, nullable=nullable)

        rows = [{"wind": 1.0, "stops": value} for value in (None, 3, 77, -1)]
        answers = ServedModel.open(bundle.files).predict(rows).scores
        wanted = model.predict_proba(pd.DataFrame(rows, columns=names).astype(float))
        np.testing.assert_allclose(answers, wanted, atol=1e-6)
        assert bundle.signature.column("stops").is_nullable


def test_columns_that_are_not_named_stay_required(whole, target):
    bundle = build_bundle(boosted(), data=whole, target=target, nullable=["wind"])

    assert [c.name for c in bundle.signature.columns if c.is_nullable] == ["wind"]


def test_missing_text_gets_a_sentinel_only_where_it_may_be_missing(whole):
    without = convert(boosted(), whole)
    with_gaps = convert(boosted(), whole, nullable=frozenset({"dest"}))

    assert not any(isinstance(operation, Fill) for operation in without.features.operations)
    assert Fill("dest", "__missing__") in with_gaps.features.operations


def test_gaps_pass_through_a_feature_step(whole, held_out, target):
    frame = flights()[[*COLUMNS, "departed"]]
    step = FeatureStep(datetime_parts={"departed": ["hour"]}, lump={"dest": 3}, missing_indicators=["wind"])
    columns = ColumnTransformer(
        [("t", one_hot(), ["dest"])], remainder=SimpleImputer(strategy="median", keep_empty_features=True)
    )
    model = make_pipeline(step, columns, LogisticRegression(max_iter=300))
    model.fit(frame[:TRAINED], late(flights())[:TRAINED])

    bundle = build_bundle(
        model, data=held_out[frame.columns], target=target, nullable=["dest", "wind", "departed"]
    )

    kept = documents.read_parity(bundle.files[PARITY]).rows
    assert {c.name for c in bundle.signature.columns if c.is_nullable} >= {"dest", "wind", "departed"}
    assert all(any(row[name] is None for row in kept) for name in ("dest", "wind", "departed"))


def test_gaps_in_a_ready_graph(held_out):
    imputed = {"imputed_value_floats": [0.0, 1.0], "replaced_value_float": float("nan")}
    nodes = [
        helper.make_node("Imputer", ["x"], ["y"], "i", domain="ai.onnx.ml", **imputed),
        helper.make_node("MatMul", ["y", "w"], ["v"]),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("v", TensorProto.FLOAT, [None, 1])],
        [numpy_helper.from_array(np.array([[0.5], [2.0]], dtype=np.float32), "w")],
    )
    imports = [helper.make_opsetid("", 15), helper.make_opsetid("ai.onnx.ml", 3)]
    content = helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()
    data = held_out[["wind", "stops"]]
    served = build_bundle(content, data=data, target=held_out["wind"], nullable=["stops"])

    answer = ServedModel.open(served.files).predict([{"wind": 2.0, "stops": None}])

    assert answer.values == [3.0]
    graph.node.remove(graph.node[0])
    graph.node[0].input[0] = "x"
    content = helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()
    with pytest.raises(InvalidInput, match="names 'stops', and the model can't answer a row in which"):
        build_bundle(content, data=data, target=held_out["wind"], nullable=["stops"])


def test_role_columns_may_be_missing_too(whole, held_out, target):
    data = whole.assign(passenger=held_out["passenger"])

    bundle = build_bundle(boosted(), data=data, target=target, subject="passenger", nullable=["passenger"])

    assert bundle.signature.column("passenger").is_nullable


@pytest.mark.parametrize("model", [LogisticRegression(max_iter=300), LinearRegression()])
def test_a_model_that_takes_no_gaps_is_refused_with_the_line_that_mends_it(model, whole):
    numbers = whole[["wind", "stops"]]
    model.fit(numbers, whole["weekend"].astype(int))

    with pytest.raises(InvalidInput, match=r"nullable= names 'wind'.*SimpleImputer\(strategy='median'\)"):
        build_bundle(model, data=numbers, target=whole["weekend"].astype(int), nullable=["wind"])


def test_a_step_that_takes_no_gaps_is_refused(whole, target):
    model = fit(PolynomialFeatures(2), LogisticRegression(max_iter=300), columns=["wind", "stops"])

    with pytest.raises(InvalidInput, match="nullable= names 'stops'") as refused:
        build_bundle(model, data=whole[["wind", "stops"]], target=target, nullable=["stops"])

    assert refused.value.faults[0].pointer == "/nullable/stops"
    assert "NaN" in refused.value.faults[0].detail


def test_a_forest_without_an_imputer_is_refused(whole, rows, target):
    alone = fit(RandomForestClassifier(4, random_state=0), columns=["wind", "stops"])
    saw_gaps = fit(RandomForestClassifier(4, random_state=0), columns=["wind", "distance"])
    imputed = fit(by_column(), RandomForestClassifier(4, random_state=0))

    with pytest.raises(UnconvertibleModel, match="put an imputer before it"):
        build_bundle(alone, data=whole[["wind", "stops"]], target=target, nullable=["wind"])
    with pytest.raises(UnconvertibleModel, match="put an imputer before it"):
        convert(saw_gaps, rows[["wind", "distance"]].dropna(), nullable=frozenset({"distance"}))
    assert (
        build_bundle(imputed, data=rows, target=target, nullable=["wind"])
        .signature.column("wind")
        .is_nullable
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent", r"no column 'absent', which nullable= names; its columns are wind, stops"),
        ("passenger", "neither the model nor a role reads"),
    ],
)
def test_names_that_are_no_column_of_the_model_are_refused(name, message, whole, held_out, target):
    data = whole.assign(passenger=held_out["passenger"])

    with pytest.raises(InvalidInput, match=message):
        build_bundle(boosted(), data=data, target=target, nullable=[name])
