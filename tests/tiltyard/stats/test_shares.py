"""Shares and volumes beyond what was seen before, held against scipy and simulation."""

import numpy as np
import pytest
from scipy import stats

from tiltyard.stats.shares import burst_p, constant_p, excess_p, silence_p


@pytest.mark.parametrize(
    ("count", "rows", "reference", "reference_rows"),
    [(3, 200, 0, 5000), (10, 200, 40, 5000), (50, 1000, 50, 1000), (1, 1, 0, 1), (200, 200, 10, 5000)],
)
def test_the_excess_is_the_conditional_binomial_tail(count, rows, reference, reference_rows):
    share = rows / (rows + reference_rows)
    expected = stats.binom.sf(count - 1, count + reference, share)

    assert excess_p(count, rows, reference, reference_rows) == pytest.approx(expected, rel=1e-9)


def test_nothing_is_no_excess():
    assert excess_p(0, 100, 5, 1000) == 1
    assert excess_p(0, 0, 5, 1000) == 1
    assert excess_p(4, 100, 0, 1000, phi=5) == 1


def test_an_excess_by_chance_is_as_rare_as_it_says():
    generator = np.random.default_rng(4)
    hits = [
        excess_p(int(a), 300, int(b), 4000) <= 0.01
        for a, b in zip(
            generator.binomial(300, 0.05, 4000), generator.binomial(4000, 0.05, 4000), strict=True
        )
    ]

    assert sum(hits) / len(hits) <= 0.0125


def test_a_constant_is_as_likely_as_its_cell():
    assert constant_p(0.5, 10) == pytest.approx(0.5**10)
    assert constant_p(0.5, 10, phi=2) == pytest.approx(0.5**5)
    assert constant_p(1.0, 1000) == 1
    assert constant_p(0.0, 1) == 0


@pytest.mark.parametrize("mean", [1, 20, 300])
def test_volumes_of_chance_alarm_as_rarely_as_they_say(mean):
    generator = np.random.default_rng(5)
    past = generator.poisson(mean, size=(3000, 28)).tolist()
    now = generator.poisson(mean, size=3000).tolist()

    bursts = sum(burst_p(n, before) <= 0.01 for n, before in zip(now, past, strict=True))
    silences = sum(n == 0 and silence_p(before) <= 0.01 for n, before in zip(now, past, strict=True))

    assert bursts / 3000 <= 0.016
    assert silences / 3000 <= 0.01


def test_a_silence_and_a_burst_are_seen_once_seven_windows_are_there():
    assert silence_p([200, 210, 190, 205, 195, 200, 198]) < 1e-9
    assert burst_p(600, [200, 210, 190, 205, 195, 200, 198]) < 1e-9
    assert silence_p([200] * 6) == burst_p(600, [200] * 6) == 1
    assert silence_p([0] * 28) == 1


def test_who_varies_much_alarms_late():
    """Weekdays of thousands and silent Sundays: a silent hour is nothing new."""
    weeks = [1000, 1000, 1000, 1000, 1000, 0, 0] * 4

    assert silence_p(weeks) > 1e-4
    assert burst_p(2000, weeks) > 1e-5
