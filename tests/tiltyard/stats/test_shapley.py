from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tiltyard.errors import InvalidInput
from tiltyard.stats.shapley import GROUPS, enumerated, sampled

WORTHS = st.floats(-1e3, 1e3)


@st.composite
def games(draw: st.DrawFn, most: int = 5) -> tuple[int, np.ndarray]:
    """A number of players and the worth of each coalition, by its binary number."""
    players = draw(st.integers(1, most))
    return players, draw(arrays(np.float64, 2**players, elements=WORTHS))


def by_every_order(players: int, worths: np.ndarray) -> list[float]:
    """Shapley's own definition: the mean gain of a player over all orders of arrival."""
    values = [0.0] * players
    for order in itertools.permutations(range(players)):
        code = 0
        for player in order:
            values[player] += worths[code | 1 << player] - worths[code]
            code |= 1 << player
    return [value / math.factorial(players) for value in values]


@given(games())
def test_enumeration_is_shapleys_own_definition(game):
    players, worths = game

    found = enumerated(players).solve(worths)

    assert found.values == pytest.approx(by_every_order(players, worths), abs=1e-9)
    assert found.error == 0


@given(games(most=8))
def test_values_add_up_to_the_worth_of_all(game):
    players, worths = game

    found = enumerated(players).solve(worths)

    assert found.base == worths[0]
    assert found.base + found.values.sum() == pytest.approx(worths[-1], abs=1e-9)


@given(games(), st.integers(0, 5), WORTHS)
def test_a_player_who_adds_the_same_to_everyone_is_given_just_that(game, place, gain):
    players, worths = game
    place = min(place, players)
    coalitions = enumerated(players + 1).coalitions
    others = np.delete(coalitions, place, axis=1) @ (1 << np.arange(players))

    found = enumerated(players + 1).solve(worths[others] + gain * coalitions[:, place])

    assert found.values[place] == pytest.approx(gain, abs=1e-9)
    assert np.delete(found.values, place) == pytest.approx(enumerated(players).solve(worths).values, abs=1e-9)


@given(games(most=6), st.data())
def test_players_who_can_stand_in_for_each_other_are_given_the_same(game, data):
    players, worths = game
    first, second = (data.draw(st.integers(0, players - 1)) for _ in range(2))
    coalitions = enumerated(players).coalitions
    swapped = coalitions.copy()
    swapped[:, [first, second]] = coalitions[:, [second, first]]
    symmetric = worths + worths[swapped @ (1 << np.arange(players))]

    values = enumerated(players).solve(symmetric).values

    assert values[first] == pytest.approx(values[second], abs=1e-9)


def test_a_game_without_players_is_its_base():
    found = enumerated(0).solve(np.array([0.25]))

    assert (found.base, found.values.tolist(), found.error) == (0.25, [], 0.0)


@pytest.mark.parametrize(
    ("players", "count"), [(5, 20), (9, 500), (12, 500), (13, 500), (60, 500), (130, 520)]
)
def test_a_sample_is_of_distinct_pairs_and_has_every_single_player(players, count):
    plan = sampled(players, count, 0)

    coalitions = {row.tobytes() for row in plan.coalitions}
    sizes = plan.coalitions.sum(axis=1)
    assert len(coalitions) == len(plan.coalitions) == plan.inner + 2
    assert {row.tobytes() for row in ~plan.coalitions} == coalitions
    assert (sizes == 1).sum() == (sizes == players - 1).sum() == players
    assert count - 1 <= plan.inner <= count
    assert plan.weights.sum() == pytest.approx(1)
    assert not plan.coalitions[0].any()
    assert plan.coalitions[-1].all()


def test_sizes_are_enumerated_from_the_outside_in():
    plan = sampled(12, 500, 0)

    sizes = plan.coalitions[plan.groups == -1].sum(axis=1)

    assert np.bincount(sizes).tolist() == [1, 12, 66, 0, 0, 0, 0, 0, 0, 0, 66, 12, 1]


def test_a_pair_is_left_out_together():
    plan = sampled(12, 500, 0)

    groups = {row.tobytes(): group for row, group in zip(plan.coalitions, plan.groups, strict=True)}

    assert set(groups.values()) == {-1, *range(GROUPS)}
    assert all(
        groups[(~row).tobytes()] == group for row, group in zip(plan.coalitions, plan.groups, strict=True)
    )


@given(st.sampled_from([5, 9, 12, 30, 70]), st.integers(0, 20), st.integers(0, 2**32 - 1))
def test_a_sample_is_exact_where_no_more_than_two_players_work_together(players, seed, drawn):
    """A pair's difference is linear in its members then, whichever pairs were drawn."""
    rng = np.random.default_rng(drawn)
    alone, together = rng.normal(size=players), np.triu(rng.normal(size=(players, players)), 1)
    plan = sampled(players, max(4 * players, 24), seed)
    members = plan.coalitions.astype(float)

    found = plan.solve(3 + members @ alone + np.einsum("mi,ij,mj->m", members, together, members))

    assert found.values == pytest.approx(alone + (together + together.T).sum(axis=1) / 2, abs=1e-7)
    assert found.error == pytest.approx(0, abs=1e-6)


def noisy(players: int, seed: int) -> Callable[[np.ndarray], np.ndarray]:
    """Worths with interactions of every order."""
    rng = np.random.default_rng(seed)
    weights, bends = rng.normal(size=(6, players)), rng.normal(size=6)
    return lambda members: np.tanh(members @ weights.T) @ bends


@pytest.mark.parametrize("players", [12, 15])
def test_the_error_bound_holds(players):
    inside = 0
    for seed in range(40):
        worth = noisy(players, seed)
        exact = enumerated(players).solve(worth(enumerated(players).coalitions.astype(float)))
        plan = sampled(players, 500, seed)

        found = plan.solve(worth(plan.coalitions.astype(float)))

        inside += np.abs(found.values - exact.values).max() <= found.error
        assert found.base + found.values.sum() == pytest.approx(exact.base + exact.values.sum(), abs=1e-9)

    assert inside >= 38


def test_equal_requests_have_equal_plans():
    sampled.cache_clear()
    first = sampled(20, 500, 3)
    sampled.cache_clear()

    assert np.array_equal(first.coalitions, sampled(20, 500, 3).coalitions)
    assert not np.array_equal(first.coalitions, sampled(20, 500, 4).coalitions)


@pytest.mark.parametrize(("players", "count"), [(3, 12), (12, 40), (8, 254)])
def test_what_cannot_be_sampled_is_refused(players, count):
    with pytest.raises(InvalidInput, match="can't be sampled"):
        sampled(players, count, 0)


def test_too_many_players_are_not_enumerated():
    with pytest.raises(InvalidInput, match="too many"):
        enumerated(21)


@pytest.mark.parametrize("worths", [[1.0, 2.0, 3.0], [1.0, 2.0, np.nan, 3.0]])
def test_a_worth_that_is_missing_is_refused(worths):
    with pytest.raises(InvalidInput, match="finite worth for each"):
        enumerated(2).solve(np.array(worths))
