"""ONNX graphs of boosted trees, from the tables of nodes that an oracle wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from onnx import TensorProto, helper

from tiltyard.contract.features import FeatureSpec
from tiltyard.contract.signature import Column, Signature
from tiltyard.runtime.guard import reserialise
from tiltyard.runtime.model import ServedModel, open_session


def served_trees(case: Mapping[str, Any]) -> ServedModel:
    """The case's model, columns ``x0``, ``x1``, … that may all be missing."""
    names = [f"x{j}" for j in range(len(case["rows"][0]))]
    is_binary = case["task"] == "binary"
    signature = Signature(
        task=case["task"],
        columns=tuple(Column(name, "number", is_nullable=True) for name in names),
        features=FeatureSpec(tuple(names)),
        classes=("no", "yes") if is_binary else (),
        threshold=0.5 if is_binary else None,
    )
    content = boosted_trees(case["trees"], case["baseline"], columns=len(names), is_binary=is_binary)
    return ServedModel(signature, open_session(content))


def boosted_trees(
    trees: Sequence[Mapping[str, Sequence[Any]]], baseline: float, *, columns: int, is_binary: bool
) -> bytes:
    """The sum of the trees' leaves and the baseline: a value, or a margin's two probabilities."""
    kind = "class" if is_binary else "target"
    attributes: dict[str, list[Any]] = {
        **{f"nodes_{name}": [] for name in ("treeids", "nodeids", "featureids", "values", "modes")},
        **{f"nodes_{name}": [] for name in ("truenodeids", "falsenodeids", "missing_value_tracks_true")},
        **{f"{kind}_{name}": [] for name in ("treeids", "nodeids", "ids", "weights")},
    }
    for i, tree in enumerate(trees):
        for j, is_leaf in enumerate(tree["leaf"]):
            node = {
                "treeids": i,
                "nodeids": j,
                "featureids": 0 if is_leaf else tree["feature"][j],
                "values": 0.0 if is_leaf else tree["threshold"][j],
                "modes": "LEAF" if is_leaf else "BRANCH_LEQ",
                "truenodeids": 0 if is_leaf else tree["left"][j],
                "falsenodeids": 0 if is_leaf else tree["right"][j],
                "missing_value_tracks_true": int(not is_leaf and tree["missing_left"][j]),
            }
            for name, value in node.items():
                attributes[f"nodes_{name}"].append(value)
            if is_leaf:
                leaf = {"treeids": i, "nodeids": j, "ids": 0, "weights": tree["value"][j]}
                for name, value in leaf.items():
                    attributes[f"{kind}_{name}"].append(value)
    if is_binary:
        ensemble = helper.make_node(
            "TreeEnsembleClassifier",
            ["numbers"],
            ["label", "probabilities"],
            domain="ai.onnx.ml",
            classlabels_int64s=[0, 1],
            base_values=[baseline],
            post_transform="LOGISTIC",
            **attributes,
        )
    else:
        ensemble = helper.make_node(
            "TreeEnsembleRegressor",
            ["numbers"],
            ["value"],
            domain="ai.onnx.ml",
            n_targets=1,
            base_values=[baseline],
            **attributes,
        )
    output, width = ("probabilities", 2) if is_binary else ("value", 1)
    graph = helper.make_graph(
        [ensemble],
        "trees",
        [helper.make_tensor_value_info("numbers", TensorProto.FLOAT, [None, columns])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [None, width])],
    )
    imports = [helper.make_opsetid("", 15), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=8)
    return reserialise(model.SerializeToString())
