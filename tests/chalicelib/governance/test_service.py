"""Policies under races, on the store itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from bundles import bundle_of, logistic, logistic_bundle, signature_of
from fakes import MemoryContainer

from chalicelib.gating import service as gating
from chalicelib.governance import service
from chalicelib.lineage.records import Attempt
from chalicelib.registry import service as registry
from chalicelib.registry.rules import NewModel, Precondition
from tiltyard.audit.entry import Entry
from tiltyard.contract.signature import Column
from tiltyard.errors import InvalidInput, PolicyMisfit, PreconditionFailed

WIDER = signature_of((Column("a", "number"), Column("b", "number"), Column("c", "number", is_input=False)))


@pytest.fixture
def at_hand() -> MemoryContainer:
    """Model ``delays``: version 1 takes `a` and `b`, version 2 an optional `c` besides."""
    made = MemoryContainer()
    new = NewModel("delays", "airport", "binary", "ada")
    registry.create_model(made.lineage, made.pseudonyms, new, attempt=attempt(made))
    rows = [{"a": 1.0, "b": 2.0}]
    wider = bundle_of(logistic([0.3, 0.4]), WIDER, rows=rows, expected=[[0.5, 0.5]])
    for number, bundle in enumerate((logistic_bundle(), wider), start=1):
        made.upload(bundle)
        registry.register_version(
            made.lineage,
            made.artifacts,
            made.examination_queue,
            made.pseudonyms,
            "delays",
            bundle.manifest,
            description="",
            attempt=attempt(made),
        )
        made.accept("delays", number)
    return made


def attempt(at_hand: MemoryContainer) -> Attempt:
    return Attempt(at_hand.pseudonyms.actor("ada"), "ada", "engineer", at_hand.clock(), "request-1")


def put(at_hand: MemoryContainer, *rules: dict, level: float = 0.9, at: int | None = None):
    return service.put_policy(
        at_hand.lineage,
        at_hand.artifacts,
        at_hand.pseudonyms,
        "delays",
        {"format": 1, "uncertainty": {"level": level}, "humility": list(rules)},
        precondition=None if at is None else Precondition(frozenset({at})),
        attempt=attempt(at_hand),
    )


def promote(at_hand: MemoryContainer, number: int):
    return gating.promote(
        at_hand.lineage,
        at_hand.artifacts,
        at_hand.pseudonyms,
        "delays",
        number,
        reason="better",
        attempt=attempt(at_hand),
    )


def on_column_c() -> dict:
    return {"name": "c", "when": "out_of_range", "action": "abstain", "columns": ["c"]}


def test_putting_is_one_transaction_with_its_copy_edge_and_entry(at_hand, monkeypatch):
    transactions = []
    transact = at_hand.lineage.table.transact
    monkeypatch.setattr(
        at_hand.lineage.table, "transact", lambda ops: (transactions.append(ops), transact(ops))
    )

    policy = put(at_hand, level=0.8)

    assert len(transactions) == 1
    assert at_hand.lineage.pointer("delays").policy == policy.copy
    edges = at_hand.lineage.edges(f"policy:{policy.digest}", direction="from", limit=5, cursor=None)
    assert [edge.target for edge in edges.items] == ["model:delays"]
    log = [item["entry"] for item in at_hand.lineage.table.dump() if item["pk"] == "AUDIT#PENDING"]
    entries = [Entry.from_bytes(entry) for entry in log]
    (entry,) = [entry for entry in entries if entry.action == "policy.put"]
    assert (entry.object, entry.before) == (f"policy:{policy.digest}", None)


def test_policies_put_at_once_count_up_without_gaps(at_hand):
    with ThreadPoolExecutor(3) as pool:
        made = list(pool.map(lambda n: put(at_hand, level=0.5 + n / 100), range(6)))

    assert sorted(policy.number for policy in made) == [1, 2, 3, 4, 5, 6]
    held = at_hand.lineage.policy("delays")
    assert held.number == 6
    assert at_hand.lineage.pointer("delays").policy == held.copy
    for policy in made:
        assert at_hand.lineage.policy("delays", policy.number).document == policy.document


def test_of_two_that_put_on_the_same_policy_one_wins(at_hand):
    def won(n: int) -> bool:
        try:
            put(at_hand, level=0.5 + n / 100, at=0)
        except PreconditionFailed:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(won, range(8))) == 1


def test_policy_is_held_against_the_champion_that_reigns_at_its_commit(at_hand, monkeypatch):
    commit, overtaken = at_hand.lineage.commit, []

    def overtaking(change):
        if change.action == "policy.put" and not overtaken:
            overtaken.append(True)
            promote(at_hand, 1)
        return commit(change)

    monkeypatch.setattr(at_hand.lineage, "commit", overtaking)

    with pytest.raises(InvalidInput, match="version 1, can't follow"):
        put(at_hand, on_column_c())
    assert at_hand.lineage.policy("delays") is None
    assert at_hand.lineage.pointer("delays").policy is None


def test_version_is_held_against_the_policy_that_holds_at_its_commit(at_hand, monkeypatch):
    commit, overtaken = at_hand.lineage.commit, []

    def overtaking(change):
        if change.action == "champion.promote" and not overtaken:
            overtaken.append(True)
            put(at_hand, on_column_c())
        return commit(change)

    monkeypatch.setattr(at_hand.lineage, "commit", overtaking)

    with pytest.raises(PolicyMisfit) as caught:
        promote(at_hand, 1)
    assert [fault.pointer for fault in caught.value.faults] == ["/humility/0/columns/0"]
    assert at_hand.lineage.pointer("delays").champion is None
    assert promote(at_hand, 2).generation == 1
