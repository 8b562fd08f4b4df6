"""Registrations and changes under races, on the store itself."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from bundles import logistic_bundle
from fakes import MemoryContainer

from chalicelib.lineage.races import TRIES, settle
from chalicelib.lineage.records import Attempt
from chalicelib.lineage.states import state_digest
from chalicelib.registry import service
from chalicelib.registry.rules import ModelChanges, NewModel
from tiltyard.errors import Conflict, LostRace


@pytest.fixture
def at_hand() -> MemoryContainer:
    return MemoryContainer()


def attempt(at_hand: MemoryContainer, name: str = "ada") -> Attempt:
    return Attempt(at_hand.pseudonyms.actor(name), name, "scientist", at_hand.clock(), "request-1")


def create(at_hand: MemoryContainer, name: str = "delays") -> None:
    new = NewModel(name, "airport", "binary", "ada")
    service.create_model(at_hand.lineage, at_hand.pseudonyms, new, attempt=attempt(at_hand))


def register(at_hand: MemoryContainer, weight: float) -> service.Registration:
    bundle = logistic_bundle((weight, 0.1))
    at_hand.upload(bundle)
    return service.register_version(
        at_hand.lineage,
        at_hand.artifacts,
        at_hand.examination_queue,
        at_hand.pseudonyms,
        "delays",
        bundle.manifest,
        description="",
        attempt=attempt(at_hand),
    )


def test_one_of_many_creations_wins(at_hand):
    def won(_: int) -> bool:
        try:
            create(at_hand)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(won, range(16))) == 1


def test_versions_registered_at_once_count_up_without_gaps(at_hand):
    create(at_hand)

    with ThreadPoolExecutor(3) as pool:
        made = list(pool.map(lambda n: register(at_hand, 0.1 + n), range(6)))

    assert sorted(r.version.number for r in made) == [1, 2, 3, 4, 5, 6]
    assert all(r.is_new for r in made)
    assert len(at_hand.examination_queue.sent) == 6


def test_one_bundle_registered_at_once_is_one_version(at_hand):
    create(at_hand)

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: register(at_hand, 0.5), range(4)))

    assert {r.version.number for r in made} == {1}
    assert sum(r.is_new for r in made) == 1
    assert len(at_hand.examination_queue.sent) == 1


def test_rejected_bundle_handed_in_at_once_is_retried_once(at_hand):
    create(at_hand)
    registered = register(at_hand, 0.5).version
    at_hand.accept("delays", 1, reasons=("too slow",))

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: register(at_hand, 0.5), range(4)))

    assert sum(r.is_new for r in made) == 1
    assert len(at_hand.examination_queue.sent) == 2
    retried = at_hand.lineage.version("delays", 1)
    assert (retried.stage, retried.examination) == ("validating", None)
    assert retried.registered_at == registered.registered_at
    log = [item["entry"] for item in at_hand.lineage.table.dump() if item["pk"] == "AUDIT#PENDING"]
    assert sum(b'"version.retry"' in entry for entry in log) == 1


def test_lineage_goes_from_a_version_to_its_files_and_back(at_hand):
    create(at_hand)
    version = register(at_hand, 0.5).version
    blob = version.files["model.onnx"].sha256

    down = at_hand.lineage.edges(f"version:{version.digest}", direction="from", limit=50, cursor=None)
    up = at_hand.lineage.edges(f"blob:{blob}", direction="to", limit=50, cursor=None)

    assert {edge.target for edge in down.items} == {
        "model:delays",
        *(f"blob:{b.sha256}" for b in version.files.values()),
    }
    assert [edge.source for edge in up.items] == [f"version:{version.digest}"]


def test_log_holds_no_name_and_no_text(at_hand):
    create(at_hand)
    changes = ModelChanges(owner="grace hopper", description="secret plan")
    service.change_model(
        at_hand.lineage, at_hand.pseudonyms, "delays", changes, precondition=None, attempt=attempt(at_hand)
    )

    log = [item for item in at_hand.lineage.table.dump() if item["pk"] == "AUDIT#PENDING"]

    assert len(log) == 2
    assert not any(word in str(log) for word in ("ada", "grace", "secret"))


def test_unchanged_model_is_no_change(at_hand):
    create(at_hand)
    before = at_hand.lineage.model("delays")

    after = service.change_model(
        at_hand.lineage,
        at_hand.pseudonyms,
        "delays",
        ModelChanges(owner="ada"),
        precondition=None,
        attempt=attempt(at_hand),
    )

    assert after == before


def test_state_digests_differ_by_state_and_hide_texts(at_hand):
    create(at_hand)
    model = at_hand.lineage.model("delays")
    commitment = at_hand.pseudonyms.commitment

    assert state_digest(None, commitment=commitment) is None
    assert state_digest(model, commitment=commitment) == state_digest(model, commitment=commitment)
    assert state_digest(model, commitment=commitment) != state_digest(model, commitment=str.upper)


def test_settle_tries_so_often_and_waits_longer_each_time():
    calls, pauses = [], []

    def loses() -> None:
        calls.append(1)
        raise LostRace("lost")

    with pytest.raises(LostRace):
        settle(loses, pause=pauses.append)

    assert len(calls) == TRIES
    assert pauses == sorted(pauses)
    assert sum(pauses) < 1


def test_settle_stops_when_the_check_says_so():
    calls = []

    def loses() -> None:
        calls.append(1)
        raise LostRace("lost")

    def check() -> None:
        raise Conflict("over")

    with pytest.raises(Conflict, match="over"):
        settle(loses, check=check)
    assert len(calls) == 1
