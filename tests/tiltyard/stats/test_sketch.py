"""Rows that are the same: exact in any order and parts, a uniform sample of distinct rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiltyard.stats.binning import Binner
from tiltyard.stats.layout import CategoryCells, Layout, NumberCells
from tiltyard.stats.shares import excess_p
from tiltyard.stats.sketch import EVERY, MOST, UNKNOWN, Sketch, hashes_of

LAYOUT = Layout((NumberCells("a", (0.0, 1.0)), CategoryCells("b", ("x", "y"))), (), ())
GOLDEN = [41339246842369607, 3285458815167066434]
hashes = st.lists(st.integers(0, 300) | st.integers(0, 2**64 - 1), max_size=400)


def of(numbers):
    return Sketch.of(np.array(numbers, np.uint64))


@settings(deadline=None)
@given(hashes, st.data())
def test_any_parts_in_any_order_give_the_same_sketch(numbers, data):
    order = data.draw(st.permutations(numbers))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(numbers)), max_size=5)))
    parts = [order[i:j] for i, j in zip([0, *cuts], [*cuts, len(order)], strict=True)]

    assert sum(map(of, parts), Sketch()) == of(numbers)


@settings(deadline=None)
@given(hashes)
def test_what_is_kept_are_the_smallest_with_all_their_rows(numbers):
    distinct = sorted(set(numbers))

    found = of(numbers)

    assert found.counts == tuple((row, numbers.count(row)) for row in distinct[:MOST])
    assert found.limit == (EVERY if len(distinct) <= MOST else distinct[MOST - 1])


@pytest.mark.parametrize("few", [1, 3, MOST - 1, MOST, MOST + 1, 300])
def test_many_rows_of_few_kinds_are_all_counted(few):
    numbers = np.random.default_rng(few).integers(0, few, size=20_000)

    found = of(numbers)

    assert found.counts == tuple(enumerate(np.bincount(numbers, minlength=few)[:MOST].tolist()))


@settings(deadline=None)
@given(hashes, hashes)
def test_a_part_can_be_taken_away_again(first, second):
    whole = of(first + second)

    rest = whole.less(of(second))

    assert rest is not None
    assert rest + of(second) == whole


def test_what_was_no_part_cannot_be_taken_away():
    assert of([1, 2]).less(of([3])) is None
    assert of([1, 2]).less(of([2, 2])) is None
    assert of([1]).less(UNKNOWN) is None


def test_with_rows_that_nobody_sketched_nothing_is_known():
    found = of([1, 1]) + UNKNOWN

    assert not found.is_known
    assert found.counts == ()


def rows(columns, n):
    return Binner(LAYOUT).count(columns, np.empty((n, 0))).sketch


def test_rows_are_the_same_by_value_however_they_came():
    together = rows({"a": [0.0, -0.0, None, math.nan, 0.5], "b": ["x", "x", None, None, "z"]}, 5)
    alone = sum((rows({"a": [a], "b": [b]}, 1) for a, b in zip(
        [0.0, -0.0, None, math.nan, 0.5], ["x", "x", None, None, "z"], strict=True
    )), Sketch())  # fmt: skip

    assert together == alone
    assert (together.distinct, together.repeated) == (3, 2)


def test_values_in_one_cell_are_told_apart():
    found = rows({"a": [0.1, 0.2, 0.1], "b": ["beyond", "other", "other"]}, 3)

    assert (found.distinct, found.repeated) == (3, 0)


def test_a_model_of_text_alone_is_counted_too():
    found = Binner(Layout((CategoryCells("b", ("x",)),), (), ())).count({"b": ["x", "x"]}, np.empty((2, 0)))

    assert (found.cells["b"], found.sketch.repeated) == ((2, 0, 0), 1)


@pytest.mark.filterwarnings("error")
def test_values_that_no_unit_holds_are_counted_as_far_off():
    tiny, wide = NumberCells("a", (0.0, 1e-9)), NumberCells("a", (0.0, 1e-320))

    for cells in (tiny, wide):
        binner = Binner(Layout((cells,), (), ()))
        found = binner.count({"a": [1e308, -1e308, 1e308, math.inf]}, np.empty((4, 0)))
        assert found.moments["a"].total == 2 * 2**31
        assert found.cells["a"] == (0, 1, 3, 0)


def test_personal_columns_tell_no_rows_apart():
    binner = Binner(LAYOUT, personal=frozenset({"b"}))

    found = binner.count({"a": [0.1, 0.1], "b": ["ada", "bob"]}, np.empty((2, 0))).sketch

    assert (found.distinct, found.repeated) == (1, 1)
    assert not Binner(LAYOUT, personal=frozenset("ab")).count({}, np.empty((2, 0))).sketch.is_known


def test_hashes_are_the_same_on_every_machine():
    columns = np.array([[1.5, 2.0], [0.0, -3.0]]).view(np.uint64)

    assert hashes_of(columns.copy()).tolist() == GOLDEN
    assert hashes_of(columns[:, :1].copy()).tolist() == GOLDEN[:1]


def test_small_whole_numbers_are_spread_evenly():
    grid = np.array(np.meshgrid(np.arange(100.0), np.arange(100.0))).reshape(2, -1)

    found = hashes_of(grid.view(np.uint64).copy())

    assert len(np.unique(found)) == 10_000
    counts = np.bincount((found >> np.uint64(58)).astype(int), minlength=64)
    # Chi-square of 63 degrees of freedom, at p = .0001.
    assert ((counts - 156.25) ** 2 / 156.25).sum() < 113


def test_repeats_by_chance_raise_nothing_and_a_day_sent_twice_in_part_does():
    """Rows of 2,000 kinds, a reference of 5,000, days of 2,000; at p = .001, of 300 days one at most."""
    generator = np.random.default_rng(5)

    def drawn(n):
        return hashes_of(generator.integers(0, 2000, size=(1, n)).astype(np.uint64))

    reference = Sketch.of(drawn(5000))
    false = 0
    for _ in range(300):
        day = Sketch.of(drawn(2000))
        false += excess_p(day.repeated, day.distinct, reference.repeated, reference.distinct) <= 0.001
    assert false <= 1

    fresh = generator.integers(0, 2**63, size=1800).astype(np.uint64)
    usual = Sketch.of(generator.integers(0, 2**63, size=5000).astype(np.uint64))
    replayed = Sketch.of(np.concatenate([fresh, fresh[:450]]))
    assert excess_p(replayed.repeated, replayed.distinct, usual.repeated, usual.distinct) < 3.2e-4
