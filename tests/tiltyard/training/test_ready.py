"""A ready ONNX file is brought to the graph convention and held against itself."""

from __future__ import annotations

import numpy as np
import onnx
import pandas as pd
import pytest
import skl2onnx
from onnx import TensorProto, helper
from pipelines import NUMBERS, TEXTS, TRAINED, flights, late, one_hot
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline

from tiltyard.errors import InvalidInput, UnconvertibleModel, UnsafeModel
from tiltyard.runtime import documents
from tiltyard.runtime.guard import inspect
from tiltyard.training.bundle import build_bundle
from tiltyard.training.convert import convert

COLUMNS = ["wind", "stops", "dest"]
OPSETS = {"": 15, "ai.onnx.ml": 3}


@pytest.fixture(scope="module")
def classifier() -> bytes:
    """Converted by hand: inputs x and t, a label, and probabilities as a list of dictionaries."""
    frame = flights()[:TRAINED]
    model = make_pipeline(
        ColumnTransformer([("n", "passthrough", [0, 1]), ("t", one_hot(), [2])]),
        LogisticRegression(max_iter=300),
    ).fit(frame[COLUMNS].to_numpy(dtype=object), np.where(late(frame) == 1, "late", "on time"))
    inputs = [("x", FloatTensorType([None, 2])), ("t", StringTensorType([None, 1]))]
    return skl2onnx.to_onnx(model, initial_types=inputs, target_opset=OPSETS).SerializeToString()


@pytest.fixture(scope="module")
def words() -> pd.Series:
    labels = late(flights())[TRAINED:].reset_index(drop=True)
    return labels.map({0: "on time", 1: "late"})


def graph(nodes, inputs, outputs, initializers=()) -> bytes:
    made = helper.make_graph(nodes, "hand made", inputs, outputs, initializer=list(initializers))
    return helper.make_model(
        made, opset_imports=[helper.make_opsetid("", 15)], ir_version=8
    ).SerializeToString()


def floats(name: str, shape) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def test_classifier_takes_our_names_and_loses_label_and_dictionary(classifier, held_out, words):
    bundle = build_bundle(classifier, data=held_out[COLUMNS], target=words)

    documents.check(bundle.files)
    seen = inspect(bundle.files["model.onnx"])
    assert [(t.name, t.shape) for t in seen.inputs] == [("numbers", (None, 2)), ("strings", (None, 1))]
    assert [(t.name, t.shape) for t in seen.outputs] == [("probabilities", (None, 2))]
    assert bundle.signature.classes == ("late", "on time")
    assert bundle.signature.task == "binary"
    assert bundle.manifest["framework"]["name"] == "onnx"
    assert bundle.manifest["parity"]["max_abs_diff"] == 0


def test_path_and_bytes_give_the_same_bundle(classifier, held_out, words, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(classifier)

    by_path = build_bundle(path, data=held_out[COLUMNS], target=words)

    assert by_path.digest == build_bundle(classifier, data=held_out[COLUMNS], target=words).digest
    assert build_bundle(str(path), data=held_out[COLUMNS], target=words).digest == by_path.digest


def test_missing_text_and_booleans_are_prepared(held_out):
    model = make_pipeline(
        ColumnTransformer([("n", "passthrough", [0, 1]), ("t", one_hot(), [2])]),
        LogisticRegression(max_iter=300),
    )
    frame = flights()[["wind", "weekend", "carrier"]]
    filled = frame.assign(carrier=frame["carrier"].fillna(""), weekend=frame["weekend"].astype(float))
    model.fit(filled[:TRAINED].to_numpy(dtype=object), late(flights())[:TRAINED])
    inputs = [("x", FloatTensorType([None, 2])), ("t", StringTensorType([None, 1]))]
    content = skl2onnx.to_onnx(model, initial_types=inputs, target_opset=OPSETS).SerializeToString()

    converted = convert(content, frame[TRAINED:])

    wanted = model.predict_proba(filled[TRAINED:].to_numpy(dtype=object))
    np.testing.assert_allclose(converted.answer(frame[TRAINED:]), wanted, atol=1e-6)
    assert [o["kind"] for o in converted.features.to_json()["operations"]] == ["boolean", "fill"]


def test_regression_of_one_dimension_gets_its_column(held_out):
    content = graph(
        [helper.make_node("ReduceSum", ["x", "axis"], ["y"], keepdims=0)],
        [floats("x", [None, 2])],
        [floats("y", [None])],
        [helper.make_tensor("axis", TensorProto.INT64, [1], [1])],
    )
    frame = held_out[["wind", "stops"]]

    bundle = build_bundle(content, data=frame, target=held_out["wind"])

    assert [(t.name, t.shape) for t in inspect(bundle.files["model.onnx"]).outputs] == [("value", (None, 1))]
    assert bundle.signature.task == "regression"


def test_lone_probability_gets_its_complement(held_out, target):
    content = graph(
        [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Sigmoid", ["z"], ["p"])],
        [floats("x", [None, 2])],
        [floats("p", [None, 1])],
        [helper.make_tensor("w", TensorProto.FLOAT, [2, 1], [0.1, -0.2])],
    )
    frame = held_out[["wind", "stops"]]

    bundle = build_bundle(content, data=frame, target=target, task="binary")

    expected = documents.read_parity(bundle.files["parity.json"]).expected
    np.testing.assert_allclose(expected.sum(axis=1), 1, atol=1e-6)
    assert bundle.signature.classes == ("0", "1")


def test_column_with_a_role_is_no_input(classifier, held_out, words):
    frame = held_out[[*COLUMNS, "passenger", "departed"]]

    bundle = build_bundle(classifier, data=frame, target=words, subject="passenger", time="departed")

    assert [c.name for c in bundle.signature.inputs] == COLUMNS


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ([*NUMBERS, "dest"], r"shape \[None, 2\] and `data` has 3 such columns"),
        (["wind", "stops"], r"'t' has shape \[None, 1\] and `data` has 0"),
        ([*COLUMNS, "departed"], "the time column 'departed'"),
    ],
)
def test_columns_that_do_not_fit_are_refused(classifier, held_out, words, columns, message):
    with pytest.raises(UnconvertibleModel, match=message):
        build_bundle(classifier, data=held_out[columns], target=words)


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        ([("a", TensorProto.FLOAT), ("b", TensorProto.FLOAT)], ["y"], r"inputs a \(1\), b \(1\) don't share"),
        ([("a", TensorProto.INT16)], ["y"], "'a' takes int16; inputs must be float, double"),
        ([("a", TensorProto.FLOAT)], ["y", "z"], "has 2 float outputs"),
    ],
)
def test_other_inputs_and_outputs_are_refused(held_out, inputs, outputs, message):
    values = [helper.make_tensor_value_info(name, kind, [None, 1]) for name, kind in inputs]
    nodes = [helper.make_node("Cast", [inputs[0][0]], [o], to=TensorProto.FLOAT) for o in outputs]
    content = graph(nodes, values, [floats(o, [None, 1]) for o in outputs])

    with pytest.raises(UnconvertibleModel, match=message):
        convert(content, held_out[["wind"]], task="regression")


def test_wrong_number_of_classes_is_refused(classifier, held_out):
    with pytest.raises(InvalidInput, match="`target` holds 0, 1, which the model doesn't know"):
        build_bundle(classifier, data=held_out[COLUMNS], target=late(flights())[TRAINED:])


def test_hostile_and_damaged_files_are_refused_before_they_run(held_out):
    loop = graph(
        [helper.make_node("RandomUniformLike", ["x"], ["y"])],
        [floats("x", [None, 1])],
        [floats("y", [None, 1])],
    )
    for content in (b"not onnx", loop, b"\x00" * 8):
        with pytest.raises(UnsafeModel):
            convert(content, held_out[["wind"]], task="regression")


def test_path_that_is_not_there_is_refused(held_out, target, tmp_path):
    with pytest.raises(InvalidInput, match=r"absent\.onnx can't be read"):
        build_bundle(tmp_path / "absent.onnx", data=held_out[["wind"]], target=target)


def test_regression_with_named_task_from_skl2onnx(held_out):
    frame = flights()[["wind", "stops"]]
    model = LinearRegression().fit(frame[:TRAINED].to_numpy(), frame["wind"][:TRAINED] * 2)
    content = skl2onnx.to_onnx(
        model, initial_types=[("in", FloatTensorType([None, 2]))], target_opset=OPSETS
    ).SerializeToString()

    bundle = build_bundle(
        content, data=frame[TRAINED:], target=frame["wind"][TRAINED:] * 2, task="regression"
    )

    assert bundle.manifest["parity"]["max_abs_diff"] == 0
    assert TEXTS[0] not in {c.name for c in bundle.signature.columns}
