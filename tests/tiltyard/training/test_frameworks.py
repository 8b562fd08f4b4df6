"""ONNX graphs as other frameworks export them, with a contract given by hand."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from catboost import CatBoostClassifier
from onnx import TensorProto, helper, numpy_helper
from pipelines import TRAINED, flights, late

from tiltyard.contract.signature import Signature
from tiltyard.errors import InvalidInput, InvalidRows, UnconvertibleModel
from tiltyard.runtime import documents
from tiltyard.runtime.bundle import MANIFEST
from tiltyard.runtime.guard import inspect
from tiltyard.runtime.model import ServedModel
from tiltyard.training.bundle import build_bundle
from tiltyard.training.by_hand import read_contract

RNG = np.random.default_rng(0)
HIDDEN = RNG.normal(size=(3, 4)).astype(np.float32) * 0.2
LAST = RNG.normal(size=(4, 3)).astype(np.float32)
COLUMNS = ["wind", "stops", "weekend"]
TYPES = {"wind": "number", "stops": "integer", "weekend": "boolean", "dest": "string"}
DESTS = list("ABCDEFGH")


def contract(*columns: str, task: str = "multiclass", **more: object) -> dict[str, object]:
    described = [{"name": name, "type": TYPES[name]} for name in columns or COLUMNS]
    classes = {"multiclass": ["early", "fine", "late"], "binary": ["fine", "late"], "regression": []}[task]
    return {"task": task, "classes": classes, "columns": described, **more}


def tensor(name: str, shape, kind: int = TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def export(nodes, inputs, outputs, weights=None, imports=(("", 15), ("ai.onnx.ml", 3))) -> bytes:
    initializers = [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()]
    graph = helper.make_graph(nodes, "main_graph", inputs, outputs, initializers)
    opsets = [helper.make_opsetid(domain, v) for domain, v in imports]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="pytorch")
    return model.SerializeToString()


def network(
    classes: int = 3, *, ending: str | None = None, x: str = "x", y: str = "y", kind=TensorProto.FLOAT
) -> bytes:
    """Two layers over one matrix, as torch.onnx.export names things; logits unless it has an ending."""
    dtype = np.float64 if kind == TensorProto.DOUBLE else np.float32
    nodes = [
        helper.make_node("MatMul", [x, "fc1.weight"], ["/fc1"]),
        helper.make_node("Relu", ["/fc1"], ["/relu"]),
        helper.make_node("MatMul", ["/relu", "fc2.weight"], [y if ending is None else "/fc2"]),
    ]
    if ending:
        nodes.append(helper.make_node(ending, ["/fc2"], [y], **({"axis": 1} if ending == "Softmax" else {})))
    weights = {"fc1.weight": HIDDEN.astype(dtype), "fc2.weight": LAST[:, :classes].astype(dtype)}
    return export(nodes, [tensor(x, ["rows", 3], kind)], [tensor(y, ["rows", classes], kind)], weights)


def logits(frame: pd.DataFrame, classes: int = 3) -> np.ndarray:
    made = np.maximum(frame[COLUMNS].to_numpy(np.float32) @ HIDDEN, 0)
    return np.asarray(made @ LAST[:, :classes], dtype=np.float64)


def softmax(values: np.ndarray) -> np.ndarray:
    raised = np.exp(values - values.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def sigmoid(values: np.ndarray) -> np.ndarray:
    p = 1 / (1 + np.exp(-values[:, :1]))
    return np.concatenate([1 - p, p], axis=1)


def served(bundle, frame: pd.DataFrame):
    columns = [c.name for c in bundle.signature.inputs]
    documents.check(bundle.files)
    inspect(bundle.files["model.onnx"])
    return ServedModel.open(bundle.files).predict(json.loads(frame[columns].to_json(orient="records")))


@pytest.fixture(scope="module")
def outcome(held_out) -> pd.Series:
    """Three classes by position, none of the last."""
    return pd.Series((held_out["wind"] > 0).astype(int), name="delay")


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.DOUBLE])
def test_logits_of_many_classes_become_probabilities(kind, held_out, outcome):
    bundle = build_bundle(
        network(kind=kind), data=held_out[COLUMNS], target=outcome, contract=contract(), output="logits"
    )

    answers = served(bundle, held_out)
    np.testing.assert_allclose(answers.scores, softmax(logits(held_out)), atol=1e-5)
    assert set(answers.values) <= {"early", "fine", "late"}
    assert bundle.manifest["framework"]["estimator"] == "pytorch"
    assert bundle.manifest["task"] == "multiclass"
    assert bundle.manifest["parity"]["edge_rows"] > 0
    assert bundle.manifest["parity"]["max_abs_diff"] < 1e-5


def test_probabilities_are_left_as_they_are(held_out, outcome):
    bundle = build_bundle(
        network(ending="Softmax"), data=held_out[COLUMNS], target=outcome, contract=contract()
    )

    np.testing.assert_allclose(served(bundle, held_out).scores, softmax(logits(held_out)), atol=1e-5)


@pytest.mark.parametrize("shape", [["rows", 1], ["rows"]], ids=["matrix", "vector"])
@pytest.mark.parametrize("ending", [None, "Sigmoid"])
def test_one_column_is_the_positive_class(ending, shape, held_out, target):
    nodes = [helper.make_node("MatMul", ["x", "w"], ["z"]), helper.make_node("Relu", ["z"], ["h"])]
    out = "m" if ending is None else "p"
    nodes.append(helper.make_node("MatMul", ["h", "v"], ["m"]))
    if ending:
        nodes.append(helper.make_node(ending, ["m"], ["p"]))
    if len(shape) == 1:
        nodes.append(helper.make_node("Reshape", [out, "flat"], ["y"]))
        out = "y"
    weights = {"w": HIDDEN, "v": LAST[:, :1], "flat": np.array([-1], dtype=np.int64)}
    content = export(nodes, [tensor("x", ["rows", 3])], [tensor(out, shape)], weights)
    by_hand = contract(task="binary", threshold=0.3)

    bundle = build_bundle(
        content, data=held_out[COLUMNS], target=target, contract=by_hand,
        output="probabilities" if ending else "logits",
    )  # fmt: skip

    answers = served(bundle, held_out)
    wanted = sigmoid(logits(held_out, 1))
    np.testing.assert_allclose(answers.scores, wanted, atol=1e-5)
    assert bundle.signature.threshold == 0.3
    assert answers.values == ["late" if p >= 0.3 else "fine" for p in answers.scores[:, 1].tolist()]


def by_column(*, rank: int = 2, order=("dest", "stops", "wind")) -> bytes:
    """An input a column, as Keras exports: text, whole numbers and floats apart."""
    shape = ["rows", 1] if rank == 2 else ["rows"]
    kinds = {"dest": TensorProto.STRING, "stops": TensorProto.INT64, "wind": TensorProto.FLOAT}
    nodes = [
        helper.make_node(
            "LabelEncoder", ["dest"], ["code"], domain="ai.onnx.ml", keys_strings=DESTS,
            values_floats=[float(i) for i in range(8)], default_float=-1.0,
        ),
        helper.make_node("Cast", ["stops"], ["whole"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["wind", "half"], ["blown"]),
        helper.make_node("Add", ["code", "whole"], ["sum"]),
        helper.make_node("Add", ["sum", "blown"], ["value"]),
    ]  # fmt: skip
    inputs = [tensor(name, shape, kinds[name]) for name in order]
    weights = {"half": np.array([0.5], dtype=np.float32)}
    return export(nodes, inputs, [tensor("value", shape)], weights)


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("order", [("dest", "stops", "wind"), ("wind", "dest", "stops")])
def test_an_input_a_column_is_found_by_name(rank, order, held_out):
    frame = held_out[["stops", "wind", "dest"]]
    by_hand = contract("stops", "wind", "dest", task="regression", target="minutes")

    bundle = build_bundle(
        by_column(rank=rank, order=order), data=frame, target=frame["wind"], contract=by_hand
    )

    codes = frame["dest"].map({name: i for i, name in enumerate(DESTS)})
    wanted = codes + frame["stops"] + frame["wind"] / 2
    np.testing.assert_allclose(served(bundle, frame).values, wanted, atol=1e-4)
    seen = inspect(bundle.files["model.onnx"])
    assert [(t.name, t.shape) for t in seen.inputs] == [("numbers", (None, 2)), ("strings", (None, 1))]
    assert bundle.signature.target == "minutes"


def test_an_input_a_column_needs_no_contract(held_out):
    frame = held_out[["wind", "stops", "dest"]]

    bundle = build_bundle(by_column(), data=frame, target=held_out["wind"])

    assert bundle.signature.task == "regression"
    assert bundle.signature.column("dest").categories == tuple(DESTS)


def test_blocks_take_the_columns_in_order(held_out):
    nodes = [
        helper.make_node("Cast", ["codes"], ["c"], to=TensorProto.FLOAT),
        helper.make_node("Concat", ["dense", "c"], ["all"], axis=1),
        helper.make_node("MatMul", ["all", "w"], ["numbers"]),
    ]
    inputs = [tensor("dense", [None, 2]), tensor("codes", [None, 1], TensorProto.INT64)]
    weights = {"w": np.array([[1.0], [10.0], [100.0]], dtype=np.float32)}
    content = export(nodes, inputs, [tensor("numbers", [None, 1])], weights)
    features = {
        "format": 1, "numbers": ["wind", "weekend", "stops"], "strings": [],
        "operations": [{"kind": "boolean", "column": "weekend"}],
    }  # fmt: skip
    by_hand = contract(task="regression", features=features)

    bundle = build_bundle(content, data=held_out[COLUMNS], target=held_out["wind"], contract=by_hand)

    wanted = held_out["wind"] + 10 * held_out["weekend"] + 100 * held_out["stops"]
    np.testing.assert_allclose(served(bundle, held_out).values, wanted, rtol=1e-5)


def test_names_that_are_ours_make_room(held_out, outcome):
    content = network(ending="Softmax", x="probabilities", y="numbers")

    bundle = build_bundle(content, data=held_out[COLUMNS], target=outcome, contract=contract())

    np.testing.assert_allclose(served(bundle, held_out).scores, softmax(logits(held_out)), atol=1e-5)


def test_catboosts_own_file_is_a_ready_graph(held_out, target, tmp_path):
    frame = flights()[["distance", "wind", "stops"]].astype(np.float32)
    model = CatBoostClassifier(iterations=8, depth=3, verbose=0, allow_writing_files=False, thread_count=1)
    model.fit(frame[:TRAINED], late(flights())[:TRAINED])
    model.save_model(str(tmp_path / "model.onnx"), format="onnx")

    bundle = build_bundle(
        tmp_path / "model.onnx", data=frame[TRAINED:], target=target, classes={0: "fine", 1: "late"}
    )

    assert bundle.signature.classes == ("fine", "late")
    np.testing.assert_allclose(
        served(bundle, frame[TRAINED:]).scores, model.predict_proba(frame[TRAINED:]), atol=1e-6
    )


def test_classes_that_the_rows_lack_are_named_in_order(held_out, outcome):
    with pytest.raises(UnconvertibleModel, match=r"name all classes in the order of its output, classes="):
        build_bundle(network(), data=held_out[COLUMNS], target=outcome, output="logits")

    bundle = build_bundle(
        network(), data=held_out[COLUMNS], target=outcome, classes=["early", "fine", "late"], output="logits"
    )

    profile = json.loads(bundle.files["profile.json"])
    assert bundle.signature.classes == ("early", "fine", "late")
    assert profile["target"]["counts"] == [int((outcome == 0).sum()), int((outcome == 1).sum()), 0]


def test_names_of_the_classes_are_labels_too(held_out, outcome):
    named = outcome.map({0: "early", 1: "fine"})
    options = {"data": held_out[COLUMNS], "contract": contract(), "output": "logits"}

    by_name = build_bundle(network(), target=named, **options)

    by_number = build_bundle(network(), target=outcome, **options)
    assert {**by_name.files, MANIFEST: b""} == {**by_number.files, MANIFEST: b""}


def test_contract_is_a_signature_a_document_or_a_path(held_out, outcome, tmp_path):
    path = tmp_path / "contract.json"
    path.write_text(json.dumps(contract()), encoding="utf-8")
    signature = read_contract(path)

    bundles = [
        build_bundle(network(), data=held_out[COLUMNS], target=outcome, contract=given, output="logits")
        for given in (contract(), path, str(path), signature, signature.to_json())
    ]

    assert {b.digest for b in bundles} == {bundles[0].digest}
    assert bundles[0].signature == signature == Signature.from_json(signature.to_json())


def test_contract_says_what_rows_may_hold(held_out, outcome):
    by_hand = contract()
    by_hand["columns"][0].update(range=[-1000, 1000], personal=True)
    by_hand["columns"][1].update(role="calendar")
    by_hand["columns"].append({"name": "passenger", "type": "string", "role": "subject", "nullable": True})

    bundle = build_bundle(network(), data=held_out, target=outcome, contract=by_hand, output="logits")

    model = ServedModel.open(bundle.files)
    assert bundle.signature.subject == "passenger"
    assert not bundle.signature.column("passenger").is_input
    assert model.predict([{"wind": 999.0, "stops": 1, "weekend": True}]).warnings == {}
    assert model.predict([{"wind": 1001.0, "stops": 1, "weekend": True}]).warnings != {}
    with pytest.raises(InvalidRows):
        model.predict([{"wind": None, "stops": 1, "weekend": True}])
    kept = documents.read_parity(bundle.files["parity.json"]).rows
    assert not {row["wind"] for row in kept} & set(held_out["wind"])


def test_rows_that_break_the_contract_are_refused_with_their_place(held_out, outcome):
    data = held_out[COLUMNS].copy()
    data.loc[7, "wind"] = np.nan

    with pytest.raises(InvalidRows) as refused:
        build_bundle(network(), data=data, target=outcome, contract=contract(), output="logits")

    assert refused.value.faults[0].pointer == "/rows/7/wind"


def test_gaps_that_the_contract_allows_must_be_answered(held_out, outcome):
    by_hand = contract()
    by_hand["columns"][0]["nullable"] = True

    with pytest.raises(InvalidInput, match="names 'wind', and the model can't answer a row in which"):
        build_bundle(network(), data=held_out[COLUMNS], target=outcome, contract=by_hand, output="logits")


def named(value: object) -> str:
    """An id that is the same in every process."""
    return getattr(value, "__name__", None) or str(value)


def fixed_batch() -> bytes:
    return export(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [tensor("x", [1, 3])],
        [tensor("y", [1, 1])],
        {"w": HIDDEN[:, :1]},
    )


def cube() -> bytes:
    return export(
        [helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=0)],
        [tensor("x", [None, 3, 2])],
        [tensor("y", [None])],
        {"axes": np.array([1, 2], dtype=np.int64)},
    )


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (network, {}, "no probabilities of 3 classes; if they are logits say output='logits'"),
        (
            network,
            {"output": "logits", "contract": contract(task="binary")},
            "'y' has 3 columns; a binary model",
        ),
        (
            network,
            {"output": "logits", "contract": contract(task="regression")},
            "a regression has no logits",
        ),
        (network, {"contract": contract(task="regression")}, "if it is a classifier, say task= and classes="),
        (
            fixed_batch,
            {"contract": contract(task="regression")},
            r"takes exactly 1 rows: export it with a free",
        ),
        (cube, {"contract": contract(task="regression")}, "'x' has 3 dimensions"),
        (network, {"contract": contract("wind", "stops")}, r"'x' has shape \[None, 3\] and `data` has 2"),
    ],
    ids=named,
)
def test_graphs_that_do_not_fit_are_refused_with_what_to_do(content, options, message, held_out, outcome):
    with pytest.raises(UnconvertibleModel, match=message):
        build_bundle(content(), data=held_out[COLUMNS], target=outcome, **{"contract": contract(), **options})


def test_whole_number_inputs_take_no_gaps(held_out):
    by_hand = contract("stops", "wind", "dest", task="regression")
    by_hand["columns"][0]["nullable"] = True

    with pytest.raises(UnconvertibleModel, match="'stops' takes whole numbers, among which none is missing"):
        build_bundle(
            by_column(), data=held_out[["stops", "wind", "dest"]], target=held_out["wind"], contract=by_hand
        )


@pytest.mark.parametrize(
    ("given", "pointer", "detail"),
    [
        ({"columns": []}, "/contract/columns", "must be a list of objects"),
        ({"colums": []}, "/contract/colums", "is no part of a contract; its parts are classes, columns"),
        ({"columns": [{"name": "a", "type": "float"}]}, "/contract/columns/0/type", "must be one of number"),
        (
            {"columns": [{"name": "a", "kind": "number"}]},
            "/contract/columns/0/kind",
            "is no part of a contract",
        ),
        (
            {"columns": [{"name": "a", "type": "number", "role": ["subject"]}]},
            "/contract/columns/0/role",
            "must be one of feature",
        ),
        ({"classes": ["a"]}, "/contract/classes", "a multiclass model has at least 2 classes"),
        ({"threshold": 0.5}, "/contract/threshold", "a binary model has a threshold"),
        ({"task": "ranking"}, "/contract/task", "must be one of binary"),
    ],
    ids=str,
)
def test_a_wrong_contract_is_refused_with_the_place(given, pointer, detail):
    with pytest.raises(InvalidInput, match="The contract is invalid") as refused:
        read_contract({**contract(), **given})

    assert refused.value.faults[0].pointer == pointer
    assert detail in refused.value.faults[0].detail


def test_a_contract_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "contract.json").write_text("{", encoding="utf-8")

    with pytest.raises(InvalidInput, match="is no JSON"):
        read_contract(tmp_path / "contract.json")
    with pytest.raises(InvalidInput, match="can't be read: No such file"):
        read_contract(tmp_path / "absent.json")


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda f: f.drop(columns="stops"), {}, "no column 'stops', which the contract names"),
        (lambda f: f.assign(stops="many"), {}, "says that 'stops' is integer, and `data` holds string"),
        (lambda f: f, {"threshold": 0.4}, "put threshold into it and leave threshold= out"),
        (lambda f: f, {"sensitive": ["wind"]}, "put sensitive into it"),
        (lambda f: f, {"task": "binary"}, "The contract is of a multiclass model, not binary"),
        (lambda f: f, {"output": "margins"}, "must be 'probabilities' or 'logits'"),
    ],
    ids=named,
)
def test_rows_and_options_that_do_not_fit_the_contract_are_refused(
    change, options, message, held_out, outcome
):
    with pytest.raises(InvalidInput, match=message):
        build_bundle(
            network(),
            data=change(held_out[COLUMNS]),
            target=outcome,
            **{"contract": contract(), "output": "logits", **options},
        )
