from __future__ import annotations

import numpy as np
import pytest
from bundles import linear, logistic, signature_of, two_numbers

from tiltyard.contract.signature import Column
from tiltyard.runtime.judgement import Judge
from tiltyard.runtime.model import ServedModel, open_session
from tiltyard.runtime.policy import parse
from tiltyard.runtime.reference import Anomaly, Reference
from tiltyard.stats import ecod, mahalanobis

SURE = [i / 1000 for i in range(1, 200)]  # conformal scores: right by far


def reference_of(conformal: list[float]) -> Reference:
    """Columns a and b that go together, 400 rows of tables and 400 of calibration."""
    generator = np.random.default_rng(0)
    a = generator.uniform(0, 10, size=800)
    rows = np.column_stack([a, a + generator.normal(scale=0.1, size=800)])
    tails = tuple(ecod.fit(rows[:400, j]) for j in range(2))
    whitening = mahalanobis.fit(rows[:400])
    return Reference(
        800,
        conformal,
        Anomaly(
            ("a", "b"),
            tails,
            whitening,
            sorted(ecod.scores(ecod.tables(tails), rows[400:]).tolist()),
            sorted(mahalanobis.scores(*mahalanobis.dense(whitening), rows[400:]).tolist()),
        ),
        ({"a": 1.0, "b": 1.0},),
        "stratified",
        0,
    )


def judged(served: ServedModel, rows, **policy):
    judge = (
        Judge(parse({"format": 1, **policy}, task=served.signature.task), served.signature)
        if policy
        else Judge.by_default(served.signature)
    )
    return judge.judge(served.assurance, served.predict(rows))


def binary() -> ServedModel:
    return ServedModel(two_numbers(), open_session(logistic([1.0, 0.0], -5.0)), reference_of(SURE))


def regression() -> ServedModel:
    columns = (Column("a", "number", minimum=0.0, maximum=10.0), Column("b", "number"))
    signature = signature_of(columns, task="regression", classes=(), threshold=None)
    return ServedModel(signature, open_session(linear([2.0, 0.0])), reference_of([0.5] * 200))


def test_a_usual_row_is_answered_without_a_word():
    found = judged(binary(), [{"a": 9.5, "b": 9.5}])

    assert found.sets == [["yes"]]
    assert (dict(found.warnings), dict(found.decisions)) == ({}, {})


def test_by_default_everything_odd_is_flagged_with_its_reason():
    found = judged(binary(), [{"a": 5.0, "b": 5.0}, {"a": 9.5, "b": 1.0}, {"a": 11.0, "b": 11.0}])

    assert found.sets is not None
    assert len(found.sets[0]) != 1
    assert [(w.column, w.kind) for w in found.warnings[1]] == [("b", "combination")]
    assert ("a", "out_of_range") in [(w.column, w.kind) for w in found.warnings[2]]
    assert {row: decision.rules for row, decision in found.decisions.items()} == {
        0: ("uncertain",),
        1: ("anomalous",),
        2: ("anomalous", "out-of-range"),
    }
    assert {decision.action for decision in found.decisions.values()} == {"flag"}


def test_a_row_so_odd_that_every_rule_fires_gets_the_strongest_action():
    humility = [
        {"name": "a", "when": "out_of_range", "action": "flag"},
        {"name": "b", "when": "anomalous", "action": "override", "value": "no"},
        {"name": "c", "when": "uncertain", "action": "abstain"},
    ]
    found = judged(binary(), [{"a": 1e30, "b": -1e30}], humility=humility, uncertainty={"level": 0.999})

    assert found.decisions[0].action == "abstain"
    assert found.decisions[0].rules == ("a", "b", "c")


def test_intervals_wider_than_a_rule_allows_are_uncertain():
    rule = {"name": "wide", "when": "uncertain", "action": "abstain"}

    narrow = judged(regression(), [{"a": 2.0, "b": 2.0}], humility=[{**rule, "wider_than": 2.0}])
    wide = judged(regression(), [{"a": 2.0, "b": 2.0}], humility=[{**rule, "wider_than": 0.5}])
    endless = judged(
        regression(),
        [{"a": 2.0, "b": 2.0}],
        humility=[{**rule, "wider_than": 1e9}],
        uncertainty={"level": 0.9999},
    )

    assert narrow.intervals == [pytest.approx([3.5, 4.5], abs=1e-5)]
    assert dict(narrow.decisions) == {}
    assert wide.decisions[0].action == "abstain"
    assert endless.intervals == [[None, None]]
    assert endless.decisions[0].rules == ("wide",)


def test_one_rows_infinite_answer_does_not_hide_that_the_others_are_uncertain():
    signature = signature_of(
        (Column("a", "number"), Column("b", "number")), task="regression", classes=(), threshold=None
    )
    served = ServedModel(signature, open_session(linear([2.0, 0.0])), reference_of([0.5] * 200))
    rule = {"name": "wide", "when": "uncertain", "action": "abstain", "wider_than": 0.5}

    found = judged(served, [{"a": 3e38, "b": 2.0}, {"a": 2.0, "b": 2.0}], humility=[rule])

    assert [found.decisions[i].action for i in (0, 1)] == ["abstain", "abstain"]


def test_a_regression_is_judged_by_its_columns_without_any_rule_on_width():
    found = judged(regression(), [{"a": 2.0, "b": 2.0}, {"a": 9.0, "b": 1.0}])

    assert found.sets is None
    assert list(found.decisions) == [1]


def test_what_a_policy_switches_off_is_not_judged():
    odd = [{"a": 11.0, "b": -11.0}]

    for served in (binary(), regression()):
        found = judged(served, odd, uncertainty=False, anomaly=False)

        assert (found.sets, found.intervals) == (None, None)
        assert {w.kind for w in found.warnings[0]} == {"out_of_range"}
        assert found.decisions[0].rules == ("out-of-range",)
