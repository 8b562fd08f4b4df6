"""The contract of a lineage store: the same tests on memory and on DynamoDB (moto)."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from lineage_examples import (
    ADA,
    NOON,
    PSEUDONYMS,
    attempt_at,
    creation,
    naming,
    new_model,
    promotion,
    putting,
    registration,
    sha256_of,
    target_of,
    unnaming,
    version_of,
)

from chalicelib.lineage.records import Change, Edge, Examination, IdempotencyKey, Pointer, Policy, Put
from tiltyard.audit.entry import Entry
from tiltyard.errors import InvalidInput, LostRace, MalformedRequest, TiltyardError

MS = timedelta(milliseconds=1)


def listed(read, **query):
    """All items of a list, read in pages of two."""
    found, cursor = [], None
    while True:
        page = read(limit=2, cursor=cursor, **query)
        assert len(page.items) <= 2
        found.extend(page.items)
        if page.next is None:
            return found
        assert page.items, "a page that isn't the last one is never empty"
        cursor = page.next


def entries(store):
    return [Entry.from_bytes(item["entry"]) for item in store.dump() if item["pk"] == "AUDIT#PENDING"]


def test_what_is_not_there_reads_as_none(store):
    lineage = store.lineage

    assert lineage.model("nobody") is None
    assert lineage.version("nobody", 1) is None
    assert lineage.version("nobody", 10**9) is None
    assert lineage.version_by_digest("nobody", sha256_of("x")) is None
    assert lineage.pointer("nobody") is None
    assert lineage.alias("nobody", "best") is None
    assert lineage.reign_at("nobody", NOON) is None
    assert lineage.done("unused") is None
    assert lineage.texts(frozenset()) == {}
    assert lineage.texts(frozenset({"unknown"})) == {}
    assert lineage.versions("nobody", limit=5, cursor=None).items == ()


def test_a_new_model_reads_back_with_its_first_change(store):
    model = new_model()

    head = store.lineage.commit(creation(model))

    assert head == replace(model, changes=1, revision=1)
    assert store.lineage.model(model.name) == head
    assert store.lineage.pointer(model.name) == Pointer(model.name, model.team, revision=1)


def test_a_model_cannot_be_made_twice(store):
    store.lineage.commit(creation(new_model()))
    before = store.dump()

    with pytest.raises(LostRace, match="META changed"):
        store.lineage.commit(creation(new_model(team="harbour")))

    assert store.dump() == before


def test_a_version_reads_back_by_number_and_by_digest(store):
    head = store.lineage.commit(creation(new_model()))

    head = store.lineage.commit(registration(head))

    version = replace(version_of(head, 1), revision=1)
    assert store.lineage.version(head.name, 1) == version
    assert store.lineage.version_by_digest(head.name, version.digest) == version
    assert store.lineage.version_by_digest("another", version.digest) is None


def test_an_examined_version_keeps_its_reasons_and_leaves_the_waiting_list(store):
    head = store.lineage.commit(creation(new_model()))
    head = store.lineage.commit(registration(head))
    head = store.lineage.commit(registration(head))
    first = store.lineage.version(head.name, 1)
    found = Examination(NOON, accepted=False, reasons=("a Loop", "too large"), memory_bytes=12_345)
    waiting_before = [v.number for v in listed(store.lineage.validating)]

    store.lineage.commit(
        Change(
            head,
            attempt_at(),
            action="version.reject",
            object=first.digest,
            before="validating",
            after="rejected",
            writes=(Put(replace(first, stage="rejected", examination=found)),),
        )
    )

    assert store.lineage.version(head.name, 1) == replace(
        first, stage="rejected", examination=found, revision=2
    )
    assert waiting_before == [1, 2]
    assert [v.number for v in listed(store.lineage.validating)] == [2]


def test_a_retried_version_waits_behind_those_that_came_before_its_retry(store):
    head = store.lineage.commit(creation(new_model()))
    for _ in range(2):
        head = store.lineage.commit(registration(head))
    first = store.lineage.version(head.name, 1)
    retried = replace(first, retried_at=NOON + timedelta(hours=1))

    store.lineage.commit(Change(head, attempt_at(), "version.retry", "x", None, None, writes=(Put(retried),)))

    found = listed(store.lineage.validating)
    assert [v.number for v in found] == [2, 1]
    assert found[1] == replace(retried, revision=2)


def test_the_same_bundle_cannot_become_two_versions(store):
    head = store.lineage.commit(creation(new_model()))
    head = store.lineage.commit(registration(head, bundle="twin"))
    before = store.dump()

    with pytest.raises(LostRace, match="DIGEST"):
        store.lineage.commit(registration(head, bundle="twin"))

    assert store.dump() == before


def test_a_promotion_writes_pointer_timeline_version_and_audit_entry_together(store):
    head = store.lineage.commit(creation(new_model()))
    head = store.lineage.commit(registration(head))
    version, pointer = store.lineage.version(head.name, 1), store.lineage.pointer(head.name)

    store.lineage.commit(promotion(head, pointer, version, at=NOON, reason="it is better"))

    pointer = store.lineage.pointer(head.name)
    assert (pointer.champion, pointer.started_at, pointer.revision) == (target_of(version), NOON, 2)
    assert store.lineage.version(head.name, 1).stage == "champion"
    (reign,) = store.lineage.reigns(head.name, limit=5, cursor=None).items
    assert (reign.version, reign.generation, reign.started_at) == (1, 2, NOON)
    assert store.lineage.texts(frozenset({reign.approved_by, reign.reason})) == {
        ADA: "ada@example.org",
        PSEUDONYMS.commitment("it is better"): "it is better",
    }


def test_the_pending_audit_entry_has_its_final_bytes_and_no_personal_data(store):
    head = store.lineage.commit(creation(new_model()))
    head = store.lineage.commit(registration(head))
    version, pointer = store.lineage.version(head.name, 1), store.lineage.pointer(head.name)

    store.lineage.commit(promotion(head, pointer, version, at=NOON, reason="ada says so"))

    found = entries(store)
    last = next(entry for entry in found if entry.action == "version.promote")
    assert last == Entry(
        id=last.id,
        time=NOON,
        model=head.name,
        change=3,
        actor=ADA,
        role="engineer",
        action="version.promote",
        object=version.digest,
        before=None,
        after=version.digest,
        reason=PSEUDONYMS.commitment("ada says so"),
        request_id="request-1",
    )
    assert sorted(entry.change for entry in found) == [1, 2, 3]
    assert all(b"example" not in entry.to_bytes() and b"says" not in entry.to_bytes() for entry in found)


def test_pending_entries_sort_by_the_real_time_of_their_commit(store, clock):
    head = store.lineage.commit(creation(new_model()))
    for _ in range(5):
        clock.now += MS
        head = store.lineage.commit(registration(head))

    assert [entry.change for entry in entries(store)] == [1, 2, 3, 4, 5, 6]


def test_a_stale_head_loses_and_nothing_is_written(store):
    head = store.lineage.commit(creation(new_model()))
    store.lineage.commit(registration(head))
    before = store.dump()

    with pytest.raises(LostRace, match="META changed"):
        store.lineage.commit(registration(head, bundle="another"))

    assert store.dump() == before


def test_a_stale_record_loses_even_under_a_fresh_head(store):
    head = store.lineage.commit(creation(new_model()))
    stale = store.lineage.pointer(head.name)
    head = store.lineage.commit(registration(head))
    version = store.lineage.version(head.name, 1)
    head = store.lineage.commit(promotion(head, stale, version, at=NOON, reason="first"))
    before = store.dump()

    with pytest.raises(LostRace, match="POINTER changed"):
        store.lineage.commit(promotion(head, stale, version, at=NOON + MS, reason="second"))

    assert store.dump() == before


def test_two_reigns_cannot_start_at_the_same_time(store):
    head = store.lineage.commit(creation(new_model()))
    head = store.lineage.commit(registration(head))
    version, pointer = store.lineage.version(head.name, 1), store.lineage.pointer(head.name)
    head = store.lineage.commit(promotion(head, pointer, version, at=NOON, reason="first"))
    version, pointer = store.lineage.version(head.name, 1), store.lineage.pointer(head.name)

    with pytest.raises(LostRace, match="REIGN"):
        store.lineage.commit(promotion(head, pointer, version, at=NOON, reason="second"))


def test_an_alias_is_set_moved_and_deleted_by_revision(store):
    head = store.lineage.commit(creation(new_model()))
    head = store.lineage.commit(registration(head))
    head = store.lineage.commit(registration(head))
    first, second = (store.lineage.version(head.name, number) for number in (1, 2))
    head = store.lineage.commit(naming(head, "nightly", first))
    stale = store.lineage.alias(head.name, "nightly")
    head = store.lineage.commit(naming(head, "nightly", second, alias=stale))
    alias = store.lineage.alias(head.name, "nightly")

    with pytest.raises(LostRace, match="ALIAS#nightly changed"):
        store.lineage.commit(unnaming(head, stale))
    store.lineage.commit(unnaming(head, alias))

    assert (stale.target.version, alias.target.version) == (1, 2)
    assert alias.revision == stale.revision + 1
    assert store.lineage.alias(head.name, "nightly") is None


def test_an_alias_made_again_has_none_of_its_old_revisions(store):
    head = store.lineage.commit(creation(new_model()))
    head = store.lineage.commit(registration(head))
    version, revisions = store.lineage.version(head.name, 1), []
    for moves in (0, 3, 1, 0):
        head = store.lineage.commit(naming(head, "nightly", version))
        for _ in range(moves):
            revisions.append(store.lineage.alias(head.name, "nightly").revision)
            alias = store.lineage.alias(head.name, "nightly")
            head = store.lineage.commit(naming(head, "nightly", version, alias=alias))
        alias = store.lineage.alias(head.name, "nightly")
        revisions.append(alias.revision)
        head = store.lineage.commit(unnaming(head, alias))

    assert revisions == sorted(set(revisions))


def test_a_deleted_alias_cannot_be_deleted_again(store):
    head = store.lineage.commit(creation(new_model()))
    head = store.lineage.commit(registration(head))
    head = store.lineage.commit(naming(head, "nightly", store.lineage.version(head.name, 1)))
    alias = store.lineage.alias(head.name, "nightly")
    head = store.lineage.commit(unnaming(head, alias))

    with pytest.raises(LostRace):
        store.lineage.commit(unnaming(head, alias))


def test_a_used_key_is_found_with_what_it_made(store, clock):
    key = IdempotencyKey("key-1", sha256_of("body"))

    store.lineage.commit(creation(new_model(), key=key))

    done = store.lineage.done("key-1")
    assert (done.body, done.result) == (key.body, {"model": "delays"})
    assert done.expires_at == clock.now + timedelta(hours=24)


def test_a_key_used_in_between_loses_the_race_and_nothing_is_written(store):
    key = IdempotencyKey("key-1", sha256_of("body"))
    store.lineage.commit(creation(new_model(), key=key))
    before = store.dump()

    with pytest.raises(LostRace, match="IDEMP"):
        store.lineage.commit(creation(new_model("another"), key=key))

    assert store.dump() == before


def test_an_expired_key_is_free_again_although_its_item_is_still_there(store, clock):
    key = IdempotencyKey("key-1", sha256_of("body"))
    store.lineage.commit(creation(new_model(), key=key))
    clock.now += timedelta(hours=24)

    forgotten = store.lineage.done("key-1")
    store.lineage.commit(creation(new_model("another"), key=key))

    assert forgotten is None
    assert store.lineage.done("key-1").result == {"model": "another"}


def test_models_are_listed_by_name_and_only_of_the_caller_s_teams(store):
    for name, team in (("b", "sea"), ("a", "air"), ("d", "air"), ("c", "rail"), ("e", "sea")):
        store.lineage.commit(creation(new_model(name, team=team)))

    def names(teams):
        return [model.name for model in listed(store.lineage.models, teams=teams)]

    assert names(None) == ["a", "b", "c", "d", "e"]
    assert names(frozenset({"air", "sea"})) == ["a", "b", "d", "e"]
    assert names(frozenset({"rail"})) == ["c"]
    assert names(frozenset({"nobody"})) == []
    assert names(frozenset()) == []


def test_a_model_that_changes_team_changes_lists(store):
    head = store.lineage.commit(creation(new_model(team="air")))

    store.lineage.commit(
        Change(replace(head, team="sea"), attempt_at(), "model.change", head.name, None, None)
    )

    assert listed(store.lineage.models, teams=frozenset({"air"})) == []
    assert [m.name for m in listed(store.lineage.models, teams=frozenset({"sea"}))] == [head.name]


def test_versions_and_reigns_are_listed_newest_first(store):
    head = store.lineage.commit(creation(new_model()))
    for number in range(1, 13):
        head = store.lineage.commit(registration(head))
        version, pointer = store.lineage.version(head.name, number), store.lineage.pointer(head.name)
        at = NOON + timedelta(hours=number)
        head = store.lineage.commit(promotion(head, pointer, version, at=at, reason="next"))

    versions = listed(lambda **q: store.lineage.versions(head.name, **q))
    reigns = listed(lambda **q: store.lineage.reigns(head.name, **q))

    assert [version.number for version in versions] == list(range(12, 0, -1))
    assert [reign.version for reign in reigns] == list(range(12, 0, -1))


def test_the_reign_at_a_moment_starts_at_it_or_before(store):
    head = store.lineage.commit(creation(new_model()))
    head = store.lineage.commit(registration(head))
    for at in (NOON, NOON + MS, NOON + timedelta(days=9)):
        version, pointer = store.lineage.version(head.name, 1), store.lineage.pointer(head.name)
        head = store.lineage.commit(promotion(head, pointer, version, at=at, reason="again"))

    def started(at):
        reign = store.lineage.reign_at(head.name, at)
        return None if reign is None else reign.started_at

    assert started(NOON - MS) is None
    assert started(NOON) == NOON
    assert started(NOON + MS / 2) == NOON
    assert started(NOON + MS) == NOON + MS
    assert started(NOON + timedelta(days=8)) == NOON + MS
    assert started(datetime(9999, 12, 31, tzinfo=UTC)) == NOON + timedelta(days=9)


def test_the_reign_after_a_moment_is_the_next_one(store):
    head = store.lineage.commit(creation(new_model()))
    head = store.lineage.commit(registration(head))
    for at in (NOON, NOON + MS, NOON + timedelta(days=9)):
        version, pointer = store.lineage.version(head.name, 1), store.lineage.pointer(head.name)
        head = store.lineage.commit(promotion(head, pointer, version, at=at, reason="again"))

    def started(at):
        reign = store.lineage.reign_after(head.name, at)
        return None if reign is None else reign.started_at

    assert started(NOON - MS) == NOON
    assert started(NOON) == NOON + MS
    assert started(NOON + MS) == started(NOON + timedelta(days=8)) == NOON + timedelta(days=9)
    assert started(NOON + timedelta(days=9)) is None
    assert store.lineage.reign_after("another", NOON) is None


def test_a_policy_reads_back_as_the_one_that_holds_and_by_its_number(store):
    head = store.lineage.commit(creation(new_model()))
    first, second = (
        Policy(head.name, number, sha256_of(str(number)), f'{{"n":{number}}}', NOON, ADA, revision=number - 1)
        for number in (1, 2)
    )

    head = store.lineage.commit(putting(head, store.lineage.pointer(head.name), first))
    held_before = store.lineage.policy(head.name)
    store.lineage.commit(putting(head, store.lineage.pointer(head.name), second))

    assert held_before == replace(first, revision=1)
    assert (
        store.lineage.policy(head.name) == store.lineage.policy(head.name, 2) == replace(second, revision=2)
    )
    assert store.lineage.policy(head.name, 1) == replace(first, revision=1)
    assert store.lineage.policy(head.name, 3) is None
    assert store.lineage.policy("another") is None
    assert store.lineage.pointer(head.name).policy == second.copy


def test_a_policy_put_in_between_loses_the_race_and_nothing_is_written(store):
    head = store.lineage.commit(creation(new_model()))
    pointer = store.lineage.pointer(head.name)
    policy = Policy(head.name, 1, sha256_of("1"), "{}", NOON, ADA)
    head = store.lineage.commit(putting(head, pointer, policy))
    before = store.dump()

    with pytest.raises(LostRace, match="changed since it was read"):
        store.lineage.commit(putting(head, store.lineage.pointer(head.name), replace(policy, number=2)))

    assert store.dump() == before


def test_alias_and_version_are_read_with_the_pointer(store):
    head = store.lineage.commit(creation(new_model()))
    head = store.lineage.commit(registration(head))
    head = store.lineage.commit(naming(head, "nightly", store.lineage.version(head.name, 1)))
    pointer = store.lineage.pointer(head.name)

    assert store.lineage.led_alias(head.name, "nightly") == (
        pointer,
        store.lineage.alias(head.name, "nightly"),
    )
    assert store.lineage.led_version(head.name, 1) == (pointer, store.lineage.version(head.name, 1))
    assert store.lineage.led_alias(head.name, "weekly") == (pointer, None)
    assert store.lineage.led_version("another", 1) == (None, None)


@pytest.mark.parametrize(
    "at",
    [datetime(2026, 1, 1), datetime.fromisoformat("9999-12-31T23:59:59-05:00")],  # noqa: DTZ001
)
def test_a_time_that_is_not_a_moment_in_utc_is_refused(store, at):
    with pytest.raises(InvalidInput, match="the time"):
        store.lineage.reign_at("delays", at)


def test_aliases_are_listed_by_name(store):
    head = store.lineage.commit(creation(new_model()))
    head = store.lineage.commit(registration(head))
    for name in ("weekly", "best", "nightly"):
        head = store.lineage.commit(naming(head, name, store.lineage.version(head.name, 1)))

    found = listed(lambda **q: store.lineage.aliases(head.name, **q))

    assert [alias.name for alias in found] == ["best", "nightly", "weekly"]


def test_edges_are_read_from_both_ends(store):
    head = store.lineage.commit(creation(new_model()))
    store.lineage.commit(registration(head))
    version = version_of(head, 1)
    node, blob = f"version:{version.digest}", f"blob:{version.files['model.onnx'].sha256}"

    outward = listed(lambda **q: store.lineage.edges(node, direction="from", **q))
    inward = listed(lambda **q: store.lineage.edges(blob, direction="to", **q))

    assert len(outward) == len(version.files)
    assert inward == [Edge(node, "contains", blob, at=NOON)]


def test_a_page_goes_on_behind_a_row_that_was_deleted_meanwhile(store):
    head = store.lineage.commit(creation(new_model()))
    head = store.lineage.commit(registration(head))
    for name in ("a", "b", "c", "d"):
        head = store.lineage.commit(naming(head, name, store.lineage.version(head.name, 1)))
    first = store.lineage.aliases(head.name, limit=2, cursor=None)
    store.lineage.commit(unnaming(head, store.lineage.alias(head.name, "b")))

    second = store.lineage.aliases(head.name, limit=2, cursor=first.next)

    assert [alias.name for alias in second.items] == ["c", "d"]
    assert second.next is None


def test_a_cursor_is_good_for_its_own_list_only(store):
    for name in ("a", "b"):
        head = store.lineage.commit(creation(new_model(name)))
        head = store.lineage.commit(registration(head))
        store.lineage.commit(registration(head))
    cursor = store.lineage.versions("a", limit=1, cursor=None).next

    for foreign in (
        lambda: store.lineage.versions("b", limit=1, cursor=cursor),
        lambda: store.lineage.aliases("a", limit=1, cursor=cursor),
        lambda: store.lineage.reigns("a", limit=1, cursor=cursor),
        lambda: store.lineage.models(teams=None, limit=1, cursor=cursor),
        lambda: store.lineage.validating(limit=1, cursor=cursor),
    ):
        with pytest.raises(MalformedRequest, match="cursor"):
            foreign()


@pytest.mark.parametrize("cursor", ["", "!", "AAAA", "A" * 5000, "é", "////", "AAAAAAAA~", "AAAAAAAAVkVS"])
def test_a_made_up_cursor_is_refused(store, cursor):
    with pytest.raises(MalformedRequest, match="start again without it"):
        store.lineage.versions("a", limit=1, cursor=cursor)


def test_one_pointer_too_large_for_its_readers_is_refused(store):
    head = store.lineage.commit(creation(new_model()))
    head = store.lineage.commit(registration(head))
    version, pointer = store.lineage.version(head.name, 1), store.lineage.pointer(head.name)
    many = {f"part-{n}.bin": version.files["model.onnx"] for n in range(200)}

    with pytest.raises(InvalidInput, match=r"pointer takes .* of at most 16384"):
        store.lineage.commit(
            promotion(head, pointer, replace(version, files=many), at=NOON, reason="too many")
        )


def test_a_text_that_is_not_unicode_is_refused(store):
    with pytest.raises(InvalidInput, match="surrogate"):
        store.lineage.commit(creation(replace(new_model(), description="half \ud83d")))


def test_a_fraction_is_refused_rather_than_stored_inexactly(store):
    change = replace(creation(new_model(), key=IdempotencyKey("k", sha256_of("b"))), result={"share": 0.1})

    with pytest.raises(TiltyardError, match="can't hold a float"):
        store.lineage.commit(change)

    assert store.dump() == []


def test_nested_results_come_back_as_they_were(store):
    result = {
        "version": 3,
        "is_new": True,
        "none": None,
        "texts": ["", "é", "\U0001f600"],
        "deep": {"n": -(2**53)},
    }
    change = replace(creation(new_model(), key=IdempotencyKey("k", sha256_of("b"))), result=result)

    store.lineage.commit(change)

    found = store.lineage.done("k").result
    assert json.dumps(found, sort_keys=True) == json.dumps(result, sort_keys=True)


def test_fifty_commits_on_one_revision_have_one_winner(store):
    head = store.lineage.commit(creation(new_model()))
    head = store.lineage.commit(registration(head))
    version, pointer = store.lineage.version(head.name, 1), store.lineage.pointer(head.name)
    together, results = threading.Barrier(50), []

    def promote(number):
        change = promotion(head, pointer, version, at=NOON + number * MS, reason=f"caller {number}")
        together.wait()
        try:
            results.append(store.lineage.commit(change))
        except LostRace as exc:
            results.append(exc)

    threads = [threading.Thread(target=promote, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    won = [result for result in results if not isinstance(result, LostRace)]
    assert (len(results), len(won)) == (50, 1)
    assert won[0].changes == 3
    assert len(store.lineage.reigns(head.name, limit=50, cursor=None).items) == 1
    assert sorted(entry.change for entry in entries(store)) == [1, 2, 3]
