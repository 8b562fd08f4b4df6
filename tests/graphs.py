"""Small ONNX graphs, honest and hostile, and bundles around them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from onnx import AttributeProto, ModelProto, TensorProto, helper, numpy_helper

from tiltyard.contract.features import FeatureSpec
from tiltyard.contract.signature import Column, Signature
from tiltyard.runtime.bundle import MODEL, PARITY, PROFILE, REFERENCE, SIGNATURE, Bundle, canonical
from tiltyard.runtime.guard import reserialise
from tiltyard.runtime.parity import ParityRule
from tiltyard.runtime.reference import bare

WEIGHTS = np.array([[0.5], [-0.25]], dtype=np.float32)
ROWS: list[dict[str, Any]] = [{"a": float(i), "b": float(i % 7)} for i in range(20)]


def model_of(
    nodes: list[Any], *, initializers: list[Any] = (), inputs: Any = None, outputs: Any = None, **more: Any
) -> ModelProto:
    """A graph from ``numbers`` float32 (n, 2) to ``value`` float32 (n, 1), unless told otherwise."""
    graph = helper.make_graph(
        nodes,
        "graph",
        inputs or [helper.make_tensor_value_info("numbers", TensorProto.FLOAT, [None, 2])],
        outputs or [helper.make_tensor_value_info("value", TensorProto.FLOAT, [None, 1])],
        list(initializers),
    )
    imports = more.pop("imports", [("", 15), ("ai.onnx.ml", 3)])
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid(d, v) for d, v in imports], ir_version=8, **more
    )


def linear() -> ModelProto:
    """value = numbers @ WEIGHTS"""
    return model_of(
        [helper.make_node("MatMul", ["numbers", "w"], ["value"])],
        initializers=[numpy_helper.from_array(WEIGHTS, "w")],
    )


def linear_answers(rows: list[dict[str, Any]] = ROWS) -> list[list[float]]:
    numbers = np.array([[row["a"], row["b"]] for row in rows])
    return (numbers @ WEIGHTS.astype(np.float64)).tolist()


def signature_of(task: str = "regression") -> Signature:
    return Signature(
        task=task,  # type: ignore[arg-type]
        columns=(Column("a", "number"), Column("b", "number")),
        features=FeatureSpec(numbers=("a", "b")),
        classes=() if task == "regression" else ("no", "yes"),
        threshold=0.5 if task == "binary" else None,
    )


def profile() -> dict[str, Any]:
    column = {
        "kind": "number",
        "edges": [0, 10, 20],
        "counts": [10, 10],
        "missing": 0,
        "below": 0,
        "above": 0,
    }
    return {"format": 1, "rows": 20, "columns": {"a": column, "b": column}, "score": {}}


def parity_document(
    rows: list[dict[str, Any]] = ROWS, expected: list[list[float]] | None = None, **rule: float
) -> dict[str, Any]:
    return {
        "format": 1,
        "rule": {**ParityRule().to_json(), **rule},
        "rows": rows,
        "expected": linear_answers(rows) if expected is None else expected,
    }


def bundle_of(
    graph: bytes | None = None,
    *,
    signature: Signature | None = None,
    parity: Mapping[str, Any] | None = None,
    parts: Mapping[str, bytes] | None = None,
) -> dict[str, bytes]:
    """A bundle's files; by default an honest one around `linear`."""
    signature = signature or signature_of()
    files = {
        MODEL: reserialise(linear().SerializeToString()) if graph is None else graph,
        SIGNATURE: canonical(signature.to_json()),
        PROFILE: canonical(profile()),
        REFERENCE: canonical(bare(ROWS[:1])),
        PARITY: canonical(parity or parity_document()),
        **(parts or {}),
    }
    return dict(Bundle.seal(files, about={"task": signature.task}).files)


SECRET = np.arange(128, dtype=np.float32).reshape(2, 64)
"""What somebody would like to read from a file; ONNX Runtime refuses external data of a few bytes."""


def external_data(location: str = "secret.bin") -> bytes:
    """Tells the largest number in each row of a file beside wherever the process stands."""
    model = model_of(
        [
            helper.make_node("MatMul", ["numbers", "w"], ["h"]),
            helper.make_node("ReduceMax", ["h"], ["value"], axes=[1], keepdims=1),
        ],
        initializers=[TensorProto(name="w", data_type=TensorProto.FLOAT, dims=SECRET.shape)],
    )
    weights = model.graph.initializer[0]
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=location)
    return model.SerializeToString()


def external_data_in_an_attribute() -> bytes:
    tensor = TensorProto(
        name="w", data_type=TensorProto.FLOAT, dims=[2, 1], data_location=TensorProto.EXTERNAL
    )
    tensor.external_data.add(key="location", value="secret.bin")
    return model_of(
        [
            helper.make_node("Constant", [], ["w"], value=tensor),
            helper.make_node("MatMul", ["numbers", "w"], ["value"]),
        ]
    ).SerializeToString()


def endless_loop() -> bytes:
    body = helper.make_graph(
        [helper.make_node("Identity", ["cond"], ["go"]), helper.make_node("Add", ["x", "x"], ["y"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("cond", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
        ],
    )
    return model_of(
        [
            helper.make_node("Loop", ["trips", "yes", "numbers"], ["looped"], body=body),
            helper.make_node("MatMul", ["looped", "w"], ["value"]),
        ],
        initializers=[
            numpy_helper.from_array(np.array(2**62, dtype=np.int64), "trips"),
            numpy_helper.from_array(np.array(True), "yes"),
            numpy_helper.from_array(WEIGHTS, "w"),
        ],
    ).SerializeToString()


def nested_functions(depth: int = 25) -> bytes:
    """`depth` functions, each calling the one before it twice: 2**depth nodes once they are inlined."""
    opsets = [helper.make_opsetid("", 15), helper.make_opsetid("local", 1)]
    functions = []
    for level in range(depth):
        domain, callee = ("local", f"f{level - 1}") if level else ("", "Neg")
        nodes = [
            helper.make_node(callee, ["x"], ["h"], domain=domain),
            helper.make_node(callee, ["h"], ["y"], domain=domain),
        ]
        functions.append(helper.make_function("local", f"f{level}", ["x"], ["y"], nodes, opsets))
    return model_of(
        [
            helper.make_node(f"f{depth - 1}", ["numbers"], ["h"], domain="local"),
            helper.make_node("MatMul", ["h", "w"], ["value"]),
        ],
        initializers=[numpy_helper.from_array(WEIGHTS, "w")],
        imports=[("", 15), ("local", 1)],
        functions=functions,
    ).SerializeToString()


def ort_format() -> bytes:
    """The first bytes of ONNX Runtime's own flatbuffer format, with its mark at byte 4."""
    return b"\x1c\x00\x00\x00ORTM" + bytes(200)


def foreign_domain(domain: str = "com.microsoft") -> bytes:
    return model_of(
        [
            helper.make_node("Gelu", ["numbers"], ["h"], domain=domain),
            helper.make_node("MatMul", ["h", "w"], ["value"]),
        ],
        initializers=[numpy_helper.from_array(WEIGHTS, "w")],
        imports=[("", 15), (domain, 1)],
    ).SerializeToString()


def giant_initialiser() -> bytes:
    """Declares 4 TiB and holds four bytes."""
    model = linear()
    model.graph.initializer[0].dims[:] = [2**40, 1]
    return model.SerializeToString()


def constant_of_giant_shape() -> bytes:
    return _sized("ConstantOfShape", [numpy_helper.from_array(np.array([2**38], dtype=np.int64), "size")])


def tile_of_giant_repeats() -> bytes:
    return _sized("Tile", [numpy_helper.from_array(np.array([2**30, 2**8], dtype=np.int64), "size")])


def size_from_a_row() -> bytes:
    """A tensor as large as the row's own value says."""
    return model_of(
        [
            helper.make_node("Cast", ["numbers"], ["whole"], to=TensorProto.INT64),
            helper.make_node("Reshape", ["whole", "flat"], ["size"]),
            helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
            helper.make_node("ReduceSum", ["zeros"], ["total"], keepdims=1),
            helper.make_node("MatMul", ["numbers", "w"], ["h"]),
            helper.make_node("Add", ["h", "total"], ["value"]),
        ],
        initializers=[
            numpy_helper.from_array(np.array([-1], dtype=np.int64), "flat"),
            numpy_helper.from_array(WEIGHTS, "w"),
        ],
    ).SerializeToString()


def _sized(operator: str, initializers: list[TensorProto]) -> bytes:
    inputs = ["numbers", "size"] if operator == "Tile" else ["size"]
    return model_of(
        [
            helper.make_node(operator, inputs, ["large"]),
            helper.make_node("ReduceSum", ["large"], ["total"], keepdims=0),
            helper.make_node("MatMul", ["numbers", "w"], ["h"]),
            helper.make_node("Add", ["h", "total"], ["value"]),
        ],
        initializers=[*initializers, numpy_helper.from_array(WEIGHTS, "w")],
    ).SerializeToString()


def sparse_initialiser() -> bytes:
    model = linear()
    values = helper.make_tensor("s", TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [3]))
    return model.SerializeToString()


def random_numbers() -> bytes:
    return model_of(
        [
            helper.make_node("RandomNormalLike", ["numbers"], ["noise"]),
            helper.make_node("MatMul", ["noise", "w"], ["value"]),
        ],
        initializers=[numpy_helper.from_array(WEIGHTS, "w")],
    ).SerializeToString()


def training_information() -> bytes:
    model = linear()
    model.training_info.add().algorithm.name = "again"
    return model.SerializeToString()


def attribute_of_two_types() -> bytes:
    """Says it is an integer, and carries a tensor in another file."""
    model = linear()
    attribute = model.graph.node[0].attribute.add(name="odd", type=AttributeProto.INT, i=1)
    attribute.t.data_location = TensorProto.EXTERNAL
    attribute.t.external_data.add(key="location", value="secret.bin")
    return model.SerializeToString()


def trees_without_number(nodes: int) -> bytes:
    return model_of(
        [
            helper.make_node(
                "TreeEnsembleRegressor",
                ["numbers"],
                ["value"],
                domain="ai.onnx.ml",
                nodes_treeids=[0] * nodes,
            )
        ]
    ).SerializeToString()


def nodes_without_number(nodes: int) -> bytes:
    names = ["numbers", *(f"h{i}" for i in range(nodes))]
    chain = [helper.make_node("Neg", [a], [b]) for a, b in itertools.pairwise(names)]
    return model_of([*chain, helper.make_node("Neg", [names[-1]], ["value"])]).SerializeToString()


def redefined_name() -> bytes:
    """`size` is a small constant by its first definition, and a row's value by its second."""
    model = ModelProto.FromString(size_from_a_row())
    model.graph.initializer.append(numpy_helper.from_array(np.array([1], dtype=np.int64), "size"))
    return model.SerializeToString()


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "external data": (external_data, "external_data"),
    "external data in /proc": (lambda: external_data("../../../proc/self/environ"), "external_data"),
    "external data in an attribute": (external_data_in_an_attribute, "external_data"),
    "an attribute of two types": (attribute_of_two_types, "external_data"),
    "endless loop": (endless_loop, "operator"),
    "nested functions": (nested_functions, "functions"),
    "ORT format": (ort_format, "ort_format"),
    "contrib domain": (foreign_domain, "domain"),
    "unknown domain": (lambda: foreign_domain("evil.example"), "domain"),
    "giant initialiser": (giant_initialiser, "tensor_size"),
    "ConstantOfShape of 1 TiB": (constant_of_giant_shape, "dynamic_size"),
    "Tile by 2**38": (tile_of_giant_repeats, "dynamic_size"),
    "a size from a row": (size_from_a_row, "dynamic_size"),
    "a name defined twice": (redefined_name, "names"),
    "sparse initialiser": (sparse_initialiser, "sparse_tensor"),
    "random numbers": (random_numbers, "operator"),
    "training information": (training_information, "training_info"),
    "too many nodes": (lambda: nodes_without_number(5_001), "nodes"),
    "truncated": (lambda: linear().SerializeToString()[:-7], "parse"),
    "no graph": (lambda: b"", "parse"),
    "noise": (lambda: np.random.default_rng(3).bytes(5_000), "parse"),
}
"""Hostile graphs by name: how to make one, and the rule that refuses it."""
