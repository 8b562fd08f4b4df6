"""What is on record beside the models: changes, nodes of the graph, and a team's webhooks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from lineage_examples import ADA, NOON, attempt_at, creation, new_model, registration

from chalicelib.lineage.records import Change, Node, Put, Remove, Team, Webhook
from tiltyard.audit.entry import Entry
from tiltyard.errors import InvalidInput, LostRace, TiltyardError

HOOK = Webhook("0190-a", "airport", "https://example.org/hook", NOON, ADA, events=("champion.*",))


def setting(head, *writes):
    return Change(head, attempt_at(), "webhook.create", "webhook:0190-a", None, None, writes=writes)


def listed(read, limit=2):
    found, cursor = [], None
    while True:
        page = read(limit=limit, cursor=cursor)
        found.extend(page.items)
        cursor = page.next
        if cursor is None:
            return found


def test_every_change_of_a_model_is_on_record_in_order_and_without_gaps(store):
    head = store.lineage.commit(creation(new_model()))
    for _ in range(4):
        head = store.lineage.commit(registration(head))

    on_record = listed(lambda **q: store.lineage.changes("delays", **q))

    assert [logged.number for logged in on_record] == [1, 2, 3, 4, 5]
    assert [Entry.from_bytes(logged.entry).change for logged in on_record] == [1, 2, 3, 4, 5]
    assert on_record[1].result == {"version": 1}
    assert {(logged.scope, logged.team, logged.index) for logged in on_record} == {
        ("delays", "airport", None)
    }
    assert store.lineage.change("delays", 3) == on_record[2]
    assert listed(lambda **q: store.lineage.changes("delays", first=4, **q)) == on_record[3:]
    assert store.lineage.change("delays", 6) is None


def test_a_pending_entry_names_the_change_that_it_is_on_record_as(store):
    store.lineage.commit(creation(new_model()))

    pending = [item for item in store.dump() if item["pk"] == "AUDIT#PENDING"]

    assert [(item["scope"], item["number"]) for item in pending] == [("delays", 1)]
    assert pending[0]["entry"] == store.lineage.change("delays", 1).entry


def test_a_team_changes_its_webhooks_one_after_the_other(store):
    assert store.lineage.team("airport") == Team("airport")

    head = store.lineage.commit(setting(Team("airport"), Put(HOOK)))

    assert head == store.lineage.team("airport") == Team("airport", changes=1, revision=1)
    stored = store.lineage.webhook("airport", HOOK.id)
    assert stored == replace(HOOK, revision=1)
    assert store.lineage.webhook("finance", HOOK.id) is None
    assert Entry.from_bytes(store.lineage.change("team:airport", 1).entry).model == "team:airport"

    store.lineage.commit(setting(head, Remove(stored)))

    assert store.lineage.webhook("airport", HOOK.id) is None
    assert store.lineage.team("airport").changes == 2


def test_a_change_decided_on_a_stale_team_is_lost_and_writes_nothing(store):
    store.lineage.commit(setting(Team("airport"), Put(HOOK)))
    before = store.dump()

    with pytest.raises(LostRace):
        store.lineage.commit(setting(Team("airport"), Put(replace(HOOK, id="0190-b"))))

    assert store.dump() == before


def test_webhooks_are_listed_by_team(store):
    head = Team("airport")
    for number in range(5):
        head = store.lineage.commit(setting(head, Put(replace(HOOK, id=f"0190-{number}"))))
    store.lineage.commit(setting(Team("finance"), Put(replace(HOOK, id="0190-x", team="finance"))))

    found = listed(lambda **q: store.lineage.webhooks("airport", **q))

    assert [hook.id for hook in found] == [f"0190-{number}" for number in range(5)]


def test_a_team_cannot_write_another_ones_webhook(store):
    with pytest.raises(TiltyardError, match="team:airport"):
        store.lineage.commit(setting(Team("airport"), Put(replace(HOOK, team="finance"))))


def test_nodes_are_read_by_id(store):
    node = Node("dataset:ab", "dataset", "January", NOON, facts={"rows": 1000, "path": None})
    other = replace(node, id="run:1", kind="run", model="delays", team="airport")
    change = replace(creation(new_model()), nodes=(node, other))
    store.lineage.commit(change)

    assert store.lineage.nodes(["dataset:ab", "run:1", "run:2", "run:1"]) == {
        "dataset:ab": node,
        "run:1": other,
    }
    assert store.lineage.nodes([]) == {}


def test_a_change_whose_entry_is_above_32_kb_is_refused_and_nothing_is_written(store):
    before = store.dump()

    with pytest.raises(InvalidInput, match="name what is large by its digest"):
        store.lineage.commit(replace(creation(new_model()), object="x" * 33_000))

    assert store.dump() == before
