"""Small ONNX graphs and bundles, built by hand: no framework needed to test what serves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tiltyard.contract.features import FeatureSpec
from tiltyard.contract.signature import Column, Signature
from tiltyard.runtime.bundle import MODEL, PARITY, PROFILE, REFERENCE, SIGNATURE, Bundle, canonical
from tiltyard.runtime.guard import reserialise
from tiltyard.runtime.reference import bare


def logistic(weights: Sequence[float], bias: float = 0.0) -> bytes:
    """P(class 1) = sigmoid(x·w + b) over the ``numbers`` input."""
    w = np.array(weights, dtype=np.float32).reshape(-1, 1)
    nodes = [
        helper.make_node("MatMul", ["numbers", "w"], ["xw"]),
        helper.make_node("Add", ["xw", "b"], ["margin"]),
        helper.make_node("Sigmoid", ["margin"], ["p1"]),
        helper.make_node("Sub", ["one", "p1"], ["p0"]),
        helper.make_node("Concat", ["p0", "p1"], ["probabilities"], axis=1),
    ]
    constants = {"w": w, "b": np.array([bias], dtype=np.float32), "one": np.array([1.0], dtype=np.float32)}
    return graph(nodes, constants, {"numbers": len(weights)}, {"probabilities": 2})


def linear(weights: Sequence[float], bias: float = 0.0) -> bytes:
    """value = x·w + b over the ``numbers`` input."""
    w = np.array(weights, dtype=np.float32).reshape(-1, 1)
    nodes = [
        helper.make_node("MatMul", ["numbers", "w"], ["xw"]),
        helper.make_node("Add", ["xw", "b"], ["value"]),
    ]
    constants = {"w": w, "b": np.array([bias], dtype=np.float32)}
    return graph(nodes, constants, {"numbers": len(weights)}, {"value": 1})


def graph(
    nodes: Sequence[Any],
    constants: Mapping[str, np.ndarray],
    inputs: Mapping[str, int],
    outputs: Mapping[str, int],
) -> bytes:
    made = helper.make_graph(
        list(nodes),
        "tiltyard",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, k]) for n, k in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, k]) for n, k in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    return reserialise(model.SerializeToString())


def signature_of(columns: Sequence[Column], **parts: Any) -> Signature:
    """A binary signature whose graph takes its number and text inputs as they are."""
    spec = FeatureSpec(
        tuple(c.name for c in columns if c.is_input and c.type in ("number", "integer")),
        tuple(c.name for c in columns if c.is_input and c.type == "string"),
    )
    defaults: dict[str, Any] = {"task": "binary", "classes": ("no", "yes"), "threshold": 0.5}
    return Signature(**{**defaults, "columns": tuple(columns), "features": spec, **parts})


def two_numbers(*, subject: bool = False) -> Signature:
    """Columns ``a`` (0 to 10, may be null) and ``b``, and a subject if asked for."""
    columns = [
        Column("a", "number", is_nullable=True, minimum=0.0, maximum=10.0),
        Column("b", "number"),
    ]
    if subject:
        columns.append(Column("person", "string", role="subject", is_input=False, is_nullable=True))
    return signature_of(columns)


def bundle_of(
    model: bytes,
    signature: Signature,
    *,
    rows: Sequence[Mapping[str, Any]],
    expected: Sequence[Sequence[float]],
) -> Bundle:
    """A bundle with a parity table and the smallest profile."""
    parity = {
        "format": 1,
        "rule": {"atol": 1e-4, "max_row_share": 1e-3, "max_label_share": 1e-4},
        "rows": list(rows),
        "expected": [list(row) for row in expected],
    }
    parts = {
        MODEL: model,
        SIGNATURE: canonical(signature.to_json()),
        PROFILE: canonical({"format": 1, "rows": len(rows), "columns": {}, "score": {}, "target": {}}),
        REFERENCE: canonical(bare(list(rows)[:50])),
        PARITY: canonical(parity),
    }
    return Bundle.seal(parts, about={"task": signature.task})


def profiled_bundle(weights: tuple[float, float] = (0.5, -0.25)) -> Bundle:
    """`logistic_bundle` with a profile that windows are counted by."""
    bundle = logistic_bundle(weights)
    a = {
        "kind": "number",
        "edges": [0.0, 2.5, 5.0, 10.0],
        "counts": [1500, 1000, 2500],
        "means": [1.0, 4.0, 8.0],
    }
    b = {"kind": "number", "edges": [0.0, 2.5, 4.9], "counts": [2500, 2500], "means": [1.2, 3.7]}
    none = {"missing": 0, "below": 0, "above": 0}
    profile = {
        "columns": {"a": {**a, **none}, "b": {**b, **none}},
        "score": {
            "edges": [0.0, 0.25, 0.5, 0.75, 1.0],
            "counts": [[0, 450, 550, 100], [0, 300, 700, 2900]],  # as the model answers these rows
        },
    }
    parts = {name: bundle.files[name] for name in (MODEL, SIGNATURE, REFERENCE, PARITY)}
    parts[PROFILE] = canonical({"format": 1, "rows": 5000, "target": {}, **profile})
    return Bundle.seal(parts, about={"task": "binary"})


def logistic_bundle(weights: tuple[float, float] = (0.5, -0.25), *, subject: bool = False) -> Bundle:
    """A whole bundle over `two_numbers`, different for different weights."""
    rows = [{"a": float(i % 11), "b": i / 10} for i in range(50)]
    margin = np.array([[r["a"], r["b"]] for r in rows]) @ np.array(weights)
    p = 1 / (1 + np.exp(-margin))
    return bundle_of(
        logistic(weights),
        two_numbers(subject=subject),
        rows=rows,
        expected=np.column_stack([1 - p, p]).tolist(),
    )
