"""What an ONNX file must be before it comes near ONNX Runtime.

ONNX Runtime trusts its models: it opens the external data that they name,
loops as long as they say, and inlines their functions without end. So a file is
read here first, with nothing but the generated protobuf module. The rules, in
their order:

1. at most `Limits.bytes`, before anything is parsed;
2. no ORT-format file, which holds no protobuf and would pass every rule below;
3. it parses, and holds no functions, training information, subgraphs, sparse
   tensors, external data (initialisers and attributes) or quantisation notes;
4. its operators are allowed (`tiltyard.runtime.operators`), in two domains;
5. a tensor's size is a small constant or comes from a Shape, never from a value;
6. its counts of nodes and tree nodes and the bytes that it declares are capped,
   and each tensor holds exactly the elements that it declares;
7. each name is defined once and before it is used, so that what is a constant
   here is a constant in the runtime too.

`reserialise` gives a graph its one canonical form. Bytes that equal their own
canonical form leave no room for two parsers to read them differently.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tiltyard.errors import Fault
from tiltyard.runtime.canonical import MOST_BYTES, check_container, names, parse, refused, reserialise
from tiltyard.runtime.operators import ONNX, OPERATORS, TREE_ENSEMBLES
from tiltyard.runtime.sizes import Sizes
from tiltyard.runtime.tensors import STRING_BYTES, TYPES, elements_held

if TYPE_CHECKING:
    from onnx.onnx_ml_pb2 import (
        AttributeProto,
        GraphProto,
        ModelProto,
        NodeProto,
        TensorProto,
        ValueInfoProto,
    )

__all__ = ["DEFAULT", "GraphSummary", "GraphTensor", "Limits", "inspect", "reserialise"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps on one graph.

    `bytes` is the file's size; `declared_bytes` what its tensors and attributes
    fill once they are unpacked; `sized_elements` the elements (Tile: the
    repetitions) that a constant size may ask for.
    """

    bytes: int = MOST_BYTES
    nodes: int = 5_000
    attributes: int = 100_000
    tree_nodes: int = 4_000_000
    tensors: int = 20_000
    declared_bytes: int = 512 * 2**20
    sized_elements: int = 100_000
    rank: int = 8
    name_length: int = 512


DEFAULT = Limits()


@dataclass(frozen=True, slots=True)
class GraphTensor:
    """An input or output; a dimension that varies (the rows) is None."""

    name: str
    element_type: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class GraphSummary:
    """What the guard saw of a graph that it accepts."""

    inputs: tuple[GraphTensor, ...]
    outputs: tuple[GraphTensor, ...]
    operators: frozenset[str]
    nodes: int
    tree_nodes: int
    declared_bytes: int


# AttributeProto.AttributeType → the field that holds its value. Graphs, sparse
# tensors and types are left out: no attribute of theirs is allowed.
_ATTRIBUTE_FIELDS = {1: "f", 2: "i", 3: "s", 4: "t", 6: "floats", 7: "ints", 8: "strings", 9: "tensors"}
_FORBIDDEN_FIELDS = {
    "g": "subgraph",
    "graphs": "subgraph",
    "sparse_tensor": "sparse_tensor",
    "sparse_tensors": "sparse_tensor",
    "tp": "attribute",
    "type_protos": "attribute",
    "ref_attr_name": "functions",
}
_FAULTS = 20


def inspect(content: bytes, limits: Limits = DEFAULT) -> GraphSummary:
    """Read an ONNX file by the rules above.

    Raises
    ------
    UnsafeModel
        With a fault for each reason; a fault's pointer ends in the rule's name
        (``/model.onnx/operator``).
    """
    check_container(content, most_bytes=limits.bytes)
    return _Inspection(limits).model(parse(content))


def _shown(text: str) -> str:
    """Text out of an untrusted file, fit for a message: short and ASCII."""
    return ascii(text if len(text) <= 60 else f"{text[:57]}...")


@dataclass(slots=True)
class _Inspection:
    """One reading of one graph: faults and totals as they add up."""

    limits: Limits
    faults: dict[Fault, None] = field(default_factory=dict)
    declared_bytes: int = 0
    tree_nodes: int = 0
    sizes: Sizes = field(init=False)

    def __post_init__(self) -> None:
        self.sizes = Sizes(most_elements=self.limits.sized_elements, rank=self.limits.rank)

    def fault(self, rule: str, detail: str) -> None:
        if len(self.faults) < _FAULTS:
            self.faults[Fault(f"/model.onnx/{rule}", detail)] = None

    def settle(self) -> None:
        if self.faults:
            raise refused(tuple(self.faults))

    def model(self, model: ModelProto) -> GraphSummary:
        graph = model.graph
        self._structure(model)
        # Everything below walks the graph, so its counts are settled first.
        self.settle()
        self._texts(model)
        self.settle()
        self._domains(model)
        for tensor in graph.initializer:
            self._tensor(tensor, f"initialiser {_shown(tensor.name)}")
            self.sizes.remember(tensor.name, tensor)
        for node in graph.node:
            self._node(node)
        self._definitions(graph)
        inputs = tuple(self._value(v, "input") for v in graph.input)
        outputs = tuple(self._value(v, "output") for v in graph.output)
        if self.tree_nodes > self.limits.tree_nodes:
            self.fault(
                "tree_nodes",
                f"has {self.tree_nodes:,} tree nodes, at most {self.limits.tree_nodes:,} are allowed",
            )
        if self.declared_bytes > self.limits.declared_bytes:
            self.fault(
                "declared_bytes",
                f"declares {self.declared_bytes:,} bytes of tensors and attributes, "
                f"at most {self.limits.declared_bytes:,} are allowed",
            )
        self.settle()
        return GraphSummary(
            inputs=inputs,
            outputs=outputs,
            operators=frozenset(f"{n.domain}:{n.op_type}" if n.domain else n.op_type for n in graph.node),
            nodes=len(graph.node),
            tree_nodes=self.tree_nodes,
            declared_bytes=self.declared_bytes,
        )

    def _structure(self, model: ModelProto) -> None:
        graph = model.graph
        if model.functions:
            self.fault("functions", f"defines {len(model.functions):,} functions of its own; inline them")
        if model.training_info:
            self.fault("training_info", "holds training information; export it for inference")
        if graph.sparse_initializer:
            self.fault("sparse_tensor", "holds sparse initialisers; make them dense")
        if graph.quantization_annotation:
            self.fault("quantization", "holds quantisation annotations")
        for what, count, most in (
            ("nodes", len(graph.node), self.limits.nodes),
            ("operator sets", len(model.opset_import), 100),
            ("tensors", len(graph.initializer), self.limits.tensors),
            ("tensors", len(graph.value_info), self.limits.tensors),
            ("tensors", len(graph.input) + len(graph.output), self.limits.tensors),
        ):
            if count > most:
                self.fault(what.replace(" ", "_"), f"has {count:,} {what}, at most {most:,} are allowed")
        if len(graph.node) <= self.limits.nodes:
            attributes = sum(len(node.attribute) for node in graph.node)
            if attributes > self.limits.attributes:
                self.fault(
                    "nodes", f"has {attributes:,} attributes, at most {self.limits.attributes:,} are allowed"
                )

    def _texts(self, model: ModelProto) -> None:
        for name in names(model):
            if not isinstance(name, str):
                self.fault("parse", "holds a name that is not UTF-8")
            elif len(name) > self.limits.name_length:
                self.fault(
                    "names", f"the name {_shown(name)} is longer than {self.limits.name_length} characters"
                )

    def _domains(self, model: ModelProto) -> None:
        # skl2onnx writes the same import twice; two versions of one domain are another matter.
        imports = {(o.domain, o.version) for o in model.opset_import}
        domains = {domain for domain, _ in imports}
        for domain in sorted(domains):
            if domain not in OPERATORS:
                self.fault("domain", f"imports the operator domain {_shown(domain)}, which is not allowed")
        if len(domains) != len(imports):
            self.fault("domain", "imports an operator domain in more than one version")

    def _node(self, node: NodeProto) -> None:
        allowed = OPERATORS.get(node.domain)
        label = f"node {_shown(node.name or node.op_type)}"
        if allowed is None:
            self.fault("domain", f"uses the operator domain {_shown(node.domain)}, which is not allowed")
        elif node.op_type not in allowed:
            where = f" of {node.domain}" if node.domain else ""
            self.fault("operator", f"uses the operator {_shown(node.op_type)}{where}, which is not allowed")
        if len({attribute.name for attribute in node.attribute}) != len(node.attribute):
            self.fault("attribute", f"{label} has the same attribute twice")
        for attribute in node.attribute:
            self._attribute(attribute, label)
        if node.op_type in TREE_ENSEMBLES:
            self.tree_nodes += _tree_nodes(node)
        if node.domain == ONNX:
            self.sizes.follow(node)
            complaint = self.sizes.complaint(node)
            if complaint:
                self.fault("dynamic_size", f"{label}: {complaint}")

    def _attribute(self, attribute: AttributeProto, label: str) -> None:
        where = f"attribute {_shown(attribute.name)} of {label}"
        wanted = _ATTRIBUTE_FIELDS.get(attribute.type)
        for name in (present.name for present, _ in attribute.ListFields()):
            if name in _FORBIDDEN_FIELDS:
                self.fault(_FORBIDDEN_FIELDS[name], f"{where} holds a {name}, which is not allowed")
            elif name not in ("name", "type", "doc_string", wanted):
                self.fault("attribute", f"{where} holds a value of another type than it says")
        if wanted is None:
            self.fault("attribute", f"{where} has a type that is not allowed")
        # Whatever the attribute says it is, the runtime might read any of these.
        if attribute.HasField("t"):
            self._tensor(attribute.t, where)
        for tensor in attribute.tensors[:1000]:
            self._tensor(tensor, where)
        if len(attribute.tensors) > 1000:
            self.fault("tensors", f"{where} holds more than 1,000 tensors")
        self.declared_bytes += (
            4 * len(attribute.floats) + 8 * len(attribute.ints) + STRING_BYTES * len(attribute.strings)
        )
        if attribute.strings or attribute.s:
            self.declared_bytes += attribute.ByteSize()

    def _tensor(self, tensor: TensorProto, where: str) -> None:
        # 1 is EXTERNAL: the file that external_data names, read relative to wherever the process stands.
        if tensor.external_data or tensor.data_location == 1:
            self.fault("external_data", f"{where} keeps its values in another file; embed them")
            return
        kind = TYPES.get(tensor.data_type)
        if kind is None:
            self.fault(
                "element_type", f"{where} has the element type {tensor.data_type}, which is not allowed"
            )
            return
        if tensor.HasField("segment"):
            self.fault("tensor_size", f"{where} is a segment of a tensor")
        if len(tensor.dims) > self.limits.rank:
            self.fault(
                "tensor_size",
                f"{where} has {len(tensor.dims):,} dimensions, at most {self.limits.rank} are allowed",
            )
            return
        if any(d < 0 for d in tensor.dims):
            self.fault("tensor_size", f"{where} has a negative dimension")
            return
        elements = math.prod(tensor.dims)
        held = elements_held(tensor, kind)
        if held != elements:
            found = "values in fields that don't fit its type" if held is None else f"{held:,}"
            self.fault("tensor_size", f"{where} declares {elements:,} elements and holds {found}")
            return
        self.declared_bytes += elements * kind.width
        if kind.name == "string":
            self.declared_bytes += tensor.ByteSize()

    def _definitions(self, graph: GraphProto) -> None:
        defined: set[str] = set()

        def define(name: str, what: str) -> None:
            if name in defined:
                self.fault("names", f"{what} {_shown(name)} is defined twice")
            defined.add(name)

        for value in graph.input:
            define(value.name, "input")
        for tensor in graph.initializer:
            define(tensor.name, "initialiser")
        for node in graph.node:
            for name in node.input:
                if name and name not in defined:
                    self.fault("names", f"{_shown(name)} is used before it is defined")
            for name in node.output:
                if name:
                    define(name, "value")
        for value in graph.output:
            if value.name not in defined:
                self.fault("names", f"the output {_shown(value.name)} is never computed")

    def _value(self, value: ValueInfoProto, what: str) -> GraphTensor:
        label = f"{what} {_shown(value.name)}"
        tensor = value.type.tensor_type
        kind = TYPES.get(tensor.elem_type) if value.type.WhichOneof("value") == "tensor_type" else None
        if kind is None:
            self.fault("element_type", f"{label} is no tensor of an allowed element type")
            return GraphTensor(value.name, "", ())
        if len(tensor.shape.dim) > self.limits.rank:
            self.fault("tensor_size", f"{label} has more than {self.limits.rank} dimensions")
            return GraphTensor(value.name, kind.name, ())
        shape = tuple(d.dim_value if d.WhichOneof("value") == "dim_value" else None for d in tensor.shape.dim)
        return GraphTensor(value.name, kind.name, shape)


def _tree_nodes(node: NodeProto) -> int:
    counts = [0]
    for attribute in node.attribute:
        if attribute.name.startswith(("nodes_", "leaf_")):
            counts.append(
                max(
                    len(attribute.ints),
                    len(attribute.floats),
                    len(attribute.strings),
                    *attribute.t.dims[:1],
                    0,
                )
            )
    return max(counts)
