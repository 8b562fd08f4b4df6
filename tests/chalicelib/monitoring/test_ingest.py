"""Ingest on the real handler: every row once, with its count, whatever comes twice or breaks off."""

from __future__ import annotations

import json

import orjson
from fakes import service
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from production import START, counts, in_lake, run, serving, stored

from app import app
from chalicelib.lineage.ledger_items import Hour
from chalicelib.monitoring import ingest
from chalicelib.monitoring.counting import Counters
from chalicelib.monitoring.rows import lines_of
from chalicelib.serving.telemetry import decode
from tiltyard.errors import Unavailable
from tiltyard.stats.binned import decode as decode_cells


def test_rows_are_stored_counted_and_laid_in_the_lake(stage):
    rows = [{"a": 1.0, "b": 2.0}, {"a": None, "b": 2.5}, {"a": 99.0, "b": 2.0}]
    answer = stage.ask(rows, ids=["x", "y", "z"], at=START)

    assert run(stage.messages()) == []

    found = counts(stage.at_hand, hour="2026-02-01T06:00:00.000Z")
    assert found.rows == sum(found.answers) == 3
    assert found.cells["a"][-1] == 1
    assert found.events["out_of_range:a"] == found.events["rows:out_of_range"] == 1
    assert found.events["action:flag"] >= 1
    assert set(stored(stage.at_hand)) == {"x", "y", "z"}
    ledger = stage.at_hand.ledger.row("delays", "y")
    line = lines_of(stage.at_hand.lake.stored[ledger.lake])[ledger.line]
    assert (line["id"], line["columns"]) == ("y", rows[1])
    assert ledger.at.isoformat() == "2026-02-01T06:00:00+00:00"
    assert [row["id"] for row in answer["predictions"]] == ["x", "y", "z"]


def test_a_request_for_a_version_is_stored_and_not_counted(stage):
    stage.ask([{"a": 1.0, "b": 2.0}], query="?version=1", ids=["d"])

    assert run(stage.messages()) == []
    assert set(stored(stage.at_hand)) == {"d"}
    assert counts(stage.at_hand).rows == 0


def test_a_poison_message_comes_again_and_keeps_nobody_waiting(stage):
    stage.ask([{"a": 1.0, "b": 2.0}], ids=["x"])
    (good,) = stage.messages()
    wrong_version = json.dumps({**decode(good), "version": 9, "ids": ["v"]})
    other_bundle = json.dumps({**decode(good), "digest": "0" * 64, "ids": ["o"]})
    torn = json.dumps({**decode(good), "n": 2})
    bad = ["", "{}", "z1:AAAA", wrong_version, other_bundle, torn]

    assert run([*bad[:3], good, *bad[3:]]) == bad
    assert set(stored(stage.at_hand)) == {"x"}
    assert counts(stage.at_hand).rows == 1


def test_a_batch_of_very_many_rows_is_stored_in_parts(stage, monkeypatch):
    monkeypatch.setattr(ingest, "MOST_HELD", 2)
    for ids in (["a", "b"], ["b", "c", "d"], ["d"], ["e"]):
        stage.ask([{"a": 1.0, "b": 2.0}] * len(ids), ids=ids)
    *first, last = stage.messages()

    assert run([*first, "{}", last]) == ["{}"]

    assert set(stored(stage.at_hand)) == set("abcde")
    assert counts(stage.at_hand).rows == 5


def test_hours_are_counted_apart(stage):
    times = ["2026-02-01T06:59:59Z", "2026-02-01T07:00:00Z", "2026-02-01T08:05:00+01:00"]
    stage.ask([{"a": 1.0, "b": 2.0}] * 3, at=times)
    run(stage.messages())

    assert counts(stage.at_hand, hour="2026-02-01T06:00:00.000Z").rows == 1
    assert counts(stage.at_hand, hour="2026-02-01T07:00:00.000Z").rows == 2


def test_rows_of_a_closed_hour_are_counted_as_late(stage):
    hour = Hour.of("delays", 1, stage.at_hand.clock())
    stage.at_hand.ledger.close(hour, stage.at_hand.clock())
    stage.ask([{"a": 1.0, "b": 2.0}])

    assert run(stage.messages()) == []
    (window,) = [item for item in stage.at_hand.ledger_table.dump() if item["kind"] == "window"]
    assert window["known_on"] == f"{stage.at_hand.clock():%Y-%m-%d}"
    assert counts(stage.at_hand).rows == 1


def test_rows_from_before_the_retention_are_left_out_and_ahead_of_time_counted_now(stage):
    stage.ask([{"a": 1.0, "b": 2.0}], at="2020-01-01T00:00:00Z", ids=["old"])
    stage.ask([{"a": 1.0, "b": 2.0}], at="2099-01-01T00:00:00Z", ids=["ahead"])

    assert run(stage.messages()) == []
    assert set(stored(stage.at_hand)) == {"ahead"}
    assert counts(stage.at_hand).events["ahead"] == 1
    assert stage.at_hand.ledger.row("delays", "ahead").at.year < 2099


def test_a_record_too_large_for_the_queue_is_taken_from_the_spool_once(stage, monkeypatch):
    monkeypatch.setattr("chalicelib.serving.telemetry.MAX_MESSAGE", 10)
    stage.ask([{"a": 1.0, "b": 2.0}], ids=["x"])
    (message,) = stage.messages()

    assert "spool" in orjson.loads(message)
    assert run([message]) == []
    assert stage.at_hand.spool.stored == {}
    assert run([message]) == []
    assert counts(stage.at_hand).rows == 1


def test_a_failure_leaves_the_spool_for_another_time(stage, monkeypatch):
    monkeypatch.setattr("chalicelib.serving.telemetry.MAX_MESSAGE", 10)
    stage.ask([{"a": 1.0, "b": 2.0}], ids=["x"])
    messages = stage.messages()
    stage.at_hand.lake.breaks = True

    assert run(messages) == messages
    assert len(stage.at_hand.spool.stored) == 1
    stage.at_hand.lake.breaks = False
    assert run(messages) == []
    assert counts(stage.at_hand).rows == 1


def test_more_rows_than_a_transaction_holds_are_all_counted(stage):
    stage.ask([{"a": 1.0, "b": float(n)} for n in range(250)])

    assert run(stage.messages()) == []
    assert counts(stage.at_hand).rows == len(stored(stage.at_hand)) == 250


def test_a_column_that_is_no_number_is_counted_as_coerced(stage):
    stage.ask([{"a": 1.0, "b": 2.0}], ids=["x"])
    (message,) = stage.messages()
    record = decode(message)
    record["columns"]["b"] = ["two"]

    assert run([json.dumps(record)]) == []
    found = counts(stage.at_hand)
    assert found.events["coerced:b"] == 1
    assert found.cells["b"][-1] == 1


class Breaking:
    """A ledger that fails before or after some of its writes: as a crash leaves it."""

    def __init__(self, ledger, when):
        self._ledger = ledger
        self._when = when

    def __getattr__(self, name):
        return getattr(self._ledger, name)

    def add(self, rows, shard):
        now = self._when.pop() if self._when else "never"
        if now == "before":
            raise Unavailable("crashed before the write")
        self._ledger.add(rows, shard)
        if now == "after":
            raise Unavailable("crashed after the write")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_whatever_comes_twice_regrouped_late_or_breaks_off_counts_once(data):
    with service(app) as (at_hand, gateway):
        stage = serving(at_hand, gateway)
        sizes = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=6))
        made = 0
        for size in sizes:
            ids = [f"row-{made + n}" for n in range(size)]
            times = [f"2026-02-01T0{data.draw(st.integers(5, 7))}:05:00Z" for _ in range(size)]
            stage.ask([{"a": float(made + n), "b": 1.0} for n in range(size)], ids=ids, at=times)
            made += size
        waiting = stage.messages()
        waiting += data.draw(st.lists(st.sampled_from(waiting), max_size=4))
        waiting = data.draw(st.permutations(waiting))
        real = at_hand.ledger
        rounds = 0
        while waiting:
            cut = data.draw(st.integers(1, len(waiting)))
            when = data.draw(st.lists(st.sampled_from(["before", "after", "never"]), max_size=4))
            at_hand.ledger = Breaking(real, when if rounds < 6 else [])
            if data.draw(st.booleans()):
                hour = Hour.of("delays", 1, at_hand.clock().replace(hour=6))
                real.close(hour, at_hand.clock())
            waiting = waiting[cut:] + run(waiting[:cut])
            rounds += 1

        total = counts(at_hand)
        assert total.rows == made == len(stored(at_hand)) == len(in_lake(at_hand))
        assert sum(total.cells["a"]) == sum(total.scores) == sum(total.answers) == made
        unit = 2.0 ** next(cells for cells in total.layout.columns if cells.name == "a").exponent
        assert total.moments["a"].total == sum(round(n / unit) for n in range(made))


def test_rows_are_stored_with_their_cells_and_small(stage):
    stage.ask([{"a": 1.0, "b": 1.2}, {"a": None, "b": 4.0}, {"a": 8.0, "b": 1.2}], query="?version=1")
    stage.ask([{"a": 9.0, "b": 3.0}])
    assert run(stage.messages()) == []

    counter = Counters(stage.at_hand.lineage, stage.at_hand.artifacts).read(
        stage.at_hand.lineage.version("delays", 1)
    )
    items = stored(stage.at_hand).values()
    cells = sorted(decode_cells(item["cells"], counter.layout).tolist() for item in items)

    assert cells == [[0, 0], [2, 0], [2, 1], [5, 1]]  # bins, then below, above and missing
    assert max(sum(len(name) + len(str(value)) for name, value in item.items()) for item in items) < 1024 - 50
