"""The signature of a model, inferred from held-out rows and from the fit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tiltyard.contract.signature import Column, ColumnType, Role, Signature
from tiltyard.contract.step import to_columns
from tiltyard.errors import InvalidInput
from tiltyard.training import frames
from tiltyard.training.convert import Converted
from tiltyard.training.options import Categories, Ranges

FEWEST_OF_A_PERSONAL_LEVEL = 10
"""Rows that a level of a personal column must have before it's written down."""

MOST_CATEGORIES = 1000
"""Levels of one column beyond which a list of them says nothing about what is unusual."""


@dataclass(frozen=True, slots=True)
class Roles:
    """What columns are, beyond features; a column has one role, and may be personal besides."""

    sensitive: tuple[str, ...] = ()
    subject: str | None = None
    time: str | None = None
    calendar: tuple[str, ...] = ()
    personal: tuple[str, ...] = ()

    def by_column(self) -> dict[str, Role]:
        """Column → role.

        Raises
        ------
        InvalidInput
            If a column is given two roles.
        """
        roles: dict[str, Role] = {}
        given: list[tuple[str, Role]] = [(name, "sensitive") for name in self.sensitive]
        given += [(name, "calendar") for name in self.calendar]
        if self.subject is not None:
            given.append((self.subject, "subject"))
        if self.time is not None:
            given.append((self.time, "time"))
        for name, role in given:
            if name in roles:
                raise InvalidInput(
                    f"Column {name!r} can't be both {roles[name]} and {role}: a column has one role."
                )
            roles[name] = role
        return roles

    def named(self) -> set[str]:
        return set(self.by_column()) | set(self.personal)


def infer_signature(
    converted: Converted,
    data: pd.DataFrame,
    *,
    roles: Roles,
    target: str,
    threshold: float | None,
    categories: Categories | None = None,
    ranges: Ranges | None = None,
    nullable: frozenset[str] = frozenset(),
) -> Signature:
    """Types, categories, ranges, nullability and roles of every column that is kept.

    Kept are the columns that the model reads, in its order, then those that only
    have a role. `categories` adds levels to those seen, `ranges` widens them,
    `nullable` are columns that may be missing whatever the data show.

    Raises
    ------
    InvalidInput
        If a role, a category or a range names a column that isn't there or doesn't fit.
    """
    by_column = roles.by_column()
    for name in [*by_column, *roles.personal, *(categories or {}), *(ranges or {})]:
        if name not in data.columns:
            raise InvalidInput(f"`data` has no column {name!r}, which a role, categories= or ranges= names.")
    if roles.subject in converted.types:
        raise InvalidInput(
            f"The model reads its subject column {roles.subject!r}: an identifier of a person "
            "can't be a feature. "
            "Fit the model without it."
        )
    extra = [str(n) for n in data.columns if n in roles.named() and n not in converted.types]
    types = {**converted.types, **frames.infer_types(data[extra])}
    unread = sorted(nullable - set(types))
    if unread:
        raise InvalidInput(
            f"nullable= names {unread[0]!r}, which neither the model nor a role reads: leave it out."
        )
    _check_role_types(roles, types)
    values = to_columns(data, types)
    columns = tuple(
        _column(
            name,
            kind,
            values[name],
            role=by_column.get(name, "feature"),
            is_input=name in converted.types,
            is_nullable=name in converted.nullable | nullable or bool(data[name].isna().any()),
            is_personal=name in roles.personal or name == roles.subject,
            added=None if categories is None else categories.get(name),
            widened=None if ranges is None else ranges.get(name),
        )
        for name, kind in types.items()
    )
    return Signature(
        task=converted.task,
        columns=columns,
        features=converted.features,
        classes=converted.classes,
        target=target,
        threshold=threshold,
    )


def _check_role_types(roles: Roles, types: Mapping[str, ColumnType]) -> None:
    if roles.time is not None and types[roles.time] != "datetime":
        raise InvalidInput(
            f"time={roles.time!r} names a column of type {types[roles.time]}: make it a timestamp, "
            f"data[{roles.time!r}] = pd.to_datetime(data[{roles.time!r}], utc=True)."
        )
    if roles.subject is not None and types[roles.subject] not in ("string", "integer"):
        raise InvalidInput(
            f"subject={roles.subject!r} must be text or a whole number, not {types[roles.subject]}."
        )


def _column(
    name: str,
    kind: ColumnType,
    values: Any,
    *,
    role: Role,
    is_input: bool,
    is_nullable: bool,
    is_personal: bool,
    added: Sequence[str] | None,
    widened: tuple[float, float] | None,
) -> Column:
    if added is not None and kind != "string":
        raise InvalidInput(f"categories= names {name!r}, which is {kind}, not text.")
    if widened is not None and kind not in ("number", "integer"):
        raise InvalidInput(f"ranges= names {name!r}, which is {kind}, not a number.")
    levels = (
        _categories(values, added, is_personal=is_personal)
        if kind == "string" and role != "subject"
        else None
    )
    low, high = None, None
    if kind in ("number", "integer") and role != "subject":
        low, high = _range(name, values, widened, is_personal=is_personal)
    return Column(
        name=name,
        type=kind,
        role=role,
        is_input=is_input,
        is_nullable=is_nullable,
        is_personal=is_personal,
        categories=levels,
        minimum=low,
        maximum=high,
    )


def _categories(values: Any, added: Sequence[str] | None, *, is_personal: bool) -> tuple[str, ...] | None:
    """The levels, sorted; None when there are too many, or a personal column's could point at someone."""
    names, counts = np.unique(
        np.array([v for v in values if v is not None], dtype=object), return_counts=True
    )
    levels = {str(name) for name in names}
    if is_personal and len(counts) and counts.min() < FEWEST_OF_A_PERSONAL_LEVEL:
        return None if added is None else tuple(sorted(set(added)))
    levels |= set(added or ())
    return tuple(sorted(levels)) if len(levels) <= MOST_CATEGORIES else None


def _range(
    name: str, values: Any, widened: tuple[float, float] | None, *, is_personal: bool
) -> tuple[float | None, float | None]:
    if widened is not None and (
        len(widened) != 2 or not all(math.isfinite(v) for v in widened) or widened[0] > widened[1]
    ):
        raise InvalidInput(f"ranges= for {name!r} must be (lowest, highest), both finite.")
    present = values[~np.isnan(values)]
    if not len(present):
        return widened or (None, None)
    low, high = float(present.min()), float(present.max())
    if is_personal:
        # The extremes are two people's own values.
        low, high = _rounded_out(low, math.floor), _rounded_out(high, math.ceil)
    if widened is not None:
        low, high = min(low, float(widened[0])), max(high, float(widened[1]))
    return low, high


def _rounded_out(value: float, towards: Any) -> float:
    """`value` to one significant digit, away from the data."""
    if value == 0:
        return 0.0
    unit = 10.0 ** math.floor(math.log10(abs(value)))
    return float(towards(value / unit) * unit)
