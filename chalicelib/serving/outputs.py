"""Answers as tensors of the Open Inference Protocol v2, and what its metadata says of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from chalicelib.serving.translation import pointer, unknown_keys
from tiltyard.contract.signature import Column, ColumnType, Signature
from tiltyard.errors import Fault

JSON = dict[str, Any]
Predictions = Sequence[Mapping[str, Any]]

PLATFORM = "onnxruntime_onnx"

DATATYPES: Mapping[ColumnType, str] = {
    "number": "FP64",
    "integer": "INT64",
    "boolean": "BOOL",
    "string": "BYTES",
    "datetime": "BYTES",
}
"""What metadata says of a column; narrower types of the same kind are taken too."""

_OUTPUT_KEYS = frozenset({"name", "parameters"})
# Extensions of a server that change what an output holds. `binary_data` isn't one: JSON answers it as well.
_NOT_OFFERED = ("classification", "shared_memory_region")


class _Output(NamedTuple):
    """An output, and how its values come out of a prediction of `predict`'s answer."""

    name: str
    datatype: str
    width: int | None
    values: Callable[[Predictions], list[Any]]

    def to_json(self, predictions: Predictions) -> JSON:
        n = len(predictions)
        return {
            "name": self.name,
            "datatype": self.datatype,
            "shape": [n] if self.width is None else [n, self.width],
            "data": self.values(predictions),
        }


def _told(name: str) -> Callable[[Predictions], list[Any]]:
    return lambda predictions: [prediction[name] for prediction in predictions]


def _written(name: str) -> Callable[[Predictions], list[Any]]:
    # A policy that switches uncertainty off leaves sets and intervals out: null.
    return lambda predictions: [orjson.dumps(prediction.get(name)).decode() for prediction in predictions]


def _outputs(signature: Signature) -> dict[str, _Output]:
    """What a model answers, in the order of metadata."""
    is_number = signature.task == "regression"
    outputs = [_Output("value", "FP64" if is_number else "BYTES", None, _told("value"))]
    if signature.task == "binary":
        outputs.append(_Output("score", "FP64", None, _told("score")))
    elif not is_number:
        classes = signature.classes
        outputs.append(
            _Output(
                "scores",
                "FP64",
                len(classes),
                lambda predictions: [p["scores"][name] for p in predictions for name in classes],
            )
        )
    surely = "interval" if is_number else "set"
    outputs += [
        _Output(surely, "BYTES", None, _written(surely)),
        _Output("action", "BYTES", None, _told("action")),
        _Output("warnings", "BYTES", None, _written("warnings")),
        _Output("id", "BYTES", None, _told("id")),
    ]
    return {output.name: output for output in outputs}


def asked_outputs(asked: object, signature: Signature) -> tuple[tuple[str, ...] | None, list[Fault]]:
    """The names that a request asks for; None (all) when it names none."""
    if asked is None or asked == []:
        return None, []
    if not isinstance(asked, list):
        return None, [Fault("/outputs", "must be a list of outputs")]
    known = _outputs(signature)
    names: list[str] = []
    faults: list[Fault] = []
    for i, output in enumerate(asked):
        if not isinstance(output, Mapping):
            faults.append(Fault(pointer("outputs", i), "must be an object with a name"))
            continue
        faults += unknown_keys(output, _OUTPUT_KEYS, "outputs", i)
        name, parameters = output.get("name"), output.get("parameters")
        if parameters is not None and not isinstance(parameters, Mapping):
            faults.append(Fault(pointer("outputs", i, "parameters"), "must be an object"))
        if not isinstance(name, str) or name not in known:
            faults.append(Fault(pointer("outputs", i, "name"), f"must be one of {', '.join(known)}"))
        elif name in names:
            faults.append(Fault(pointer("outputs", i, "name"), "is asked for twice"))
        else:
            names.append(name)
        if isinstance(parameters, Mapping):
            faults += [
                Fault(pointer("outputs", i, "parameters", key), "is not offered here")
                for key in _NOT_OFFERED
                if key in parameters
            ]
    return tuple(names), faults


def answer(
    predicted: Mapping[str, Any],
    signature: Signature,
    *,
    names: Sequence[str] | None,
    request_id: str | None,
    parameters: Mapping[str, Any],
) -> JSON:
    """The inference response of `predict`'s answer: the outputs of `names`, or all.

    The request's id and parameters are repeated; ``role`` and ``policy`` are the answer's own.
    """
    known = _outputs(signature)
    predictions = predicted["predictions"]
    response: JSON = {
        "model_name": predicted["model"],
        "model_version": str(predicted["version"]),
        "parameters": {**parameters, "role": predicted["role"], "policy": predicted["policy"]},
        "outputs": [known[name].to_json(predictions) for name in names or known],
    }
    return response if request_id is None else {**response, "id": request_id}


def metadata(model: str, version: int, signature: Signature) -> JSON:
    """The model's metadata: one input a column of the contract."""
    return {
        "name": model,
        "versions": [str(version)],
        "platform": PLATFORM,
        "inputs": [_input_metadata(column) for column in signature.columns],
        "outputs": [_output_metadata(output, signature) for output in _outputs(signature).values()],
    }


def _input_metadata(column: Column) -> JSON:
    return {
        "name": column.name,
        "datatype": DATATYPES[column.type],
        "shape": [-1],
        "parameters": {"nullable": column.is_nullable, "optional": not column.is_input},
    }


def _output_metadata(output: _Output, signature: Signature) -> JSON:
    told: JSON = {
        "name": output.name,
        "datatype": output.datatype,
        "shape": [-1] if output.width is None else [-1, output.width],
    }
    if output.name in ("score", "scores"):
        # The protocol's parameters are scalars, so a list travels as JSON text.
        told["parameters"] = {"classes": orjson.dumps(signature.classes).decode()}
    return told
