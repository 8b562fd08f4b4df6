"""Humility rules at work: what becomes of an answer when its row is odd or its outcome open.

The rules are compiled once a version and policy into bit masks, so that a row
without findings costs one comparison, and one with them a look-up each.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Literal, NamedTuple, Protocol

from tiltyard.contract.signature import Signature
from tiltyard.runtime.policy import Measure, Policy, Rule

Action = Literal["answer", "flag", "override", "abstain"]

_STRENGTH: Mapping[Measure, int] = {"flag": 0, "override": 1, "abstain": 2}

# Which rules a finding of each kind can set off.
_WHEN = {
    "out_of_range": "out_of_range",
    "unseen_category": "unseen_category",
    "extreme": "anomalous",
    "combination": "anomalous",
}

# Combinations of rules that fire; there are few, and a caller must not make many.
_MOST_REMEMBERED = 1024


class Finding(Protocol):
    """Something odd in a column of a row, such as a `tiltyard.contract.rows.Warn`."""

    @property
    def column(self) -> str: ...

    @property
    def kind(self) -> str: ...


class Decision(NamedTuple):
    """What becomes of one answer.

    `value` is what an override answers, None otherwise; `rules` names all rules
    that fired, in the policy's order.
    """

    action: Action
    value: str | float | None
    rules: tuple[str, ...]


ANSWER = Decision("answer", None, ())


class Humility:
    """The humility rules of a policy for one version.

    `narrowest` is the smallest width of an interval that any rule heeds
    (infinite: none does), `heeds_sets` says whether a rule asks for sets of
    other than one class.
    """

    __slots__ = ("_by_kind", "_known", "_rules", "_sets", "_widths", "heeds_sets", "narrowest")

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._rules = rules
        self._known: dict[int, Decision] = {0: ANSWER}
        self._by_kind: dict[str, tuple[int, dict[str, int]]] = {}
        for kind, when in _WHEN.items():
            self._by_kind[kind] = _masks(rules, when)
        uncertain = [(1 << i, rule.wider_than) for i, rule in enumerate(rules) if rule.when == "uncertain"]
        self._sets = sum(bit for bit, width in uncertain if width is None)
        self._widths = tuple((width, bit) for bit, width in uncertain if width is not None)
        self.heeds_sets = self._sets != 0
        self.narrowest = min((width for width, _ in self._widths), default=math.inf)

    @classmethod
    def of(cls, policy: Policy, signature: Signature) -> Humility:
        """Compile a policy for a version.

        The champion's fits (`policy.check_fit`). A version behind an alias may
        know another set of classes: what it could never answer it isn't made to
        answer, and an override to such a class abstains.
        """
        return cls(tuple(_fitted(rule, signature) for rule in policy.humility))

    def decide(
        self, findings: Collection[Finding], *, is_uncertain: bool = False, width: float = 0.0
    ) -> Decision:
        """What becomes of one row's answer: the strongest action of all rules that fire.

        Parameters
        ----------
        findings
            What is odd about the row.
        is_uncertain
            That the conformal set of a class has another size than one.
        width
            Of a regression's interval, in the target's unit; infinite where an end is.
        """
        if not findings and not is_uncertain and width <= self.narrowest:
            return ANSWER
        fired = self._sets if is_uncertain else 0
        if width > self.narrowest:
            for limit, bit in self._widths:
                if width > limit:
                    fired |= bit
        for finding in findings:
            in_any, by_column = self._by_kind[finding.kind]
            fired |= in_any | by_column.get(finding.column, 0)
        return self._known.get(fired) or self._decided(fired)

    def _decided(self, fired: int) -> Decision:
        rules = [rule for i, rule in enumerate(self._rules) if fired >> i & 1]
        strongest = max(rules, key=lambda rule: _STRENGTH[rule.action])
        decision = Decision(strongest.action, strongest.value, tuple(rule.name for rule in rules))
        if len(self._known) < _MOST_REMEMBERED:
            self._known[fired] = decision
        return decision


def _masks(rules: tuple[Rule, ...], when: str) -> tuple[int, dict[str, int]]:
    """The rules (a bit each) that fire for any column, and those that fire for one."""
    in_any, by_column = 0, dict[str, int]()
    for i, rule in enumerate(rules):
        if rule.when != when:
            continue
        if rule.columns is None:
            in_any |= 1 << i
        for column in rule.columns or ():
            by_column[column] = by_column.get(column, 0) | 1 << i
    return in_any, by_column


def _fitted(rule: Rule, signature: Signature) -> Rule:
    if rule.action != "override":
        return rule
    is_answer = rule.value in signature.classes if signature.classes else isinstance(rule.value, float)
    return rule if is_answer else Rule(rule.name, rule.when, "abstain", rule.columns, rule.wider_than)
