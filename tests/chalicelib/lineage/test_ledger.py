"""The ledger over both tables: a row and its count exist together, or not at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from moto import mock_aws

from chalicelib.aws.dynamo import DynamoTable
from chalicelib.lineage import tables
from chalicelib.lineage.ledger import ROWS_AT_ONCE, NotCounted, TableLedger
from chalicelib.lineage.ledger_items import Hour, LedgerRow, Shard
from chalicelib.lineage.memory import MemoryTable
from tiltyard.errors import LostRace

AT = datetime(2026, 2, 1, 6, 15, tzinfo=UTC)
HOUR = Hour.of("delays", 3, AT)


@pytest.fixture(params=["memory", "dynamodb"])
def ledger(request, monkeypatch):
    if request.param == "memory":
        yield TableLedger(MemoryTable(), retention=timedelta(days=400))
        return
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        client = boto3.client("dynamodb", region_name="eu-west-1")
        client.create_table(TableName="ledger", **tables.ledger_schema())
        yield TableLedger(DynamoTable(client, "ledger"), retention=timedelta(days=400))


def row(row_id, **more):
    given = LedgerRow("delays", row_id, 3, "champion", AT, AT, b"1234", "rows/x.ndjson.gz", 0)
    return replace(given, **more)


def shard(content=b"counts", revision=0, number=7, known_on=None):
    return Shard(HOUR, number, content, revision, known_on)


def test_rows_and_their_counts_are_read_as_they_were_written(ledger):
    rows = [row("a"), row("b", subject="f" * 64, line=1)]
    ledger.add(rows, shard())

    assert [ledger.row("delays", found.id) for found in rows] == rows
    assert ledger.shard(HOUR, 7, known_on=None) == shard(revision=1)
    assert ledger.known("delays", ["a", "b", "c"]) == {"a", "b"}
    assert ledger.row("other", "a") is None
    assert ledger.shard(HOUR, 8, known_on=None) is None


def test_a_row_that_is_there_keeps_all_from_being_written(ledger):
    ledger.add([row("a")], shard())

    with pytest.raises(NotCounted) as raised:
        ledger.add([row("a", line=9), row("b")], shard(b"more", revision=1))

    assert raised.value.known == {"a"}
    assert (raised.value.is_closed, raised.value.is_shard_lost) == (False, False)
    assert ledger.row("delays", "b") is None
    assert ledger.row("delays", "a").line == 0
    assert ledger.shard(HOUR, 7, known_on=None).content == b"counts"


@pytest.mark.parametrize("revision", [0, 2])
def test_a_shard_that_moved_keeps_all_from_being_written(ledger, revision):
    ledger.add([row("a")], shard())

    with pytest.raises(NotCounted) as raised:
        ledger.add([row("b")], shard(revision=revision))

    assert raised.value.is_shard_lost
    assert ledger.row("delays", "b") is None


def test_a_closed_hour_takes_late_rows_only(ledger):
    assert ledger.close(HOUR, AT)
    assert not ledger.close(HOUR, AT)

    with pytest.raises(NotCounted) as raised:
        ledger.add([row("a")], shard())
    ledger.add([row("a")], shard(known_on="2026-02-03"))

    assert raised.value.is_closed
    assert ledger.is_closed(HOUR)
    assert not ledger.is_closed(replace(HOUR, version=4))
    assert ledger.shard(HOUR, 7, known_on="2026-02-03").known_on == "2026-02-03"
    assert ledger.shard(HOUR, 7, known_on=None) is None


def test_as_many_rows_as_are_promised_fit_a_transaction(ledger):
    ledger.add([row(str(number)) for number in range(ROWS_AT_ONCE)], shard())

    assert len(ledger.known("delays", [str(number) for number in range(200)])) == ROWS_AT_ONCE


def test_the_hours_that_have_rows_in_time_are_known(ledger):
    other = replace(HOUR, model="fraud", version=12)
    ledger.add([row("a")], shard())
    ledger.add([row("b")], shard(number=8))
    ledger.add([row("c", model="fraud")], Shard(other, 1, b"c", 0))
    ledger.add([row("d")], Shard(replace(HOUR, start=HOUR.end), 1, b"c", 0, "2026-02-03"))

    assert list(ledger.waiting(HOUR.start)) == [HOUR, other]
    assert list(ledger.waiting(HOUR.end)) == []
    assert [found.number for found in ledger.shards(HOUR)] == [7, 8]
    assert ledger.shards(replace(HOUR, version=4)) == []


def test_a_days_counts_are_sums_of_merged_hours_and_shards_of_the_others(ledger):
    following = replace(HOUR, start=HOUR.end)
    ledger.add([row("a")], shard(b"first"))
    ledger.add([row("b")], shard(b"second", number=8))
    ledger.add([row("c")], Shard(following, 1, b"open", 0))
    ledger.add([row("d")], shard(b"late", known_on="2026-02-03"))
    ledger.put_merged(HOUR, b"sum")

    found = [
        (counts.hour, counts.content, counts.known_on, counts.is_closed)
        for counts in ledger.counts("delays", 3, "2026-02-01")
    ]

    assert found == [
        (HOUR.start, b"sum", None, True),
        (HOUR.start, b"late", "2026-02-03", False),
        (following.start, b"open", None, False),
    ]
    assert list(ledger.counts("delays", 3, "2026-02-02")) == []


def test_the_cursor_is_moved_by_one_watch_at_a_time(ledger):
    assert ledger.cursor() is None
    assert ledger.move_cursor(HOUR.start, 0)
    assert not ledger.move_cursor(HOUR.end, 0)
    assert ledger.move_cursor(HOUR.end, 1)
    assert ledger.cursor() == (HOUR.end, 2)


def test_rows_are_found_by_their_ids(ledger):
    ledger.add([row("a"), row("b", line=1)], shard())

    assert ledger.rows("delays", ["a", "b", "c"]) == {"a": row("a"), "b": row("b", line=1)}


def test_all_that_is_stored_of_an_hour_is_read_at_once(ledger):
    ledger.add([row("a")], shard(b"on time"))
    before = ledger.hour(HOUR)
    ledger.close(HOUR, AT)
    ledger.add([row("b")], shard(b"late", known_on="2026-02-03"))
    ledger.put_merged(HOUR, b"sum")

    found = ledger.hour(HOUR)

    assert (before.merged, before.revision, before.is_closed, before.contents) == (
        None,
        0,
        False,
        (b"on time",),
    )
    assert (found.merged, found.revision, found.is_closed, found.contents) == (
        b"sum",
        1,
        True,
        (b"sum", b"late"),
    )
    assert found.on_time == before.on_time
    assert ledger.hour(replace(HOUR, version=4)).is_empty


def test_a_sum_is_mended_from_where_it_was_read_and_stays(ledger):
    ledger.close(HOUR, AT)
    ledger.add([row("a")], shard(b"late", known_on="2026-02-03"))
    (late,) = ledger.hour(HOUR).late

    ledger.mend(HOUR, b"first", 0, [])
    ledger.put_merged(HOUR, b"of the watch")
    assert (ledger.hour(HOUR).merged, ledger.hour(HOUR).revision) == (b"first", 1)
    for revision, wrong in ((0, []), (2, []), (1, [replace(late, revision=9)])):
        with pytest.raises(LostRace):
            ledger.mend(HOUR, b"lost", revision, wrong)
    ledger.mend(HOUR, b"second", 1, [late])

    assert ledger.hour(HOUR).contents == (b"second",)
