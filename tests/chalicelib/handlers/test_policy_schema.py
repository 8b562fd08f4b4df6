"""The OpenAPI schema of policies and the plain code that reads them take and refuse the same documents."""

from __future__ import annotations

from hypothesis import event, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from chalicelib.handlers.schemas import PolicyDocument
from tiltyard.runtime import policy

NUMBERS = st.one_of(
    st.sampled_from([0, 1, -1, 0.0, 1.0, 0.5, 30, 1e-320, 1e308, float("inf"), float("nan"), 10**400]),
    st.floats(),
    st.integers(),
)
TEXTS = st.sampled_from(["", "a", "ab-9", "A", "a_b", "a\n", "\ud800", "é", "0", "x" * 63, "x" * 64])
ODD = st.one_of(
    st.none(), st.booleans(), NUMBERS, TEXTS, st.lists(TEXTS, max_size=2), st.just({}), st.just([[]])
)


def mostly(usual):
    """The usual, and one time in eight anything else."""
    return st.integers(0, 7).flatmap(lambda n: ODD if n == 0 else usual)


LEVEL = mostly(
    st.fixed_dictionaries({}, optional={"level": mostly(st.floats(0.01, 0.99)), "odd": ODD})
    | st.sampled_from([False, True, 0])
)
RULE = st.fixed_dictionaries(
    {
        "name": mostly(st.sampled_from(["a", "b-1"])),
        "when": mostly(st.sampled_from(policy.WHENS)),
        "action": mostly(st.sampled_from(policy.MEASURES)),
    },
    optional={
        "columns": mostly(st.lists(mostly(st.sampled_from(["origin", "x"])), max_size=3)),
        "wider_than": mostly(st.floats(1, 100)),
        "value": mostly(st.sampled_from(["yes", 7])),
    },
)
MONITORING = st.fixed_dictionaries(
    {},
    optional={
        "alerts_a_year": mostly(st.floats(0.0005, 101)),
        "smallest_effect": mostly(st.floats(0, 11)),
        "late_share": mostly(st.floats(0, 1)),
        "runbook": mostly(st.sampled_from(["https://wiki.example/x", "http://x", "https://" + "x" * 493])),
        "odd": ODD,
    },
)
DOCUMENTS = mostly(
    st.fixed_dictionaries(
        {"format": st.sampled_from([1, 1, 1, 1, 1, 1, True, 1.0, 2, "1", None])},
        optional={
            "uncertainty": LEVEL,
            "anomaly": LEVEL,
            "telemetry": mostly(st.sampled_from(policy.TELEMETRY)),
            "monitoring": mostly(MONITORING),
            "humility": mostly(st.lists(mostly(RULE), max_size=3)),
        },
    )
)


@given(DOCUMENTS)
@settings(max_examples=400, deadline=None)
def test_schema_and_plain_code_agree_on_every_document(document):
    try:
        PolicyDocument.model_validate(document, strict=True)
        is_taken = True
    except ValidationError:
        is_taken = False
    event("taken" if is_taken else "refused")

    faults = policy.form_faults(document)

    assert is_taken == (faults == []), faults


def test_a_missing_part_is_refused_by_both():
    for document in ({}, {"format": 1, "humility": [{"name": "a", "when": "uncertain"}]}):
        assert policy.form_faults(document)
        try:
            PolicyDocument.model_validate(document, strict=True)
        except ValidationError:
            continue
        raise AssertionError(f"{document} was taken")


def test_as_many_rules_as_plain_code_takes():
    rules = [{"name": f"r{i}", "when": "anomalous", "action": "flag"} for i in range(policy.MAX_RULES)]

    PolicyDocument.model_validate({"format": 1, "humility": rules}, strict=True)

    assert policy.form_faults({"format": 1, "humility": rules}) == []
    assert policy.form_faults({"format": 1, "humility": [*rules, rules[0]]}) != []
