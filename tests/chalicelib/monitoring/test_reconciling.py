"""The windows against the lake: equal whatever happened on the way, and mended when they were changed."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from fakes import service, token_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from production import NOW, run, serving

from app import app
from chalicelib.lineage.ledger_items import Hour, Shard
from chalicelib.monitoring import reconciling
from chalicelib.monitoring.closing import close_due
from chalicelib.monitoring.counting import Counters
from chalicelib.monitoring.reconciling import Reconciler, start_of
from chalicelib.monitoring.rows import lake_object, row_of, rows_of
from chalicelib.serving.telemetry import decode
from tiltyard.errors import InvalidInput, Unavailable
from tiltyard.stats.summary import Summary

DAY = "2026-02-01"
LATER = NOW + timedelta(hours=3)
SIX = Hour("delays", 1, datetime(2026, 2, 1, 6, tzinfo=UTC))
URL = "/v1/models/delays/reconciliations"


def reconcile(stage, *, roles=("engineer",), **more):
    token = token_of(*roles, exp=stage.expires)
    return stage.gateway.call("POST", URL, {"day": DAY, **more}, token=token)


def states(stage, **more):
    answer = reconcile(stage, **more)
    assert answer.status == 200, answer.body
    assert answer.json["next"] is None
    return {item["start"][11:13]: item["state"] for item in answer.json["items"]}


def ask(stage, *hours, ids=None, a=1.0, query=""):
    at = [f"{DAY}T{hour:02d}:05:00Z" for hour in hours]
    stage.ask(
        [{"a": a + n, "b": 2.0} for n in range(len(at))], at=at, query=query, **({"ids": ids} if ids else {})
    )
    assert run(stage.messages()) == []


def close(stage, now=LATER):
    at_hand = stage.at_hand
    at_hand.now = now
    close_due(at_hand.ledger, at_hand.lineage, Counters(at_hand.lineage, at_hand.artifacts), now=now)


def put(stage, kind, change):
    """Change stored items of a kind, around the service."""
    table = stage.at_hand.ledger_table
    for item in table.dump():
        if item["kind"] == kind:
            change(item)
            table._items[
                next(key for key in table._items if (key.pk, key.sk) == (item["pk"], item["sk"]))
            ] = item


def tamper(stage, kind="merged"):
    """Count every hour's rows once more."""
    counter = Counters(stage.at_hand.lineage, stage.at_hand.artifacts).read(
        stage.at_hand.lineage.version("delays", 1)
    )

    def twice(item):
        summary = Summary.decode(item["summary"], counter.layout)
        item["summary"] = (summary + summary).encode()

    put(stage, kind, twice)


def mendings(stage):
    page = stage.at_hand.lineage.changes("delays", limit=100, cursor=None)
    entries = [json.loads(logged.entry) for logged in page.items]
    return [entry for entry in entries if entry["action"] == "window.mend"]


def test_a_day_is_equal_hour_by_hour(stage):
    ask(stage, 6, 6, 7)
    close(stage, NOW + timedelta(minutes=10))
    ask(stage, 6)

    answer = reconcile(stage, roles=("scientist",))

    assert answer.json == {
        "model": "delays",
        "version": 1,
        "day": DAY,
        "items": [
            {
                "start": f"2026-02-01T0{hour}:00:00.000Z",
                "state": "equal",
                "rows": rows,
                "found": rows,
                "closed": closed,
                "differing": 0,
                "differences": [],
                "advice": None,
            }
            for hour, rows, closed in ((6, 3, True), (7, 1, False))
        ],
        "next": None,
    }


def test_only_the_line_that_the_ledger_names_counts(stage):
    ask(stage, 6, 6, ids=["x", "y"])
    ask(stage, 6, ids=["x"], a=4.0)  # repeated with another value: it lies in the lake, and isn't counted
    ask(stage, 6, query="?version=1")
    stage.ask([{"a": 9.0, "b": 2.0}], at=f"{DAY}T06:10:00Z", ids=["never committed"])
    (message,) = stage.messages()
    orphan = lake_object(rows_of(decode(message)))
    stage.at_hand.lake.write(orphan.key, orphan.content)

    (item,) = reconcile(stage).json["items"]

    assert (item["state"], item["rows"], item["found"]) == ("equal", 2, 2)


def test_a_line_of_the_lake_is_the_row_that_was_written(stage):
    ask(stage, 6, ids=["x"])
    stage.ask([{"a": None, "b": 2.0}], ids=["odd"], at="2099-01-01T00:00:00Z")
    (row,) = rows_of(decode(stage.messages()[0]))

    (line,) = reconciling.numbered_lines("key", lake_object([row]).content)

    assert row_of(line[1], row.model, row.version).to_line() == row.to_line()


def test_a_changed_window_is_found_and_mended_on_record(stage):
    ask(stage, 6, 6, 7)
    close(stage)
    sound = stage.at_hand.ledger.hour(SIX).merged
    tamper(stage)

    found = reconcile(stage, roles=("scientist",)).json["items"]
    six = found[0]
    assert [(item["state"], item["rows"], item["found"]) for item in found] == [
        ("different", 2, 4),
        ("different", 1, 2),
    ]
    assert {"where": "rows", "name": None, "cell": "rows", "expected": 2, "found": 4} in six["differences"]
    assert {"where": "column", "name": "a", "cell": "bin 0", "expected": 2, "found": 4} in six["differences"]
    assert six["differing"] == len(six["differences"])
    assert mendings(stage) == []

    assert states(stage, mend=True) == {"06": "mended", "07": "mended"}
    assert states(stage) == {"06": "equal", "07": "equal"}
    assert stage.at_hand.ledger.hour(SIX).merged == sound
    entries = mendings(stage)
    assert [entry["object"] for entry in entries] == [
        "window:delays/1/2026-02-01T06",
        "window:delays/1/2026-02-01T07",
    ]
    assert entries[0]["after"] == hashlib.sha256(sound).hexdigest() != entries[0]["before"]
    assert entries[1]["role"] == "engineer"


def test_mending_twice_changes_nothing(stage):
    ask(stage, 6, 7)
    close(stage)
    tamper(stage)
    assert states(stage, mend=True) == {"06": "mended", "07": "mended"}
    before = stage.at_hand.ledger_table.dump(), stage.at_hand.lineage.table.dump()

    assert states(stage, mend=True) == {"06": "equal", "07": "equal"}
    assert (stage.at_hand.ledger_table.dump(), stage.at_hand.lineage.table.dump()) == before


def test_the_watch_leaves_a_mended_sum_alone(stage):
    ask(stage, 6)
    stage.at_hand.now = LATER
    stage.at_hand.ledger.close(SIX, LATER)
    tamper(stage, "window")

    assert states(stage, mend=True) == {"06": "mended"}
    close(stage)
    assert states(stage) == {"06": "equal"}


def test_rows_that_came_late_stay_late(stage):
    ask(stage, 6, 6)
    close(stage)
    ask(stage, 6, a=3.0)
    late = stage.at_hand.ledger.hour(SIX).late
    tamper(stage)

    assert states(stage, mend=True) == {"06": "mended"}
    assert states(stage) == {"06": "equal"}
    assert stage.at_hand.ledger.hour(SIX).late == late


def test_late_parts_that_cannot_be_right_go_into_the_sum(stage):
    ask(stage, 6)
    close(stage)
    ask(stage, 6, a=3.0)
    ask(stage, 6, a=4.0)
    tamper(stage, "window")

    assert states(stage) == {"06": "different"}
    assert states(stage, mend=True) == {"06": "mended"}
    assert states(stage) == {"06": "equal"}
    assert stage.at_hand.ledger.hour(SIX).late == ()


@pytest.mark.parametrize("kind", ["merged", "window"])
def test_counts_that_cannot_be_read_are_mended(stage, kind):
    ask(stage, 6)
    close(stage)
    ask(stage, 6, a=3.0)
    put(stage, kind, lambda item: item.update(summary=b"torn"))

    (item,) = reconcile(stage).json["items"]
    assert (item["state"], item["differences"][0]["where"]) == ("different", "content")
    assert states(stage, mend=True) == {"06": "mended"}
    assert states(stage) == {"06": "equal"}


def test_an_hour_of_late_rows_alone_is_closed_and_mended(stage):
    stage.at_hand.now = LATER
    ask(stage, 6, 6)
    tamper(stage, "window")

    assert states(stage, mend=True) == {"06": "mended"}
    assert states(stage) == {"06": "equal"}
    assert stage.at_hand.ledger.is_closed(SIX)


def test_an_open_hour_is_not_mended_and_says_when(stage):
    ask(stage, 6)
    tamper(stage, "window")

    (item,) = reconcile(stage, mend=True).json["items"]

    assert (item["state"], item["closed"]) == ("different", False)
    assert "15 minutes after its end" in item["advice"]
    assert mendings(stage) == []


def test_a_crash_between_record_and_write_is_made_good_under_one_entry(stage, monkeypatch):
    ask(stage, 6)
    close(stage)
    tamper(stage)

    def crash(*arguments):
        raise Unavailable("crashed")

    with monkeypatch.context() as broken:
        broken.setattr(stage.at_hand.ledger, "mend", crash)
        assert reconcile(stage, mend=True).status == 503
    assert len(mendings(stage)) == 1
    assert states(stage) == {"06": "different"}

    assert states(stage, mend=True) == {"06": "mended"}
    assert states(stage) == {"06": "equal"}
    assert len(mendings(stage)) == 1


def test_of_two_that_mend_at_once_one_does(stage, monkeypatch):
    ask(stage, 6)
    close(stage)
    tamper(stage)
    real, others = stage.at_hand.ledger.mend, []

    def mend(*arguments):
        if not others:
            others.append(None)
            others[0] = states(stage, mend=True)
        real(*arguments)

    monkeypatch.setattr(stage.at_hand.ledger, "mend", mend)

    assert states(stage, mend=True) == {"06": "equal"}
    assert others == [{"06": "mended"}]
    assert len(mendings(stage)) == 1


@pytest.mark.parametrize(("times", "expected"), [(1, "equal"), (99, "changing")])
def test_rows_that_come_meanwhile_are_no_difference(stage, monkeypatch, times, expected):
    ask(stage, 6)
    real, came = stage.at_hand.lake.keys, []

    def keys(prefix):
        found = real(prefix)
        if "hour=06" in prefix and len(came) < times:
            came.append(prefix)
            ask(stage, 6)
        return found

    monkeypatch.setattr(stage.at_hand.lake, "keys", keys)

    assert states(stage) == {"06": expected}


def test_an_object_that_cannot_be_read_is_named_and_nothing_mended(stage):
    ask(stage, 5, 6)
    close(stage)
    broken = next(key for key in stage.at_hand.lake.stored if "hour=05" in key)
    stage.at_hand.lake.stored[broken] = stage.at_hand.lake.stored[broken][:-9]
    tamper(stage)

    five, six = reconcile(stage, mend=True).json["items"]

    assert (five["state"], six["state"]) == ("unreadable", "mended")
    assert broken in five["advice"]


def reconciler(stage, clock):
    at_hand = stage.at_hand
    version = at_hand.lineage.version("delays", 1)
    counter = Counters(at_hand.lineage, at_hand.artifacts).read(version)
    return Reconciler(
        at_hand.ledger, at_hand.lake, at_hand.lineage, version, counter, now=at_hand.clock(), clock=clock
    )


def test_what_there_is_no_time_for_is_for_another_call(stage):
    ask(stage, 3, 4, 5)
    ticks = iter(range(0, 1000, 6))
    start = start_of(DAY, now=NOW, retention=timedelta(days=400))

    hours, first, calls = [], 0, 0
    while first is not None:
        done = reconciler(stage, lambda: next(ticks)).day(start, first)
        assert done.next is None or done.next > first
        hours += [(item.start.hour, item.state) for item in done.items]
        first = done.next
        calls += 1

    assert hours == [(3, "equal"), (4, "equal"), (5, "equal")]
    assert calls > 2


def test_an_hour_that_no_call_has_time_for_says_so_and_the_day_goes_on(stage):
    ask(stage, 5, 6)
    ticks = iter(range(0, 1000, 60))
    start = start_of(DAY, now=NOW, retention=timedelta(days=400))

    done = reconciler(stage, lambda: next(ticks)).day(start, 5)

    assert [(item.start.hour, item.state) for item in done.items] == [(5, "unfinished")]
    assert done.next == 6


@pytest.mark.parametrize(
    "day",
    [
        "",
        "2026-2-1",
        "20260201",
        "2026-W05-7",
        "2026-02-30",
        "2026-02-01\n",
        "2026-02-01/hour=06",
        "../../2026-02-01",
        "２０２６-02-01",
        "2026-02-01#x",
        "0000-01-01",
        "0001-01-01",
        "2020-01-01",
        None,
        20260201,
    ],
)
def test_a_day_that_is_none_is_refused(stage, day):
    assert reconcile(stage, day=day).status == 422
    if isinstance(day, str):
        with pytest.raises(InvalidInput):
            start_of(day, now=NOW, retention=timedelta(days=400))


@pytest.mark.parametrize("more", [{"hour": "24"}, {"hour": "6"}, {"version": 0}, {"mend": 1}, {"more": 1}])
def test_a_request_that_is_none_is_refused(stage, more):
    assert reconcile(stage, **more).status == 422


def test_who_may(stage):
    ask(stage, 6)

    assert reconcile(stage, roles=("viewer", "caller")).status == 403
    assert reconcile(stage, roles=("scientist",), mend=True).status == 403
    assert reconcile(stage, roles=("scientist",)).status == 200
    assert reconcile(stage, version=9).status == 404
    assert states(stage, hour="07") == {}
    assert states(stage, day="2026-02-02") == {}


class Breaking:
    """A ledger that fails before or after some of its writes: as a crash leaves it."""

    def __init__(self, ledger, when):
        self._ledger = ledger
        self._when = when

    def __getattr__(self, name):
        return getattr(self._ledger, name)

    def add(self, rows, shard: Shard):
        now = self._when.pop() if self._when else "never"
        if now == "before":
            raise Unavailable("crashed before the write")
        self._ledger.add(rows, shard)
        if now == "after":
            raise Unavailable("crashed after the write")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_whatever_comes_twice_late_or_breaks_off_the_windows_are_what_the_lake_says(data):
    with service(app) as (at_hand, gateway):
        stage = serving(at_hand, gateway)
        ids = st.integers(0, 12).map("row-{}".format)
        for _ in range(data.draw(st.integers(1, 5))):
            chosen = data.draw(st.lists(ids, min_size=1, max_size=5, unique=True))
            times = [f"{DAY}T0{data.draw(st.integers(5, 6))}:05:00Z" for _ in chosen]
            values = data.draw(
                st.lists(
                    st.none() | st.integers(-2, 12).map(float), min_size=len(chosen), max_size=len(chosen)
                )
            )
            query = data.draw(st.sampled_from(["", "", "", "?version=1"]))
            stage.ask([{"a": value, "b": 1.0} for value in values], ids=chosen, at=times, query=query)
        waiting = stage.messages()
        waiting += data.draw(st.lists(st.sampled_from(waiting), max_size=4))
        real, rounds = at_hand.ledger, 0
        while waiting:
            cut = data.draw(st.integers(1, len(waiting)))
            when = data.draw(st.lists(st.sampled_from(["before", "after", "never"]), max_size=4))
            at_hand.ledger = Breaking(real, when if rounds < 5 else [])
            if data.draw(st.booleans()):
                close(stage, at_hand.now + timedelta(hours=data.draw(st.integers(0, 2))))
            waiting = waiting[cut:] + run(waiting[:cut])
            rounds += 1
        at_hand.ledger = real

        assert set(states(stage).values()) <= {"equal"}

        close(stage, NOW + timedelta(days=1))
        counted = {item["start"]: item["rows"] for item in reconcile(stage).json["items"]}
        kind = data.draw(st.sampled_from(["merged", "window"]))
        tamper(stage, kind)
        found = states(stage)
        mended = states(stage, mend=True)
        assert {hour for hour, state in found.items() if state == "different"} == {
            hour for hour, state in mended.items() if state == "mended"
        }
        assert set(states(stage, mend=True).values()) <= {"equal"}
        assert {item["start"]: item["found"] for item in reconcile(stage).json["items"]} == counted
