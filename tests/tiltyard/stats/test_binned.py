"""Rows as their cells: what is added up is what was counted, and nothing else is read."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiltyard.errors import IntegrityError
from tiltyard.stats.binned import decode, encode
from tiltyard.stats.binning import Binner
from tiltyard.stats.layout import CategoryCells, Layout, NumberCells

LAYOUT = Layout(
    (
        NumberCells("a", (0.0, 1.0, 2.5, 4.0)),
        CategoryCells("b", ("x", "y")),
        NumberCells("c", ()),
        NumberCells("d", (1.0, 1.0)),
        CategoryCells("e", ()),
    ),
    (),
    (),
)
WIDE = Layout((CategoryCells("b", tuple(f"level {i}" for i in range(300))),), (), ())

numbers = (
    st.none() | st.sampled_from([0.0, -0.0, 1.0, 2.5, 4.0, math.nan, math.inf, -math.inf]) | st.floats(-1, 5)
)
texts = st.none() | st.sampled_from(["x", "y", "z", ""])
rows = st.lists(st.tuples(numbers, texts, numbers, numbers, texts), min_size=1, max_size=60)


@settings(deadline=None)
@given(rows)
def test_cells_of_rows_add_up_to_their_counts(given_rows):
    binner, n = Binner(LAYOUT), len(given_rows)
    columns = dict(zip("abcde", map(list, zip(*given_rows, strict=True)), strict=True))

    stored = encode(LAYOUT, binner.cells(columns, n))
    counted = binner.count(columns, np.empty((n, 0)))

    read = np.stack([decode(content, LAYOUT) for content in stored], axis=1)
    for column, cells in zip(LAYOUT.columns, read, strict=True):
        assert tuple(np.bincount(cells, minlength=column.size).tolist()) == counted.cells[column.name]


def test_a_column_that_is_not_sent_is_missing():
    (content,) = encode(LAYOUT, Binner(LAYOUT).cells({}, 1))

    assert decode(content, LAYOUT).tolist() == [column.size - 1 for column in LAYOUT.columns]


def test_columns_of_many_cells_take_two_bytes():
    (content,) = encode(WIDE, Binner(WIDE).cells({"b": ["level 299"]}, 1))

    assert decode(content, WIDE).tolist() == [299]
    assert len(content) == 1 + 8 + 2


def test_fifty_columns_take_59_bytes():
    layout = Layout(tuple(NumberCells(f"n{i}", (0.0, 1.0)) for i in range(50)), (), ())

    (content,) = encode(layout, Binner(layout).cells({}, 1))

    assert len(content) == 59


def test_what_is_no_row_of_the_layout_is_refused():
    (content,) = encode(LAYOUT, Binner(LAYOUT).cells({}, 1))
    other = Layout(LAYOUT.columns[:4], (), ())

    for wrong in (b"", content[:-1], content + b"\0", b"\2" + content[1:], content[:-1] + b"\xff"):
        with pytest.raises(IntegrityError):
            decode(wrong, LAYOUT)
    with pytest.raises(IntegrityError):
        decode(content, other)
