"""Plans of changes: what they refuse, and how large they are."""

from __future__ import annotations

from dataclasses import replace

import pytest
from lineage_examples import (
    ADA,
    NOON,
    attempt_at,
    creation,
    new_model,
    promotion,
    registration,
    sha256_of,
    version_of,
)

from chalicelib.lineage.records import Alias, Change, Edge, IdempotencyKey, Pointer, Put
from chalicelib.lineage.writes import MAX_OPERATIONS, AtRevision, PutItem, plan
from tiltyard.errors import InvalidInput, TiltyardError

HEAD = replace(new_model(), revision=4, changes=4)
COMMITMENT = sha256_of("commitment")


def plan_of(change, *, commitment=None):
    return plan(change, now=NOON, entry_id="0190", commitment=commitment)


def test_the_head_comes_first_on_the_condition_that_it_was_read():
    planned = plan_of(registration(HEAD))

    first = planned.operations[0]
    assert isinstance(first, PutItem)
    assert (first.item["sk"], first.condition) == ("META", AtRevision(4))
    assert (planned.head.revision, planned.head.changes) == (5, 5)


def test_a_promotion_with_everything_stays_far_below_the_limit():
    change = promotion(
        HEAD, Pointer(HEAD.name, HEAD.team, revision=1), version_of(HEAD, 1), at=NOON, reason="why"
    )
    change = replace(change, attempt=attempt_at(key=IdempotencyKey("k", sha256_of("b"))))

    planned = plan_of(change, commitment=COMMITMENT)

    assert len(planned.operations) <= 11 < MAX_OPERATIONS


def test_a_plan_is_a_pure_function_of_its_arguments():
    assert plan_of(registration(HEAD)) == plan_of(registration(HEAD))


def test_a_reason_needs_its_commitment():
    with pytest.raises(TiltyardError, match="go together"):
        plan_of(replace(registration(HEAD), reason="why"))


def test_a_head_among_the_writes_is_refused():
    with pytest.raises(TiltyardError, match="change's own head"):
        plan_of(replace(creation(new_model()), writes=(Put(HEAD),)))


def test_a_record_of_another_model_is_refused():
    with pytest.raises(TiltyardError, match="can't write a record of fares"):
        plan_of(replace(creation(new_model()), writes=(Put(Pointer("fares", "airport")),)))


def test_the_same_record_twice_is_refused():
    pointer = Put(Pointer("delays", "airport"))

    with pytest.raises(TiltyardError, match="MODEL#delays POINTER twice"):
        plan_of(replace(creation(new_model()), writes=(pointer, pointer)))


def test_more_edges_than_thirty_are_refused():
    edges = tuple(Edge("version:a", "contains", f"blob:{n}") for n in range(31))

    with pytest.raises(TiltyardError, match="31 edges and may have 30"):
        plan_of(replace(registration(HEAD), edges=edges))


def test_more_operations_than_fifty_are_refused():
    target = promotion(HEAD, Pointer("delays", "a"), version_of(HEAD, 1), at=NOON, reason="x").writes[0]
    aliases = tuple(
        Put(Alias("delays", "airport", f"a{n}", target.record.champion)) for n in range(MAX_OPERATIONS)
    )

    with pytest.raises(TiltyardError, match="of at most 50"):
        plan_of(replace(registration(HEAD), writes=aliases))


def test_a_name_in_place_of_a_pseudonym_never_reaches_the_log():
    named = replace(attempt_at(), actor="ada@example.org")

    with pytest.raises(InvalidInput, match="never a name or a text"):
        plan_of(replace(registration(HEAD), attempt=named))


def test_an_item_too_large_for_the_table_is_refused():
    with pytest.raises(InvalidInput, match="the model takes"):
        plan_of(creation(new_model().__class__("delays", "t", "binary", "ada", NOON, "x" * 400_000)))


def test_a_change_without_writes_still_counts_and_is_logged():
    change = Change(HEAD, attempt_at(), "model.change", HEAD.name, None, None)

    planned = plan_of(change)

    kinds = [operation.item["kind"] for operation in planned.operations]
    assert kinds == ["model", "audit", "change", "text"]
    assert planned.operations[3].item["pk"] == f"ACTOR#{ADA}"
