"""Reference counts of numbers: edges of about equal counts, and what lies between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 20
"""Reference-quantile bins of a numeric column."""

Json = dict[str, Any]
Floats = NDArray[np.float64]


def number_profile(
    values: Floats, *, low: float | None, high: float | None, is_personal: bool = False
) -> Json:
    """Counts of `values` (NaN is missing) in at most `BINS` reference-quantile bins."""
    present = values[~np.isnan(values)]
    missing = int(len(values) - len(present))
    if not len(present) or low is None or high is None:
        return {
            "kind": "number", "edges": [], "counts": [], "means": [],
            "missing": missing, "below": 0, "above": len(present),
        }  # fmt: skip
    edges = quantile_edges(present, bins=BINS, low=low, high=high)
    counts = bin_counts(present, edges)
    middles = (edges[:-1] + edges[1:]) / 2
    inside = present[(present >= edges[0]) & (present <= edges[-1])]
    sums = np.bincount(_bin_of(inside, edges), weights=inside, minlength=len(counts))
    named = counts >= (10 if is_personal else 1)
    means = np.where(named, np.clip(sums / np.maximum(counts, 1), edges[:-1], edges[1:]), middles)
    return {
        "kind": "number",
        "edges": as_list(edges),
        "counts": counts.tolist(),
        "means": as_list(means),
        "missing": missing,
        "below": int((present < edges[0]).sum()),
        "above": int((present > edges[-1]).sum()),
    }


def quantile_edges(
    present: Floats, *, bins: int, low: float, high: float, forced: Sequence[float] = ()
) -> Floats:
    """Strictly rising edges from `low` to `high`, with about equal counts between them.

    An inner edge lies halfway between a quantile and the next larger value, so ties
    never straddle it; columns of few values get a bin for each. `forced` are edges that
    must be there: the nearest inner edge gives way.
    """
    ordered = np.sort(present)
    distinct = np.unique(ordered)
    ranks = (np.arange(1, bins) * len(ordered)) // bins
    quantiles = ordered[np.maximum(ranks - 1, 0)]
    following = np.searchsorted(distinct, quantiles, side="right")
    kept = following < len(distinct)
    inner = (quantiles[kept] + distinct[following[kept]]) / 2
    inner = np.unique(inner[(inner > low) & (inner < high)])
    for edge in forced:
        if low < edge < high and edge not in inner:
            if len(inner) >= bins - 1:
                inner = np.delete(inner, np.argmin(np.abs(inner - edge)))
            inner = np.sort(np.append(inner, edge))
    if low == high:
        return np.array([low, high])
    return np.concatenate([[low], inner, [high]])


def bin_counts(values: Floats, edges: Floats) -> NDArray[np.int64]:
    """How many values lie in each bin; those outside the edges in none."""
    inside = values[(values >= edges[0]) & (values <= edges[-1])]
    return np.bincount(_bin_of(inside, edges), minlength=len(edges) - 1)


def _bin_of(inside: Floats, edges: Floats) -> NDArray[np.int64]:
    last = len(edges) - 2
    return np.clip(np.searchsorted(edges, inside, side="right") - 1, 0, last)


def as_list(values: Floats) -> list[float]:
    return [float(value) for value in values]
