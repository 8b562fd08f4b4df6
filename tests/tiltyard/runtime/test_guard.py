"""The guard: honest graphs pass, hostile ones are refused by the rule that is meant for them."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from graphs import HOSTILE, linear, model_of, trees_without_number
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tiltyard.errors import UnsafeModel
from tiltyard.runtime.guard import DEFAULT, GraphTensor, inspect, reserialise
from tiltyard.runtime.operators import OPERATORS


def rules_of(refusal: UnsafeModel) -> set[str]:
    return {fault.pointer.removeprefix("/model.onnx/") for fault in refusal.faults}


def test_summary_tells_inputs_outputs_and_counts():
    summary = inspect(linear().SerializeToString())

    assert summary.inputs == (GraphTensor("numbers", "float32", (None, 2)),)
    assert summary.outputs == (GraphTensor("value", "float32", (None, 1)),)
    assert summary.operators == {"MatMul"}
    assert (summary.nodes, summary.tree_nodes, summary.declared_bytes) == (1, 0, 8)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_graph_is_refused_by_its_rule(name):
    make, rule = HOSTILE[name]
    content = make()
    start = time.monotonic()

    with pytest.raises(UnsafeModel) as refusal:
        inspect(content)

    assert rule in rules_of(refusal.value)
    assert time.monotonic() - start < 2


@pytest.mark.parametrize(
    ("limit", "make", "rule"),
    [
        ({"bytes": 50}, lambda: linear().SerializeToString(), "bytes"),
        ({"tree_nodes": 9}, lambda: trees_without_number(10), "tree_nodes"),
        ({"declared_bytes": 7}, lambda: linear().SerializeToString(), "declared_bytes"),
        ({"tensors": 0}, lambda: linear().SerializeToString(), "tensors"),
        ({"attributes": 0}, lambda: trees_without_number(10), "nodes"),
        ({"name_length": 3}, lambda: linear().SerializeToString(), "names"),
    ],
)
def test_each_cap_holds(limit, make, rule):
    with pytest.raises(UnsafeModel) as refusal:
        inspect(make(), replace(DEFAULT, **limit))

    assert rules_of(refusal.value) == {rule}


def test_every_reason_is_told_at_once_and_names_are_cut_short():
    long = "Evil" * 100
    model = model_of(
        [helper.make_node(long, ["numbers"], ["h"]), helper.make_node("Range", ["x"], ["value"])]
    )

    with pytest.raises(UnsafeModel) as refusal:
        inspect(model.SerializeToString())

    assert rules_of(refusal.value) == {"operator", "names"}
    assert all(len(fault.detail) < 300 for fault in refusal.value.faults)


def test_size_taken_from_a_shape_passes():
    model = model_of(
        [
            helper.make_node("Shape", ["numbers"], ["shape"]),
            helper.make_node("Gather", ["shape", "first"], ["rows"]),
            helper.make_node("Concat", ["rows", "one"], ["size"], axis=0),
            helper.make_node("ConstantOfShape", ["size"], ["value"]),
        ],
        initializers=[
            numpy_helper.from_array(np.array([0], dtype=np.int64), "first"),
            numpy_helper.from_array(np.array([1], dtype=np.int64), "one"),
        ],
    )

    assert inspect(model.SerializeToString()).nodes == 4


@pytest.mark.parametrize("huge", [2**40, -(2**62)])
def test_shape_joined_with_a_huge_constant_is_no_shape(huge):
    model = model_of(
        [
            helper.make_node("Shape", ["numbers"], ["shape"]),
            helper.make_node("Concat", ["shape", "huge"], ["size"], axis=0),
            helper.make_node("Expand", ["numbers", "size"], ["value"]),
        ],
        initializers=[numpy_helper.from_array(np.array([huge], dtype=np.int64), "huge")],
    )

    with pytest.raises(UnsafeModel, match="neither a constant nor taken from a Shape"):
        inspect(model.SerializeToString())


def test_initialiser_that_is_an_input_too_is_no_constant():
    model = model_of(
        [helper.make_node("Expand", ["numbers", "size"], ["value"])],
        initializers=[numpy_helper.from_array(np.array([1], dtype=np.int64), "size")],
        inputs=[
            helper.make_tensor_value_info("numbers", TensorProto.FLOAT, [None, 2]),
            helper.make_tensor_value_info("size", TensorProto.INT64, [1]),
        ],
    )

    with pytest.raises(UnsafeModel, match="defined twice"):
        inspect(model.SerializeToString())


def test_same_attribute_twice_is_refused():
    model = linear()
    for value in (1, 2):
        model.graph.node[0].attribute.append(helper.make_attribute("axis", value))

    with pytest.raises(UnsafeModel, match="the same attribute twice"):
        inspect(model.SerializeToString())


def test_raw_and_unpacked_values_at_once_are_refused():
    model = linear()
    model.graph.initializer[0].float_data.extend([1.0, 2.0])

    with pytest.raises(UnsafeModel, match="fields that don't fit its type"):
        inspect(model.SerializeToString())


def test_one_domain_in_two_versions_is_refused():
    model = model_of([helper.make_node("Neg", ["numbers"], ["value"])], imports=[("", 15), ("", 13)])

    with pytest.raises(UnsafeModel, match="more than one version"):
        inspect(model.SerializeToString())


def test_canonical_form_forgets_who_and_when_and_in_what_order():
    one, other = linear(), linear()
    other.producer_name, other.producer_version, other.model_version = "CatBoost", "1.2", 7
    other.doc_string = other.graph.doc_string = other.graph.node[0].doc_string = "by Jane"
    other.graph.name = "a-random-id"
    other.metadata_props.add(key="train_finish_time", value="noon")
    imports = list(reversed(other.opset_import))
    del other.opset_import[:]
    other.opset_import.extend([*imports, *imports])

    canonical = reserialise(one.SerializeToString())

    assert reserialise(other.SerializeToString()) == canonical
    assert reserialise(canonical) == canonical
    assert b"Jane" not in canonical
    assert inspect(canonical).nodes == 1


def test_canonical_form_drops_fields_that_it_does_not_know():
    content = linear().SerializeToString()
    unknown = content + bytes([0xFA, 0xFF, 0x01, 0x03]) + b"abc"  # field 4095, three bytes

    assert reserialise(unknown) == reserialise(content)
    assert reserialise(unknown) != unknown


def test_canonical_form_sorts_attributes():
    graphs = []
    for names in (("alpha", "beta"), ("beta", "alpha")):
        node = helper.make_node("Gemm", ["numbers", "w"], ["value"])
        node.attribute.extend(helper.make_attribute(name, 1.0) for name in names)
        graphs.append(model_of([node], initializers=[numpy_helper.from_array(np.ones((2, 1), "f4"), "w")]))

    assert len({reserialise(graph.SerializeToString()) for graph in graphs}) == 1


HONEST = linear().SerializeToString()


def read(content: bytes) -> UnsafeModel | None:
    """The guard's refusal, if it refuses; anything else that is raised is a fault of the guard."""
    try:
        inspect(content)
        reserialise(content)
    except UnsafeModel as refusal:
        return refusal
    return None


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=300))
def test_random_bytes_are_refused_with_a_reason(content):
    refusal = read(content)

    assert refusal is not None
    assert refusal.faults


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.integers(0, len(HONEST) - 1), st.integers(0, 255), st.booleans())
def test_damaged_graphs_are_refused_with_a_reason_or_can_be_read(where, byte, cut):
    damaged = HONEST[:where] + (b"" if cut else bytes([byte]) + HONEST[where + 1 :])

    refusal = read(damaged)

    assert refusal is None or refusal.faults


def test_name_that_is_not_text_is_refused():
    content = HONEST.replace(b"MatMul", b"Mat\xfful")

    refusal = read(content)

    assert refusal is not None
    assert rules_of(refusal) == {"parse"}
    with pytest.raises(UnsafeModel, match="not UTF-8"):
        reserialise(content)


def test_guard_needs_one_generated_module_of_onnx(tmp_path: Path):
    """The service's zip holds `onnx_ml_pb2` beside an empty `__init__`, and nothing else of onnx."""
    import onnx.onnx_ml_pb2

    package = tmp_path / "onnx"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "onnx_ml_pb2.py").write_bytes(Path(onnx.onnx_ml_pb2.__file__).read_bytes())
    graph = tmp_path / "graph.onnx"
    graph.write_bytes(HONEST)
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from tiltyard.runtime.guard import inspect, reserialise\n"
        f"content = open({str(graph)!r}, 'rb').read()\n"
        "assert inspect(reserialise(content)).nodes == 1\n"
        "print(sorted(m for m in sys.modules if m.startswith('onnx')))"
    )

    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert said.strip() == "['onnx', 'onnx.onnx_ml_pb2']"


def test_allow_list_holds_nothing_that_loops_or_draws_or_reads():
    allowed = set().union(*OPERATORS.values())

    assert set(OPERATORS) == {"", "ai.onnx.ml"}
    assert allowed.isdisjoint(
        {"Loop", "Scan", "If", "SequenceMap", "Range", "RegexFullMatch", "ImageDecoder"}
    )
    assert not [name for name in allowed if name.startswith(("Random", "Sequence", "Optional"))]


def test_allow_list_names_operators_that_exist():
    from onnx import defs

    known = {(schema.domain, schema.name) for schema in defs.get_all_schemas_with_history()}

    assert {(domain, name) for domain, names in OPERATORS.items() for name in names} <= known


def test_parsed_message_is_the_one_that_is_inspected():
    """A second graph field in the file is merged by protobuf; the canonical form shows what it became."""
    doubled = HONEST + HONEST

    with pytest.raises(UnsafeModel, match="defined twice"):
        inspect(doubled)
    assert len(ModelProto.FromString(reserialise(doubled)).graph.node) == 2
