"""A data contract that is given by hand, as a ready ONNX file from another framework needs it.

The smallest one says the task, the classes, and each column's name and type::

    {"task": "binary", "classes": ["on time", "late"],
     "columns": [{"name": "distance", "type": "number"}, {"name": "dest", "type": "string"}]}

What it leaves out is the usual: columns are read by the model, features, never
missing and without a list of categories or a range; the graph's number input
takes the numbers and booleans in order, its string input the text.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pandas as pd

from tiltyard.contract.signature import FORMAT, ColumnType, Signature
from tiltyard.errors import Fault, InvalidBundle, InvalidInput
from tiltyard.training import frames
from tiltyard.training.inputs import plain_features
from tiltyard.training.options import Contract

PARTS = frozenset({"format", "task", "target", "columns", "features", "classes", "threshold"})
COLUMN_PARTS = frozenset({"name", "type", "role", "input", "nullable", "personal", "categories", "range"})
NO_INPUT = frozenset({"subject", "segment", "sensitive", "time"})
"""Roles of columns that the model doesn't read unless the contract says so."""

_FITS = {
    "number": {"number", "integer"},
    "integer": {"integer", "number"},
    "boolean": {"boolean"},
    "string": {"string"},
    "datetime": {"datetime"},
}


def read_contract(source: Contract) -> Signature:
    """A `Signature` from itself, from its JSON document, or from a path to that; gaps in it are filled in.

    Raises
    ------
    InvalidInput
        With a pointer to each part that is wrong.
    """
    if isinstance(source, Signature):
        return source
    document = _load(Path(source)) if isinstance(source, str | os.PathLike) else source
    if not isinstance(document, Mapping):
        raise _invalid([Fault("/contract", "must be an object")])
    unknown = [Fault(f"/contract/{key}", _unknown(PARTS)) for key in document if key not in PARTS]
    columns = document.get("columns")
    if not isinstance(columns, list) or not columns or not all(isinstance(c, Mapping) for c in columns):
        raise _invalid([*unknown, Fault("/contract/columns", "must be a list of objects")])
    for i, column in enumerate(columns):
        strange = [key for key in column if key not in COLUMN_PARTS]
        unknown += [Fault(f"/contract/columns/{i}/{key}", _unknown(COLUMN_PARTS)) for key in strange]
    if unknown:
        raise _invalid(unknown)
    try:
        return Signature.from_json(_filled(document, [_column(column) for column in columns]))
    except InvalidBundle as exc:
        faults = [Fault(f.pointer.replace("/signature", "/contract", 1), f.detail) for f in exc.faults]
        raise _invalid(faults) from exc


def check_rows(contract: Signature, data: pd.DataFrame) -> None:
    """Hold the rows' columns against the contract; what their cells hold is the row reader's matter.

    Raises
    ------
    InvalidInput
        If a column isn't there or holds another type.
    """
    names = [column.name for column in contract.columns]
    absent = [name for name in names if name not in data.columns]
    if absent:
        raise InvalidInput(f"`data` has no column {absent[0]!r}, which the contract names.")
    present = [name for name in names if data[name].notna().any()]
    found = frames.infer_types(data[present])
    for name in present:
        wanted = contract.column(name).type
        if found[name] not in _FITS[wanted]:
            raise InvalidInput(
                f"The contract says that {name!r} is {wanted}, and `data` holds {found[name]} there: "
                "mend one or the other."
            )


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as exc:
        raise InvalidInput(f"The contract {path} can't be read: {exc.strerror}.") from exc
    except ValueError as exc:
        raise InvalidInput(f"The contract {path} is no JSON: {exc}.") from exc


def _column(given: Mapping[str, Any]) -> dict[str, Any]:
    role = given.get("role", "feature")
    usual = {
        "role": role,
        "input": not (isinstance(role, str) and role in NO_INPUT),
        "nullable": False,
        "personal": role == "subject",
        "categories": None,
        "range": None,
    }
    return {**usual, **given}


def _filled(document: Mapping[str, Any], columns: list[dict[str, Any]]) -> dict[str, Any]:
    filled = {
        "format": FORMAT,
        "target": "target",
        "classes": [],
        "threshold": 0.5 if document.get("task") == "binary" else None,
        **document,
        "columns": columns,
    }
    if "features" not in document:
        types = {str(c.get("name")): cast(ColumnType, c.get("type")) for c in columns if c["input"]}
        gaps = frozenset(str(column.get("name")) for column in columns if column["nullable"])
        filled["features"] = plain_features(types, gaps).to_json()
    return filled


def _unknown(known: frozenset[str]) -> str:
    return f"is no part of a contract; its parts are {', '.join(sorted(known))}"


def _invalid(faults: list[Fault]) -> InvalidInput:
    return InvalidInput("The contract is invalid.", faults=faults)
