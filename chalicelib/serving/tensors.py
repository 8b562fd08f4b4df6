"""Tensors of the Open Inference Protocol v2 as rows, and answers as tensors.

Source: the protocol's "Predict Protocol, Version 2" (REST), of which the binary
extension is refused. One input a column; a contract of numbers alone also takes
one FP32 or FP64 tensor of shape (n, k), columns in the contract's order, as
KServe's scikit-learn server does.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from chalicelib.serving.body import MAX_ROWS
from chalicelib.serving.outputs import DATATYPES, asked_outputs
from chalicelib.serving.translation import Place, Translated, misfit, parameters_faults, pointer, unknown_keys
from tiltyard.contract.signature import Column, ColumnType, Signature
from tiltyard.errors import Fault

_INTEGERS: Mapping[str, tuple[int, int]] = {
    **{f"INT{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)},
}
# The largest finite number of each (IEEE 754).
_FLOATS: Mapping[str, float] = {
    "FP16": 65504.0,
    "FP32": (2 - 2.0**-23) * 2.0**127,
    "FP64": sys.float_info.max,
}
_MATRIX = ("FP32", "FP64")
_TAKEN: Mapping[ColumnType, tuple[str, ...]] = {
    "number": (*_FLOATS, *_INTEGERS),
    "integer": tuple(_INTEGERS),
    "boolean": ("BOOL",),
    "string": ("BYTES",),
    "datetime": ("BYTES",),
}

_KEYS = frozenset({"id", "inputs", "outputs", "parameters"})
_TENSOR_KEYS = frozenset({"name", "shape", "datatype", "parameters", "data"})
_TRANSPORT = frozenset({"binary_data_output"})
# What says that a tensor's values are elsewhere than in the JSON.
_ELSEWHERE = ("binary_data_size", "shared_memory_region")
_NO_BINARY = "tensors travel as JSON here: send the values in data (with tritonclient, binary_data=False)"


Scalar = str | int | float | bool


class InferRequest(NamedTuple):
    """An inference as it was asked for; no `outputs`: all of them."""

    translated: Translated
    id: str | None
    outputs: tuple[str, ...] | None
    parameters: Mapping[str, Scalar]
    """As they were sent, for the answer to repeat; wishes about the transport are left out."""


def read(body: Mapping[str, Any], signature: Signature) -> InferRequest:
    """Rows of an inference request.

    Raises
    ------
    InvalidRows
        With a pointer to each thing that is wrong: a name, shape, datatype or value
        that isn't the contract's, tensors of different lengths, binary tensors.
    """
    faults = unknown_keys(body, _KEYS)
    inputs, name = body.get("inputs"), body.get("id")
    if name is not None and not isinstance(name, str):
        faults.append(Fault("/id", "must be a string"))
    outputs, wrong = asked_outputs(body.get("outputs"), signature)
    faults += [*wrong, *parameters_faults(body.get("parameters"), "parameters")]
    if not isinstance(inputs, list) or not inputs:
        raise misfit([*faults, Fault("/inputs", "must be a list of tensors, one a column")])
    forms = [form for i, tensor in enumerate(inputs) if (form := _form(i, tensor, faults)) is not None]
    if faults:
        raise misfit(faults)
    is_matrix = len(forms) == 1 and _is_matrix(forms[0], signature)
    translated = _matrix(forms[0], signature) if is_matrix else _columns(forms, signature)
    sent = body.get("parameters") or {}
    parameters = {key: value for key, value in sent.items() if key not in _TRANSPORT}
    return InferRequest(translated, name, outputs, parameters)


class _Tensor(NamedTuple):
    """A tensor whose values are as many as its shape says, in row-major order."""

    position: int
    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Sequence[Any]
    is_nested: bool

    def pointer(self, row: int, column: int = 0) -> str:
        """Of a value in ``data``, flattened or nested as it was sent."""
        if self.is_nested:
            return pointer("inputs", self.position, "data", row, column)
        width = self.shape[1] if len(self.shape) == 2 else 1
        return pointer("inputs", self.position, "data", row * width + column)


def _form(index: int, tensor: object, faults: list[Fault]) -> _Tensor | None:
    """One tensor, its form checked; what is wrong goes to `faults`."""
    where = ("inputs", index)
    if not isinstance(tensor, Mapping):
        faults.append(Fault(pointer(*where), "must be an object with name, shape, datatype and data"))
        return None
    found = unknown_keys(tensor, _TENSOR_KEYS, *where)
    name, datatype, shape = (tensor.get(key) for key in ("name", "datatype", "shape"))
    found += [
        Fault(pointer(*where, key), "must be a string")
        for key, value in (("name", name), ("datatype", datatype))
        if not isinstance(value, str)
    ]
    parameters = tensor.get("parameters")
    if parameters is not None and not isinstance(parameters, Mapping):
        found.append(Fault(pointer(*where, "parameters"), "must be an object"))
    elif parameters:
        found += [Fault(pointer(*where, "parameters", k), _NO_BINARY) for k in _ELSEWHERE if k in parameters]
    wrong = _shape_fault(shape)
    if wrong is not None:
        found.append(Fault(pointer(*where, "shape"), wrong))
    if found:
        faults += found
        return None
    return _with_values(index, str(name), str(datatype), tuple(shape or ()), tensor.get("data"), faults)


def _shape_fault(shape: object) -> str | None:
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        return "must be a list of whole numbers"
    if len(shape) not in (1, 2):
        return "must be [n], or [n, 1] (or [n, k] for one tensor of all columns)"
    if not 1 <= shape[0] <= MAX_ROWS:
        return f"must hold 1 to {MAX_ROWS} rows, not {shape[0]}"
    return None


def _with_values(
    index: int, name: str, datatype: str, shape: tuple[int, ...], data: object, faults: list[Fault]
) -> _Tensor | None:
    where = pointer("inputs", index, "data")
    if not isinstance(data, list):
        faults.append(Fault(where, "must be a list of the tensor's values, flattened or nested"))
        return None
    is_nested = len(shape) == 2 and any(isinstance(row, list) for row in data)
    if is_nested:
        n, k = shape
        if len(data) != n or not all(isinstance(row, list) and len(row) == k for row in data):
            faults.append(Fault(where, f"must hold {n} lists of {k} values, as the shape says"))
            return None
        return _Tensor(index, name, datatype, shape, [value for row in data for value in row], True)
    size = math.prod(shape)
    if len(data) != size:
        faults.append(Fault(where, f"must hold {size} values, as the shape says, not {len(data)}"))
        return None
    return _Tensor(index, name, datatype, shape, data, False)


def _is_matrix(tensor: _Tensor, signature: Signature) -> bool:
    return (
        len(tensor.shape) == 2
        and tensor.name not in {column.name for column in signature.columns}
        and all(column.type in ("number", "integer") for column in signature.inputs)
    )


def _matrix(tensor: _Tensor, signature: Signature) -> Translated:
    columns = signature.inputs
    k = tensor.shape[1]
    where = ("inputs", tensor.position)
    if k != len(columns):
        told = ", ".join(column.name for column in columns)
        raise misfit([Fault(pointer(*where, "shape"), f"must be [n, {len(columns)}] for the columns {told}")])
    if tensor.datatype not in _MATRIX:
        raise misfit([Fault(pointer(*where, "datatype"), f"must be {' or '.join(_MATRIX)}")])
    check = _number_check(tensor.datatype)
    faults = [
        Fault(tensor.pointer(*divmod(i, k)), wrong)
        for i, value in enumerate(tensor.values)
        if value is not None and (wrong := check(value)) is not None
    ]
    if faults:
        raise misfit(faults)
    names = [column.name for column in columns]
    by_column = [_without_nan(tensor.values[j::k], column) for j, column in enumerate(columns)]
    order = {name: j for j, name in enumerate(names)}
    return Translated(
        [dict(zip(names, values, strict=True)) for values in zip(*by_column, strict=True)],
        pointer(*where),
        lambda place: (
            pointer(*where) if place.column is None else tensor.pointer(place.row, order[place.column])
        ),
    )


def _columns(tensors: Sequence[_Tensor], signature: Signature) -> Translated:
    by_name: dict[str, _Tensor] = {}
    known = {column.name: column for column in signature.columns}
    faults: list[Fault] = []
    for tensor in tensors:
        first = by_name.setdefault(tensor.name, tensor)
        if first is not tensor:
            faults.append(
                Fault(
                    pointer("inputs", tensor.position, "name"),
                    f"repeats {pointer('inputs', first.position, 'name')}",
                )
            )
        elif tensor.name not in known:
            faults.append(
                Fault(
                    pointer("inputs", tensor.position, "name"),
                    f"{tensor.name!r} is not a column of this model",
                )
            )
        else:
            faults += _column_faults(tensor, known[tensor.name])
    faults += [
        Fault("/inputs", f"lacks a tensor for the column {column.name!r}")
        for column in signature.inputs
        if column.name not in by_name
    ]
    n = tensors[0].shape[0]
    faults += [
        Fault(
            pointer("inputs", t.position, "shape"),
            f"must begin with {n} as {pointer('inputs', 0, 'shape')} does",
        )
        for t in tensors
        if t.shape[0] != n
    ]
    if faults:
        raise misfit(faults)
    names = list(by_name)
    columns = [_without_nan(tensor.values, known[name]) for name, tensor in by_name.items()]
    return Translated(
        [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)],
        "/inputs",
        lambda place: _pointer_of(place, by_name),
    )


def _pointer_of(place: Place, tensors: Mapping[str, _Tensor]) -> str:
    return "/inputs" if place.column is None else tensors[place.column].pointer(place.row)


def _column_faults(tensor: _Tensor, column: Column) -> list[Fault]:
    where = ("inputs", tensor.position)
    if len(tensor.shape) == 2 and tensor.shape[1] != 1:
        return [Fault(pointer(*where, "shape"), "must be [n] or [n, 1] for one column")]
    taken = _TAKEN[column.type]
    if tensor.datatype not in taken:
        others = f" (or {', '.join(name for name in taken if name != DATATYPES[column.type])})"
        return [
            Fault(
                pointer(*where, "datatype"),
                f"must be {DATATYPES[column.type]}{others if len(taken) > 1 else ''}, not {tensor.datatype}",
            )
        ]
    check = _check_of(tensor.datatype)
    return [
        Fault(tensor.pointer(i), wrong)
        for i, value in enumerate(tensor.values)
        if value is not None and (wrong := check(value)) is not None
    ]


def _check_of(datatype: str) -> Callable[[Any], str | None]:
    """What holds one value against a datatype; null is for the contract to judge."""
    if datatype == "BOOL":
        return lambda value: None if value is True or value is False else "must be true or false, as BOOL is"
    if datatype == "BYTES":
        return lambda value: None if isinstance(value, str) else "must be a string, as BYTES are in JSON"
    return _number_check(datatype)


def _number_check(datatype: str) -> Callable[[Any], str | None]:
    limits = _INTEGERS.get(datatype)
    if limits is None:
        most = _FLOATS.get(datatype, math.inf)
        wrong = f"must be a number, as {datatype} is, from {-most:g} to {most:g}"
        # What isn't finite is for the contract to judge: NaN may stand for null.
        return lambda value: (
            None
            if (type(value) is int and -most <= value <= most)
            or (type(value) is float and (-most <= value <= most or not math.isfinite(value)))
            else wrong
        )
    low, high = limits
    wrong = f"must be a whole number from {low} to {high}, as {datatype} is"
    return lambda value: None if type(value) is int and low <= value <= high else wrong


def _without_nan(values: Sequence[Any], column: Column) -> Sequence[Any]:
    """NaN as null where null may be: an array of numpy has no other missing number."""
    if not column.is_nullable or column.type not in ("number", "integer"):
        return values
    return [None if value != value else value for value in values]
