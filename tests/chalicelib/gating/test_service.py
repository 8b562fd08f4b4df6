"""Swaps: one transaction each, one winner a generation, no gap in the reigns."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from bundles import logistic_bundle
from fakes import MemoryContainer
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.gating import rules, service
from chalicelib.governance import service as governance
from chalicelib.lineage.records import Attempt, Pointer
from chalicelib.registry import service as registry
from chalicelib.registry.rules import ModelChanges, NewModel
from tiltyard.errors import Conflict, LostRace, NotFound, PolicyMisfit

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def at_hand() -> MemoryContainer:
    return furnished(versions=4)


def furnished(versions: int) -> MemoryContainer:
    """Model ``delays`` with examined versions and no champion."""
    made = MemoryContainer()
    new = NewModel("delays", "airport", "binary", "ada")
    registry.create_model(made.lineage, made.pseudonyms, new, attempt=attempt(made))
    for n in range(versions):
        bundle = logistic_bundle((0.1 + n, 0.2))
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
        made.accept("delays", n + 1)
    return made


def attempt(at_hand: MemoryContainer, at: datetime = NOON) -> Attempt:
    return Attempt(at_hand.pseudonyms.actor("ada"), "ada", "engineer", at, "request-1")


def promote(at_hand: MemoryContainer, number: int, at: datetime = NOON) -> rules.Swap:
    return service.promote(
        at_hand.lineage,
        at_hand.artifacts,
        at_hand.pseudonyms,
        "delays",
        number,
        reason="better",
        attempt=attempt(at_hand, at),
    )


def roll_back(at_hand: MemoryContainer, number: int | None = None) -> rules.Swap:
    return service.roll_back(
        at_hand.lineage,
        at_hand.artifacts,
        at_hand.pseudonyms,
        "delays",
        number,
        reason="worse",
        attempt=attempt(at_hand),
    )


def test_promotion_is_one_transaction(at_hand, monkeypatch):
    promote(at_hand, 1)
    transactions = []
    transact = at_hand.lineage.table.transact
    monkeypatch.setattr(
        at_hand.lineage.table, "transact", lambda operations: (transactions.append(1), transact(operations))
    )

    promote(at_hand, 2)

    assert len(transactions) == 1
    pointer = at_hand.lineage.pointer("delays")
    reign = at_hand.lineage.reign_at("delays", pointer.started_at)
    assert (pointer.champion.version, reign.version, reign.generation) == (2, 2, 2)
    assert pointer.champion.files == at_hand.lineage.version("delays", 2).files


def test_fifty_promotions_at_once_have_one_winner_a_generation(at_hand):
    promote(at_hand, 1)

    def outcome(n: int) -> int | None:
        try:
            return promote(at_hand, 2 + n % 3).generation
        except (LostRace, Conflict):
            return None

    with ThreadPoolExecutor(10) as pool:
        generations = [g for g in pool.map(outcome, range(50)) if g is not None]

    reigns = at_hand.lineage.reigns("delays", limit=100, cursor=None).items
    assert sorted(generations) == [reign.generation for reign in reigns][-2::-1]
    assert len({reign.started_at for reign in reigns}) == len(reigns)
    champions = [n for n in range(1, 5) if at_hand.lineage.version("delays", n).stage == "champion"]
    assert champions == [reigns[0].version] == [at_hand.lineage.pointer("delays").champion.version]


def test_promotion_decided_on_another_champion_is_lost(at_hand, monkeypatch):
    promote(at_hand, 1)
    read = at_hand.artifacts.read
    overtaken = []

    def overtaking(sha256: str, *, limit: int) -> bytes:
        if not overtaken:
            overtaken.append(True)
            promote(at_hand, 3)
        return read(sha256, limit=limit)

    monkeypatch.setattr(at_hand.artifacts, "read", overtaking)

    with pytest.raises(LostRace, match="Version 3 became champion"):
        promote(at_hand, 2)
    assert at_hand.lineage.version("delays", 2).stage == "candidate"


def test_promotion_of_a_champion_that_is_overtaken_between_two_reads_is_lost(at_hand, monkeypatch):
    """The pointer still names version 1, whose own record says already that it retired."""
    promote(at_hand, 1)
    read = at_hand.lineage.version
    overtaken = []

    def overtaking(name: str, number: int):
        if not overtaken:
            overtaken.append(True)
            promote(at_hand, 3)
        return read(name, number)

    monkeypatch.setattr(at_hand.lineage, "version", overtaking)

    with pytest.raises(LostRace, match="Version 3 became champion"):
        promote(at_hand, 1)
    assert at_hand.lineage.pointer("delays").generation == 2


def test_other_changes_of_the_model_do_not_cost_the_promotion(at_hand, monkeypatch):
    promote(at_hand, 1)
    read = at_hand.artifacts.read
    changed = []

    def changing(sha256: str, *, limit: int) -> bytes:
        if len(changed) < 2:
            changed.append(True)
            registry.change_model(
                at_hand.lineage,
                at_hand.pseudonyms,
                "delays",
                ModelChanges(team=f"team-{len(changed)}"),
                precondition=None,
                attempt=attempt(at_hand),
            )
        return read(sha256, limit=limit)

    monkeypatch.setattr(at_hand.artifacts, "read", changing)

    swap = promote(at_hand, 2)
    assert (swap.previous, swap.generation) == (1, 2)
    assert at_hand.lineage.pointer("delays").team == "team-2"


def test_rollback_goes_back_and_forth_and_to_any_past_champion(at_hand):
    for number in (1, 2, 3):
        promote(at_hand, number)

    assert roll_back(at_hand).version == 2
    assert roll_back(at_hand).version == 3
    assert roll_back(at_hand, 1).version == 1
    with pytest.raises(Conflict, match="never was champion"):
        roll_back(at_hand, 4)
    with pytest.raises(Conflict, match="champion already"):
        roll_back(at_hand, 1)
    with pytest.raises(NotFound):
        roll_back(at_hand, 9)


def put_policy(at_hand: MemoryContainer, document: object) -> str:
    put = governance.put_policy(
        at_hand.lineage,
        at_hand.artifacts,
        at_hand.pseudonyms,
        "delays",
        document,
        precondition=None,
        attempt=attempt(at_hand),
    )
    return put.digest


def test_a_policy_stays_through_swaps_and_is_named_by_each_reign(at_hand):
    promote(at_hand, 1)
    digest = put_policy(at_hand, {"format": 1, "humility": []})

    swaps = [promote(at_hand, 2), roll_back(at_hand)]

    pointer = at_hand.lineage.pointer("delays")
    assert (pointer.policy.digest, pointer.generation) == (digest, 3)
    assert [swap.generation for swap in swaps] == [2, 3]
    for generation, under in ((1, []), (2, [f"policy:{digest}"]), (3, [f"policy:{digest}"])):
        edges = at_hand.lineage.edges(
            f"reign:delays/{generation}", direction="from", limit=5, cursor=None
        ).items
        assert [edge.target for edge in edges if edge.relation == "under-policy"] == under


def test_a_policy_put_while_a_promotion_decides_is_held_against_it(at_hand, monkeypatch):
    promote(at_hand, 1)
    read = at_hand.artifacts.read
    fitting = {"format": 1, "humility": []}
    put = []

    def putting(sha256: str, *, limit: int) -> bytes:
        if not put:
            put.append(True)
            put.append(put_policy(at_hand, fitting))
        return read(sha256, limit=limit)

    monkeypatch.setattr(at_hand.artifacts, "read", putting)

    promote(at_hand, 2)

    pointer = at_hand.lineage.pointer("delays")
    assert (pointer.champion.version, pointer.policy.digest) == (2, put[1])


def test_a_version_that_cannot_follow_the_policy_does_not_reign_again(at_hand):
    with_person = logistic_bundle((0.9, 0.1), subject=True)
    at_hand.upload(with_person)
    registry.register_version(
        at_hand.lineage,
        at_hand.artifacts,
        at_hand.examination_queue,
        at_hand.pseudonyms,
        "delays",
        with_person.manifest,
        description="",
        attempt=attempt(at_hand),
    )
    at_hand.accept("delays", 5)
    promote(at_hand, 1)
    promote(at_hand, 5)
    rule = {"name": "a", "when": "unseen_category", "columns": ["person"], "action": "flag"}
    put_policy(at_hand, {"format": 1, "humility": [rule]})

    with pytest.raises(PolicyMisfit, match="Version 1 can't follow policy 1") as refused:
        roll_back(at_hand)

    assert [fault.pointer for fault in refused.value.faults] == ["/humility/0/columns/0"]
    assert at_hand.lineage.pointer("delays").champion.version == 5


def test_model_that_is_not_there(at_hand):
    with pytest.raises(NotFound):
        service.promote(
            at_hand.lineage,
            at_hand.artifacts,
            at_hand.pseudonyms,
            "nowhere",
            1,
            reason="r",
            attempt=attempt(at_hand),
        )
    with pytest.raises(NotFound, match="no champion yet"):
        service.champion(at_hand.lineage, "delays")


def test_reason_reaches_the_reign_as_a_commitment(at_hand):
    promote(at_hand, 1)

    reign = service.champion(at_hand.lineage, "delays").reign

    assert reign.reason == at_hand.pseudonyms.commitment("better")
    assert at_hand.lineage.texts(frozenset({reign.reason})) == {reign.reason: "better"}


moments = st.integers(0, 10**11).map(lambda us: NOON + timedelta(microseconds=us))


@given(moments, st.none() | moments)
def test_a_reign_starts_after_the_one_before(now, before):
    start = rules.start_of_reign(now, Pointer("delays", "airport", started_at=before))

    assert start.microsecond % 1000 == 0 or before is not None
    assert start >= now - timedelta(milliseconds=1)
    assert before is None or start >= before + timedelta(milliseconds=1)


@settings(deadline=None, max_examples=15)
@given(st.lists(st.tuples(st.sampled_from([1, 2, 3, None]), st.integers(-5, 5)), max_size=8))
def test_reigns_cover_time_without_gap_or_overlap(steps):
    at_hand = furnished(versions=3)
    for number, offset in steps:
        try:
            if number is None:
                roll_back(at_hand)
            else:
                promote(at_hand, number, NOON + timedelta(milliseconds=offset))
        except Conflict:
            continue

    reigns = at_hand.lineage.reigns("delays", limit=50, cursor=None).items[::-1]

    assert [reign.generation for reign in reigns] == list(range(1, len(reigns) + 1))
    assert not reigns or service.champion(at_hand.lineage, "delays").ended_at is None
    for reign in reigns:
        assert at_hand.lineage.reign_at("delays", reign.started_at) == reign
    for older, newer in itertools.pairwise(reigns):
        assert newer.started_at > older.started_at
        assert service.champion_at(at_hand.lineage, "delays", older.started_at).ended_at == newer.started_at
        assert at_hand.lineage.reign_at("delays", newer.started_at - rules.TICK) == older
        assert older.version != newer.version
    retired = {reign.version for reign in reigns[:-1]} - {reign.version for reign in reigns[-1:]}
    for number in retired:
        assert at_hand.lineage.version("delays", number).stage == "retired"
