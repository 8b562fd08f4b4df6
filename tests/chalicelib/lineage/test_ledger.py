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


def test_shards_are_found_by_the_hours_they_count(ledger):
    hours = [Hour.of("delays", 3, AT + timedelta(hours=step)) for step in (0, 1, 18, 19, 48)]
    for number, hour in enumerate(hours):
        ledger.add([row(str(number))], Shard(hour, number, b"c%d" % number, 0))
    ledger.add([row("late")], Shard(hours[1], 2, b"late", 0, "2026-02-09"))
    ledger.close(hours[0], AT)

    found = list(ledger.shards("delays", 3, hours[0].start, hours[3].start))

    assert [(item.hour, item.content) for item in found] == [
        (hours[0], b"c0"),
        (hours[1], b"late"),
        (hours[1], b"c1"),
        (hours[2], b"c2"),
    ]
    assert list(ledger.shards("delays", 4, hours[0].start, hours[3].start)) == []
    assert list(ledger.shards("delays", 3, hours[0].start, hours[0].start)) == []
