"""Data frames: the types of their columns, rows as JSON sends them, rows with missing values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from tiltyard.contract.signature import ColumnType
from tiltyard.contract.step import column_type, to_columns
from tiltyard.errors import InvalidInput

Row = dict[str, Any]


def infer_types(frame: pd.DataFrame) -> dict[str, ColumnType]:
    """The contract's type of every column.

    Raises
    ------
    InvalidInput
        If a name is no string or used twice, a column holds several types of value, or a number is infinite.
    """
    for name in frame.columns:
        if not isinstance(name, str) or not name:
            raise InvalidInput(f"Column names must be text; {name!r} is not. Rename it.")
    if not frame.columns.is_unique:
        twice = sorted(set(frame.columns[frame.columns.duplicated()]))
        raise InvalidInput(f"Column names must be unique; {', '.join(twice)} is there more than once.")
    types: dict[str, ColumnType] = {str(name): column_type(frame[name]) for name in frame.columns}
    for name, kind in types.items():
        if kind == "number" and np.isinf(frame[name].to_numpy(dtype=np.float64, na_value=np.nan)).any():
            raise InvalidInput(
                f"Column {name!r} holds infinite values, which the service refuses: make them missing."
            )
    return types


def json_rows(frame: pd.DataFrame, types: Mapping[str, ColumnType]) -> list[Row]:
    """The rows as a caller would send them: missing is None, a time is RFC 3339 in UTC."""
    columns = to_columns(frame, types)
    lists = {name: _as_json(columns[name].tolist(), kind) for name, kind in types.items()}
    names = list(lists)
    return [dict(zip(names, values, strict=True)) for values in zip(*lists.values(), strict=True)]


def _as_json(values: list[Any], kind: ColumnType) -> list[Any]:
    if kind == "integer":
        return [None if math.isnan(v) else int(v) if v.is_integer() else v for v in values]
    if kind == "number":
        return [None if math.isnan(v) else v for v in values]
    if kind == "datetime":
        return [None if v is None else f"{v.isoformat()}Z" for v in values]
    return values


def missing_columns(frame: pd.DataFrame) -> frozenset[str]:
    """Columns with at least one missing value."""
    return frozenset(str(name) for name in frame.columns if frame[name].isna().any())


def none_columns(frame: pd.DataFrame) -> frozenset[str]:
    """Columns in which missing is None."""
    return frozenset(str(name) for name in frame.columns if missing_marker(frame[name]) is None)


def widened(frame: pd.DataFrame, types: Mapping[str, ColumnType]) -> pd.DataFrame:
    """The frame with whole-number columns as float64, so that any cell may be missing or between two."""
    whole = {
        name: np.float64
        for name, kind in types.items()
        if kind == "integer" and isinstance(frame[name].dtype, np.dtype) and frame[name].dtype != object
    }
    return frame.astype(whole)


def with_cells(frame: pd.DataFrame, cells: Mapping[str, object]) -> pd.DataFrame:
    """A copy with the whole of some columns set to one value each."""
    out = frame.copy()
    for name, value in cells.items():
        column = frame[name]
        if hasattr(column.dtype, "categories") or (column.dtype == bool and not isinstance(value, bool)):
            column = column.astype(object)
        column = column.copy()
        column.iloc[:] = value
        out[name] = column
    return out


def missing_marker(series: pd.Series[Any]) -> object:
    """What missing is in this column: None or NaN where values are objects, as the data have it."""
    if series.dtype == object:
        gaps = series[series.isna()]
        return gaps.iloc[0] if len(gaps) else np.nan
    if series.dtype.kind == "M":
        return pd.NaT
    if isinstance(series.dtype, np.dtype):
        return np.nan
    return series.dtype.na_value if hasattr(series.dtype, "na_value") else np.nan


def with_missing(
    frame: pd.DataFrame, types: Mapping[str, ColumnType], nullable: Iterable[str], *, rows_each: int = 1
) -> pd.DataFrame:
    """`rows_each` rows for each nullable column in which it is missing, then as many in which all are.

    The rows are spread evenly over those of `frame`.
    """
    names = [name for name in frame.columns if name in set(nullable)]
    spread = np.unique(np.linspace(0, len(frame) - 1, rows_each).round().astype(int))
    base = widened(frame.iloc[spread], types)
    markers = {name: missing_marker(frame[name]) for name in names}
    rows = [with_cells(base, {name: markers[name]}) for name in names]
    if len(names) > 1:
        rows.append(with_cells(base, markers))
    return stacked(rows, like=frame) if rows else frame.iloc[:0]


def stacked(frames: list[pd.DataFrame], *, like: pd.DataFrame) -> pd.DataFrame:
    """The frames one below the other, with a fresh index; text stays text where a piece is all missing."""
    out = pd.concat(frames, ignore_index=True)
    for name in like.columns:
        dtype = like[name].dtype
        if hasattr(dtype, "categories"):
            # An unseen level is none of the categories; as an object it stays what it is.
            out[name] = out[name].astype(object)
        elif out[name].dtype != dtype and dtype.kind not in "iub":
            out[name] = out[name].astype(dtype)
    return out
