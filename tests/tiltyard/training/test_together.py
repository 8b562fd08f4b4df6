"""The reference of columns together: of which columns, by which rows, and nobody's."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from bundles import signature_of

from tiltyard.contract.signature import Column
from tiltyard.runtime.documents import check_profile
from tiltyard.training.numbers import BINS
from tiltyard.training.profile import build_profile

N = 2_000


def profile_of(columns, frame):
    signature = signature_of(columns)
    scores = np.full((len(frame), 2), 0.5, np.float32)
    profile = build_profile(signature, frame, scores, np.arange(len(frame)) % 2)
    check_profile(profile, signature)
    return profile


def rows(n=N, *, seed=0):
    generator = np.random.default_rng(seed)
    a, noise = generator.normal(size=(2, n))
    return pd.DataFrame({"a": a, "b": a + 0.5 * noise, "c": generator.integers(0, 9, size=n)})


def numeric(frame, **of_c):
    return [
        Column("a", "number", is_nullable=True, minimum=-9.0, maximum=9.0),
        Column("b", "number", minimum=-9.0, maximum=9.0),
        Column("c", "integer", minimum=0.0, maximum=9.0, **of_c),
    ]


def test_one_half_of_the_rows_is_counted_in_bins_of_equal_shares():
    frame = rows()

    together = profile_of(numeric(frame), frame)["together"]

    assert together["columns"] == ["a", "b", "c"]
    for kind in ("reconstruction", "mahalanobis"):
        counted = together[kind]
        assert counted["counts"] == [N // 2 // BINS] * BINS
        assert (counted["edges"][0], counted["missing"], counted["below"], counted["above"]) == (0.0, 0, 0, 0)
        assert len(counted["means"]) == BINS


def test_the_same_rows_give_the_same_axes():
    frame = rows()

    assert profile_of(numeric(frame), frame) == profile_of(numeric(frame), frame)


def test_a_calendar_column_is_not_among_them():
    frame = rows()

    assert profile_of(numeric(frame, role="calendar"), frame)["together"]["columns"] == ["a", "b"]


def test_a_column_that_one_half_lacks_wholly_is_left_out():
    frame = rows().assign(a=np.nan)

    assert profile_of(numeric(frame), frame)["together"]["columns"] == ["b", "c"]


@pytest.mark.parametrize(
    ("columns", "frame"),
    [
        ([Column("a", "number", minimum=-9.0, maximum=9.0)], rows()),
        (numeric(rows()), rows(199)),
        (numeric(rows()), rows().assign(a=1.0, b=2.0)),
        (
            [Column(f"n{i}", "number") for i in range(201)],
            pd.DataFrame({f"n{i}": [0.5] * 9 for i in range(201)}),
        ),
    ],
    ids=["one column", "few rows", "one that varies", "very many"],
)
def test_where_there_is_nothing_to_compare_the_part_is_absent(columns, frame):
    assert "together" not in profile_of(columns, frame)


def test_no_value_of_anybody_is_kept_of_personal_columns():
    frame = rows()
    columns = [Column(name, "number", is_personal=True, minimum=-9.0, maximum=9.0) for name in ("a", "b")]

    together = profile_of(columns, frame)["together"]

    kept = set(numbers_in(together))
    assert kept.isdisjoint(frame["a"])
    assert kept.isdisjoint(frame["b"])
    for kind in ("reconstruction", "mahalanobis"):
        assert together[kind]["above"] == 10
    json.dumps(together, allow_nan=False)


def numbers_in(document):
    if isinstance(document, dict):
        document = list(document.values())
    if isinstance(document, list):
        for part in document:
            yield from numbers_in(part)
    elif isinstance(document, float):
        yield document
