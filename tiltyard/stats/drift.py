"""How far a window's counts are from the reference's: statistics over the same cells.

Arguments are counts, the reference's first. `n0` and `n1` are their totals, K the
number of cells. The formulas and what they were measured to do are in
docs/drift.md. None of them sees a row: they are functions of whole numbers, so a
verdict can be computed again from what is stored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from tiltyard.stats.tails import chi2_isf

Counts = Sequence[float]


@dataclass(frozen=True, slots=True)
class Dispersion:
    """How many times too large chi-square is among rows that aren't independent, 1 at least.

    `phi` was estimated with `df` degrees of freedom; infinite ones say that it is known.
    """

    phi: float = 1.0
    df: float = math.inf

    def denser(self, times: float) -> Dispersion:
        """That of windows with so many times the rows it was seen in; of fewer rows it is the same.

        What rows of one window share adds to chi-square in proportion to their number:
        phi - 1 is (m - 1) times their correlation within (Kish 1965). Fewer rows may as
        well be fewer groups of the same size, so nothing is taken off.
        """
        return Dispersion(1 + (self.phi - 1) * max(1.0, times), self.df)


def psi(reference: Counts, current: Counts) -> float:
    """Population stability index, with half a row added to every cell.

    Without drift it is about (1/n0 + 1/n1) times a chi-square of K - 1 degrees of
    freedom (Yurdakul & Naranjo 2020): what is large depends on the numbers of rows.
    """
    k, n0, n1 = _checked(reference, current)
    total = 0.0
    for r, c in zip(reference, current, strict=True):
        p, q = (c + 0.5) / (n1 + 0.5 * k), (r + 0.5) / (n0 + 0.5 * k)
        total += (p - q) * math.log(p / q)
    return total


def psi_threshold(n0: float, n1: float, k: int, p: float) -> float:
    """The PSI that noise alone exceeds with probability `p`."""
    return (1 / n0 + 1 / n1) * chi2_isf(p, k - 1)


def psi_effect(value: float, n0: float, n1: float, k: int) -> float:
    """PSI less what noise alone gives on average: the part that is drift. Not below 0."""
    return max(0.0, value - (k - 1) * (1 / n0 + 1 / n1))


def chi_square(reference: Counts, current: Counts) -> tuple[float, int]:
    """The two-sample chi-square statistic and its degrees of freedom, without cells that are empty twice."""
    _, n0, n1 = _checked(reference, current)
    a, b = math.sqrt(n0 / n1), math.sqrt(n1 / n0)
    held = [(r, c) for r, c in zip(reference, current, strict=True) if r + c > 0]
    return sum((a * c - b * r) ** 2 / (c + r) for r, c in held), max(0, len(held) - 1)


def jensen_shannon(reference: Counts, current: Counts) -> float:
    """Jensen-Shannon divergence in nats, 0 to log 2."""
    _, n0, n1 = _checked(reference, current)
    total = 0.0
    for r, c in zip(reference, current, strict=True):
        q, p = r / n0, c / n1
        m = (p + q) / 2
        total += (p * math.log(p / m) if p else 0.0) / 2 + (q * math.log(q / m) if q else 0.0) / 2
    return max(0.0, total)


def kolmogorov_smirnov(reference: Counts, current: Counts) -> float:
    """The largest difference of the two distribution functions at the cells' edges, in their order."""
    _, n0, n1 = _checked(reference, current)
    steps = zip(accumulate(reference), accumulate(current), strict=True)
    return max(abs(r / n0 - c / n1) for r, c in steps)


def wasserstein(reference: Counts, current: Counts, places: Sequence[float]) -> float:
    """Earth mover's distance between the two, each cell's rows at its place; in the places' unit."""
    _, n0, n1 = _checked(reference, current)
    order = sorted(range(len(places)), key=lambda i: places[i])
    total = difference = 0.0
    for here, following in pairwise(order):
        difference += reference[here] / n0 - current[here] / n1
        total += abs(difference) * (places[following] - places[here])
    return total


def score_z(reference: Counts, current: Counts, scores: Sequence[float]) -> float:
    """How many standard errors the mean score moved; `scores` are the cells' places, in any unit.

    0 where the reference has one score only.
    """
    _, n0, n1 = _checked(reference, current)
    mean = _mean(reference, scores, n0)
    variance = sum(r * (s - mean) ** 2 for r, s in zip(reference, scores, strict=True)) / n0
    if variance <= 0:
        return 0.0
    return (_mean(current, scores, n1) - mean) / math.sqrt(variance * (1 / n0 + 1 / n1))


def shift(reference: Counts, current: Counts, scores: Sequence[float]) -> float:
    """The mean's move in standard deviations of the reference: an effect that doesn't grow with rows."""
    _, n0, n1 = _checked(reference, current)
    return score_z(reference, current, scores) * math.sqrt(1 / n0 + 1 / n1)


def scaled(current: Counts, n0: float) -> list[float]:
    """Counts brought down to a quarter of the reference's rows where they are more.

    The reference's own error would else pass for drift: power is lost, validity is not.
    """
    n1 = sum(current)
    factor = min(1.0, n0 / (4 * n1)) if n1 else 1.0
    return [count * factor for count in current]


def overdispersion(windows: Sequence[Counts]) -> Dispersion:
    """How many times too large chi-square is between windows of one time.

    Rows of one hour are alike in more than their columns say (weather, a campaign),
    so a test that takes them for independent alarms too often by this factor. It is
    Pearson's statistic of homogeneity by its degrees of freedom (McCullagh & Nelder
    1989, section 4.5), over the windows against their own sum: a shift that they all
    share is no part of it. Windows without rows are left out.
    """
    held = [window for window in windows if sum(window) > 0]
    pooled = [sum(counts) for counts in zip(*held, strict=True)]
    places = [place for place, count in enumerate(pooled) if count > 0]
    if len(held) < 2 or len(places) < 2:
        return Dispersion()
    total = sum(pooled)
    value = 0.0
    for window in held:
        rows = sum(window)
        for place in places:
            expected = rows * pooled[place] / total
            value += (window[place] - expected) ** 2 / expected
    df = (len(held) - 1) * (len(places) - 1)
    return Dispersion(max(1.0, value / df), df)


def benjamini_hochberg(p_values: Sequence[float], q: float) -> list[bool]:
    """Which to list so that of those listed at most a share of `q` is expected to be noise (1995)."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    cut = 0
    for place, i in enumerate(order, start=1):
        if p_values[i] <= q * place / len(order):
            cut = place
    listed = set(order[:cut])
    return [i in listed for i in range(len(p_values))]


def _mean(counts: Counts, scores: Sequence[float], n: float) -> float:
    return sum(c * s for c, s in zip(counts, scores, strict=True)) / n


def _checked(reference: Counts, current: Counts) -> tuple[int, float, float]:
    k, n0, n1 = len(reference), sum(reference), sum(current)
    if len(current) != k:
        raise ValueError(f"the reference has {k} cells and the window {len(current)}")
    if n0 <= 0 or n1 <= 0:
        raise ValueError("both need rows to be compared")
    return k, n0, n1
