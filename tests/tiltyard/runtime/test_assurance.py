"""Findings, sets and intervals from a reference that registration built."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from bundles import signature_of
from hypothesis import given, settings
from hypothesis import strategies as st

from tiltyard.contract.signature import Column
from tiltyard.runtime.assurance import ONE_BY_ONE, Assurance
from tiltyard.runtime.bundle import canonical
from tiltyard.runtime.reference import NOTHING, Reference
from tiltyard.training.reference import build_reference, rows_to_tell

COLUMNS = (Column("a", "number"), Column("b", "number", is_nullable=True), Column("c", "integer"))

FAR = np.full((1, 3), 1e9, dtype=np.float32)


def frame_of(n: int, seed: int) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    a = generator.normal(size=n)
    b = a + generator.normal(scale=0.3, size=n)
    b[generator.random(n) < 0.1] = np.nan
    return pd.DataFrame({"a": a, "b": b, "c": generator.poisson(4, size=n)})


def numbers_of(frame: pd.DataFrame) -> np.ndarray:
    return frame.to_numpy(dtype=np.float32)


def assurance_of(
    n: int = 4_000, *, task: str = "binary", classes: tuple[str, ...] = ("no", "yes")
) -> Assurance:
    signature = signature_of(COLUMNS, task=task, classes=classes, threshold=0.5 if task == "binary" else None)
    frame = frame_of(n, 0)
    generator = np.random.default_rng(9)
    if task == "regression":
        scores = generator.normal(size=(n, 1)).astype(np.float32)
        outcomes = scores[:, 0] + generator.normal(size=n)
    else:
        raw = generator.exponential(size=(n, len(classes)))
        scores = (raw / raw.sum(axis=1, keepdims=True)).astype(np.float32)
        outcomes = np.array(
            [generator.choice(len(classes), p=p / p.sum()) for p in scores.astype(np.float64)]
        )
    document = build_reference(signature, frame, scores, outcomes)
    return Assurance(Reference.read(canonical(document), signature), signature)


@pytest.fixture(scope="module")
def assurance():
    return assurance_of()


def test_usual_rows_are_flagged_at_most_as_often_as_the_level_says(assurance):
    usual = frame_of(20_000, 1)

    for level in (0.01, 0.05):
        flagged = len(assurance.findings(numbers_of(usual), level)) / len(usual)
        # Both rules together, from 2,000 calibration rows each: below the level but for their own noise.
        assert flagged < level + 0.01


def test_each_rule_names_its_column_and_how_rare_it_is(assurance):
    found = assurance.findings(np.array([[4.5, 4.5, 40], [2.0, -2.0, 4]], dtype=np.float32), 0.01)

    assert [(w.column, w.kind) for w in found[0]] == [("a", "extreme"), ("c", "combination")]
    assert [(w.column, w.kind) for w in found[1]] == [("b", "combination")]
    assert all(w.p is not None and 0 < w.p <= 0.005 for warnings in found.values() for w in warnings)


numbers = st.floats(-1e6, 1e6) | st.floats(-4, 4)


@settings(deadline=None)
@given(
    rows=st.lists(
        st.tuples(numbers, numbers | st.none(), st.integers(-5, 60)), min_size=1, max_size=ONE_BY_ONE
    ),
    level=st.sampled_from([0.005, 0.01, 0.05, 0.2]),
)
def test_few_rows_and_many_rows_are_flagged_alike(assurance, rows, level):
    few = np.array([[np.nan if v is None else v for v in row] for row in rows], dtype=np.float32)
    many = np.vstack([few, np.repeat(few[:1], ONE_BY_ONE, axis=0)])

    one_by_one = assurance.findings(few, level)
    at_once = assurance.findings(many, level)

    assert one_by_one == {i: warnings for i, warnings in at_once.items() if i < len(rows)}


def test_a_reference_row_sent_again_is_judged_by_its_own_rank(assurance):
    frame = frame_of(4_000, 0)

    flagged = assurance.findings(numbers_of(frame), 0.05)

    assert len(flagged) / len(frame) < 0.06


def test_too_few_rows_say_nothing_rather_than_guess():
    assert not assurance_of(150).is_calibrated
    assert assurance_of(150).findings(FAR, 0.05) == {}
    assert Assurance(NOTHING, signature_of(COLUMNS)).findings(FAR, 0.05) == {}


def test_a_level_that_the_calibration_rows_cannot_tell_flags_nothing():
    few = assurance_of(240)  # 120 calibrate: p is at least 1/121, above half of .01

    assert few.is_calibrated
    assert few.findings(FAR, 0.01) == {}
    assert few.findings(FAR, 0.05) != {}


@pytest.mark.parametrize("level", [0.01, 0.05, 0.3])
def test_registration_knows_how_many_rows_a_level_takes(level):
    enough = rows_to_tell(level)

    assert assurance_of(enough).findings(FAR, level) != {}
    assert assurance_of(enough - 1).findings(FAR, level) == {}


@pytest.mark.parametrize("classes", [("no", "yes"), ("x", "y", "z")])
def test_sets_hold_the_true_class_as_often_as_the_level_says(classes):
    assured = assurance_of(task="binary" if len(classes) == 2 else "multiclass", classes=classes)
    generator = np.random.default_rng(11)
    raw = generator.exponential(size=(20_000, len(classes)))
    scores = (raw / raw.sum(axis=1, keepdims=True)).astype(np.float32)
    truth = [classes[generator.choice(len(classes), p=p / p.sum())] for p in scores.astype(np.float64)]

    sets = assured.sets(scores, 0.9)

    assert abs(np.mean([t in s for t, s in zip(truth, sets, strict=True)]) - 0.9) < 0.025
    likeliest = [classes[i] for i in scores.argmax(axis=1)]
    assert all(not s or s[0] == top for s, top in zip(sets, likeliest, strict=True))


def test_rows_that_share_a_score_are_covered_together():
    signature = signature_of((Column("t", "string"),))
    frame = pd.DataFrame({"t": ["x"] * 1_000})
    covered = []
    for seed in range(40):
        generator = np.random.default_rng(seed)
        leaves = generator.uniform(0.03, 0.97, size=8).astype(np.float32)  # as a small tree answers
        p = leaves[generator.integers(8, size=3_000)]
        scores = np.column_stack([1 - p, p])
        truth = (generator.random(3_000) < p).astype(np.int64)
        document = build_reference(signature, frame, scores[:1_000], truth[:1_000])
        sets = Assurance(Reference.read(canonical(document), signature), signature).sets(scores[1_000:], 0.9)
        covered.append(np.mean([signature.classes[t] in s for t, s in zip(truth[1_000:], sets, strict=True)]))

    # Ties only ever cover more than the level: rounding them to the nearest made this .893.
    assert np.mean(covered) > 0.905


def test_intervals_hold_the_truth_as_often_as_the_level_says():
    assured = assurance_of(task="regression", classes=())
    generator = np.random.default_rng(12)
    scores = generator.normal(size=(20_000, 1)).astype(np.float32)
    truth = scores[:, 0] + generator.normal(size=20_000)

    intervals = np.array(assured.intervals(scores, 0.9), dtype=np.float64)

    assert abs(np.mean((truth >= intervals[:, 0]) & (truth <= intervals[:, 1])) - 0.9) < 0.02


def test_without_enough_calibration_rows_sets_are_whole_and_intervals_have_no_end():
    binary, numbers = (
        signature_of(COLUMNS),
        signature_of(COLUMNS, task="regression", classes=(), threshold=None),
    )

    assert Assurance(NOTHING, binary).sets(np.array([[0.9, 0.1]], dtype=np.float32), 0.9) == [["no", "yes"]]
    assert Assurance(NOTHING, numbers).intervals(np.array([[3.0]], dtype=np.float32), 0.9) == [[None, None]]


def test_a_row_unlike_all_others_may_have_no_class_at_all():
    signature = signature_of(COLUMNS)
    sure = Reference(100, [0.01] * 100, None, (), "stratified", 0)

    assert Assurance(sure, signature).sets(np.array([[0.5, 0.5]], dtype=np.float32), 0.9) == [[]]


def test_the_reference_is_the_same_in_every_run():
    signature = signature_of(COLUMNS)
    frame = frame_of(400, 0)
    scores = np.full((400, 2), 0.5, dtype=np.float32)
    outcomes = np.zeros(400, dtype=np.int64)

    first, second = (canonical(build_reference(signature, frame, scores, outcomes)) for _ in range(2))

    assert first == second


def test_columns_of_text_alone_are_never_odd():
    signature = signature_of((Column("t", "string", categories=("x", "y")),))
    frame = pd.DataFrame({"t": ["x", "y"] * 200})
    document = build_reference(signature, frame, np.full((400, 2), 0.5, np.float32), np.zeros(400, np.int64))

    assert document["anomaly"] is None
    assert Reference.read(canonical(document), signature).anomaly is None


def test_a_column_that_the_tables_half_never_saw_is_left_out():
    frame = frame_of(400, 0).assign(b=np.nan)
    signature = signature_of(COLUMNS)

    document = build_reference(signature, frame, np.full((400, 2), 0.5, np.float32), np.zeros(400, np.int64))

    assert document["anomaly"]["columns"] == ["a", "c"]
    assert math.isfinite(document["anomaly"]["calibration"]["ecod"][0])


@pytest.mark.parametrize("ends", [{}, {"minimum": -9.0, "maximum": 9.0}, {"maximum": 9.0}])
def test_no_persons_number_is_in_the_tables(ends):
    signature = signature_of((Column("a", "number", is_personal=True, **ends), Column("c", "integer")))
    frame = frame_of(400, 0)[["a", "c"]]

    document = build_reference(signature, frame, np.full((400, 2), 0.5, np.float32), np.zeros(400, np.int64))

    edges = document["anomaly"]["ecod"][0]["edges"]
    assert len(edges) > 40
    assert not set(edges) & set(frame["a"].astype(np.float32).astype(float))
    assert Reference.read(canonical(document), signature).anomaly is not None


def test_many_columns_are_flagged_alike_one_by_one_and_at_once():
    names = [f"n{i:02d}" for i in range(12)]
    generator = np.random.default_rng(5)
    signature = signature_of([Column(name, "number") for name in names])
    rows = generator.normal(size=(4_000, 12))
    document = build_reference(
        signature,
        pd.DataFrame(rows, columns=names),
        np.full((4_000, 2), 0.5, np.float32),
        np.zeros(4_000, np.int64),
    )
    wide = Assurance(Reference.read(canonical(document), signature), signature)
    odd = (generator.normal(size=(64, 12)) * 1.4).astype(np.float32)

    one_by_one = {i: found[0] for i in range(64) if (found := wide.findings(odd[i : i + 1], 0.05))}

    assert one_by_one == wide.findings(odd, 0.05)
    assert 0 < len(one_by_one) < 64
