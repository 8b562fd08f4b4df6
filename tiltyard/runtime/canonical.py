"""The one canonical form of an ONNX graph, and the way into one: size, container, protobuf."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tiltyard.errors import Fault, UnsafeModel

if TYPE_CHECKING:
    from onnx.onnx_ml_pb2 import AttributeProto, ModelProto, TensorProto

MOST_BYTES = 64 * 1024 * 1024
"""The largest ONNX file that is looked at."""


def reserialise(content: bytes) -> bytes:
    """The graph's canonical bytes: the same graph gives the same bytes, whoever converted it and when.

    Names of producer and graph are fixed; versions, metadata, documentation,
    device notes, operator sets that no node uses and fields unknown to this ONNX
    are dropped; operator sets and attributes are sorted by name. Canonical bytes are a fixed point.

    Raises
    ------
    UnsafeModel
        If `content` is no ONNX file.
    """
    check_container(content)
    model = parse(content)
    if not all(isinstance(name, str) for name in names(model)):
        raise refused([Fault("/model.onnx/parse", "holds a name that is not UTF-8")])
    _canonicalise(model)
    canonical: bytes = model.SerializeToString(deterministic=True)
    return canonical


def names(model: ModelProto) -> Iterator[object]:
    """Every name that means something in the graph. What isn't UTF-8 comes as bytes from protobuf."""
    graph = model.graph
    yield from (imported.domain for imported in model.opset_import)
    for values in (graph.input, graph.output, graph.initializer, graph.value_info):
        yield from (value.name for value in values)
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain)
        yield from node.input
        yield from node.output
        yield from (attribute.name for attribute in node.attribute)


def check_container(content: bytes, *, most_bytes: int = MOST_BYTES) -> None:
    """Refuse by size and container, before anything is parsed."""
    if len(content) > most_bytes:
        raise refused(
            [Fault("/model.onnx/bytes", f"has {len(content):,} bytes, at most {most_bytes:,} are allowed")]
        )
    if content[4:8] == b"ORTM":
        detail = "is in ORT format, which isn't inspected; hand in the .onnx file"
        raise refused([Fault("/model.onnx/ort_format", detail)])


def parse(content: bytes) -> ModelProto:
    """Parse an ONNX file; what isn't one raises `UnsafeModel`."""
    # Imported late, and this one module only: the service's zip holds no other part of onnx.
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from onnx import onnx_ml_pb2

    try:
        model: ModelProto = onnx_ml_pb2.ModelProto.FromString(content)
    except DecodeError as exc:
        raise refused([Fault("/model.onnx/parse", "is no ONNX file, or a damaged one")]) from exc
    if not model.HasField("graph"):
        raise refused([Fault("/model.onnx/parse", "holds no graph")])
    return model


def refused(faults: Sequence[Fault]) -> UnsafeModel:
    """The guard's refusal, with a fault for each reason."""
    return UnsafeModel("The ONNX graph is refused by the guard.", faults=faults)


def _canonicalise(model: ModelProto) -> None:
    graph = model.graph
    model.DiscardUnknownFields()
    model.producer_name = "tiltyard"
    graph.name = "model"
    _clear(
        model, "producer_version", "domain", "model_version", "doc_string", "metadata_props", "configuration"
    )
    _clear(graph, "doc_string", "metadata_props")
    used = {node.domain for node in graph.node}
    opsets = sorted({(o.domain, o.version) for o in model.opset_import if o.domain in used})
    model.ClearField("opset_import")
    for domain, version in opsets:
        model.opset_import.add(domain=domain, version=version)
    for values in (graph.input, graph.output, graph.value_info, graph.initializer):
        for value in values:
            _clear(value, "doc_string", "metadata_props")
    for node in graph.node:
        _clear(node, "doc_string", "metadata_props", "device_configurations")
        node.attribute.sort(key=lambda a: a.name)
        for attribute in node.attribute:
            _clear(attribute, "doc_string")
            for tensor in _tensors(attribute):
                _clear(tensor, "doc_string", "metadata_props")


def _tensors(attribute: AttributeProto) -> Iterable[TensorProto]:
    if attribute.HasField("t"):
        yield attribute.t
    yield from attribute.tensors


def _clear(message: Any, *fields: str) -> None:
    """Clear the fields that this version of ONNX knows; older ones lack some of them."""
    for name in fields:
        if name in message.DESCRIPTOR.fields_by_name:
            message.ClearField(name)
