"""Laws of commits under any interleaving, on both stores at once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta
from types import SimpleNamespace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
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
    unnaming,
)

from chalicelib.lineage.memory import MemoryLineage
from chalicelib.lineage.records import IdempotencyKey, Policy
from tiltyard.audit.entry import Entry
from tiltyard.errors import LostRace

# The often repeated ones are what meets most.
ACTIONS = (
    "create",
    "register",
    "register",
    "promote",
    "promote",
    "put",
    "put",
    "name",
    "name",
    "unname",
    "unname",
)
MODELS = ("delays", "delays", "delays", "fares")
KEYS = (None, None, None, "key-1", "key-2")

# A step is one actor of three that reads the records of a model, or commits what
# it decided on them; the two are apart, so others come in between.
steps = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(("read", "commit")),
        st.sampled_from(MODELS),
        st.sampled_from(ACTIONS),
        st.sampled_from(KEYS),
    ),
    min_size=12,
    max_size=40,
)


@dataclass
class Won:
    """A commit that succeeded: what it was decided on."""

    model: str
    revision: int
    change: int


def decide(lineage, name, action, key, moment):
    """A change decided on what is stored now, or None when there is nothing to do."""
    head = lineage.model(name)
    used = None if key is None else IdempotencyKey(key, sha256_of("body"))
    if action == "create":
        return creation(new_model(name), key=used)
    if head is None:
        return None
    if action == "register":
        return registration(head, key=used)
    if action == "put":
        present = lineage.policy(name)
        number = 1 if present is None else present.number + 1
        policy = Policy(
            name,
            number,
            sha256_of(f"{moment}"),
            f"{moment}",
            NOON,
            ADA,
            revision=0 if present is None else number - 1,
        )
        return replace(putting(head, lineage.pointer(name), policy), attempt=attempt_at(key=used))
    version = lineage.version(name, head.versions)
    if version is None:
        return None
    alias = lineage.alias(name, "best")
    if action == "promote":
        change = promotion(
            head, lineage.pointer(name), version, at=NOON + timedelta(seconds=moment), reason=f"step {moment}"
        )
    elif action == "name":
        change = naming(head, "best", version, alias=alias)
    elif alias is not None:
        change = unnaming(head, alias)
    else:
        return None
    return replace(change, attempt=attempt_at(change.attempt.at, key=used))


def play(store, script):
    """Play a script; the commits that won, in order. A commit that lost must leave no trace."""
    decided, won, seen = {}, [], {}
    for action in ("create", "register"):
        # A first version, so that most steps have something to do.
        change = decide(store.lineage, MODELS[0], action, None, 0)
        won.append(Won(MODELS[0], change.model.revision, store.lineage.commit(change).changes))
    for moment, (actor, step, name, action, key) in enumerate(script):
        if step == "read":
            decided[actor] = decide(store.lineage, name, action, key, moment)
            continue
        change = decided.get(actor)
        if change is None:
            continue
        before = store.dump()
        try:
            head = store.lineage.commit(change)
        except LostRace:
            assert store.dump() == before, "a commit that lost wrote something"
        else:
            won.append(Won(change.model.name, change.model.revision, head.changes))
            assert head.revision == change.model.revision + 1
            check_alias(store, change.model.name, seen)
    return won


def check_alias(store, name, seen):
    """An alias's revision, which is its ETag, stands for one target for good."""
    alias = store.lineage.alias(name, "best")
    if alias is not None:
        key = (name, alias.revision)
        assert seen.setdefault(key, alias) == alias, "an ETag came back with another alias"


def check_laws(store, won):
    assert max(Counter((win.model, win.revision) for win in won).values(), default=1) == 1
    logged = [Entry.from_bytes(item["entry"]) for item in store.dump() if item["pk"] == "AUDIT#PENDING"]
    for name in set(MODELS):
        numbers = [win.change for win in won if win.model == name]
        assert numbers == list(range(1, len(numbers) + 1)), "change numbers have a gap"
        assert sorted(entry.change for entry in logged if entry.model == name) == numbers
        head = store.lineage.model(name)
        assert (0 if head is None else head.changes) == len(numbers)
        check_policies(store.lineage, name)


def check_policies(lineage, name):
    """The one that holds is the last in the history and the pointer's copy, and no number is left out."""
    current, pointer = lineage.policy(name), lineage.pointer(name)
    if current is None:
        assert lineage.policy(name, 1) is None
        assert pointer is None or pointer.policy is None
        return
    assert pointer.policy == current.copy
    assert lineage.policy(name, current.number) == current
    assert lineage.policy(name, current.number + 1) is None
    for number in range(1, current.number):
        assert lineage.policy(name, number).number == number


@settings(max_examples=150, deadline=None, derandomize=True)
@given(script=steps)
def test_any_interleaving_keeps_numbers_gapless_and_losers_traceless(script):
    store = in_memory()

    won = play(store, script)

    check_laws(store, won)


@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    # The fixture's function gives a table of its own to every example.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(script=steps)
def test_both_stores_let_the_same_commits_win_and_keep_the_same_items(on_a_fresh_table, script):
    memory, dynamodb = in_memory(), on_a_fresh_table()

    won_in_memory, won_in_dynamodb = play(memory, script), play(dynamodb, script)

    check_laws(dynamodb, won_in_dynamodb)
    assert won_in_memory == won_in_dynamodb
    assert without_ids(memory.dump()) == without_ids(dynamodb.dump())


def in_memory():
    lineage = MemoryLineage(PSEUDONYMS, clock=lambda: NOON)
    return SimpleNamespace(lineage=lineage, dump=lineage.table.dump)


def without_ids(dump):
    """Items without the random ids of audit entries, pending and on record."""
    return sorted(
        repr(sorted(item.items(), key=lambda pair: pair[0]))
        for item in dump
        if item["kind"] not in {"audit", "change"}
    )
