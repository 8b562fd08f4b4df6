"""The reference profile: what held-out rows look like, as counts that drift is measured against.

Counts are of held-out rows, never of rows that the model was fitted on: scores on
training rows are overfit, and every later comparison would inherit that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tiltyard.contract.signature import Column, Signature
from tiltyard.contract.step import to_columns
from tiltyard.stats.binning import Binner
from tiltyard.stats.layout import Layout, score_groups
from tiltyard.training.numbers import as_list, bin_counts, number_profile, quantile_edges
from tiltyard.training.seasons import Placed, build_seasons, placed_levels, placed_numbers
from tiltyard.training.together import Measured, build_together

FORMAT = 1
LEVELS = 30
"""Most frequent levels that are counted by name; the rest is ``other``."""
SCORE_BINS = 200

Json = dict[str, Any]
Floats = NDArray[np.float64]


def build_profile(
    signature: Signature,
    data: pd.DataFrame,
    scores: NDArray[np.float32],
    outcomes: NDArray[Any],
    *,
    zone: str = "UTC",
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
    zone
        The IANA time zone that the rows' days follow.

    Notes
    -----
    Column ``number``: bin i holds values in ``[edges[i], edges[i + 1])``, the last one
    its upper edge as well; the outer edges are the signature's range, and what lies
    outside counts as ``below`` or ``above`` (0 in the reference unless ranges are narrower).
    ``means[i]`` is the mean of bin i's values (its middle where it is empty), which the
    mean-shift statistic reads. Column ``category``: `LEVELS` levels by frequency, ties by
    name. A subject and columns of type ``datetime`` have no entry. ``together`` is
    there where `build_together` finds any: `stats.together.Axes`, and its distances' counts.
    ``duplicates`` counts rows that are the same in all columns but personal ones.
    ``seasons`` is there where rows have a time (`build_seasons`): of each column, of each
    distance, and of the score, what `stats.seasons.Seasons` reads.
    """
    types = {column.name: column.type for column in signature.columns}
    values = to_columns(data, types)
    columns = {
        column.name: _column_profile(column, values[column.name])
        for column in signature.columns
        if column.role != "subject" and column.type != "datetime"
    }
    score = _score(signature, np.asarray(scores, dtype=np.float64))
    profile: Json = {
        "format": FORMAT,
        "rows": len(data),
        "columns": columns,
        "score": _score_profile(signature, score, outcomes),
        "target": _target_profile(signature, outcomes),
    }
    together = build_together(signature, values)
    if together is not None:
        profile["together"] = together.document
    time = next((column.name for column in signature.columns if column.role == "time"), None)
    if time is not None:
        seasons = _seasons(signature, profile, values, score, together, values[time], zone)
        if seasons is not None:
            profile["seasons"] = seasons
    duplicates = _duplicates(signature, profile, values)
    if duplicates is not None:
        profile["duplicates"] = duplicates
    return profile


def _duplicates(signature: Signature, profile: Json, values: Mapping[str, NDArray[Any]]) -> Json | None:
    """Of a sample of distinct held-out rows, how many came more than once (`stats.sketch`)."""
    personal = frozenset(column.name for column in signature.columns if column.is_personal)
    counted = {name: values[name] for name in profile["columns"]}
    bare = Layout.of({"columns": profile["columns"], "score": {}}, (), personal=personal)
    none = np.empty((profile["rows"], 0))
    sketch = Binner(bare, personal=personal).count(counted, none).sketch
    if not sketch.is_known:
        return None
    return {"distinct": sketch.distinct, "repeated": sketch.repeated}


def _seasons(
    signature: Signature,
    profile: Json,
    values: Mapping[str, NDArray[Any]],
    score: Floats,
    together: Measured | None,
    times: NDArray[np.datetime64],
    zone: str,
) -> Json | None:
    """The profile's ``seasons``, in the shape of its other parts."""
    personal = {column.name for column in signature.columns if column.is_personal}
    placed: dict[tuple[str, str], Placed] = {}
    for name, column in profile["columns"].items():
        is_personal = name in personal
        if column["kind"] == "number":
            placed["columns", name] = placed_numbers(values[name], column["edges"], is_personal=is_personal)
        else:
            placed["columns", name] = placed_levels(
                _texts(values[name]), column["levels"], is_personal=is_personal
            )
    bins = placed_numbers(score, profile["score"]["edges"], is_personal=False)
    groups = score_groups(bins.size - 1)
    group_of = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    placed["score", ""] = Placed(group_of[bins.cells], len(groups))
    when = dict.fromkeys(placed, times)
    if together is not None:
        is_personal = not personal.isdisjoint(together.document["columns"])
        for kind, distances in together.distances.items():
            key = "together", kind
            placed[key] = placed_numbers(distances, together.document[kind]["edges"], is_personal=is_personal)
            when[key] = times[together.rows]
    found = build_seasons(placed, when, zone=zone)
    if found is None:
        return None
    return {
        "zone": zone,
        "columns": {name: part for (where, name), part in found.items() if where == "columns"},
        "together": {name: part for (where, name), part in found.items() if where == "together"},
        "score": found["score", ""],
    }


def _column_profile(column: Column, values: NDArray[Any]) -> Json:
    if column.type in ("number", "integer"):
        return number_profile(values, low=column.minimum, high=column.maximum, is_personal=column.is_personal)
    return category_profile(_texts(values), fewest=10 if column.is_personal else 1)


def _texts(values: NDArray[Any]) -> NDArray[Any]:
    """Truth values as JSON writes them, text as it is."""
    told = [("true" if v else "false") if isinstance(v, bool | np.bool_) else v for v in values]
    return np.array(told, dtype=object)


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


def _score(signature: Signature, scores: Floats) -> Floats:
    """The positive class's probability (binary), the largest one (multiclass) or the value (regression)."""
    if signature.task == "regression":
        return scores[:, 0]
    # A float32 probability may exceed 1 in the last bit.
    return np.clip(scores[:, 1] if signature.task == "binary" else scores.max(axis=1), 0.0, 1.0)


def _score_profile(signature: Signature, score: Floats, outcomes: NDArray[Any]) -> Json:
    """Score counts by true label (one row of a regression), on edges that hold the decision threshold."""
    if signature.task == "regression":
        edges = quantile_edges(score, bins=SCORE_BINS, low=float(score.min()), high=float(score.max()))
        groups = [score]
    else:
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
