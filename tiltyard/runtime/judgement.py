"""What a policy makes of answers: how sure they are, what is odd about their rows, what follows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tiltyard.contract.rows import Warn
from tiltyard.contract.signature import Signature
from tiltyard.runtime.assurance import Assurance, Interval
from tiltyard.runtime.humility import Decision, Humility
from tiltyard.runtime.model import Answers
from tiltyard.runtime.policy import Policy, default


class Judged(NamedTuple):
    """n answers, judged.

    `sets` (of classes, likeliest first) or `intervals` hold one entry a row; the
    other is None, and so are both where the policy switches uncertainty off.
    `warnings` and `decisions` map a row's position to what is odd and to what
    follows; rows that aren't in them are as usual.
    """

    sets: list[list[str]] | None
    intervals: list[Interval] | None
    warnings: Mapping[int, tuple[Warn, ...]]
    decisions: Mapping[int, Decision]


class Judge:
    """A policy, compiled for the versions of one signature."""

    def __init__(self, policy: Policy, signature: Signature) -> None:
        self._policy = policy
        self._humility = Humility.of(policy, signature)

    @classmethod
    def by_default(cls, signature: Signature) -> Judge:
        """Where no policy was ever put."""
        return cls(default(signature.task), signature)

    @property
    def requires_telemetry(self) -> bool:
        return self._policy.telemetry == "required"

    def judge(self, assurance: Assurance, answers: Answers) -> Judged:
        """Judge a version's answers by its own reference."""
        warnings = self._warnings(assurance, answers)
        level = self._policy.uncertainty_level
        if level is None:
            decide = self._humility.decide
            return Judged(None, None, warnings, _fired({i: decide(warnings[i]) for i in sorted(warnings)}))
        if answers.scores.shape[1] == 1:
            intervals = assurance.intervals(answers.scores, level)
            # Every interval of a version has the same width. It isn't taken from one of them: the
            # rounding of its ends, or an infinite value, would decide for all rows of the request.
            width = 2 * assurance.reach(level)
            decisions = self._of_intervals(len(intervals), width, warnings)
            return Judged(None, intervals, warnings, decisions)
        sets = assurance.sets(answers.scores, level)
        return Judged(sets, None, warnings, self._of_sets(sets, warnings))

    def _warnings(self, assurance: Assurance, answers: Answers) -> Mapping[int, tuple[Warn, ...]]:
        level = self._policy.anomaly_level
        found = {} if level is None else assurance.findings(answers.numbers, level)
        if not found:
            return answers.warnings
        warnings = dict(answers.warnings)
        for row, odd in found.items():
            warnings[row] = (*warnings.get(row, ()), *odd)
        return warnings

    def _of_sets(
        self, sets: list[list[str]], warnings: Mapping[int, tuple[Warn, ...]]
    ) -> dict[int, Decision]:
        decide = self._humility.decide
        rows = set(warnings)
        if self._humility.heeds_sets:
            rows.update(i for i, classes in enumerate(sets) if len(classes) != 1)
        return _fired({i: decide(warnings.get(i, ()), is_uncertain=len(sets[i]) != 1) for i in sorted(rows)})

    def _of_intervals(
        self, n: int, width: float, warnings: Mapping[int, tuple[Warn, ...]]
    ) -> dict[int, Decision]:
        decide = self._humility.decide
        rows = range(n) if width > self._humility.narrowest else sorted(warnings)
        return _fired({i: decide(warnings.get(i, ()), width=width) for i in rows})


def _fired(decisions: Mapping[int, Decision]) -> dict[int, Decision]:
    """Without the rows where no rule fired."""
    return {i: decision for i, decision in decisions.items() if decision.rules}
