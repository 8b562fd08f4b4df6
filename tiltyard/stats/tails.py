"""Tails of distributions and their inverses, in plain Python: the service holds no scipy.

Series and continued fractions as in Press et al., Numerical Recipes, 3rd edition,
sections 6.2 and 6.4 (modified Lentz), which hold far out in the tails; inverses by
bisection. Tests hold them against scipy.
"""

from __future__ import annotations

import math
from collections.abc import Callable

_TINY = 1e-300
_EPS = 1e-16
_MOST = 10_000


def normal_sf(z: float) -> float:
    """P(Z > z) of a standard normal."""
    return 0.5 * math.erfc(z / math.sqrt(2))


def normal_isf(p: float) -> float:
    """The z with P(Z > z) = p; raises `ValueError` unless 0 < p < 1."""
    _check_p(p)
    if p > 0.5:
        return -normal_isf(1 - p)
    return _inverse(normal_sf, p, low=0.0, high=40.0)


def chi2_sf(x: float, df: float) -> float:
    """P(X > x) of chi-square with `df` degrees of freedom."""
    if df <= 0:
        raise ValueError(f"degrees of freedom are above 0, not {df}")
    return 1.0 if x <= 0 else gamma_q(df / 2, x / 2)


def chi2_isf(p: float, df: float) -> float:
    """The x with P(X > x) = p; raises `ValueError` unless 0 < p < 1."""
    _check_p(p)
    high = df + 1.0
    while chi2_sf(high, df) > p:
        high *= 2
    return _inverse(lambda x: chi2_sf(x, df), p, low=0.0, high=high)


def gamma_q(a: float, x: float) -> float:
    """The regularised upper incomplete gamma function Q(a, x), a > 0, x >= 0."""
    if a <= 0 or x < 0:
        raise ValueError(f"Q(a, x) is for a > 0 and x >= 0, not {a} and {x}")
    if x == 0:
        return 1.0
    scale = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:
        term = total = 1 / a
        for n in range(1, _MOST):
            term *= x / (a + n)
            total += term
            if term < total * _EPS:
                break
        return 1 - total * scale
    b = x + 1 - a
    c, d = 1 / _TINY, 1 / b
    fraction = d
    for n in range(1, _MOST):
        factor = -n * (n - a)
        b += 2
        d = 1 / _away(factor * d + b)
        c = _away(b + factor / c)
        fraction *= d * c
        if abs(d * c - 1) < _EPS:
            break
    return fraction * scale


def beta_i(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b), a, b > 0, 0 <= x <= 1."""
    if a <= 0 or b <= 0 or not 0 <= x <= 1:
        raise ValueError(f"I_x(a, b) is for a, b > 0 and x from 0 to 1, not {a}, {b}, {x}")
    if x in (0, 1):
        return float(x)
    scale = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    if x < (a + 1) / (a + b + 2):
        return scale * _beta_fraction(a, b, x) / a
    return 1 - scale * _beta_fraction(b, a, 1 - x) / b


def binomial_sf(k: int, n: int, p: float) -> float:
    """P(X >= k) of n trials that succeed with probability p."""
    if not 0 <= p <= 1 or n < 0:
        raise ValueError(f"a binomial has n >= 0 and p from 0 to 1, not {n} and {p}")
    if k <= 0:
        return 1.0
    return 0.0 if k > n else beta_i(k, n - k + 1, p)


def f_sf(x: float, df1: float, df2: float) -> float:
    """P(X > x) of Fisher's F; `df2` may be infinite, where it is chi-square over `df1`."""
    if df1 <= 0 or df2 <= 0:
        raise ValueError(f"F takes df1 > 0 and df2 > 0, not {df1} and {df2}")
    if x <= 0:
        return 1.0
    return chi2_sf(x * df1, df1) if math.isinf(df2) else beta_i(df2 / 2, df1 / 2, df2 / (df2 + df1 * x))


def t_sf(t: float, df: float) -> float:
    """P(T > t) of Student's t, t >= 0; `df` may be infinite, where it is the normal's."""
    if df <= 0 or t < 0:
        raise ValueError(f"P(T > t) is for t >= 0 and df > 0, not {t} and {df}")
    return normal_sf(t) if math.isinf(df) else beta_i(df / 2, 0.5, df / (df + t * t)) / 2


def _beta_fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1 / _away(1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, _MOST):
        for factor in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _away(1 + factor * d)
            c = _away(1 + factor / c)
            fraction *= d * c
        if abs(d * c - 1) < _EPS:
            break
    return fraction


def _inverse(sf: Callable[[float], float], p: float, *, low: float, high: float) -> float:
    """Where a falling function is p, to the last bits: halving the interval never misses."""
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if sf(middle) > p:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _away(value: float) -> float:
    """Not zero, so that a continued fraction can go on."""
    return value if abs(value) > _TINY else _TINY


def _check_p(p: float) -> None:
    if not 0 < p < 1:
        raise ValueError(f"a probability between 0 and 1 is asked for, not {p}")
