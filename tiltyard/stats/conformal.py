"""Split conformal prediction: how far a calibration score reaches at a level.

For n exchangeable calibration scores and a new one, the new score is at most the
``ceil((n + 1) * level)``-th smallest of them with probability at least `level`
(Vovk, Gammerman & Shafer 2005; Angelopoulos & Bates 2021, arXiv 2107.07511, appendix D).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction


def rank(n: int, level: float) -> int:
    """Which of n sorted calibration scores, counted from 1, covers a new one at `level`.

    Above n when n scores are too few: the set is everything then. The level counts
    as the decimal that it was written as, so that .9 of 10 is 9 and never a bit more.
    """
    return math.ceil((n + 1) * Fraction(repr(level)))


def quantile(scores: Sequence[float], level: float) -> float:
    """The conformal quantile of ascending `scores`; infinite when they are too few for `level`."""
    k = rank(len(scores), level)
    return scores[k - 1] if k <= len(scores) else math.inf


def p_value(scores: Sequence[float], score: float) -> float:
    """Share of ascending calibration `scores`, with the new one among them, that are at least `score`.

    Valid (super-uniform) for a new row that is exchangeable with the calibration
    rows (Bates, Candès, Lei, Romano & Sesia 2023, arXiv 2104.08279, section 2.1).
    """
    low, high = 0, len(scores)
    while low < high:  # bisect_left, of numpy arrays as of lists
        middle = (low + high) // 2
        if scores[middle] < score:
            low = middle + 1
        else:
            high = middle
    return (1 + len(scores) - low) / (1 + len(scores))


def cutoff(scores: Sequence[float], p: float) -> float:
    """The score above which `p_value` is at most `p`; infinite when the scores are too few for that.

    With m the number of scores that may reach a flagged one, a score is flagged
    when it is above the (m + 1)-th largest.
    """
    m = math.floor(Fraction(repr(p)) * (1 + len(scores))) - 1
    if m < 0:
        return math.inf
    return scores[len(scores) - 1 - m] if m < len(scores) else -math.inf
