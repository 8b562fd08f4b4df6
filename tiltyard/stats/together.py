"""Columns together: two distances of a row, counted as numbers, that see what no single column shows.

A change of how columns go together can leave each of them as it was. Both distances are read off
the principal axes of the reference's standardised columns: the reconstruction error is the length of
what the first axes (nine tenths of the variance) don't hold of a row (Rabanser et al. 2019, Failing
loudly, arXiv 1810.11953), the Mahalanobis distance its length in units of each axis's spread, with
`mahalanobis.RIDGE` added to every variance. What is kept are means, spreads and axes, and no row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tiltyard.stats.mahalanobis import RIDGE

Distance = Literal["reconstruction", "mahalanobis"]
DISTANCES: tuple[Distance, ...] = get_args(Distance)
TITLES: Mapping[Distance, str] = {
    "reconstruction": "columns together (reconstruction error)",
    "mahalanobis": "columns together (Mahalanobis distance)",
}

KEPT_VARIANCE = 0.9
MOST_COLUMNS = 200
FURTHEST = 1e6
"""Standard deviations: a value further from the mean counts as that far, and no distance is infinite."""

_BLOCK = 1024

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Axes:
    """Principal axes of k `columns`: `axes` holds one a row, the `kept` ones first.

    A missing value counts as `fill`; `mean` and `scale` standardise.
    """

    columns: tuple[str, ...]
    fill: Sequence[float]
    mean: Sequence[float]
    scale: Sequence[float]
    axes: Sequence[Sequence[float]]
    variances: Sequence[float]
    kept: int

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Axes:
        """Read the profile's ``together``, which `runtime.documents` has checked."""
        parts = ("fill", "mean", "scale", "axes", "variances", "kept")
        return cls(tuple(document["columns"]), *(document[part] for part in parts))

    def to_json(self) -> dict[str, Any]:
        return {
            "columns": list(self.columns),
            "fill": list(self.fill),
            "mean": list(self.mean),
            "scale": list(self.scale),
            "axes": [list(axis) for axis in self.axes],
            "variances": list(self.variances),
            "kept": self.kept,
        }


def fit(columns: Sequence[str], values: Floats, fill: Sequence[float]) -> Axes | None:
    """From n >= 2 reference rows, float64 of shape (n, k) that may hold NaN.

    Constant columns are left out; None where fewer than two are left. Numbers keep nine digits: the
    last bits of a sum are the machine's.
    """
    filled = np.where(np.isnan(values), np.asarray(fill), values)
    mean, scale = filled.mean(axis=0), filled.std(axis=0)
    varies = np.flatnonzero(scale > 1e-12 * np.maximum(np.abs(mean), 1e-300)).tolist()
    if len(varies) < 2:
        return None
    standard = (filled[:, varies] - mean[varies]) / scale[varies]
    found, axes = np.linalg.eigh(standard.T @ standard / len(standard))
    order = np.argsort(-found, kind="stable")
    variances, axes = np.maximum(found[order], 0.0), axes.T[order]
    axes *= np.where(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)] < 0, -1.0, 1.0)[:, None]
    needed = int(np.searchsorted(np.cumsum(variances) / variances.sum(), KEPT_VARIANCE)) + 1
    return Axes(
        tuple(columns[i] for i in varies),
        _short([fill[i] for i in varies]),
        _short(mean[varies]),
        _short(scale[varies]),
        [_short(axis) for axis in axes],
        _short(variances),
        min(needed, len(varies) - 1),
    )


class Together:
    """Computes both distances. A row alone and in any batch gives the same bits."""

    def __init__(self, axes: Axes) -> None:
        self.columns = axes.columns
        self._fill, self._mean, self._scale = (
            np.array([part]).T for part in (axes.fill, axes.mean, axes.scale)
        )
        # Transposed: [j] is what column j adds to every axis.
        self._parts = np.array(axes.axes).T[:, :, None].copy()
        self._weights = [1.0 / (variance + RIDGE) for variance in axes.variances]
        self._kept = axes.kept

    def distances(self, values: Floats) -> dict[Distance, Floats]:
        """Of n rows, float64 of shape (k, n), a row of it a column; NaN is missing."""
        found = np.empty((2, values.shape[1]))
        for start in range(0, values.shape[1], _BLOCK):
            block = slice(start, start + _BLOCK)
            found[:, block] = self._block(values[:, block])
        return dict(zip(DISTANCES, found, strict=True))

    def _block(self, values: Floats) -> Floats:
        with np.errstate(over="ignore"):
            standard = (np.where(np.isnan(values), self._fill, values) - self._mean) / self._scale
        np.clip(standard, -FURTHEST, FURTHEST, out=standard)
        # Added up in a fixed order and element by element: a matrix product's last bits depend on
        # how many rows there are.
        along = np.zeros_like(standard)
        for part, column in zip(self._parts, standard, strict=True):
            along += part * column
        along *= along
        sums = np.zeros((2, values.shape[1]))
        for i, (squared, weight) in enumerate(zip(along, self._weights, strict=True)):
            if i >= self._kept:
                sums[0] += squared
            sums[1] += squared * weight
        roots: Floats = np.sqrt(sums)
        return roots


def _short(numbers: Any) -> list[float]:
    return [float(f"{number:.9g}") for number in numbers]
