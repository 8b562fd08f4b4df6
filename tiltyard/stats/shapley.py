"""Shapley values of a cooperative game, from the worth of chosen coalitions.

A `Plan` says which coalitions to value and turns their worths into Shapley
values: all of them, or a sample by Kernel SHAP [1]_ with the improvements of [2]_:
coalitions come in pairs with their complements, the sizes that weigh most are
enumerated, and the weighted least squares keep the sum of the values as a
constraint. A plan knows nothing of models: its coalitions depend on the number
of players and the seed alone, so equal requests have equal answers.

References
----------
.. [1] Lundberg & Lee (2017), A Unified Approach to Interpreting Model Predictions, NeurIPS 30,
   section 4.1 and theorem 2.
.. [2] Covert & Lee (2021), Improving KernelSHAP: Practical Shapley Value Estimation Using Linear
   Regression, AISTATS, sections 3.2 (constraint), 4.1 (paired sampling) and 4.2 (uncertainty).
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from tiltyard.errors import InvalidInput

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

MOST_ENUMERATED_PLAYERS = 20
"""A plan of all coalitions of more players isn't made: it would have over a million rows."""
GROUPS = 10
"""Groups of sampled pairs that the jackknife leaves out in turn."""
STANDARD_ERRORS = 3.0
"""What `Attribution.error` spans."""

_ENUMERATED = -1
_Scalar = TypeVar("_Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Attribution:
    """Shapley values of d players.

    `base` is the worth of nobody, `values` float64 of shape (d,), and
    ``base + values.sum()`` the worth of all. `error` bounds what sampling
    coalitions may have done to any one value: three jackknife standard errors,
    of the value that has the largest; 0 where nothing was sampled.
    """

    base: float
    values: FloatArray
    error: float


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Coalitions to value, and how to read their worths.

    `coalitions` is bool of shape (m, d), m >= 2 (1 without players): the first row
    is nobody, the last one everybody. A sampled plan has the regression's `weights`
    (m,) and `groups` (m,): the jackknife's group, or -1 for what was enumerated.
    """

    method: Literal["exact", "kernel"]
    coalitions: BoolArray
    weights: FloatArray
    groups: IntArray

    @property
    def players(self) -> int:
        return int(self.coalitions.shape[1])

    @property
    def inner(self) -> int:
        """Coalitions that the values are made from; of a sample, without nobody and everybody."""
        return len(self.coalitions) if self.method == "exact" else len(self.coalitions) - 2

    def solve(self, worths: FloatArray) -> Attribution:
        """Shapley values from the worth of each coalition, float64 of shape (m,), finite.

        Raises
        ------
        InvalidInput
            If there isn't one finite worth for each coalition.
        """
        if worths.shape != (len(self.coalitions),) or not np.isfinite(worths).all():
            raise InvalidInput(f"A plan of {len(self.coalitions)} coalitions needs a finite worth for each.")
        base, gain = float(worths[0]), float(worths[-1] - worths[0])
        if self.method == "exact":
            return Attribution(base, _enumerated_values(worths, self.players), 0.0)
        inner = slice(1, -1)
        coalitions = self.coalitions[inner].astype(np.float64)
        lifts, weights, groups = worths[inner] - base, self.weights[inner], self.groups[inner]
        values = _regress(coalitions, lifts, weights, gain)
        return Attribution(base, values, _jackknife_error(coalitions, lifts, weights, groups, gain))


@functools.lru_cache(maxsize=16)
def enumerated(players: int) -> Plan:
    """Every coalition of `players` >= 0, in the order of binary numbers; the values are exact.

    Raises
    ------
    InvalidInput
        Above 20 players.
    """
    if not 0 <= players <= MOST_ENUMERATED_PLAYERS:
        raise InvalidInput(f"All coalitions of {players} players are too many; sample them.")
    codes = np.arange(2**players)
    coalitions = (codes[:, None] >> np.arange(players) & 1).astype(bool)
    nothing = np.zeros(len(codes))
    return Plan("exact", _frozen(coalitions), _frozen(nothing), _frozen(nothing.astype(np.int64)))


@functools.lru_cache(maxsize=16)
def sampled(players: int, count: int, seed: int) -> Plan:
    """About `count` coalitions of `players` >= 4, beside nobody and everybody.

    Sizes are enumerated from the outside in, each with its complement, while the
    sample would meet each of their coalitions at least once; all single players are
    always there, so that the regression has one answer. The rest is drawn in pairs:
    sizes by systematic sampling in proportion to the kernel's weight, the members by
    cutting random permutations into blocks, which spreads them evenly over the players.

    Raises
    ------
    InvalidInput
        If `count` is less than 4 a player, or there are no more coalitions than that.
    """
    if players < 4 or count < 4 * players or (players < 60 and count >= 2**players - 2):
        raise InvalidInput(f"{count} coalitions can't be sampled of {players} players.")
    generator = np.random.default_rng(seed)
    sizes = np.arange(1, players // 2 + 1)
    # Theorem 2 of [1]_, summed over all coalitions of a size and of its complement's.
    share = np.where(2 * sizes == players, 1.0, 2.0) * (players - 1) / (sizes * (players - sizes))
    share /= share.sum()
    halves: list[BoolArray] = []
    weights: list[FloatArray] = []
    left, outer = count // 2, 0
    for size in sizes.tolist():
        pairs = _count_of_pairs(players, size)
        expected = left * share[outer] / share[outer:].sum()
        if size > 1 and expected < pairs:
            break
        halves.append(_every_half(players, size))
        weights.append(np.full(pairs, share[outer] / (2 * pairs)))
        left, outer = left - pairs, outer + 1
    first_drawn = sum(map(len, halves))
    for size, pairs in _systematic(sizes[outer:], share[outer:], left, generator):
        halves.append(_drawn_halves(players, size, pairs, generator))
        weights.append(np.full(pairs, share[outer:].sum() / (2 * left)))
    half = np.concatenate(halves)
    groups = np.full(len(half), _ENUMERATED)
    # Dealt out in turn, so that every size is spread over the groups.
    groups[first_drawn:] = np.arange(len(half) - first_drawn) % GROUPS
    nobody = np.zeros((1, players), dtype=bool)
    edge = np.zeros(1)
    weight = np.concatenate(weights)
    return Plan(
        "kernel",
        _frozen(np.concatenate([nobody, half, ~half[::-1], ~nobody])),
        _frozen(np.concatenate([edge, weight, weight[::-1], edge])),
        _frozen(np.concatenate([[_ENUMERATED], groups, groups[::-1], [_ENUMERATED]])),
    )


def _enumerated_values(worths: FloatArray, players: int) -> FloatArray:
    """Shapley (1953): each player's gain, averaged over the orders in which players may come."""
    sizes = np.bitwise_count(np.arange(2**players, dtype=np.uint64)).astype(np.int64)
    by_size = np.array([1 / (players * math.comb(players - 1, size)) for size in range(players)])
    values = np.empty(players)
    for player in range(players):
        # Without and with the player: bit `player` of the coalition's number.
        split = worths.reshape(-1, 2, 2**player)
        without = sizes.reshape(-1, 2, 2**player)[:, 0]
        values[player] = np.sum(by_size[without] * (split[:, 1] - split[:, 0]))
    return values


def _regress(coalitions: FloatArray, lifts: FloatArray, weights: FloatArray, gain: float) -> FloatArray:
    """Weighted least squares of `lifts` on the members, the coefficients summing to `gain`.

    The constraint by a Lagrange multiplier ([2]_, equation 7).
    """
    weighted = coalitions.T * weights
    ones = np.ones(coalitions.shape[1])
    free, tilt = np.linalg.solve(weighted @ coalitions, np.column_stack([weighted @ lifts, ones])).T
    return np.asarray(free - tilt * ((free.sum() - gain) / tilt.sum()))


def _jackknife_error(
    coalitions: FloatArray, lifts: FloatArray, weights: FloatArray, groups: IntArray, gain: float
) -> float:
    """Three standard errors of the worst value, by the delete-a-group jackknife.

    Shao & Tu (1995), The Jackknife and Bootstrap, section 5.2. A pair stays together.
    The sample is stratified by size and without replacement, which the jackknife
    doesn't know: it errs on the wide side.
    """
    count = int(groups.max()) + 1
    if count < 2:
        return 0.0
    is_drawn = groups != _ENUMERATED
    total = weights[is_drawn].sum()
    without = np.empty((count, coalitions.shape[1]))
    for group in range(count):
        kept = groups != group
        # What remains of the sample stands for all that was not enumerated.
        scaled = np.where(is_drawn, weights * (total / weights[is_drawn & kept].sum()), weights)
        without[group] = _regress(coalitions[kept], lifts[kept], scaled[kept], gain)
    spread = (without - without.mean(axis=0)) ** 2
    return float(STANDARD_ERRORS * math.sqrt((count - 1) / count * spread.sum(axis=0).max()))


def _count_of_pairs(players: int, size: int) -> int:
    subsets = math.comb(players, size)
    return subsets // 2 if 2 * size == players else subsets


def _every_half(players: int, size: int) -> BoolArray:
    """Every coalition of a size; of half the players, one of each pair with its complement."""
    codes = _combinations(players, size)
    if 2 * size == players:
        codes = codes[: len(codes) // 2]  # those with the first player come first
    half = np.zeros((len(codes), players), dtype=bool)
    np.put_along_axis(half, codes, True, axis=1)
    return half


def _combinations(players: int, size: int) -> IntArray:
    """Members of every coalition of a size, in lexicographic order, shape (n, size)."""
    found = np.arange(players)[:, None]
    for _ in range(size - 1):
        last = found[:, -1]
        follow = players - 1 - last
        starts = np.repeat(np.cumsum(follow) - follow, follow)
        step = np.arange(follow.sum()) - starts
        found = np.column_stack([np.repeat(found, follow, axis=0), np.repeat(last, follow) + 1 + step])
    return found


def _systematic(
    sizes: IntArray, share: FloatArray, count: int, generator: np.random.Generator
) -> list[tuple[int, int]]:
    """How many of `count` pairs each size gets: its share, rounded up or down so that it holds on average."""
    if not count or not len(sizes):
        return []
    borders = np.floor(np.cumsum(share) / share.sum() * count + generator.random()).astype(np.int64)
    borders[-1] = count
    pairs = np.diff(np.minimum(borders, count), prepend=0)
    return [(size, n) for size, n in zip(sizes.tolist(), pairs.tolist(), strict=True) if n]


def _drawn_halves(players: int, size: int, count: int, generator: np.random.Generator) -> BoolArray:
    """`count` different coalitions of a size, none the complement of another."""
    found: dict[bytes, BoolArray] = {}
    while len(found) < count:
        order = generator.permutation(players)
        for start in range(0, players - size + 1, size):
            half = np.zeros(players, dtype=bool)
            half[order[start : start + size]] = True
            if 2 * size == players and not half[0]:
                half = ~half
            found.setdefault(half.tobytes(), half)
    return np.stack(list(found.values())[:count])


def _frozen(array: NDArray[_Scalar]) -> NDArray[_Scalar]:
    array.flags.writeable = False  # plans are shared
    return array
