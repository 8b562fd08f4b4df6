"""Build ``reference.json``: what single answers will be judged against, from held-out rows."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, Context
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tiltyard.contract.signature import Column, Signature
from tiltyard.contract.step import to_columns
from tiltyard.runtime.reference import (
    FEWEST_CALIBRATION_ROWS,
    FORMAT,
    MOST_SCORES,
    MOST_WHITENED,
    told_columns,
)
from tiltyard.stats import conformal, ecod, mahalanobis
from tiltyard.training import background

SEED = 0

_NINE_DIGITS_UPWARD = Context(prec=9, rounding=ROUND_CEILING)

Json = dict[str, Any]
Floats = NDArray[np.float64]


def build_reference(
    signature: Signature, data: pd.DataFrame, scores: NDArray[np.float32], outcomes: NDArray[Any]
) -> Json:
    """``reference.json``, format 1 (`tiltyard.runtime.reference`), as a document.

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
    One half of the rows makes the anomaly tables and the other half calibrates
    them, so that p-values are those of rows that the tables haven't seen; which row
    goes where depends on their number alone. Numbers keep nine digits: the last bits
    of a sum are the machine's.
    """
    holds_persons = any(column.is_personal for column in signature.columns)
    return {
        "format": FORMAT,
        "rows": len(data),
        "conformal": {"scores": _conformal(signature, scores.astype(np.float64), outcomes)},
        "anomaly": _anomaly(signature, data),
        "background": {
            "rows": background.draw(
                data, scores, signature=signature, holds_persons=holds_persons, seed=SEED
            ),
            "drawn": "by column" if holds_persons else "stratified",
            "seed": SEED,
        },
    }


def rows_to_tell(level: float) -> int:
    """Held-out rows from which on a row can be flagged at `level`; half of them calibrate."""
    held = FEWEST_CALIBRATION_ROWS
    while math.isinf(conformal.cutoff(range(held), level / 2)):
        held += 1
    return 2 * held - 1


def _conformal(signature: Signature, scores: Floats, outcomes: NDArray[Any]) -> list[float]:
    if signature.task == "regression":
        errors = np.abs(outcomes.astype(np.float64) - scores[:, 0])
    else:
        errors = 1.0 - scores[np.arange(len(scores)), outcomes.astype(np.int64)]
    return sorted(_upward(_drawn(errors)))


def _anomaly(signature: Signature, data: pd.DataFrame) -> Json | None:
    columns = [signature.column(name) for name in told_columns(signature)]
    order = np.random.default_rng(SEED).permutation(len(data))
    fitted, held = order[: len(data) // 2], order[len(data) // 2 :]
    if len(held) < FEWEST_CALIBRATION_ROWS:
        return None
    values = to_columns(data, {column.name: column.type for column in columns})
    if not columns:
        return None
    rows = np.column_stack([values[column.name] for column in columns]).astype(np.float32).astype(np.float64)
    # A column that is missing in this half has nothing to be compared with.
    told = ~np.all(np.isnan(rows[fitted]), axis=0)
    columns, rows = [c for c, is_told in zip(columns, told.tolist(), strict=True) if is_told], rows[:, told]
    if not columns:
        return None
    tails = [_tails(column, rows[fitted, j]) for j, column in enumerate(columns)]
    whitening = None
    if 1 < len(columns) <= MOST_WHITENED:
        exact = mahalanobis.fit(rows[fitted])
        whitening = mahalanobis.Whitening(_short(exact.mean), [_short(row) for row in exact.rows])
    away = np.empty(0) if whitening is None else mahalanobis.scores(*mahalanobis.dense(whitening), rows[held])
    return {
        "columns": [column.name for column in columns],
        "ecod": [table._asdict() for table in tails],
        "mahalanobis": None if whitening is None else {"mean": whitening.mean, "rows": whitening.rows},
        "calibration": {
            "ecod": _calibration(ecod.scores(ecod.tables(tails), rows[held])),
            "mahalanobis": _calibration(away),
        },
    }


def _tails(column: Column, values: Floats) -> ecod.Tails:
    known = values[~np.isnan(values)]
    outer = None
    # The smallest and the largest value of a personal column are someone's, unless they are everyone's.
    if column.is_personal and known.min() < known.max():
        outer = (
            -math.inf if column.minimum is None else column.minimum,
            math.inf if column.maximum is None else column.maximum,
        )
    exact = ecod.fit(known, outer=outer)
    return ecod.Tails(list(exact.edges), _short(exact.left), _short(exact.right), exact.is_left)


def _calibration(scores: Floats) -> list[float]:
    return sorted(_short(_drawn(scores)))


def _drawn(scores: Floats) -> Floats:
    """At most `MOST_SCORES` of them, drawn by their number alone."""
    if len(scores) <= MOST_SCORES:
        return scores
    return scores[np.random.default_rng(SEED).permutation(len(scores))[:MOST_SCORES]]


def _short(numbers: Any) -> list[float]:
    return [float(f"{number:.9g}") for number in numbers]


def _upward(scores: Floats) -> list[float]:
    """Nine digits, never below: trees give many rows one score, and a limit below it would rule out all."""
    return [float(_NINE_DIGITS_UPWARD.create_decimal(score)) for score in scores.tolist()]
