"""Background rows: the handful that explanations measure a row against.

Stratified by score, so that few rows stand for the whole range of answers and the
base value lies near the mean answer (for a model of persons drawn column by column
instead: what goes together in the data doesn't in those rows, and the base value
may lie elsewhere).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tiltyard.contract.signature import Signature
from tiltyard.errors import InvalidInput
from tiltyard.training import frames
from tiltyard.training.drawing import drawn_apart

ROWS = 50


def draw(
    data: pd.DataFrame,
    scores: NDArray[Any],
    *,
    signature: Signature,
    holds_persons: bool,
    rows: int = ROWS,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """At most `rows` background rows, as JSON sends them, the model's own columns only.

    Parameters
    ----------
    data
        The held-out rows, at least one.
    scores
        The graph's answers to them, shape (n, classes) or (n, 1).
    holds_persons
        Draw every column by itself and away from anyone's value, as for ``parity.json``.
    rows
        At least 1. All of `data`, in its order, where it has no more (and holds no persons).

    Raises
    ------
    InvalidInput
        If there are no rows to draw from, or not one score for each.

    Notes
    -----
    Rows are sorted by score (multiclass: by the likeliest class, then its probability),
    cut into `rows` strata of equal counts, and one is drawn of each. Scores count to
    six digits, so that another machine's last bit draws the same rows.
    """
    if not len(data) or len(scores) != len(data) or rows < 1:
        raise InvalidInput("Background rows are drawn from at least one row, with a score for each.")
    types = {column.name: column.type for column in signature.inputs}
    inputs = data[list(types)].reset_index(drop=True)
    generator = np.random.default_rng(seed)
    if holds_persons:
        drawn = drawn_apart(inputs, signature, generator, safe=True, count=rows)
    else:
        drawn = inputs.iloc[_one_of_each_stratum(_order(scores), rows, generator)]
    return frames.json_rows(drawn, types)


def _order(scores: NDArray[Any]) -> NDArray[np.int64]:
    """Positions of the rows from the lowest score to the highest; equal scores as they come."""
    rounded = np.round(np.asarray(scores, dtype=np.float64), 6)
    if rounded.shape[1] <= 2:
        return np.argsort(rounded[:, -1], kind="stable")
    return np.lexsort((rounded.max(axis=1), rounded.argmax(axis=1)))


def _one_of_each_stratum(
    order: NDArray[np.int64], count: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    if len(order) <= count:
        return np.arange(len(order))
    borders = np.arange(count + 1) * len(order) // count
    return np.sort(order[generator.integers(borders[:-1], borders[1:])])
