"""Slow drift: a Shiryaev-Roberts e-detector on the scores of a feature's cells.

After Shin, Ramdas & Rinaldo 2023, "E-detectors", arXiv:2203.03532. It adds up evidence
over windows, so it sees a shift that no single window shows; the mean time until a
false alarm is at least `RUN_LENGTH` windows, whatever is done between them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

RUN_LENGTH = 8760
"""Windows until a false alarm, on average, at least: hours of a year."""

TOLERANCE = 0.02
"""Shifts of so many standard deviations are none."""

_CLIP = 2.5
_BETS = tuple(0.03 * (0.5 / 0.03) ** (i / 7) for i in range(8))
SIZE = 2 * len(_BETS)

State = tuple[float, ...]
START: State = (-math.inf,) * SIZE
"""Before the first window: the logarithms of `SIZE` statistics of 0."""


@dataclass(frozen=True, slots=True)
class Detector:
    """What a feature's detector weighs: the logarithm of each bet's gain for a row in each cell.

    Cells beyond the places (what is missing) weigh nothing.
    """

    gains: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, reference: Sequence[int], places: Sequence[float]) -> Detector | None:
        """The detector of a feature whose cells lie at `places`; None where these are all one.

        A small reference doesn't know its own mean well, so the tolerance is
        at least three of its standard errors.
        """
        counts = reference[: len(places)]
        n0 = sum(counts)
        if n0 <= 0:
            return None
        mean = sum(c * s for c, s in zip(counts, places, strict=True)) / n0
        deviation = math.sqrt(sum(c * (s - mean) ** 2 for c, s in zip(counts, places, strict=True)) / n0)
        if deviation <= 0:
            return None
        clipped = [min(_CLIP, max(-_CLIP, (s - mean) / deviation)) for s in places]
        middle = sum(c * x for c, x in zip(counts, clipped, strict=True)) / n0
        centred = [x - middle for x in clipped]
        largest = max(abs(x) for x in centred)
        tolerance = max(TOLERANCE, 3 / math.sqrt(n0)) / _CLIP
        return cls(
            tuple(
                tuple(math.log1p(bet * (sign * x / largest - tolerance)) for x in centred)
                for sign in (1, -1)
                for bet in _BETS
            )
        )

    def step(self, state: State, counts: Sequence[float], overdispersion: float = 1.0) -> State:
        """The state after one more window. Rows that come in clumps weigh as much less.

        R becomes (R + 1) times the product of the gains of the window's rows.
        """
        return tuple(
            _log1p_exp(log_r) + sum(c * gain for c, gain in zip(counts, gains, strict=False)) / overdispersion
            for log_r, gains in zip(state, self.gains, strict=True)
        )


def is_alarm(state: State) -> bool:
    """Whether the mean of the statistics has reached `RUN_LENGTH`; the state then starts anew."""
    return evidence(state) >= math.log(RUN_LENGTH)


def evidence(state: State) -> float:
    """The logarithm of the statistics' mean; minus infinity before the first window."""
    largest = max(state)
    if largest == -math.inf:
        return largest
    return largest + math.log(sum(math.exp(value - largest) for value in state) / len(state))


def _log1p_exp(x: float) -> float:
    """log(1 + exp(x)), without overflow."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x))) if x > -math.inf else 0.0
