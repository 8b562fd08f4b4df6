"""Window summaries: exact sums in any order (A10.1), small (A10.2), never misread (A10.4)."""

from __future__ import annotations

import math
import random
import struct
import zlib
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiltyard.errors import IntegrityError
from tiltyard.stats.binning import Binner
from tiltyard.stats.layout import Layout, NumberCells, compared_counts
from tiltyard.stats.summary import MAX_COUNT, Moments, Summary

PROFILE = {
    "columns": {
        "distance": {"kind": "number", "edges": [0.0, 10.0, 20.0, 40.0], "counts": [1, 2, 3]},
        "constant": {"kind": "number", "edges": [5.0, 5.0], "counts": [6]},
        "empty": {"kind": "number", "edges": [], "counts": []},
        "carrier": {"kind": "category", "levels": ["AA", "ü"], "counts": [3, 3]},
        "is_weekend": {"kind": "category", "levels": ["false", "true"], "counts": [3, 3]},
    },
    "score": {"edges": [0.0, 0.25, 0.5, 1.0], "counts": [[1, 1, 1], [1, 1, 1]]},
}
LAYOUT = Layout.of(PROFILE, ("no", "yes"))
BINNER = Binner(LAYOUT)

numbers = (
    st.none()
    | st.floats(-1e9, 1e9)
    | st.integers(-(2**53), 2**53)
    | st.sampled_from([0.0, 5.0, 10.0, 20.0, 40.0, -0.0, 1e300, -1e300, 5e-324])
    | st.sampled_from([math.inf, -math.inf, math.nan, math.nextafter(40, 41), math.nextafter(10, 9)])
)
rows = st.lists(
    st.fixed_dictionaries(
        {
            "distance": numbers,
            "constant": numbers,
            "empty": numbers,
            "carrier": st.sampled_from([None, "AA", "ü", "other", ""]),
            "is_weekend": st.sampled_from([None, True, False]),
            "score": st.floats(0, 1, width=32),
        }
    ),
    max_size=12,
)


def counted(given_rows, binner=BINNER):
    names = ("distance", "constant", "empty", "carrier", "is_weekend")
    scores = np.array([[1 - row["score"], row["score"]] for row in given_rows]).reshape(-1, 2)
    return binner.count(
        {name: [row[name] for row in given_rows] for name in names},
        scores,
        [int(row["score"] >= 0.5) for row in given_rows],
        {"rows:missing": len(given_rows)} if given_rows else {},
    )


def example():
    return counted(
        [
            {
                "distance": 7.0,
                "constant": 5.0,
                "empty": 1.0,
                "carrier": "AA",
                "is_weekend": True,
                "score": 0.3,
            },
            {
                "distance": None,
                "constant": 6.0,
                "empty": None,
                "carrier": "ZZ",
                "is_weekend": False,
                "score": 0.9,
            },
            {
                "distance": 40.0,
                "constant": 4.0,
                "empty": 2.0,
                "carrier": None,
                "is_weekend": None,
                "score": 1.0,
            },
        ]
    )


def test_rows_are_counted_in_the_cells_that_the_profile_says():
    found = example()

    assert found.rows == 3
    assert found.cells == {
        "distance": (1, 0, 1, 0, 0, 1),
        "constant": (1, 1, 1, 0),
        "empty": (0, 2, 1),
        "carrier": (1, 0, 1, 1),
        "is_weekend": (1, 1, 1),
    } | {"is_weekend": (1, 1, 0, 1)}
    assert found.scores == (0, 1, 2, 0, 0)
    assert found.answers == (1, 2)
    assert (found.moments["distance"].smallest, found.moments["distance"].largest) == (7.0, 40.0)


def test_the_profile_builder_and_the_binner_count_alike():
    pd = pytest.importorskip("pandas")
    from tiltyard.training.numbers import number_profile

    generator = np.random.default_rng(7)
    values = np.concatenate([generator.normal(size=5000), np.full(50, np.nan), [0.0] * 300])
    present = pd.Series(values).dropna()
    made = number_profile(values, low=float(present.min()), high=float(present.max()))
    layout = Layout.of({"columns": {"x": made}, "score": {"edges": []}}, ())

    cells = Binner(layout).count({"x": values}, np.zeros((len(values), 1))).cells["x"]

    assert list(cells) == [*made["counts"], made["below"], made["above"], made["missing"]]


@settings(max_examples=60, deadline=None)
@given(rows, st.randoms())
def test_any_partition_and_order_gives_the_same_bytes(given_rows, shuffled):
    """A10.1."""
    whole = counted(given_rows)
    parts = [counted([row]) for row in given_rows] + [Summary.empty(LAYOUT)]
    shuffled.shuffle(parts)
    while len(parts) > 1:
        first = parts.pop(shuffled.randrange(len(parts)))
        second = parts.pop(shuffled.randrange(len(parts)))
        parts.append(first + second)

    assert parts[0].encode() == whole.encode()
    assert Summary.decode(whole.encode(), LAYOUT) == whole == parts[0]


@settings(max_examples=60, deadline=None)
@given(rows)
def test_rows_are_counted_as_one_value_after_the_other_would_be(given_rows):
    found = counted(given_rows)

    for column in LAYOUT.columns:
        if isinstance(column, NumberCells):
            values = [row[column.name] for row in given_rows]
            assert (found.cells[column.name], found.moments[column.name]) == naive(column, values)


def naive(column, values):
    """Cells and moments of a number column, by the layout's own words."""
    edges, bins = column.edges, column.bins
    cells = [0] * column.size
    present = [float(value) for value in values if value is not None and not math.isnan(value)]
    cells[-1] = len(values) - len(present)
    for value in present:
        if not edges or value > edges[-1]:
            cells[bins + 1] += 1
        elif value < edges[0]:
            cells[bins] += 1
        else:
            inside = [i for i in range(bins) if edges[i] <= value < edges[i + 1]]
            cells[inside[0] if inside else bins - 1] += 1
    units = [
        round(Fraction(max(-1e300, min(1e300, value))) / Fraction(2) ** column.exponent) for value in present
    ]
    units = [max(-(2**31), min(2**31, unit)) for unit in units]
    squares = sum(unit * unit for unit in units)
    return tuple(cells), Moments(sum(units), squares, min(present, default=None), max(present, default=None))


def test_columns_of_very_many_edges_are_counted_alike():
    edges = sorted({float(edge) for edge in np.random.default_rng(4).normal(size=400)})
    profile = {"columns": {"x": {"kind": "number", "edges": edges, "counts": []}}, "score": {"edges": []}}
    layout = Layout.of(profile, ())
    values = [*edges, None, math.inf, -math.inf, -0.0, math.nan, 0.01]

    found = Binner(layout).count({"x": values}, np.zeros((len(values), 1)))

    assert (found.cells["x"], found.moments["x"]) == naive(layout.columns[0], values)


def test_sums_are_exact_in_the_columns_unit():
    values = np.random.default_rng(1).uniform(0, 40, size=10_000)

    moments = (
        Binner(LAYOUT).count({"distance": values}, np.zeros((10_000, 2)), [0] * 10_000).moments["distance"]
    )

    unit = 2.0 ** LAYOUT.columns[2].exponent
    assert LAYOUT.columns[2].name == "distance"
    scaled = [round(value / unit) for value in values]
    assert moments == Moments(sum(scaled), sum(s * s for s in scaled), values.min(), values.max())
    assert moments.total * unit / 10_000 == pytest.approx(values.mean(), abs=unit)


def test_values_far_outside_count_as_far_and_sums_stay_exact():
    moments = counted([{**BLANK, "distance": 1e300}] * 3 + [{**BLANK, "distance": -1e300}]).moments[
        "distance"
    ]

    assert (moments.total, moments.squares) == (2 * 2**31, 4 * 2**62)
    assert (moments.smallest, moments.largest) == (-1e300, 1e300)


BLANK = {"distance": None, "constant": None, "empty": None, "carrier": None, "is_weekend": None, "score": 0.0}


def test_a_personal_column_keeps_nobodys_value():
    layout = Layout.of(PROFILE, ("no", "yes"), personal={"distance"})
    found = counted([{**BLANK, "distance": 7.0, "constant": 5.0}], Binner(layout))

    assert found.moments["distance"].smallest is None
    assert found.moments["constant"].smallest == 5.0
    assert layout.digest != LAYOUT.digest
    assert Summary.decode(found.encode(), layout) == found


@given(
    st.lists(st.integers(0, 2**40) | st.just(MAX_COUNT), min_size=6, max_size=6), st.integers(-(2**70), 2**70)
)
def test_huge_counts_come_back(counts, total):
    """A10.4."""
    made = replace(
        Summary.empty(LAYOUT),
        rows=max(counts),
        cells={**Summary.empty(LAYOUT).cells, "distance": tuple(counts)},
        moments={**Summary.empty(LAYOUT).moments, "distance": Moments(total, total * total, -1.5, 2.5)},
        events={"action:abstain": counts[0] + 1, "unseen_category:größe": 3},
    )

    assert Summary.decode(made.encode(), LAYOUT) == made


def test_an_empty_window_comes_back_and_adds_nothing():
    empty = Summary.empty(LAYOUT)

    assert Summary.decode(empty.encode(), LAYOUT) == empty
    assert example() + empty == empty + example() == example()


@pytest.mark.parametrize("count", [-1, MAX_COUNT + 1])
def test_a_count_that_is_none_is_not_written(count):
    broken = replace(Summary.empty(LAYOUT), answers=(count, 0))

    with pytest.raises(IntegrityError):
        broken.encode()


def test_every_flipped_bit_and_every_cut_is_told():
    content = example().encode()

    for bit in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(IntegrityError):
            Summary.decode(bytes(flipped), LAYOUT)
    for length in range(len(content)):
        with pytest.raises(IntegrityError):
            Summary.decode(content[:length], LAYOUT)
    with pytest.raises(IntegrityError):
        Summary.decode(content + b"\0", LAYOUT)


def test_whoever_mends_the_checksum_still_has_to_hold_the_form():
    generator = random.Random(3)
    content = example().encode()[:-4]
    for _ in range(2000):
        cut = content[: generator.randrange(11, len(content))]
        forged = bytes([*cut, *generator.randbytes(generator.randrange(3))])
        signed = forged + struct.pack(">I", zlib.crc32(forged))
        try:
            found = Summary.decode(signed, LAYOUT)
        except IntegrityError:
            continue
        assert found.rows >= 0


def test_windows_of_another_profile_are_neither_read_nor_added():
    other = Layout.of({**PROFILE, "columns": {"distance": PROFILE["columns"]["distance"]}}, ("no", "yes"))

    with pytest.raises(IntegrityError, match="another profile"):
        Summary.decode(example().encode(), other)
    with pytest.raises(IntegrityError, match="other profiles"):
        example() + Summary.empty(other)


AXES = {
    "columns": ["constant", "distance"], "fill": [5.0, 10.0], "mean": [5.0, 12.0], "scale": [1.0, 4.0],
    "axes": [[0.6, 0.8], [0.8, -0.6]], "variances": [1.5, 0.5], "kept": 1,
    "reconstruction": {"kind": "number", "edges": [0.0, 1.0, 2.0]},
    "mahalanobis": {"kind": "number", "edges": [0.0, 1.0, 3.0]},
}  # fmt: skip


def test_a_profile_without_distances_keeps_its_layout():
    """Windows that were stored before there were any are still read."""
    assert LAYOUT.digest.hex() == "450fa702df0a7843"


def test_distances_are_counted_under_names_that_no_column_has():
    columns = {**PROFILE["columns"], "~mahalanobis": PROFILE["columns"]["distance"]}

    layout = Layout.of({**PROFILE, "columns": columns, "together": AXES}, ("no", "yes"))

    assert [cells.name for cells in layout.columns][-3:] == [
        "~mahalanobis",
        "~reconstruction",
        "~~mahalanobis",
    ]
    assert [cells.distance for cells in layout.columns[-2:]] == ["reconstruction", "mahalanobis"]
    moved = {**AXES, "mean": [5.0, 12.5]}
    others = [
        Layout.of({**PROFILE, "columns": columns, "together": axes}, ("no", "yes")) for axes in (AXES, moved)
    ]
    assert layout.digest == others[0].digest != others[1].digest
    assert layout.columns[-1].is_personal is False
    personal = Layout.of({**PROFILE, "together": AXES}, ("no", "yes"), personal={"distance"})
    assert personal.columns[-1].is_personal is True


def test_a_window_of_fifty_columns_is_small():
    """A10.2."""
    generator = np.random.default_rng(5)
    edges = [float(edge) for edge in np.linspace(-3, 3, 21)]
    columns = {f"c{n:02d}": {"kind": "number", "edges": edges, "counts": [1] * 20} for n in range(50)}
    layout = Layout.of({"columns": columns, "score": {"edges": [n / 200 for n in range(201)]}}, ("no", "yes"))
    values = {name: generator.normal(size=100_000) for name in columns}
    score = generator.uniform(size=100_000)

    content = Binner(layout).count(values, np.c_[1 - score, score], [0] * 100_000).encode()

    assert len(content) <= 10 * 1024


@pytest.mark.parametrize(
    ("name", "counts", "expected"),
    [
        ("distance", [1, 2, 3, 4, 5, 6], [5, 2, 8, 6]),
        ("constant", [1, 2, 3, 4], [6, 4]),
        ("empty", [0, 5, 2], [5, 2]),
        ("carrier", [1, 2, 3, 4], [1, 2, 3, 4]),
    ],
)
def test_what_is_tested_has_no_cell_that_the_reference_cannot_have(name, counts, expected):
    (cells,) = [cells for cells in LAYOUT.columns if cells.name == name]

    assert compared_counts(cells, counts) == expected


@given(rows, rows)
def test_what_is_left_and_its_part_make_up_the_whole(first, second):
    rest, part = counted(first), counted(second)
    whole = rest + part

    assert whole.less(part, was=rest) == rest
    found = whole.less(part, was=Summary.empty(LAYOUT))
    assert found is not None
    assert (found + part).encode() == whole.encode()
    assert (rest.less(whole, was=rest) is None) == bool(second)


def test_a_part_with_values_beyond_the_whole_is_none():
    whole, part = (Summary.empty(LAYOUT) + example() for _ in range(2))
    lower = replace(part.moments["distance"], smallest=-1e9)

    assert whole.less(replace(part, moments={**part.moments, "distance": lower}), was=whole) is None
