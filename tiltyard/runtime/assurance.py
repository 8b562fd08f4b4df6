"""How sure an answer is, and what is odd about its row: the reference, looked up at a level.

Few rows go through plain Python and many through numpy; both flag the same rows,
and a test holds them to that.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tiltyard.contract.rows import Warn
from tiltyard.contract.signature import Signature
from tiltyard.runtime.reference import FEWEST_CALIBRATION_ROWS, Anomaly, Reference
from tiltyard.stats import conformal, ecod, mahalanobis

ONE_BY_ONE = 8
"""Rows up to which plain Python is faster than numpy's calls."""
MOST_PLAIN_COLUMNS = 8
"""Columns above which a row's whitening goes through numpy."""

# A score that is a calibration row's own, but for the rounding of what is stored, isn't above it.
_ROUNDING = 1e-6

Interval = list[float | None]


class Cutoffs(NamedTuple):
    """Scores above which a row is flagged; infinite where the calibration rows are too few for the level."""

    ecod: float
    mahalanobis: float


class Assurance:
    """A version's reference, ready to judge answers."""

    def __init__(self, reference: Reference, signature: Signature) -> None:
        self.reference = reference
        self._classes = signature.classes
        self._anomaly = reference.anomaly
        self._whitening = None if reference.anomaly is None else reference.anomaly.whitening
        self._dense = None if self._whitening is None else mahalanobis.dense(self._whitening)
        if reference.anomaly is not None:
            places = [signature.features.numbers.index(name) for name in reference.anomaly.columns]
            # A slice where it can be: every number in the graph's order is usual, and copies nothing.
            self._places = slice(None) if places == list(range(len(signature.features.numbers))) else places
            self._tables = ecod.tables(reference.anomaly.tails)
        self.cutoffs = functools.lru_cache(maxsize=8)(self._cutoffs)
        self.reach = functools.lru_cache(maxsize=8)(self._reach)

    @property
    def is_calibrated(self) -> bool:
        """Whether there are rows enough to tell a row that is odd."""
        return self._anomaly is not None and len(self._anomaly.ecod) >= FEWEST_CALIBRATION_ROWS

    def _cutoffs(self, level: float) -> Cutoffs:
        """The flagging scores at `level`: each rule spends half of it."""
        if self._anomaly is None or not self.is_calibrated:
            return Cutoffs(math.inf, math.inf)
        found = [
            conformal.cutoff(scores, level / 2) if scores else math.inf
            for scores in (self._anomaly.ecod, self._anomaly.mahalanobis)
        ]
        return Cutoffs(*(cut + _ROUNDING * abs(cut) if math.isfinite(cut) else cut for cut in found))

    def _reach(self, level: float) -> float:
        """The conformal quantile at `level`: of ``1 - p``, or of a regression's absolute error."""
        return conformal.quantile(self.reference.conformal, level)

    def findings(self, numbers: NDArray[np.float32] | None, level: float) -> dict[int, tuple[Warn, ...]]:
        """What is odd about n rows, by position, from the graph's ``numbers`` input, shape (n, k).

        A share of at most `level` of usual rows is flagged: (Bonferroni) half of it
        by each rule.
        """
        anomaly = self._anomaly
        cutoffs: Cutoffs = self.cutoffs(level)
        if (
            anomaly is None
            or numbers is None
            or (math.isinf(cutoffs.ecod) and math.isinf(cutoffs.mahalanobis))
        ):
            return {}
        rows = numbers[:, self._places].astype(np.float64)
        if len(rows) <= ONE_BY_ONE:
            return self._one_by_one(anomaly, rows, cutoffs)
        return self._at_once(anomaly, rows, cutoffs)

    def _one_by_one(
        self, anomaly: Anomaly, rows: NDArray[np.float64], cutoffs: Cutoffs
    ) -> dict[int, tuple[Warn, ...]]:
        found = {}
        for i, row in enumerate(rows.tolist()):
            out = ecod.score(anomaly.tails, row)
            away = 0.0 if self._whitening is None else self._distance(rows[i], row)
            if out > cutoffs.ecod or away > cutoffs.mahalanobis:
                found[i] = self._name(anomaly, row, out, away, cutoffs)
        return found

    def _distance(self, row: NDArray[np.float64], values: Sequence[float]) -> float:
        assert self._whitening is not None
        assert self._dense is not None
        if len(values) <= MOST_PLAIN_COLUMNS:
            return mahalanobis.score(self._whitening, values)
        return float(mahalanobis.scores(*self._dense, row[None])[0])

    def _at_once(
        self, anomaly: Anomaly, rows: NDArray[np.float64], cutoffs: Cutoffs
    ) -> dict[int, tuple[Warn, ...]]:
        out = ecod.scores(self._tables, rows)
        away = np.zeros(len(rows)) if self._dense is None else mahalanobis.scores(*self._dense, rows)
        flagged = np.flatnonzero((out > cutoffs.ecod) | (away > cutoffs.mahalanobis))
        return {
            i: self._name(anomaly, rows[i].tolist(), float(out[i]), float(away[i]), cutoffs)
            for i in flagged.tolist()
        }

    def _name(
        self, anomaly: Anomaly, row: Sequence[float], out: float, away: float, cutoffs: Cutoffs
    ) -> tuple[Warn, ...]:
        """Which rule, which column, how rare."""
        found = []
        if out > cutoffs.ecod:
            column = anomaly.columns[ecod.furthest(anomaly.tails, row)]
            found.append(Warn(column, "extreme", conformal.p_value(anomaly.ecod, out)))
        if self._whitening is not None and away > cutoffs.mahalanobis:
            column = anomaly.columns[mahalanobis.furthest(self._whitening, row)]
            found.append(Warn(column, "combination", conformal.p_value(anomaly.mahalanobis, away)))
        return tuple(found)

    def sets(self, scores: NDArray[np.float32], level: float) -> list[list[str]]:
        """The classes that can't be ruled out at `level`, for probabilities of shape (n, classes).

        Likeliest first. The true class is among them in at least a share `level` of
        rows like the reference's; an empty set says that the row is unlike them.
        """
        reach: float = self.reach(level)
        # In float64, where 1 - p of the calibration was taken.
        kept = 1.0 - scores.astype(np.float64) <= reach
        if len(self._classes) == 2:
            first, second = self._classes
            likelier_first = [[], [first], [second], [first, second]]
            likelier_second = [[], [first], [second], [second, first]]
            codes = (kept[:, 0] + 2 * kept[:, 1]).tolist()
            leads = (scores[:, 1] > scores[:, 0]).tolist()
            return [
                (likelier_second if lead else likelier_first)[c] for c, lead in zip(codes, leads, strict=True)
            ]
        order = np.argsort(-scores, axis=1, kind="stable").tolist()
        sizes = kept.sum(axis=1).tolist()
        return [[self._classes[c] for c in row[:size]] for row, size in zip(order, sizes, strict=True)]

    def intervals(self, scores: NDArray[np.float32], level: float) -> list[Interval]:
        """Lowest and highest value at `level`, for values of shape (n, 1); None where there is no bound."""
        reach: float = self.reach(level)
        values = scores[:, 0].tolist()
        if math.isinf(reach):
            return [[None, None] for _ in values]
        return [[value - reach, value + reach] for value in values]
