"""Verdicts on drift that spend a stated budget of false alarms, and wake nobody for a small effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tiltyard.stats import drift
from tiltyard.stats.drift import Dispersion
from tiltyard.stats.tails import binomial_sf, f_sf, t_sf

Scale = Literal["hour", "day", "week"]
State = Literal["steady", "drift", "small", "too few rows", "uncalibrated", "not tested"]

WINDOWS_A_YEAR: Mapping[Scale, float] = {"hour": 8760.0, "day": 365.25, "week": 365.25 / 7}
# Above it a scale says more about the calendar than about drift.
MAX_OVERDISPERSION = 3.0
FEWEST_ROWS_A_CELL = 10
# Cells in which a window is expected to have fewer rows are tested together (Cochran 1954): the
# statistic has its distribution's tail only where no cell is nearly empty.
FEWEST_EXPECTED = 5.0


@dataclass(frozen=True, slots=True)
class Budget:
    """At most so many false alerts a feature and year, and the smallest effect worth waking for.

    Each of the three scales gets a third, and of it each of the two tests a half.
    `smallest_effect` is a PSI beyond noise.
    """

    alerts_a_year: float = 0.7
    smallest_effect: float = 0.02

    def p_value(self, scale: Scale) -> float:
        """What chi-square and score z are each held against at a scale."""
        return self.alerts_a_year / 3 / WINDOWS_A_YEAR[scale] / 2


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a window's counts say, and by which figures.

    `effect` is the PSI beyond noise, `shift` the mean's move in standard deviations
    (None where cells have no order), `threshold` the p-value that both tests are held
    against. `is_scaled` says that counts were brought down to the reference's size,
    `is_seasonal` that the reference is of the same hours of the week.
    """

    state: State
    rows: int
    effect: float = 0.0
    psi: float = 0.0
    psi_threshold: float | None = None
    chi_square: float = 0.0
    chi_square_p: float = 1.0
    z: float | None = None
    z_p: float | None = None
    shift: float | None = None
    jensen_shannon: float = 0.0
    kolmogorov_smirnov: float | None = None
    wasserstein: float | None = None
    threshold: float = 0.0
    overdispersion: float | None = None
    is_scaled: bool = False
    is_seasonal: bool = False


def judge(
    reference: Sequence[int],
    current: Sequence[int],
    *,
    scale: Scale,
    budget: Budget,
    overdispersion: Dispersion | None,
    places: Sequence[float] | None = None,
    is_tested: bool = True,
    is_seasonal: bool = False,
) -> Verdict:
    """Compare a window with the reference, a pure function of the two.

    Parameters
    ----------
    overdispersion
        Of this feature at this scale; None while it isn't known: then the figures are
        shown, and the verdict is ``uncalibrated``. Both tests allow for its own error:
        they are Fisher's and Student's in place of chi-square and the normal.
    places
        Where the cells lie, in the column's unit, for the figures that need an order;
        cells beyond them (what is missing) have no place. None for categories.
    is_tested
        False where this scale says more about the calendar than about drift.
    is_seasonal
        The reference's rows are of the same hours of the week; it is told, no more.
    """
    held = [place for place, counts in enumerate(zip(reference, current, strict=True)) if any(counts)]
    if places is not None:
        places = [places[place] for place in held if place < len(places)]
    reference, current = [reference[place] for place in held], [current[place] for place in held]
    rows, n0, k = sum(current), sum(reference), len(held)
    threshold = budget.p_value(scale)
    known = None if overdispersion is None else overdispersion.phi
    if not rows or rows < FEWEST_ROWS_A_CELL * k or n0 < FEWEST_ROWS_A_CELL * k:
        return Verdict(
            "too few rows", rows, threshold=threshold, overdispersion=known, is_seasonal=is_seasonal
        )
    fair = drift.scaled(current, n0)
    n1 = sum(fair)
    spread = overdispersion or Dispersion()
    phi = spread.phi
    kept, rest = _pooled(reference, fair)
    value, df = drift.chi_square(*kept)
    order = len(places or ())
    ordered = reference[:order], current[:order]
    if places is None or not all(map(sum, ordered)):
        places, order = None, 0
    z = None if places is None else drift.score_z(ordered[0], fair[:order], places)
    p = f_sf(value / phi / df, df, spread.df) if df else 1.0
    if rest is not None:
        # Two tests share one p-value (Bonferroni).
        p = min(1.0, 2 * min(p, _rare_p(*rest, share=n1 / (n0 + n1), phi=phi)))
    z_p = None if z is None else 2 * t_sf(abs(z) / phi**0.5, spread.df)
    found = drift.psi(reference, current)
    effect = drift.psi_effect(found, n0, rows, k)
    is_significant = p <= threshold or (z_p is not None and z_p <= threshold)
    return Verdict(
        _state(is_significant, effect >= budget.smallest_effect, known, is_tested=is_tested),
        rows,
        effect=effect,
        psi=found,
        psi_threshold=drift.psi_threshold(n0, rows, max(k, 2), threshold),
        chi_square=value,
        chi_square_p=p,
        z=z,
        z_p=z_p,
        shift=None if places is None else drift.shift(*ordered, places),
        jensen_shannon=drift.jensen_shannon(reference, current),
        kolmogorov_smirnov=None if places is None else drift.kolmogorov_smirnov(*ordered),
        wasserstein=None if places is None else drift.wasserstein(*ordered, places),
        threshold=threshold,
        overdispersion=known,
        is_scaled=n1 < rows,
        is_seasonal=is_seasonal,
    )


Pair = tuple[list[float], list[float]]


def _pooled(reference: Sequence[float], current: Sequence[float]) -> tuple[Pair, tuple[float, float] | None]:
    """Both with their sparse cells added up, and these alone where they are sparse even together.

    Then they are counted in the largest cell, and judged by themselves, exactly.
    """
    share = sum(current) / (sum(reference) + sum(current))
    cells = list(zip(reference, current, strict=True))
    kept = [cell for cell in cells if sum(cell) * share >= FEWEST_EXPECTED]
    sparse = [cell for cell in cells if sum(cell) * share < FEWEST_EXPECTED]
    rest = (sum(r for r, _ in sparse), sum(c for _, c in sparse))
    is_rare = bool(kept and sparse) and sum(rest) * share < FEWEST_EXPECTED
    if is_rare:
        largest = max(range(len(kept)), key=lambda place: sum(kept[place]))
        kept[largest] = (kept[largest][0] + rest[0], kept[largest][1] + rest[1])
    elif sparse:
        kept.append(rest)
    return ([r for r, _ in kept], [c for _, c in kept]), rest if is_rare else None


def _rare_p(reference: float, current: float, *, share: float, phi: float) -> float:
    """How likely so many of these rows are the window's, of all that both have: exact, given their sum."""
    mine, both = int(current / phi), int((reference + current) / phi)
    return binomial_sf(mine, both, share)


def _state(is_significant: bool, is_large: bool, overdispersion: float | None, *, is_tested: bool) -> State:
    if not is_tested or (overdispersion or 1.0) > MAX_OVERDISPERSION:
        return "not tested"
    if overdispersion is None:
        return "uncalibrated"
    if not is_significant:
        return "steady"
    return "drift" if is_large else "small"
