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
    values, scores = answers.values, answers.scores
    # Two keys at a time in one expression: this is the part of an answer whose time grows with its rows.
    if judged.sets is None:
        return [
            {"id": i, "value": value, "interval": interval, "warnings": [], "action": "answer"}
            for i, value, interval in zip(ids, values, judged.intervals or (), strict=True)
        ]
    told: list[Any]
    if signature.task == "binary":
        key, told = "score", scores[:, 1].tolist()
    else:
        classes = signature.classes
        key, told = "scores", [dict(zip(classes, row, strict=True)) for row in scores.tolist()]
    return [
        {"id": i, "value": value, key: score, "set": classes_left, "warnings": [], "action": "answer"}
        for i, value, score, classes_left in zip(ids, values, told, judged.sets, strict=True)
    ]
