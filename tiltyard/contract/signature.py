"""What a model takes and gives: the part of a bundle that callers rely on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_args

from tiltyard.contract.features import FeatureSpec
from tiltyard.errors import Fault, InvalidBundle

FORMAT = 1

ColumnType = Literal["number", "integer", "boolean", "string", "datetime"]
Role = Literal["feature", "calendar", "subject", "segment", "sensitive", "time"]
Task = Literal["binary", "multiclass", "regression"]

COLUMN_TYPES: tuple[ColumnType, ...] = get_args(ColumnType)
ROLES: tuple[Role, ...] = get_args(Role)
TASKS: tuple[Task, ...] = get_args(Task)

_T = TypeVar("_T", bound=str)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a row as the caller sends it.

    `is_input` says that the model reads it; the others (a subject, a segment, a
    sensitive attribute, an event time) may be left out of a row. `categories`
    (strings) and `minimum`/`maximum` (numbers) are what registration saw or was
    told; a value outside them is answered with a warning, never refused here.
    """

    name: str
    type: ColumnType
    role: Role = "feature"
    is_input: bool = True
    is_nullable: bool = False
    is_personal: bool = False
    categories: tuple[str, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "type": self.type,
            "role": self.role,
            "input": self.is_input,
            "nullable": self.is_nullable,
            "personal": self.is_personal,
            "categories": list(self.categories) if self.categories is not None else None,
            "range": None if self.minimum is None or self.maximum is None else [self.minimum, self.maximum],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any], *, pointer: str = "") -> Column:
        name = _text(document, "name", pointer)
        categories = document.get("categories")
        limits = document.get("range")
        if categories is not None and (
            not isinstance(categories, list) or not all(isinstance(c, str) for c in categories)
        ):
            raise _invalid(f"{pointer}/categories", "must be a list of strings or null")
        if limits is not None and not _is_range(limits):
            raise _invalid(f"{pointer}/range", "must be [minimum, maximum], both finite, or null")
        return cls(
            name=name,
            type=_choice(document, "type", COLUMN_TYPES, pointer),
            role=_choice(document, "role", ROLES, pointer),
            is_input=_flag(document, "input", pointer),
            is_nullable=_flag(document, "nullable", pointer),
            is_personal=_flag(document, "personal", pointer),
            categories=None if categories is None else tuple(categories),
            minimum=None if limits is None else float(limits[0]),
            maximum=None if limits is None else float(limits[1]),
        )


@dataclass(frozen=True, slots=True)
class Signature:
    """A model's contract: the columns it is sent, how they become the graph's input, what it answers.

    `classes` are the class labels as text, in the order of the graph's
    ``probabilities`` output (two for ``binary``, the second one positive; none
    for ``regression``). `threshold` is the decision threshold of a ``binary``
    model on the positive class's probability; it lives here, never in the graph.
    """

    task: Task
    columns: tuple[Column, ...]
    features: FeatureSpec
    classes: tuple[str, ...] = ()
    target: str = "target"
    threshold: float | None = None
    subject: str | None = field(init=False, repr=False, compare=False)
    """Name of the column with role ``subject``, if there is one; every prediction asks for it."""
    _by_name: dict[str, Column] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        subject = next((c.name for c in self.columns if c.role == "subject"), None)
        object.__setattr__(self, "subject", subject)
        self._by_name.update({column.name: column for column in self.columns})
        self._check()

    def column(self, name: str) -> Column:
        return self._by_name[name]

    @property
    def inputs(self) -> tuple[Column, ...]:
        """The columns that a row must hold, in signature order."""
        return tuple(column for column in self.columns if column.is_input)

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "task": self.task,
            "target": self.target,
            "columns": [column.to_json() for column in self.columns],
            "features": self.features.to_json(),
            "classes": list(self.classes),
            "threshold": self.threshold,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Signature:
        """Read ``signature.json``.

        Raises
        ------
        InvalidBundle
            With a pointer to the part that is wrong.
        """
        if document.get("format") != FORMAT:
            raise _invalid("/format", f"this Tiltyard reads signature format {FORMAT}")
        columns = document.get("columns")
        classes = document.get("classes", [])
        threshold = document.get("threshold")
        if not isinstance(columns, list) or not all(isinstance(c, dict) for c in columns):
            raise _invalid("/columns", "must be a list of columns")
        if not isinstance(classes, list) or not all(isinstance(c, str) for c in classes):
            raise _invalid("/classes", "must be a list of strings")
        if threshold is not None and (isinstance(threshold, bool) or not isinstance(threshold, int | float)):
            raise _invalid("/threshold", "must be a number or null")
        if not isinstance(document.get("features"), dict):
            raise _invalid("/features", "must be an object")
        return cls(
            task=_choice(document, "task", TASKS, ""),
            target=_text(document, "target", ""),
            columns=tuple(Column.from_json(c, pointer=f"/columns/{i}") for i, c in enumerate(columns)),
            features=FeatureSpec.from_json(document["features"], pointer="/features"),
            classes=tuple(classes),
            threshold=None if threshold is None else float(threshold),
        )

    def _check(self) -> None:
        if self.task not in TASKS:
            raise _invalid("/task", f"must be one of {', '.join(TASKS)}")
        if len(self._by_name) != len(self.columns):
            raise _invalid("/columns", "column names must be unique")
        expected = {"binary": 2, "regression": 0}.get(self.task)
        if expected is not None and len(self.classes) != expected:
            raise _invalid("/classes", f"a {self.task} model has {expected} classes, not {len(self.classes)}")
        if self.task == "multiclass" and len(self.classes) < 2:
            raise _invalid("/classes", "a multiclass model has at least 2 classes")
        if len(set(self.classes)) != len(self.classes):
            raise _invalid("/classes", "classes must be unique")
        if (self.threshold is not None) != (self.task == "binary"):
            raise _invalid("/threshold", "a binary model has a threshold, the others have none")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise _invalid("/threshold", "must lie between 0 and 1")
        self.features.check({c.name: c.type for c in self.inputs})


def _invalid(pointer: str, detail: str) -> InvalidBundle:
    return InvalidBundle("The signature is invalid.", faults=[Fault(f"/signature{pointer}", detail)])


def _is_range(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in value)
        and value[0] <= value[1]
    )


def _text(document: Mapping[str, Any], key: str, pointer: str) -> str:
    value = document.get(key)
    if not isinstance(value, str) or not value:
        raise _invalid(f"{pointer}/{key}", "must be a non-empty string")
    return value


def _flag(document: Mapping[str, Any], key: str, pointer: str) -> bool:
    value = document.get(key)
    if not isinstance(value, bool):
        raise _invalid(f"{pointer}/{key}", "must be true or false")
    return value


def _choice(document: Mapping[str, Any], key: str, choices: tuple[_T, ...], pointer: str) -> _T:
    value = document.get(key)
    for choice in choices:
        if value == choice:
            return choice
    raise _invalid(f"{pointer}/{key}", f"must be one of {', '.join(choices)}")
