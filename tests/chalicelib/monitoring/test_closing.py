"""Hours are closed once, in order, and their windows read as they were counted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from production import NOW, run

from chalicelib.lineage.items import Key
from chalicelib.lineage.ledger_items import Hour
from chalicelib.lineage.writes import DeleteItem
from chalicelib.monitoring.closing import close_due
from chalicelib.monitoring.counting import Counters
from chalicelib.monitoring.series import LENGTHS, STEPS, Span, ceiling, floor, windows
from chalicelib.monitoring.watching import Watch
from tiltyard.errors import InvalidInput

HOUR = timedelta(hours=1)
times = st.datetimes(NOW.replace(year=2020, tzinfo=None), NOW.replace(tzinfo=None), timezones=st.just(UTC))


def close(at_hand, now, **more):
    counters = Counters(at_hand.lineage, at_hand.artifacts)
    return close_due(at_hand.ledger, at_hand.lineage, counters, now=now, **more)


def read(at_hand, step="hour", **more):
    version = at_hand.lineage.version("delays", 1)
    counter = Counters(at_hand.lineage, at_hand.artifacts).read(version)
    span = Span.of(more.get("start", NOW - HOUR), more.get("end", NOW), step, more.get("known_on"), now=NOW)
    return list(windows(at_hand.ledger, counter, "delays", 1, span))


def ask(stage, *minutes):
    at = [(NOW.replace(hour=6, minute=0) + timedelta(minutes=m)).isoformat() for m in minutes]
    stage.ask([{"a": 1.0, "b": 2.0}] * len(at), at=at)
    assert run(stage.messages()) == []


def test_an_hour_is_closed_a_quarter_of_an_hour_after_its_end(stage):
    ask(stage, 5, 50, 65)

    assert close(stage.at_hand, NOW.replace(hour=7, minute=14, second=59)) == 0
    assert close(stage.at_hand, NOW.replace(hour=7, minute=15)) == 1
    assert close(stage.at_hand, NOW.replace(hour=7, minute=15)) == 0
    first, second = read(stage.at_hand)
    assert (first.summary.rows, first.hours, first.closed, first.late) == (2, 1, 1, 0)
    assert (second.summary.rows, second.hours, second.closed) == (1, 1, 0)


def test_what_comes_after_the_close_is_late_and_known_by_its_day(stage):
    ask(stage, 5)
    close(stage.at_hand, NOW + HOUR)
    stage.at_hand.now = NOW + timedelta(days=2)
    ask(stage, 6, 7)

    (amended, *_), (before, *_) = read(stage.at_hand), read(stage.at_hand, known_on="2026-02-02")

    assert (amended.summary.rows, amended.late, amended.closed) == (3, 2, 1)
    assert (before.summary.rows, before.late) == (1, 0)


def test_a_watch_that_runs_out_of_time_goes_on_where_it_was(stage):
    ask(stage, 5, 65)
    left = [True] * 45

    assert close(stage.at_hand, NOW + 3 * HOUR, is_time_left=lambda: bool(left and left.pop())) == 1
    assert close(stage.at_hand, NOW + 3 * HOUR) == 1
    assert [window.closed for window in read(stage.at_hand)] == [1, 1]


def test_two_watches_at_once_close_each_hour_once(stage, monkeypatch):
    ask(stage, 5)
    ledger, closed = stage.at_hand.ledger, []
    real = ledger.waiting

    def waiting(start):
        if start == NOW.replace(hour=6, minute=0) and not closed:
            closed.append(0)
            closed[0] = close(stage.at_hand, NOW + HOUR)
        return real(start)

    monkeypatch.setattr(ledger, "waiting", waiting)

    assert close(stage.at_hand, NOW + HOUR) + closed[0] == 1
    assert read(stage.at_hand)[0].summary.rows == 1


def test_a_crash_between_closing_and_adding_up_is_made_good(stage, monkeypatch):
    ask(stage, 5)
    stage.at_hand.ledger.close(Hour.of("delays", 1, NOW - HOUR), NOW)

    close(stage.at_hand, NOW + HOUR)

    assert (read(stage.at_hand)[0].summary.rows, read(stage.at_hand)[0].closed) == (1, 1)


def test_days_and_weeks_are_sums_of_their_hours(stage):
    ask(stage, 5, 65)
    hours = read(stage.at_hand, start=NOW - 3 * HOUR)
    (day,) = read(stage.at_hand, "day", start=NOW - HOUR, end=NOW)
    (week,) = read(stage.at_hand, "week", start=NOW - HOUR, end=NOW)

    total = hours[0].summary
    for window in hours[1:]:
        total += window.summary
    assert day.summary == week.summary == total
    assert (day.hours, day.start, week.start) == (
        2,
        datetime(2026, 2, 1, tzinfo=UTC),
        datetime(2026, 1, 26, tzinfo=UTC),
    )


def test_a_version_without_rows_has_empty_windows(stage):
    assert [(window.summary.rows, window.hours) for window in read(stage.at_hand)] == [(0, 0)] * 2


@given(times, st.sampled_from(STEPS))
def test_every_moment_lies_in_one_window(at, step):
    start = floor(at, step)

    assert start <= at < start + LENGTHS[step]
    assert floor(start, step) == start == ceiling(start, step)
    assert start.weekday() == 0 or step != "week"


@pytest.mark.parametrize(
    ("start", "end", "step"), [(NOW, NOW - HOUR, "day"), (NOW - 900 * HOUR, NOW, "hour")]
)
def test_spans_that_are_none_are_refused(start, end, step):
    with pytest.raises(InvalidInput):
        Span.of(start, end - timedelta(days=1) if step == "day" else end, step, None, now=NOW)


def test_quality_tells_of_each_window_what_was_wrong(stage):
    rows = [{"a": None, "b": 2.0}, {"a": 99.0, "b": 2.0}, {"a": 3.0, "b": 2.0}]
    stage.ask(rows, at=NOW.isoformat())
    run(stage.messages())

    def asked(query):
        return stage.gateway.call("GET", f"/v1/models/delays/quality{query}", token=stage.token)

    answer = asked("?step=hour&from=2026-02-01T07:00:00Z&to=2026-02-01T08:00:00Z")
    (window,) = answer.json["windows"]
    assert answer.status == 200
    assert (window["rows"], window["hours"], window["closed"], window["late"]) == (3, 1, 0, 0)
    a, b = window["columns"]["a"], window["columns"]["b"]
    assert (a["missing"], a["above"], a["below"], a["constant"]) == (1, 1, 0, False)
    assert (b["missing"], b["constant"]) == (0, True)
    assert window["flagged"]["out_of_range"] == 1
    assert answer.json["reference"]["missing"] == {"a": 0.0, "b": 0.0}
    assert len(asked("").json["windows"]) == 30
    assert len(asked("?step=hour").json["windows"]) == 48
    assert asked("?step=minute").status == 400
    assert asked("?known_on=yesterday").status == 400
    assert asked("?version=0").status == 400
    assert asked("?version=9").status == 404
    assert asked("?from=2020-01-01T00:00:00Z&step=hour").status == 422


def test_the_window_of_a_model_that_is_gone_stops_no_other(stage):
    ask(stage, 5)
    gone = [item for item in stage.at_hand.lineage.table.dump() if item["pk"] == "MODEL#delays"]
    stage.at_hand.lineage.table.transact([DeleteItem(Key(item["pk"], item["sk"]), None) for item in gone])

    watch = Watch(
        stage.at_hand.ledger,
        stage.at_hand.lineage,
        Counters(stage.at_hand.lineage, stage.at_hand.artifacts),
        alarms=None,  # nobody is told
    )
    closed = close(stage.at_hand, NOW.replace(hour=7, minute=15), then=watch.closed)

    assert (closed, watch.failed) == (1, {})
    cursor, _ = stage.at_hand.ledger.cursor()
    assert cursor == NOW.replace(hour=7, minute=0)
