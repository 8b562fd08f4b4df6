"""Is a share of rows, or their number, beyond what was seen before? Exact tests on whole numbers."""

from __future__ import annotations

from collections.abc import Sequence

from tiltyard.stats.tails import binomial_sf

FEWEST_PAST = 7


def excess_p(count: int, rows: int, reference: int, reference_rows: int, *, phi: float = 1.0) -> float:
    """How likely so many of `rows` are hit where the reference's rows were hit at the same rate.

    Given how many both have together, the window's part is binomial; so the
    reference's own error is allowed for, exactly (Przyborowski & Wilenski 1940).
    `phi` is the overdispersion of rows of one time.
    """
    if rows <= 0 or reference_rows <= 0 or count <= 0:
        return 1.0
    mine, both = int(count / phi), int((count + reference) / phi)
    return binomial_sf(mine, max(mine, both), rows / (rows + reference_rows)) if mine else 1.0


def constant_p(share: float, rows: int, *, phi: float = 1.0) -> float:
    """How likely all of `rows` fall into a cell that holds `share` of the reference."""
    return float(min(1.0, max(0.0, share)) ** (rows / phi))


def silence_p(past: Sequence[int]) -> float:
    """How likely no row comes where `past` windows had so many: 1 while there are under 7 of them."""
    phi = _clumping(past)
    if phi is None:
        return 1.0
    # Given all rows of m + 1 windows, none of them is in this one.
    return float((len(past) / (len(past) + 1)) ** int(sum(past) / phi))


def burst_p(rows: int, past: Sequence[int]) -> float:
    """How likely so many rows come where `past` windows had so many: 1 while there are under 7 of them."""
    phi = _clumping(past)
    if phi is None or rows <= 0:
        return 1.0
    mine, both = int(rows / phi), int((rows + sum(past)) / phi)
    return binomial_sf(mine, max(mine, both), 1 / (len(past) + 1)) if mine else 1.0


def _clumping(past: Sequence[int]) -> float | None:
    """How many times the numbers of windows vary more than by chance (variance over mean); 1 at least."""
    if len(past) < FEWEST_PAST:
        return None
    mean = sum(past) / len(past)
    if mean <= 0:
        return None
    return max(1.0, sum((n - mean) ** 2 for n in past) / (len(past) - 1) / mean)
