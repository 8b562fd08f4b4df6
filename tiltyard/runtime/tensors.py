"""Tensors in an ONNX file: the element types that are allowed, and how many values one really holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx.onnx_ml_pb2 import TensorProto


@dataclass(frozen=True, slots=True)
class ElementType:
    """An allowed TensorProto.DataType: numpy's name, bytes an element, the field of unpacked values."""

    name: str
    width: int
    field: str


# Strings are charged the size of an empty std::string beside their bytes.
STRING_BYTES = 32
TYPES: Mapping[int, ElementType] = {
    1: ElementType("float32", 4, "float_data"),
    2: ElementType("uint8", 1, "int32_data"),
    3: ElementType("int8", 1, "int32_data"),
    5: ElementType("int16", 2, "int32_data"),
    6: ElementType("int32", 4, "int32_data"),
    7: ElementType("int64", 8, "int64_data"),
    8: ElementType("string", STRING_BYTES, "string_data"),
    9: ElementType("bool", 1, "int32_data"),
    11: ElementType("float64", 8, "double_data"),
    12: ElementType("uint32", 4, "uint64_data"),
    13: ElementType("uint64", 8, "uint64_data"),
}
_PAYLOADS = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")


def elements_held(tensor: TensorProto, kind: ElementType) -> int | None:
    """Elements in the one field that may hold them; None when there are values elsewhere too."""
    unpacked = {name: len(getattr(tensor, name)) for name in _PAYLOADS}
    if tensor.HasField("raw_data"):
        if any(unpacked.values()) or kind.name == "string" or len(tensor.raw_data) % kind.width:
            return None
        return len(tensor.raw_data) // kind.width
    held = unpacked.pop(kind.field)
    return None if any(unpacked.values()) else held


def small_integers(tensor: TensorProto, *, most: int) -> tuple[int, ...] | None:
    """The values of an integer scalar or vector of at most `most` elements; None for any other tensor."""
    kind = TYPES.get(tensor.data_type)
    if kind is None or kind.name not in ("int32", "int64") or len(tensor.dims) > 1:
        return None
    held = elements_held(tensor, kind)
    if held is None or held > most:
        return None
    if not tensor.HasField("raw_data"):
        return tuple(int(v) for v in getattr(tensor, kind.field))
    raw, width = tensor.raw_data, kind.width
    return tuple(int.from_bytes(raw[i : i + width], "little", signed=True) for i in range(0, len(raw), width))
