"""Rows drawn column by column: they look like the data in every column, and no row is anyone's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tiltyard.contract.signature import Signature
from tiltyard.contract.step import to_columns

FEWEST_OF_A_LEVEL = 10
"""Rows that a level must have before it's drawn for a model of persons."""


def drawn_apart(
    inputs: pd.DataFrame, signature: Signature, generator: np.random.Generator, *, safe: bool, count: int
) -> pd.DataFrame:
    """`count` rows whose columns are drawn one by one, so that no row is anyone's.

    Where `safe`, numbers are drawn evenly between the borders of reference bins
    (rounded to 6 digits, whole where they are whole), text from levels of at least
    `FEWEST_OF_A_LEVEL` rows, else ``other``; not one cell is a person's own.
    """
    if not count:
        return inputs.iloc[:0]
    picked = generator.integers(0, len(inputs), size=(count, inputs.shape[1]))
    read = {column.name for column in signature.inputs}
    out = {}
    for j, name in enumerate(inputs.columns):
        column = inputs[name].iloc[picked[:, j]].reset_index(drop=True)
        if safe and name in read:
            kind = signature.column(str(name)).type
            column = _made_safe(column, inputs[name], kind, generator)
        out[name] = column
    return pd.DataFrame(out)


def _made_safe(
    column: pd.Series[Any], reference: pd.Series[Any], kind: str, generator: np.random.Generator
) -> pd.Series[Any]:
    if kind == "boolean":
        return column
    if kind == "string":
        counts = reference.value_counts()
        common = frozenset(counts.index[counts >= FEWEST_OF_A_LEVEL])
        made = column.astype(object).where(column.isin(common) | column.isna(), "other")
        return made.astype(object if hasattr(reference.dtype, "categories") else reference.dtype)
    if kind == "datetime":
        seconds = to_columns(reference.to_frame("t"), {"t": "datetime"})["t"].astype("datetime64[s]")
        present = seconds[~np.isnat(seconds)].astype(np.float64)
        if not len(present):
            return column
        drawn = _between_quantiles(present, len(column), generator)
        times = drawn.astype("datetime64[s]").astype("datetime64[us]")
        times[column.isna().to_numpy()] = np.datetime64("NaT")
        moved = pd.Series(times)
        zone = getattr(reference.dtype, "tz", None)
        return moved if zone is None else moved.dt.tz_localize("UTC").dt.tz_convert(zone)
    values = reference.to_numpy(dtype=np.float64, na_value=np.nan)
    present = values[~np.isnan(values)]
    if not len(present):
        return column
    made_numbers = _between_quantiles(present, len(column), generator)
    whole = kind == "integer"
    made_numbers = np.round(made_numbers) if whole else _digits(made_numbers, 6)
    made_numbers[column.isna().to_numpy()] = np.nan
    if whole and not np.isnan(made_numbers).any():
        return pd.Series(made_numbers.astype(np.int64))
    return pd.Series(made_numbers)


def _between_quantiles(
    present: NDArray[np.float64], count: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Values spread evenly inside reference bins of equal counts, each bin as likely as another."""
    edges = np.quantile(present, np.linspace(0, 1, 21))
    bins = generator.integers(0, 20, size=count)
    drawn: NDArray[np.float64] = edges[bins] + generator.random(count) * (edges[bins + 1] - edges[bins])
    return drawn


def _digits(values: NDArray[np.float64], digits: int) -> NDArray[np.float64]:
    return np.array([float(f"{v:.{digits}g}") for v in values])
