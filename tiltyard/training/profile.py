"""The reference profile: what held-out rows look like, as counts that drift is measured against.

Counts are of held-out rows, never of rows that the model was fitted on: scores on
training rows are overfit, and every later comparison would inherit that.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tiltyard.contract.signature import Column, Signature
from tiltyard.contract.step import to_columns
from tiltyard.training.numbers import as_list, bin_counts, number_profile, quantile_edges
from tiltyard.training.together import build_together

FORMAT = 1
LEVELS = 30
"""Most frequent levels that are counted by name; the rest is ``other``."""
SCORE_BINS = 200

Json = dict[str, Any]
Floats = NDArray[np.float64]


def build_profile(
    signature: Signature, data: pd.DataFrame, scores: NDArray[np.float32], outcomes: NDArray[Any]
) -> Json:
    """``profile.json``, format 1, as a document of finite numbers and text.

    Parameters
    ----------
    data
        The held-out rows.
    scores
        The served graph's own answers to them, shape (n, classes) or (n, 1).
    outcomes
        Class index of each row, or the true value (regression), shape (n,).

    Notes
    -----
    Column ``number``: bin i holds values in ``[edges[i], edges[i + 1])``, the last one
    its upper edge as well; the outer edges are the signature's range, and what lies
    outside counts as ``below`` or ``above`` (0 in the reference unless ranges are narrower).
    ``means[i]`` is the mean of bin i's values (its middle where it is empty), which the
    mean-shift statistic reads. Column ``category``: `LEVELS` levels by frequency, ties by
    name. A subject and columns of type ``datetime`` have no entry. ``together`` is
    there where `build_together` finds any: `stats.together.Axes`, and its distances' counts.
    """
    types = {column.name: column.type for column in signature.columns}
    values = to_columns(data, types)
    columns = {
        column.name: _column_profile(column, values[column.name])
        for column in signature.columns
        if column.role != "subject" and column.type != "datetime"
    }
    profile = {
        "format": FORMAT,
        "rows": len(data),
        "columns": columns,
        "score": _score_profile(signature, np.asarray(scores, dtype=np.float64), outcomes),
        "target": _target_profile(signature, outcomes),
    }
    together = build_together(signature, values)
    return profile if together is None else {**profile, "together": together}


def _column_profile(column: Column, values: NDArray[Any]) -> Json:
    if column.type in ("number", "integer"):
        return number_profile(values, low=column.minimum, high=column.maximum, is_personal=column.is_personal)
    if column.type == "boolean":
        values = np.array([None if v is None else ("true" if v else "false") for v in values], dtype=object)
    return category_profile(values, fewest=10 if column.is_personal else 1)


def category_profile(values: NDArray[Any], *, fewest: int = 1) -> Json:
    """Counts of the `LEVELS` most frequent levels that have at least `fewest` rows."""
    counts = Counter(str(v) for v in values if v is not None)
    ranked = sorted((level for level in counts if counts[level] >= fewest), key=lambda v: (-counts[v], v))[
        :LEVELS
    ]
    named = sum(counts[level] for level in ranked)
    return {
        "kind": "category",
        "levels": ranked,
        "counts": [counts[level] for level in ranked],
        "other": sum(counts.values()) - named,
        "missing": int(len(values) - sum(counts.values())),
    }


def _score_profile(signature: Signature, scores: Floats, outcomes: NDArray[Any]) -> Json:
    """Score counts by true label, on edges that hold the decision threshold.

    The score is the positive class's probability (binary), the largest probability
    (multiclass) or the value (regression, one row of counts).
    """
    if signature.task == "regression":
        score = scores[:, 0]
        edges = quantile_edges(score, bins=SCORE_BINS, low=float(score.min()), high=float(score.max()))
        groups = [score]
    else:
        score = scores[:, 1] if signature.task == "binary" else scores.max(axis=1)
        # A float32 probability may exceed 1 in the last bit.
        score = np.clip(score, 0.0, 1.0)
        forced = [] if signature.threshold is None else [signature.threshold]
        edges = quantile_edges(score, bins=SCORE_BINS, low=0.0, high=1.0, forced=forced)
        groups = [score[outcomes == label] for label in range(len(signature.classes))]
    return {
        "edges": as_list(edges),
        "counts": [bin_counts(group, edges).tolist() for group in groups],
    }


def _target_profile(signature: Signature, outcomes: NDArray[Any]) -> Json:
    if signature.task == "regression":
        values = np.asarray(outcomes, dtype=np.float64)
        return number_profile(values, low=float(values.min()), high=float(values.max()))
    return {
        "kind": "category",
        "levels": list(signature.classes),
        "counts": [int((outcomes == label).sum()) for label in range(len(signature.classes))],
        "other": 0,
        "missing": 0,
    }
