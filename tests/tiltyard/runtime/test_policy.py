"""Policies read without trust, and rules applied by them."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiltyard.contract.features import FeatureSpec
from tiltyard.contract.rows import Warn
from tiltyard.contract.signature import Column, Signature
from tiltyard.errors import InvalidInput
from tiltyard.runtime import policy
from tiltyard.runtime.humility import ANSWER, Decision, Humility

NUMBERS, TEXTS = ("distance", "delay"), ("origin", "carrier")
STRENGTH = ("answer", "flag", "override", "abstain")


def signature(task="binary", classes=("no", "yes")):
    columns = [Column(name, "number") for name in NUMBERS] + [Column(name, "string") for name in TEXTS]
    return Signature(
        task=task,
        columns=tuple(columns),
        features=FeatureSpec(operations=(), numbers=NUMBERS, strings=TEXTS),
        classes=() if task == "regression" else classes,
        threshold=0.5 if task == "binary" else None,
    )


def document(*rules, **parts):
    return {"format": 1, "humility": list(rules), **parts}


def rule(name="odd", when="anomalous", action="flag", **more):
    return {"name": name, "when": when, "action": action, **more}


def pointers(given_document, task="binary"):
    with pytest.raises(InvalidInput) as refused:
        policy.parse(given_document, task=task)
    return [fault.pointer for fault in refused.value.faults]


def rules_of(task):
    """Well-formed rules of a task, of which no two override with different values."""
    value = st.just(7.5) if task == "regression" else st.just("yes")

    @st.composite
    def one(draw):
        when = draw(st.sampled_from(policy.WHENS))
        made = rule(draw(st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)), when)
        made["action"] = draw(st.sampled_from(policy.MEASURES))
        if made["action"] == "override":
            made["value"] = draw(value)
        if when == "uncertain" and task == "regression":
            made["wider_than"] = draw(st.floats(0.1, 100))
        elif when != "uncertain" and draw(st.booleans()):
            names = TEXTS if when == "unseen_category" else NUMBERS
            made["columns"] = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
        return made

    return st.lists(one(), max_size=6, unique_by=lambda made: made["name"])


FINDINGS = st.lists(
    st.one_of(
        st.builds(Warn, st.sampled_from(TEXTS), st.just("unseen_category")),
        st.builds(
            Warn, st.sampled_from(NUMBERS), st.sampled_from(["out_of_range", "extreme", "combination"])
        ),
    ),
    max_size=4,
)
TASKS = st.sampled_from(["binary", "multiclass", "regression"])


@given(st.data(), TASKS)
@settings(max_examples=40, deadline=None)
def test_a_policy_survives_its_own_document(data, task):
    made = policy.parse(document(*data.draw(rules_of(task))), task=task)

    again = policy.parse(json.loads(made.to_bytes()), task=task)

    assert again == made
    assert again.digest == made.digest
    assert policy.check_fit(made, signature(task)) == []


def expected(rules, findings, is_uncertain, width):
    """The rules read naively: every rule held against every finding."""
    fired = []
    for made in rules:
        if made["when"] == "uncertain":
            limit = made.get("wider_than")
            fires = is_uncertain if limit is None else width > limit
        else:
            kinds = ("extreme", "combination") if made["when"] == "anomalous" else (made["when"],)
            columns = made.get("columns", NUMBERS + TEXTS)
            fires = any(warn.kind in kinds and warn.column in columns for warn in findings)
        if fires:
            fired.append(made)
    if not fired:
        return ANSWER
    strongest = max(fired, key=lambda made: STRENGTH.index(made["action"]))
    return Decision(strongest["action"], strongest.get("value"), tuple(made["name"] for made in fired))


@given(st.data(), TASKS, FINDINGS, st.booleans(), st.floats(0, 200) | st.just(math.inf))
@settings(max_examples=100, deadline=None)
def test_compiled_rules_decide_as_the_document_reads(data, task, findings, is_uncertain, width):
    rules = data.draw(rules_of(task))
    is_uncertain, width = (False, width) if task == "regression" else (is_uncertain, 0.0)
    humility = Humility.of(policy.parse(document(*rules), task=task), signature(task))

    first = humility.decide(findings, is_uncertain=is_uncertain, width=width)
    again = humility.decide(findings, is_uncertain=is_uncertain, width=width)

    assert first == again == expected(rules, findings, is_uncertain, width)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
KEYS = ["format", "uncertainty", "anomaly", "humility", "level", "name", "when", "action"]


@given(st.dictionaries(st.sampled_from(KEYS), JSON | st.lists(st.dictionaries(st.sampled_from(KEYS), JSON))))
@settings(max_examples=60, deadline=None)
def test_no_document_brings_the_reader_down(odd):
    given_document = {"format": 1, **odd}

    faults = policy.form_faults(given_document)

    if faults:
        assert pointers(given_document) == [fault.pointer for fault in faults]
    else:
        made = policy.parse(given_document, task="binary")
        assert policy.parse(made.to_json(), task="binary") == made


@pytest.mark.parametrize(
    ("given_document", "pointer"),
    [
        ([], ""),
        ({}, "/format"),
        ({"format": True}, "/format"),
        ({"format": 2}, "/format"),
        (document(extra=1), "/extra"),
        (document(**{"a/b~": 1}), "/a~1b~0"),
        (document(uncertainty={"level": 1}), "/uncertainty/level"),
        (document(anomaly={"level": float("nan")}), "/anomaly/level"),
        (document(anomaly={"levels": 0.1}), "/anomaly/levels"),
        (document(anomaly=0.1), "/anomaly"),
        ({"format": 1, "humility": {}}, "/humility"),
        (document(3), "/humility/0"),
        (document(rule(name="Odd")), "/humility/0/name"),
        (document(rule(when=["anomalous"])), "/humility/0/when"),
        (document(rule(action="shout")), "/humility/0/action"),
        (document(rule(colums=["a"])), "/humility/0/colums"),
        (document(rule(columns=[])), "/humility/0/columns"),
        (document(rule(columns=[""])), "/humility/0/columns/0"),
        (document(rule(columns=["\ud800"])), "/humility/0/columns/0"),
        (document(rule(columns=["a", "a"])), "/humility/0/columns/1"),
        (document(rule(when="uncertain", columns=["a"])), "/humility/0/columns"),
        (document(rule(wider_than=3)), "/humility/0/wider_than"),
        (document(rule(when="uncertain", wider_than=3)), "/humility/0/wider_than"),
        (document(rule(action="override")), "/humility/0/value"),
        (document(rule(value="yes")), "/humility/0/value"),
        (document(rule(action="override", value=3)), "/humility/0/value"),
        (document(rule(action="override", value=10**400)), "/humility/0/value"),
        (document(rule(), rule(when="uncertain")), "/humility/1/name"),
        (
            document(
                rule("a", action="override", value="yes", columns=["x"]),
                rule("b", "unseen_category"),
                rule("c", "unseen_category", action="override", value="no", columns=["y"]),
            ),
            "/humility/2/value",
        ),
        (document(rule(columns=[f"column-{i}-{'x' * 90}" for i in range(100)])), ""),
    ],
)
def test_what_is_wrong_is_named_by_its_place(given_document, pointer):
    assert pointers(given_document) == [pointer]


def test_a_regression_says_how_wide_is_too_wide_and_overrides_with_numbers():
    given_document = document(rule("a", "uncertain"), rule("b", action="override", value="yes"))

    assert pointers(given_document, "regression") == ["/humility/0/wider_than", "/humility/1/value"]


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_defaults_flag_everything_odd_and_are_a_policy(task):
    made = policy.parse({"format": 1}, task=task)

    assert made == policy.default(task)
    assert (made.uncertainty_level, made.anomaly_level) == (0.9, 0.01)
    assert {r.action for r in made.humility} == {"flag"}
    assert {r.when for r in made.humility} == set(policy.WHENS) - (
        {"uncertain"} if task == "regression" else set()
    )


def test_what_is_switched_off_stays_off_and_its_default_rules_with_it():
    made = policy.parse({"format": 1, "uncertainty": False, "anomaly": False}, task="binary")

    assert (made.uncertainty_level, made.anomaly_level) == (None, None)
    assert {r.when for r in made.humility} == {"out_of_range", "unseen_category"}
    assert policy.parse(made.to_json(), task="binary") == made


@pytest.mark.parametrize(("part", "when"), [("uncertainty", "uncertain"), ("anomaly", "anomalous")])
def test_a_rule_on_what_is_switched_off_is_a_contradiction(part, when):
    rule = {"name": "r", "when": when, "action": "abstain"}

    with pytest.raises(InvalidInput) as refused:
        policy.parse({"format": 1, part: False, "humility": [rule]}, task="binary")

    assert [fault.pointer for fault in refused.value.faults] == ["/humility/0/when"]


def test_an_empty_list_of_rules_is_not_the_default():
    made = policy.parse(document(), task="binary")

    assert made.humility == ()


def test_fit_names_columns_kinds_and_classes_that_the_version_lacks():
    made = policy.parse(
        document(
            rule("a", columns=["distance", "gone"]),
            rule("b", "unseen_category", columns=["distance"]),
            rule("c", "out_of_range", columns=["origin"], action="override", value="maybe"),
        ),
        task="binary",
    )

    faults = policy.check_fit(made, signature())

    assert [fault.pointer for fault in faults] == [
        "/humility/0/columns/1",
        "/humility/1/columns/0",
        "/humility/2/columns/0",
        "/humility/2/value",
    ]


def test_an_override_that_an_alias_version_cannot_answer_abstains():
    made = policy.parse(document(rule(action="override", value="maybe")), task="multiclass")
    humility = Humility.of(made, signature("multiclass", classes=("no", "yes")))

    decision = humility.decide([Warn("distance", "extreme")])

    assert decision == Decision("abstain", None, ("odd",))


def test_remembered_combinations_do_not_grow_without_end():
    rules = [rule(f"r{i}", "unseen_category", columns=[f"c{i}"]) for i in range(12)]
    humility = Humility.of(policy.parse(document(*rules), task="binary"), signature())

    for n in range(1, 2**12):
        findings = [Warn(f"c{i}", "unseen_category") for i in range(12) if n >> i & 1]
        assert len(humility.decide(findings).rules) == n.bit_count()

    assert len(humility._known) == 1024
