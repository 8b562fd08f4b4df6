"""ECOD on reference-quantile bins: how far out a row's values lie, column by column.

Li, Zhao, Hu, Botta, Ionescu & Chen (2022), ECOD: Unsupervised Outlier Detection Using
Empirical Cumulative Distribution Functions, arXiv 2201.00382, algorithm 1: the sum over
columns of -log of the left tail, of the right tail, and of the tail on the side that a
column is skewed to; the largest of the three sums is the score. Here the tails are those of
the bin that a value falls into, so that scoring is a look-up and the reference rows stay away.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

EDGES = 65

Floats = NDArray[np.float64]


class Tails(NamedTuple):
    """One column: k ascending edges, and k + 1 cells' tails; cell j holds values from edge j - 1 to edge j.

    `left[j]` is -log of the share of reference values in the cells up to j, `right[j]`
    of those from j on, each counted as (count + 1) / (n + 2). `is_left` says
    which of the two the column's skew chooses.
    """

    edges: Sequence[float]
    left: Sequence[float]
    right: Sequence[float]
    is_left: bool


def fit(values: Floats, *, outer: tuple[float, float] | None = None) -> Tails:
    """Tables of one column from its n >= 1 finite reference values, float64 of shape (n,).

    An inner edge lies halfway from a quantile to the next larger value, so no edge
    is anyone's; the outer ones are the smallest and largest value, or `outer`. Where
    that is infinite there is none, and a value beyond the reference counts as the last cell's.
    """
    known = np.unique(values)
    inner = np.quantile(values, np.linspace(0, 1, EDGES)[1:-1], method="inverted_cdf")
    following = np.searchsorted(known, inner, side="right")
    inner, following = inner[following < len(known)], following[following < len(known)]
    low, high = outer or (float(known[0]), float(known[-1]))
    edges = np.unique(np.clip(np.concatenate([[low], (inner + known[following]) / 2, [high]]), low, high))
    edges = edges[np.isfinite(edges)]
    cells = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
    n = len(values)
    left = -np.log((np.cumsum(cells) + 1) / (n + 2))
    right = -np.log((np.cumsum(cells[::-1])[::-1] + 1) / (n + 2))
    centred = values - values.mean()
    return Tails(edges.tolist(), left.tolist(), right.tolist(), bool((centred**3).sum() < 0))


def score(columns: Sequence[Tails], row: Sequence[float]) -> float:
    """The score of one row, a value for each column; NaN contributes nothing. Plain Python: no numpy call."""
    lefts = rights = skews = 0.0
    for (edges, left, right, is_left), value in zip(columns, row, strict=True):
        if value == value:
            cell = bisect_right(edges, value)
            on_left, on_right = left[cell], right[cell]
            lefts += on_left
            rights += on_right
            skews += on_left if is_left else on_right
    return max(lefts, rights, skews)


def tables(columns: Sequence[Tails]) -> list[tuple[Floats, Floats]]:
    """For `scores`: each column's edges, and its left, right and skewed tails, float64 (3, cells)."""
    return [
        (np.array(edges), np.array([left, right, left if is_left else right]))
        for edges, left, right, is_left in columns
    ]


def scores(prepared: Sequence[tuple[Floats, Floats]], rows: Floats) -> Floats:
    """`score` of n rows, float64 of shape (n, columns), by `tables`."""
    sums = np.zeros((3, len(rows)))
    missing = np.isnan(rows)
    has_gaps = np.any(missing, axis=0).tolist()
    for j, (edges, tails) in enumerate(prepared):
        found = tails.take(edges.searchsorted(rows[:, j], side="right"), axis=1)
        if has_gaps[j]:
            found[:, missing[:, j]] = 0.0
        sums += found
    highest: Floats = sums.max(axis=0)
    return highest


def furthest(columns: Sequence[Tails], row: Sequence[float]) -> int:
    """The column that contributes most to the largest of a row's three sums."""
    sides: tuple[list[float], list[float], list[float]] = ([], [], [])
    for (edges, left, right, is_left), value in zip(columns, row, strict=True):
        cell = bisect_right(edges, value) if value == value else None
        on_left, on_right = (0.0, 0.0) if cell is None else (left[cell], right[cell])
        for side, tail in zip(sides, (on_left, on_right, on_left if is_left else on_right), strict=True):
            side.append(tail)
    largest = max(sides, key=sum)
    return largest.index(max(largest))
