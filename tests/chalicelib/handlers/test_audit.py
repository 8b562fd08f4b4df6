"""The audit routes: what is logged, for whom, and proofs that hold."""

from __future__ import annotations

import pytest
import rfc8785

from chalicelib.governance.notary import notarise
from chalicelib.handlers import access
from tiltyard.audit.checkpoint import VerifierKey, open_note
from tiltyard.audit.entry import Entry
from tiltyard.audit.merkle import leaf_hash, root, verify_consistency, verify_inclusion


def log(stage):
    at_hand = stage.at_hand
    notarise(at_hand.log, at_hand.log_objects, at_hand.log_signer, origin=at_hand.log_origin)


@pytest.fixture
def filled(stage):
    """Two models of two teams, five entries logged and one waiting."""
    stage.add_model()
    stage.promote(stage.add_version())
    log(stage)
    stage.add_model("costs", "finance")
    log(stage)
    stage.call("PATCH", "/v1/models/delays", {"owner": "grace"}, role="engineer")
    return stage


def pages(stage, path, **asked):
    found, cursor = [], ""
    while True:
        answer = stage.call("GET", f"{path}{cursor}", **asked)
        assert answer.status == 200, answer.body
        found.extend(answer.json["items"])
        if answer.json["next"] is None:
            return found
        cursor = f"&cursor={answer.json['next']}"


def test_an_auditor_reads_the_whole_log_in_order(filled):
    found = pages(filled, "/v1/audit?limit=2", role="auditor")

    assert [item["index"] for item in found] == [0, 1, 2, 3, 4]
    assert [item["entry"]["action"] for item in found] == [
        "model.create",
        "version.register",
        "version.accept",
        "champion.promote",
        "model.create",
    ]
    assert [item["entry"]["change"] for item in found] == [1, 2, 3, 4, 1]
    assert found[3]["actor"].startswith("ada@example.org")
    assert found[3]["reason"] == "better"
    checkpoint = filled.call("GET", "/v1/audit/checkpoint", role="viewer").json
    leaves = []
    for item in found:
        entry = Entry.from_bytes(rfc8785.dumps(item["entry"]))
        assert leaf_hash(entry.to_bytes()).hex() == item["leaf_hash"]
        leaves.append(bytes.fromhex(item["leaf_hash"]))
    assert root(leaves).hex() == checkpoint["root"]


def test_a_model_s_changes_show_what_waits_too(filled):
    found = pages(filled, "/v1/audit?model=delays&limit=3", role="viewer")

    assert [item["entry"]["change"] for item in found] == [1, 2, 3, 4, 5]
    assert [item["index"] for item in found] == [0, 1, 2, 3, None]


def test_reading_starts_at_an_index_a_change_or_a_time(filled):
    times = [item["entry"]["time"] for item in pages(filled, "/v1/audit?limit=9", role="auditor")]

    assert [i["index"] for i in pages(filled, "/v1/audit?from=3", role="auditor")] == [3, 4]
    assert pages(filled, f"/v1/audit?from={times[-1]}", role="auditor")[-1]["index"] == 4
    assert pages(filled, "/v1/audit?from=9999-01-01T00:00:00Z", role="auditor") == []
    assert len(pages(filled, "/v1/audit?from=2000-01-01T00:00:00Z", role="auditor")) == 5
    changes = pages(filled, "/v1/audit?model=delays&from=4", role="viewer")
    assert [item["entry"]["change"] for item in changes] == [4, 5]
    assert len(pages(filled, "/v1/audit?model=delays&from=2000-01-01T00:00:00Z", role="viewer")) == 5
    assert pages(filled, "/v1/audit?model=delays&from=9999-01-01T00:00:00Z", role="viewer") == []


def test_an_empty_log_is_an_empty_list_and_has_no_checkpoint(stage):
    assert pages(stage, "/v1/audit?limit=5", role="auditor") == []
    assert stage.call("GET", "/v1/audit/checkpoint", role="viewer").status == 404


@pytest.mark.parametrize(
    ("path", "role", "status"),
    [
        ("/v1/audit", "engineer", 403),
        ("/v1/audit", "viewer", 403),
        ("/v1/audit", "admin", 200),
        ("/v1/audit?model=costs", "viewer", 404),
        ("/v1/audit?model=costs", "auditor", 200),
        ("/v1/audit?model=nothing", "auditor", 404),
        ("/v1/audit?from=6", "auditor", 404),
        ("/v1/audit?from=yesterday", "auditor", 400),
        ("/v1/audit?cursor=x", "auditor", 400),
        ("/v1/audit/checkpoint?size=5", "caller", 200),
        ("/v1/audit/checkpoint?size=4", "caller", 200),
        ("/v1/audit/checkpoint?size=3", "caller", 404),
        ("/v1/audit/checkpoint?size=6", "caller", 404),
        ("/v1/audit/checkpoint?size=-1", "caller", 400),
        ("/v1/audit/proof/inclusion?index=5", "viewer", 404),
        ("/v1/audit/proof/inclusion?index=0&size=6", "viewer", 404),
        ("/v1/audit/proof/inclusion?index=0&size=0", "viewer", 404),
        ("/v1/audit/proof/inclusion", "viewer", 400),
        ("/v1/audit/proof/inclusion?model=delays", "viewer", 400),
        ("/v1/audit/proof/inclusion?model=delays&change=9", "viewer", 404),
        ("/v1/audit/proof/inclusion?model=delays&change=5", "viewer", 404),
        ("/v1/audit/proof/inclusion?model=costs&change=1", "viewer", 404),
        ("/v1/audit/proof/consistency", "viewer", 400),
        ("/v1/audit/proof/consistency?first=0", "viewer", 404),
        ("/v1/audit/proof/consistency?first=6", "viewer", 404),
        ("/v1/audit/proof/consistency?first=4&second=3", "viewer", 404),
        ("/v1/audit/proof/consistency?first=1e1", "viewer", 400),
    ],
)
def test_who_may_read_what_and_what_there_is_not(filled, path, role, status):
    assert filled.call("GET", path, role=role).status == status


def test_without_a_token_there_is_nothing(filled):
    for path in ("/v1/audit", "/v1/audit/checkpoint", "/v1/audit/proof/inclusion?index=0"):
        assert filled.gateway.call("GET", path).status == 401


def test_a_checkpoint_is_signed_by_the_key_that_comes_with_it(filled):
    found = filled.call("GET", "/v1/audit/checkpoint", role="viewer")
    plain = filled.call("GET", "/v1/audit/checkpoint", role="viewer", headers={"Accept": "text/plain"})

    opened = open_note(found.json["note"], VerifierKey.parse(found.json["key"]))
    assert (opened.origin, opened.size, opened.root.hex()) == (
        found.json["origin"],
        found.json["size"],
        found.json["root"],
    )
    assert plain.body.decode() == found.json["note"]
    assert plain.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_proofs_hold_against_the_checkpoints(filled):
    latest = filled.call("GET", "/v1/audit/checkpoint", role="viewer").json
    older = filled.call("GET", "/v1/audit/checkpoint?size=4", role="viewer").json
    by_index = filled.call("GET", "/v1/audit/proof/inclusion?index=3", role="viewer").json
    by_change = filled.call("GET", "/v1/audit/proof/inclusion?model=delays&change=4", role="viewer").json
    growth = filled.call("GET", "/v1/audit/proof/consistency?first=4", role="viewer").json

    assert by_index == by_change
    assert by_index["root"] == latest["root"]
    verify_inclusion(
        bytes.fromhex(by_index["leaf_hash"]),
        3,
        latest["size"],
        [bytes.fromhex(step) for step in by_index["proof"]],
        bytes.fromhex(latest["root"]),
    )
    verify_consistency(
        4,
        5,
        bytes.fromhex(older["root"]),
        bytes.fromhex(latest["root"]),
        [bytes.fromhex(step) for step in growth["proof"]],
    )


def test_an_erased_name_leaves_the_entry_provable(filled):
    table = filled.at_hand.lineage.table
    for key in [key for key in table._items if key.pk.startswith(("ACTOR#", "REASON#"))]:
        del table._items[key]

    found = pages(filled, "/v1/audit?limit=9", role="auditor")

    assert {item["actor"] for item in found} == {None}
    proof = filled.call("GET", "/v1/audit/proof/inclusion?index=3", role="viewer").json
    assert proof["leaf_hash"] == found[3]["leaf_hash"]


def test_an_entry_over_32_kb_is_refused_and_nothing_is_written(stage, changes, monkeypatch):
    stage.add_model()
    before, items = changes(), stage.at_hand.lineage.table.dump()
    # The one part of an entry that comes from outside and is not a digest or a checked name.
    monkeypatch.setattr(access, "request_id", lambda request: "r" * 40_000)

    answer = stage.call("PATCH", "/v1/models/delays", {"owner": "grace"}, role="engineer")

    assert (answer.status, answer.problem) == (422, "invalid-input")
    assert changes() == before
    assert stage.at_hand.lineage.table.dump() == items
