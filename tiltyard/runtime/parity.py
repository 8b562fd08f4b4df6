"""Does the graph answer as the estimator did? The rule that lets a version in.

A conversion that succeeds proves nothing: some convert without a word and are
wrong. The rule blocks on the share of rows that differ, on labels at the
decision threshold, and on any answer that isn't a number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiltyard.contract.signature import Task
from tiltyard.errors import Fault, InvalidBundle

Answers = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class ParityRule:
    """How far the graph may be from the estimator.

    `atol` is an absolute difference of a probability, or of a regression's value
    in standard deviations of the estimator's answers; the shares are of rows.
    """

    atol: float = 1e-4
    max_row_share: float = 1e-3
    max_label_share: float = 1e-4

    def to_json(self) -> dict[str, float]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: object) -> ParityRule:
        names = ("atol", "max_row_share", "max_label_share")
        if (
            not isinstance(document, Mapping)
            or set(document) != set(names)
            or not all(_is_share(document[n]) for n in names)
        ):
            raise InvalidBundle(
                "The parity rule is invalid.",
                faults=[Fault("/parity/rule", f"must hold {', '.join(names)}, each between 0 and 1")],
            )
        return cls(*(float(document[name]) for name in names))


@dataclass(frozen=True, slots=True)
class ParityReport:
    """What `compare` found; `reasons` is empty when the rule holds."""

    rows: int
    max_abs_diff: float
    row_share: float
    label_share: float
    reasons: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.reasons

    def to_json(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "max_abs_diff": self.max_abs_diff,
            "row_share": self.row_share,
            "label_share": self.label_share,
        }


def compare(
    expected: Answers, actual: Answers, *, task: Task, threshold: float | None, rule: ParityRule
) -> ParityReport:
    """Compare two sets of answers to the same rows.

    Parameters
    ----------
    expected, actual
        The estimator's and the graph's answers, shape (n, classes) of
        probabilities or (n, 1) of values, n >= 1.
    threshold
        The decision threshold of a binary model.

    Raises
    ------
    InvalidBundle
        If the shapes differ or there are no rows.
    """
    expected = np.asarray(expected, dtype=np.float64)
    actual = np.asarray(actual, dtype=np.float64)
    if expected.shape != actual.shape or expected.ndim != 2 or not len(expected):
        raise InvalidBundle(
            f"Answers of shape {expected.shape} can't be compared with answers of shape {actual.shape}."
        )
    difference = np.abs(actual - expected)
    finite = np.asarray(np.isfinite(difference).all(axis=1))
    allowed = rule.atol * _scale(expected, task)
    beyond = ~finite | (difference > allowed).any(axis=1)
    flipped = ~finite | (labels(expected, task, threshold) != labels(actual, task, threshold))
    row_share, label_share = float(beyond.mean()), float(flipped.mean())
    reasons = []
    if not finite.all():
        reasons.append(f"{int((~finite).sum())} of {len(finite)} answers are not numbers.")
    if row_share > rule.max_row_share:
        reasons.append(
            f"{row_share:.3%} of the rows differ by more than {rule.atol:g}; {rule.max_row_share:.3%} may."
        )
    if task != "regression" and label_share > rule.max_label_share:
        reasons.append(
            f"{label_share:.3%} of the labels differ at the threshold; {rule.max_label_share:.3%} may."
        )
    largest = float(difference[finite].max()) if finite.any() else float(np.finfo(np.float64).max)
    return ParityReport(len(expected), largest, row_share, label_share, tuple(reasons))


def labels(answers: Answers, task: Task, threshold: float | None) -> NDArray[np.int64]:
    """Class index by row: at the threshold if there is one, else the likeliest; 0 for a regression."""
    if task == "regression":
        return np.zeros(len(answers), dtype=np.int64)
    if threshold is not None:
        return (answers[:, 1] >= threshold).astype(np.int64)
    likeliest: NDArray[np.int64] = np.argmax(answers, axis=1)
    return likeliest


def _scale(expected: Answers, task: Task) -> Answers:
    """What a tolerance of 1 means, by row: 1 for a probability, the spread for a value.

    A value is a float32 in the graph, so its own rounding is allowed as well.
    """
    if task != "regression":
        return np.ones_like(expected)
    spread = float(np.std(expected)) or 1.0
    return np.maximum(spread, np.abs(expected) * 0.01)


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
