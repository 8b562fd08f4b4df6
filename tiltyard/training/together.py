"""The reference of columns together: their principal axes, and how far held-out rows lie from usual."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiltyard.contract.signature import Column, Signature
from tiltyard.stats.together import DISTANCES, MOST_COLUMNS, Distance, Together, fit
from tiltyard.training.numbers import number_profile

FEWEST_ROWS = 100
"""In each half; of fewer, no window is ever compared."""
SEED = 0
_FEWEST_OF_A_BIN = 10

Json = dict[str, Any]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measured:
    """The profile's ``together``, and what it counts: both `distances` of the rows at `rows`."""

    document: Json
    rows: NDArray[np.intp]
    distances: Mapping[Distance, Floats]


def build_together(signature: Signature, values: Mapping[str, NDArray[Any]]) -> Measured | None:
    """The profile's ``together``: axes, and the counts of both distances; None where there are none.

    They take 2 to 200 numeric inputs that vary; a calendar column isn't one, for next
    week's date would make every row an odd combination. One half of the rows makes the
    axes and the other half is counted: rows that axes were fitted to lie closer to them
    than any later row does, and every window would seem to have drifted.
    """
    columns = [
        column
        for column in signature.inputs
        if column.type in ("number", "integer") and column.role != "calendar"
    ]
    if not 2 <= len(columns) <= MOST_COLUMNS:
        return None
    rows = np.column_stack([values[column.name] for column in columns])
    order = np.random.default_rng(SEED).permutation(len(rows))
    counted = order[len(rows) // 2 :]
    fitted, held = rows[order[: len(rows) // 2]], rows[counted]
    if len(fitted) < FEWEST_ROWS:
        return None
    told = np.flatnonzero(~np.all(np.isnan(fitted), axis=0))
    columns = [columns[i] for i in told]
    fill = [_fill(column, fitted[:, i]) for column, i in zip(columns, told, strict=True)]
    axes = fit([column.name for column in columns], fitted[:, told], fill)
    if axes is None:
        return None
    place = {column.name: i for column, i in zip(columns, told, strict=True)}
    is_personal = any(column.is_personal for column in columns if column.name in axes.columns)
    together = Together(axes)
    found = together.distances(np.ascontiguousarray(held[:, [place[name] for name in axes.columns]].T))
    document = axes.to_json() | {kind: _counts(found[kind], is_personal=is_personal) for kind in DISTANCES}
    return Measured(document, counted, found)


def _fill(column: Column, values: Floats) -> float:
    """The median; of a personal column, where that is someone's value, the mean."""
    return float(np.nanmean(values) if column.is_personal else np.nanmedian(values))


def _counts(distances: Floats, *, is_personal: bool) -> Json:
    high = float(distances.max())
    if is_personal:
        # The largest distance is one person's; halfway between the tenth and the next lies nobody.
        ordered = np.sort(distances)
        high = float(ordered[-_FEWEST_OF_A_BIN - 1 :][:2].mean())
    return number_profile(distances, low=0.0, high=high, is_personal=is_personal)
