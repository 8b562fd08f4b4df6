"""The lineage store twice: in memory and on moto's DynamoDB."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from lineage_examples import PSEUDONYMS
from moto import mock_aws
from moto.dynamodb.models import DynamoDBBackend

from chalicelib.aws.attributes import from_attributes
from chalicelib.aws.dynamo import DynamoLineage
from chalicelib.lineage import items
from chalicelib.lineage.memory import MemoryLineage

TABLE = "lineage"


class Clock:
    """Real time, as far as a store knows."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of moto's DynamoDB with the lineage table made from the schema in items.py."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    # moto carries a transaction out item by item and copies the table back when it fails:
    # without a lock two threads would undo each other, which DynamoDB rules out.
    lock = threading.Lock()
    carry_out = DynamoDBBackend.transact_write_items

    def one_at_a_time(self: DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
        with lock:
            carry_out(self, transact_items)

    monkeypatch.setattr(DynamoDBBackend, "transact_write_items", one_at_a_time)
    with mock_aws():
        client = boto3.client("dynamodb", region_name="eu-west-1")
        client.create_table(TableName=TABLE, **items.table_schema(items.INDEX_KEYS))
        yield client


def dump_of(client: Any) -> list[dict[str, Any]]:
    """All items of the table, by key."""
    pages = client.get_paginator("scan").paginate(TableName=TABLE, ConsistentRead=True)
    found = [from_attributes(item) for page in pages for item in page["Items"]]
    return sorted(found, key=lambda item: (item["pk"], item["sk"]))


def memory_store(clock: Clock) -> SimpleNamespace:
    lineage = MemoryLineage(PSEUDONYMS, clock=clock)
    return SimpleNamespace(lineage=lineage, dump=lineage.table.dump)


def dynamo_store(client: Any, clock: Clock) -> SimpleNamespace:
    return SimpleNamespace(
        lineage=DynamoLineage(client, TABLE, PSEUDONYMS, clock=clock), dump=lambda: dump_of(client)
    )


@pytest.fixture(params=["memory", "dynamodb"])
def store(request: pytest.FixtureRequest, clock: Clock) -> SimpleNamespace:
    """`lineage` (the store) and `dump()` (everything that it keeps)."""
    if request.param == "memory":
        return memory_store(clock)
    return dynamo_store(request.getfixturevalue("dynamodb"), clock)


@pytest.fixture
def fresh_stores(request: pytest.FixtureRequest, clock: Clock) -> Callable[[], list[SimpleNamespace]]:
    """A function that gives both stores, emptied: for examples of one property test."""
    client = request.getfixturevalue("dynamodb")

    def make() -> list[SimpleNamespace]:
        for item in dump_of(client):
            client.delete_item(TableName=TABLE, Key={"pk": {"S": item["pk"]}, "sk": {"S": item["sk"]}})
        return [memory_store(clock), dynamo_store(client, clock)]

    return make
