"""What callers of a champion may rely on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bundles import signature_of
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.registry.compatibility import check_compatible
from tiltyard.contract.rows import RowReader
from tiltyard.contract.signature import Column, Signature
from tiltyard.errors import Incompatible, InvalidRows

BASE = signature_of(
    (
        Column("distance", "integer"),
        Column("hour", "number", is_nullable=True),
        Column("person", "string", role="subject", is_input=False),
    )
)


def with_column(name: str, **changes: object) -> Signature:
    columns = tuple(replace(c, **changes) if c.name == name else c for c in BASE.columns)  # type: ignore[arg-type]
    return signature_of(columns)


def faults(champion: Signature, successor: Signature) -> dict[str, str]:
    with pytest.raises(Incompatible) as caught:
        check_compatible(champion, successor)
    return {fault.pointer: fault.detail for fault in caught.value.faults}


@pytest.mark.parametrize(
    "successor",
    [
        BASE,
        signature_of(BASE.columns[::-1]),
        with_column("distance", type="number"),
        with_column("distance", is_nullable=True),
        with_column("distance", minimum=0.0, maximum=1.0),
        with_column("hour", is_input=False),
        with_column("hour", is_personal=True),
        replace(BASE, threshold=0.1),
        signature_of((*BASE.columns, Column("note", "string", role="segment", is_input=False))),
    ],
)
def test_what_callers_do_not_notice_is_compatible(successor):
    check_compatible(BASE, successor)


@pytest.mark.parametrize(
    ("successor", "pointer"),
    [
        (replace(BASE, target="late"), "/signature/target"),
        (replace(BASE, classes=("no", "maybe")), "/signature/classes"),
        (replace(BASE, classes=("yes", "no")), "/signature/classes"),  # the second class is the positive one
        (with_column("hour", is_nullable=False), "/signature/columns/1/nullable"),
        (with_column("hour", type="integer"), "/signature/columns/1/type"),
        (with_column("hour", type="boolean"), "/signature/columns/1/type"),
        (with_column("person", is_input=True), "/signature/columns/2/input"),
        (signature_of((*BASE.columns, Column("wind", "number"))), "/signature/columns/3"),
        (signature_of((*BASE.columns, Column("wind", "number", is_nullable=True))), "/signature/columns/3"),
        (signature_of(BASE.columns[:2]), "/signature/columns"),
    ],
)
def test_what_callers_would_notice_is_named(successor, pointer):
    assert set(faults(BASE, successor)) == {pointer}


def test_classes_of_a_multiclass_model_have_no_order():
    classes = {"task": "multiclass", "threshold": None}
    champion = signature_of(BASE.columns, classes=("a", "b", "c"), **classes)

    check_compatible(champion, signature_of(BASE.columns, classes=("c", "a", "b"), **classes))
    assert set(faults(champion, signature_of(BASE.columns, classes=("a", "b"), **classes))) == {
        "/signature/classes"
    }


def test_another_task_is_named_with_the_rest():
    other = replace(BASE, task="regression", classes=(), threshold=None, target="minutes")

    assert set(faults(BASE, other)) == {"/signature/task", "/signature/target", "/signature/classes"}


columns = st.builds(
    Column,
    name=st.sampled_from(["a", "b", "c"]),
    type=st.sampled_from(["number", "integer"]),
    is_input=st.booleans(),
    is_nullable=st.booleans(),
)

# Pairs of signatures that share most of their columns: those of chance alone are seldom compatible.
shared = st.lists(columns, min_size=1, max_size=3, unique_by=lambda c: c.name)
pairs = shared.flatmap(
    lambda found: st.tuples(
        st.just(found),
        st.tuples(*(st.just(c) | columns.map(lambda other, c=c: replace(other, name=c.name)) for c in found)),
        st.lists(columns.filter(lambda c: c.name not in {f.name for f in found}), max_size=1),
    )
).map(lambda made: (made[0], [*made[1], *made[2]]))
rows = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.sampled_from([None, 1, 1.0, 1.5, -3]), max_size=3)


def takes(signature: Signature, row: dict[str, object]) -> bool:
    try:
        batch = RowReader(signature).read([row])
    except InvalidRows:
        return False
    return batch.numbers is None or isinstance(batch.numbers, np.ndarray)


@settings(deadline=None, max_examples=400)
@given(pairs.filter(lambda pair: all(any(c.is_input for c in side) for side in pair)), rows)
def test_a_compatible_version_takes_every_row_of_the_champion(pair, row):
    champion, successor = signature_of(pair[0]), signature_of(pair[1])
    try:
        check_compatible(champion, successor)
    except Incompatible:
        return

    assert takes(successor, row) or not takes(champion, row)
