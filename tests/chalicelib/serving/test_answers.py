from __future__ import annotations

import numpy as np
import pytest
from bundles import signature_of

from chalicelib.serving.answers import predictions
from tiltyard.contract.rows import Warn
from tiltyard.contract.signature import Column
from tiltyard.runtime.explanation import Explanation
from tiltyard.runtime.humility import Decision
from tiltyard.runtime.judgement import Judged
from tiltyard.runtime.model import Answers

BINARY = signature_of([Column("a", "number")])
MULTICLASS = signature_of([Column("a", "number")], task="multiclass", classes=("x", "y", "z"), threshold=None)
REGRESSION = signature_of([Column("a", "number")], task="regression", classes=(), threshold=None)


def answers_of(scores, values):
    return Answers(np.array(scores, dtype=np.float32), values, {}, {"a": [1.0] * len(values)})


def test_a_usual_binary_answer():
    judged = Judged([["no"]], None, {}, {})

    assert predictions(BINARY, answers_of([[0.75, 0.25]], ["no"]), judged, ["i"]) == [
        {"id": "i", "value": "no", "score": 0.25, "set": ["no"], "warnings": [], "action": "answer"}
    ]


def test_a_multiclass_answer_has_every_class():
    judged = Judged([["y", "x"]], None, {}, {})

    (body,) = predictions(MULTICLASS, answers_of([[0.25, 0.5, 0.25]], ["y"]), judged, ["i"])

    assert body["scores"] == {"x": 0.25, "y": 0.5, "z": 0.25}
    assert body["set"] == ["y", "x"]


def test_a_regression_answer_has_an_interval():
    judged = Judged(None, [[1.0, None]], {}, {})

    assert predictions(REGRESSION, answers_of([[2.0]], [2.0]), judged, ["i"]) == [
        {"id": "i", "value": 2.0, "interval": [1.0, None], "warnings": [], "action": "answer"}
    ]


@pytest.mark.parametrize(
    ("decision", "changed"),
    [
        (Decision("flag", None, ("r",)), {"value": "yes", "action": "flag"}),
        (Decision("abstain", None, ("r",)), {"value": None, "action": "abstain"}),
        (Decision("override", "no", ("r",)), {"value": "no", "model_value": "yes", "action": "override"}),
    ],
)
def test_what_a_rule_does_shows_in_its_row_alone(decision, changed):
    judged = Judged([["yes"], ["yes"]], None, {1: (Warn("a", "extreme", 0.001),)}, {1: decision})

    first, second = predictions(
        BINARY, answers_of([[0.1, 0.9], [0.1, 0.9]], ["yes", "yes"]), judged, ["i", "j"]
    )

    assert (first["value"], first["action"], "rules" in first) == ("yes", "answer", False)
    assert {key: second.get(key) for key in changed} == changed
    assert second["rules"] == ["r"]
    assert second["warnings"] == [{"column": "a", "kind": "extreme", "p": 0.001}]


def test_an_explanation_stands_beside_its_row():
    told = Explanation(0.1, {"a": 0.2}, "log-odds", "yes", "exact", 2, 1, 0, 0.0)

    (body,) = predictions(
        BINARY, answers_of([[0.5, 0.5]], ["yes"]), Judged([["yes"]], None, {}, {}), ["i"], [told]
    )

    assert body["explanation"]["values"] == {"a": 0.2}


@pytest.mark.parametrize(
    ("signature", "scores", "keys"),
    [
        (BINARY, [[0.5, 0.5]], {"score"}),
        (MULTICLASS, [[0.2, 0.3, 0.5]], {"scores"}),
        (REGRESSION, [[2.0]], set()),
    ],
)
def test_without_uncertainty_an_answer_has_no_set_and_no_interval(signature, scores, keys):
    (body,) = predictions(signature, answers_of(scores, ["x"]), Judged(None, None, {}, {}), ["i"])

    assert set(body) == {"id", "value", "warnings", "action"} | keys
