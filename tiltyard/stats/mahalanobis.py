"""Mahalanobis distance by a triangular whitening: how unusual the values of a row are together.

``||L^-1 (x - mean)||^2`` with ``L L^T`` the Cholesky factors of the covariance, whose
diagonal is raised by a thousandth so that collinear columns don't make it singular
(Ledoit & Wolf 2004 shrink for the same reason; the amount here is fixed). A missing value
counts as the mean: it says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RIDGE = 1e-3

Floats = NDArray[np.float64]


class Whitening(NamedTuple):
    """`mean` of k columns and the rows of ``L^-1``; row i has i + 1 numbers, zeros for a constant column."""

    mean: Sequence[float]
    rows: Sequence[Sequence[float]]


def fit(values: Floats) -> Whitening:
    """From n >= 2 reference rows, float64 of shape (n, k) that may hold NaN; no column is NaN alone.

    A constant column is left out: it has no spread to measure a distance in, and
    what differs from it is out of its range.
    """
    mean = np.nanmean(values, axis=0)
    centred = np.where(np.isnan(values), 0.0, values - mean)
    spread = centred.std(axis=0)
    varies = spread > 1e-12 * np.maximum(np.abs(mean), 1e-300)
    scaled = centred[:, varies] / spread[varies]
    rows: Floats = np.zeros((values.shape[1], values.shape[1]))
    if varies.any():
        correlation = scaled.T @ scaled / len(values)
        factor = np.linalg.cholesky(correlation + RIDGE * np.eye(len(correlation)))
        inverse = np.tril(np.linalg.inv(factor)) / spread[varies]
        rows[np.ix_(varies, varies)] = inverse
    return Whitening(mean.tolist(), [rows[i, : i + 1].tolist() for i in range(len(rows))])


def components(whitening: Whitening, row: Sequence[float]) -> list[float]:
    """``L^-1 (x - mean)`` of one row, in plain Python; NaN counts as the mean."""
    centred = [v - m if v == v else 0.0 for v, m in zip(row, whitening.mean, strict=True)]
    # zip ends with the shorter of the two: a row of the triangle has i + 1 numbers.
    return [sum([a * b for a, b in zip(weights, centred)]) for weights in whitening.rows]  # noqa: B905


def score(whitening: Whitening, row: Sequence[float]) -> float:
    """The squared distance of one row."""
    return sum([c * c for c in components(whitening, row)])


def dense(whitening: Whitening) -> tuple[Floats, Floats]:
    """`mean`, shape (k,), and ``L^-1``, shape (k, k), for `scores`."""
    k = len(whitening.mean)
    matrix: Floats = np.zeros((k, k))
    for i, weights in enumerate(whitening.rows):
        matrix[i, : i + 1] = weights
    return np.array(whitening.mean), matrix


def scores(mean: Floats, matrix: Floats, rows: Floats) -> Floats:
    """`score` of n rows, float64 of shape (n, k), by `dense`'s arrays."""
    centred = np.where(np.isnan(rows), 0.0, rows - mean)
    white = centred @ matrix.T
    squared: Floats = (white * white).sum(axis=1)
    return squared


def furthest(whitening: Whitening, row: Sequence[float]) -> int:
    """The column whose value fits the ones before it least: the largest component."""
    found = components(whitening, row)
    return max(range(len(found)), key=lambda i: abs(found[i]))
