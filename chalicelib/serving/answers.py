"""The body of an answer, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tiltyard.contract.signature import Signature
from tiltyard.runtime.explanation import Explanation
from tiltyard.runtime.judgement import Judged
from tiltyard.runtime.model import Answers

Body = dict[str, Any]


def predictions(
    signature: Signature,
    answers: Answers,
    judged: Judged,
    ids: Sequence[str],
    explanations: Sequence[Explanation] | None = None,
) -> list[Body]:
    """What a caller gets for each row: the usual ones at once, then what is odd about the others."""
    bodies = _usual(signature, answers, judged, ids)
    for row, warnings in judged.warnings.items():
        bodies[row]["warnings"] = [warning.to_json() for warning in warnings]
    for row, decision in judged.decisions.items():
        body = bodies[row]
        body["action"] = decision.action
        body["rules"] = list(decision.rules)
        if decision.action == "abstain":
            body["value"] = None
        elif decision.action == "override":
            body["model_value"] = body["value"]
            body["value"] = decision.value
    for body, explanation in zip(bodies, explanations or (), strict=explanations is not None):
        body["explanation"] = explanation.to_json()
    return bodies


def _usual(signature: Signature, answers: Answers, judged: Judged, ids: Sequence[str]) -> list[Body]:
    values = answers.values
    told: dict[str, Sequence[Any]] = {}
    if signature.task == "binary":
        told["score"] = answers.scores[:, 1].tolist()
    elif signature.task == "multiclass":
        classes = signature.classes
        told["scores"] = [dict(zip(classes, row, strict=True)) for row in answers.scores.tolist()]
    if judged.sets is not None:
        told["set"] = judged.sets
    if judged.intervals is not None:
        told["interval"] = judged.intervals
    # Each in one expression: this is the part of an answer whose time grows with its rows.
    match tuple(told.items()):
        case ((one, ones), (two, twos)):
            return [
                {"id": i, "value": v, one: first, two: second, "warnings": [], "action": "answer"}
                for i, v, first, second in zip(ids, values, ones, twos, strict=True)
            ]
        case ((one, ones),):
            return [
                {"id": i, "value": v, one: first, "warnings": [], "action": "answer"}
                for i, v, first in zip(ids, values, ones, strict=True)
            ]
        case _:
            return [
                {"id": i, "value": v, "warnings": [], "action": "answer"}
                for i, v in zip(ids, values, strict=True)
            ]
