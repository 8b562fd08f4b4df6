"""Fitted encoders rewritten for a text matrix that has no missing values.

The graph's ``strings`` input holds text only, so missing text is a sentinel
there: the one that an imputer filled in when the model was fitted, or one that
no level equals. Infrequent levels are lumped before the graph, since ONNX's
encoders know levels one by one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from tiltyard.contract.features import Fill, Lump, Operation
from tiltyard.errors import UnconvertibleModel
from tiltyard.training.levels import LevelTables, Table
from tiltyard.training.refusals import refuse

MISSING = "__missing__"
INFREQUENT = "__infrequent__"
UNSEEN = "__unseen__"
MISSING_CODE = 2.0**30
"""Stands for a missing number among levels that are numbers; sorts last, as missing does."""


@dataclass(slots=True)
class TextColumn:
    """What must happen to one text column before the graph."""

    fill: str | None = None
    is_imputed: bool = False
    lumps: tuple[tuple[tuple[str, ...], str], ...] = ()
    saw_missing: bool = False
    encoders: int = 0

    def fill_with(self, value: str, column: str, where: str) -> None:
        if (self.fill is not None and self.fill != value) or (self.encoders and not self.is_imputed):
            raise _conflict(column, where, "is filled in two ways")
        self.fill, self.is_imputed = value, True

    def lump(self, lumps: tuple[tuple[tuple[str, ...], str], ...], column: str, where: str) -> None:
        if self.encoders and self.lumps != lumps:
            raise _conflict(column, where, "has its rare levels lumped in two ways")
        self.lumps = lumps
        self.encoders += 1

    def operations(self, column: str, nullable: Collection[str]) -> list[Operation]:
        made: list[Operation] = []
        if self.fill is not None and column in nullable:
            made.append(Fill(column, self.fill))
        made += [Lump(column, keep, other) for keep, other in self.lumps]
        return made


def _conflict(column: str, where: str, what: str) -> UnconvertibleModel:
    return refuse(
        where,
        "ColumnTransformer",
        f"the text column {column!r} {what} by different branches: do it once, with "
        f"FeatureStep(fill={{{column!r}: '__missing__'}}, lump={{{column!r}: 30}}) first in the pipeline",
    )


def is_missing(level: object) -> bool:
    return level is None or (isinstance(level, float) and np.isnan(level))


def encoder_over_text(
    encoder: Any,
    start: int,
    texts: Sequence[TextColumn],
    columns: Sequence[str],
    missing: Collection[str],
    where: str,
) -> Any:
    """The encoder's columns from `start` on, over text without missing values.

    `texts` learns what must be filled and lumped. `missing` names the columns in
    which the data have missing values.
    """
    _refuse_unknown_error(encoder, where)
    found = []
    for i, (text, column) in enumerate(zip(texts, columns, strict=True)):
        levels = list(encoder.categories_[start + i])
        found.append(_with_sentinel(text, levels, column in missing))
    if type(encoder).__name__ == "OneHotEncoder":
        return _one_hot(encoder, start, found, texts, columns, where)
    for text, column in zip(texts, columns, strict=True):
        text.lump((), column, where)
    if type(encoder).__name__ == "OrdinalEncoder":
        return LevelTables(tuple(_ordinal(encoder, start + i, i, levels) for i, levels in enumerate(found)))
    return _target(encoder, start, found)


def _with_sentinel(text: TextColumn, levels: list[Any], has_missing: bool) -> list[str]:
    """The levels as text, missing among them as the column's sentinel."""
    holds_missing = has_gap(levels)
    if text.fill is None:
        sentinel = MISSING
        while sentinel in levels:
            sentinel += "_"
        text.fill = sentinel
    text.saw_missing = text.saw_missing or holds_missing
    return [text.fill if is_missing(level) else str(level) for level in levels]


def _one_hot(
    encoder: Any,
    start: int,
    found: list[list[str]],
    texts: Sequence[TextColumn],
    columns: Sequence[str],
    where: str,
) -> OneHotEncoder:
    """The same columns out, from levels that are lumped already."""
    categories, drops = [], []
    lumped = encoder.infrequent_categories_ if encoder._infrequent_enabled else None
    grouped = getattr(encoder, "_drop_idx_after_grouping", None)
    for i, (levels, text, column) in enumerate(zip(found, texts, columns, strict=True)):
        rare = None if lumped is None else lumped[start + i]
        if rare is None:
            text.lump((), column, where)
        else:
            rare_levels = {text.fill if is_missing(level) else str(level) for level in rare}
            kept = [level for level in levels if level not in rare_levels]
            lumps: list[tuple[tuple[str, ...], str]] = []
            if encoder.handle_unknown == "ignore":
                # Unseen levels encode as zeros, rare ones as "infrequent": two names, in this order.
                lumps.append((tuple(levels), UNSEEN))
                lumps.append(((*kept, UNSEEN), INFREQUENT))
            else:
                lumps.append((tuple(kept), INFREQUENT))
            text.lump(tuple(lumps), column, where)
            levels = [*kept, INFREQUENT]
        categories.append(np.array(levels, dtype=object))
        drops.append(None if grouped is None else grouped[start + i])
    return _fitted_one_hot(categories, drops, encoder.dtype)


def _fitted_one_hot(categories: list[Any], drops: list[Any], dtype: Any) -> OneHotEncoder:
    twin = OneHotEncoder(categories=categories, handle_unknown="ignore", sparse_output=False)
    twin.fit(np.array([[levels[0] for levels in categories]], dtype=categories[0].dtype))
    if any(drop is not None for drop in drops):
        twin.drop_idx_ = np.array(drops, dtype=object)
        twin._drop_idx_after_grouping = twin.drop_idx_
    return twin


def _ordinal(encoder: Any, column: int, index: int, levels: list[str]) -> Table:
    groups = encoder._default_to_infrequent_mappings[column] if encoder._infrequent_enabled else None
    originals = encoder.categories_[column]
    values = []
    for code, original in enumerate(originals):
        if is_missing(original):
            values.append(float(encoder.encoded_missing_value))
        else:
            values.append(float(code if groups is None else groups[code]))
    return Table(index, tuple(levels), tuple(values), float(encoder.unknown_value))


def _target(encoder: Any, start: int, found: list[list[str]]) -> LevelTables:
    means = np.atleast_1d(np.asarray(encoder.target_mean_, dtype=np.float64))
    tables = []
    for i, levels in enumerate(found):
        for j, mean in enumerate(means):
            values = np.asarray(encoder.encodings_[(start + i) * len(means) + j], dtype=np.float64)
            tables.append(Table(i, tuple(levels), tuple(values.tolist()), float(mean)))
    return LevelTables(tuple(tables))


def encoder_over_numbers(
    encoder: Any,
    start: int,
    columns: Sequence[str],
    booleans: Sequence[bool],
    missing: Collection[str],
    where: str,
) -> Any:
    """The encoder's columns from `start` on, over numbers; booleans are 0 and 1 by then."""
    name = type(encoder).__name__
    levels = [encoder.categories_[start + i] for i in range(len(columns))]
    for column, is_boolean, found in zip(columns, booleans, levels, strict=True):
        if is_boolean and (column in missing or has_gap(found)):
            raise refuse(
                where,
                encoder,
                f"{column!r} is true, false or missing, which ONNX encodes as numbers only: turn it into "
                f"text before training, X[{column!r}].map({{True: 'yes', False: 'no'}})",
            )
    if name != "OneHotEncoder":
        if not all(booleans) or name == "TargetEncoder":
            advice = (
                f"levels that are numbers: turn them into text before training, X[{columns[0]!r}].astype(str)"
            )
            raise refuse(where, encoder, advice)
        _refuse_unknown_error(encoder, where)
    elif not all(booleans):
        _refuse_unknown_error(encoder, where)
    if encoder._infrequent_enabled and any(
        encoder._default_to_infrequent_mappings[start + i] is not None for i in range(len(columns))
    ):
        advice = (
            f"rare levels that are numbers can't be lumped: turn them into text before training, "
            f"X[{columns[0]!r}].astype(str)"
        )
        raise refuse(where, encoder, advice)
    if name != "OneHotEncoder":
        return "passthrough"  # false and true are coded 0 and 1 already
    categories = [
        np.array([MISSING_CODE if is_missing(v) else float(v) for v in found], dtype=np.float64)
        for found in levels
    ]
    grouped = getattr(encoder, "_drop_idx_after_grouping", None)
    drops = [None if grouped is None else grouped[start + i] for i in range(len(columns))]
    twin = _fitted_one_hot(categories, drops, encoder.dtype)
    if not any(c in missing or has_gap(found) for c, found in zip(columns, levels, strict=True)):
        return twin
    # ONNX encodes whole numbers, and what a missing one is cast to depends on the processor.
    fill = SimpleImputer(strategy="constant", fill_value=MISSING_CODE).fit(np.zeros((1, len(columns))))
    return Pipeline([("fill", fill), ("encode", twin)])


def has_gap(levels: Any) -> bool:
    """Whether missing is one of an encoder's levels."""
    return any(is_missing(level) for level in levels)


def _refuse_unknown_error(encoder: Any, where: str) -> None:
    if getattr(encoder, "handle_unknown", "ignore") == "error":
        replacement = {
            "OneHotEncoder": "OneHotEncoder(handle_unknown='ignore')",
            "OrdinalEncoder": "OrdinalEncoder(handle_unknown='use_encoded_value', unknown_value=-1)",
        }[type(encoder).__name__]
        raise refuse(
            where,
            encoder,
            f"with handle_unknown='error' one unseen level would fail a whole request: use {replacement}",
        )
