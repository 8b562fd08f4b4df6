"""The e-detector: by the definition, by its run length, and by what it sees."""

import math
from itertools import pairwise

import numpy as np
import pytest

from tiltyard.stats.detector import _BETS, RUN_LENGTH, SIZE, START, Detector, evidence, is_alarm

NORMAL = np.random.default_rng(0).normal(size=100_000)
EDGES = np.quantile(NORMAL, np.linspace(0, 1, 21))
REFERENCE = [int(n) for n in np.histogram(NORMAL, EDGES)[0]]
PLACES = [float(NORMAL[(low <= NORMAL) & (high >= NORMAL)].mean()) for low, high in pairwise(EDGES)]


def counts(values):
    inner = EDGES[1:-1]
    return np.bincount(np.searchsorted(inner, values), minlength=20).tolist()


def naive(windows):
    """The definition, in plain products."""
    n0 = sum(REFERENCE)
    q = np.asarray(REFERENCE) / n0
    s = np.asarray(PLACES)
    s = (s - q @ s) / math.sqrt(q @ (s - q @ s) ** 2)
    x = np.clip(s, -2.5, 2.5)
    x = x - q @ x
    x = x / np.abs(x).max()
    tolerance = max(0.02, 3 / math.sqrt(n0)) / 2.5
    found = []
    r = np.zeros(16)
    for window in windows:
        for j in range(16):
            sign, bet = (1 if j < 8 else -1), _BETS[j % 8]
            r[j] = (r[j] + 1) * np.prod((1 + bet * (sign * x - tolerance)) ** np.asarray(window))
        found.append(r.mean())
    return found


def test_it_is_the_definition():
    generator = np.random.default_rng(1)
    windows = [counts(generator.normal(0.3, size=40)) for _ in range(5)]
    detector, state, found = Detector.of(REFERENCE, PLACES), START, []
    for window in windows:
        state = detector.step(state, window)
        found.append(math.exp(evidence(state)))

    assert found == pytest.approx(naive(windows), rel=1e-9)
    assert len(state) == SIZE == 16
    assert pytest.approx((0.03, 0.5)) == (_BETS[0], _BETS[-1])


def test_a_slow_shift_is_seen_and_none_is_not():
    """A tenth of a standard deviation, which no single window of 200 rows shows."""
    generator = np.random.default_rng(2)
    detector = Detector.of(REFERENCE, PLACES)

    def first_alarm(mean):
        state = START
        for hour in range(1, 200):
            state = detector.step(state, counts(generator.normal(mean, size=200)))
            if is_alarm(state):
                return hour
        return None

    assert [first_alarm(0.0) for _ in range(5)] == [None] * 5
    delays = [first_alarm(mean) for mean in (0.1, -0.1, 0.1, -0.1)]
    assert all(delay is not None and delay * 200 <= 8000 for delay in delays)


def test_clumps_of_alike_rows_weigh_as_one():
    detector = Detector.of(REFERENCE, PLACES)
    window = counts(np.random.default_rng(3).normal(0.2, size=50))

    fives = detector.step(START, [5 * n for n in window], overdispersion=5)

    assert fives == pytest.approx(detector.step(START, window))


def test_what_is_missing_weighs_nothing_and_nothing_weighs_nothing():
    detector = Detector.of(REFERENCE, PLACES)
    window = counts(np.random.default_rng(3).normal(size=50))

    assert detector.step(START, [*window, 1000]) == detector.step(START, window)
    once = detector.step(START, [0] * 20)
    assert once == (0.0,) * 16  # R becomes 1
    assert evidence(START) == -math.inf
    assert not is_alarm(START)


def test_an_alarm_is_at_a_year_of_hours():
    assert is_alarm((math.log(RUN_LENGTH) + 1e-12,) * SIZE)
    assert not is_alarm((math.log(RUN_LENGTH) - 1e-9,) * SIZE)


def test_no_window_is_too_large():
    detector = Detector.of(REFERENCE, PLACES)
    state = START
    for _ in range(3):
        state = detector.step(state, [0] * 19 + [10**9])
    assert is_alarm(state)
    assert math.isfinite(evidence(state))


@pytest.mark.parametrize(("reference", "places"), [([0, 0], [1.0, 2.0]), ([5, 5], [1.0, 1.0]), ([7], [])])
def test_a_feature_without_spread_has_none(reference, places):
    assert Detector.of(reference, places) is None
