"""Where does a tensor's size come from? Followed through a graph in node order.

An operator such as ConstantOfShape makes a tensor as large as another tensor's
*value* says, so a row could ask for all the memory there is. The guard lets it
through only when the size is a small constant, or a Shape (or parts of Shapes
and small constants joined), which then is bounded by the batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tiltyard.runtime.operators import SHAPE_KEEPING, SIZED
from tiltyard.runtime.tensors import small_integers

if TYPE_CHECKING:
    from onnx.onnx_ml_pb2 import NodeProto, TensorProto


@dataclass(slots=True)
class Sizes:
    """Names that hold a known integer constant, and names that hold (a part of) a Shape.

    `most_elements` is what a constant may ask for, `rank` the longest constant
    that is a size.
    """

    most_elements: int
    rank: int
    constants: dict[str, tuple[int, ...]] = field(default_factory=dict)
    shapes: set[str] = field(default_factory=set)

    def remember(self, name: str, tensor: TensorProto) -> None:
        """Keep the value of an initialiser, if it can be a size."""
        values = small_integers(tensor, most=self.rank)
        if values is not None:
            self.constants[name] = values

    def follow(self, node: NodeProto) -> None:
        """Learn which outputs of a node of the standard domain are constants or Shapes."""
        if not node.output:
            return
        output = node.output[0]
        if node.op_type == "Shape":
            self.shapes.add(output)
        elif node.op_type == "Constant":
            self._constant(node, output)
        elif node.op_type == "Concat":
            if all(self._is_bounded(name) for name in node.input):
                self.shapes.add(output)
        elif node.op_type in SHAPE_KEEPING and self._picks_from_shape(node):
            self.shapes.add(output)

    def complaint(self, node: NodeProto) -> str | None:
        """What is wrong with the size that this node takes, if it takes one."""
        index = SIZED.get(node.op_type)
        if index is None:
            return None
        name = node.input[index] if len(node.input) > index else ""
        if name in self.shapes:
            return None
        values = self.constants.get(name)
        if values is None:
            return f"the size of {node.op_type} is neither a constant nor taken from a Shape"
        if not self._is_small(values):
            return (
                f"{node.op_type} asks for the size {list(values)}, "
                f"at most {self.most_elements:,} elements are allowed"
            )
        return None

    def _constant(self, node: NodeProto, output: str) -> None:
        for attribute in node.attribute:
            if attribute.name == "value" and attribute.HasField("t"):
                self.remember(output, attribute.t)
            elif attribute.name == "value_ints" and len(attribute.ints) <= self.rank:
                self.constants[output] = tuple(attribute.ints)
            elif attribute.name == "value_int":
                self.constants[output] = (attribute.i,)

    def _picks_from_shape(self, node: NodeProto) -> bool:
        """The first input is a Shape; the others (indices, axes, starts) are constants."""
        first, *others = node.input or [""]
        return first in self.shapes and all(name in self.constants for name in others if name)

    def _is_bounded(self, name: str) -> bool:
        return name in self.shapes or (name in self.constants and self._is_small(self.constants[name]))

    def _is_small(self, values: tuple[int, ...]) -> bool:
        # -1 stands for "whatever fits" in Reshape and Expand, and is refused by the others.
        return all(v >= -1 for v in values) and abs(math.prod(values)) <= self.most_elements
