"""The lineage store twice: in memory and on moto's DynamoDB."""

from __future__ import annotations

import itertools
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
from chalicelib.lineage import tables
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
        client.create_table(TableName=TABLE, **tables.lineage_schema())
        yield client


def dump_of(client: Any, table: str) -> list[dict[str, Any]]:
    """All items of the table, by key."""
    pages = client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    found = [from_attributes(item) for page in pages for item in page["Items"]]
    return sorted(found, key=lambda item: (item["pk"], item["sk"]))


def on_dynamodb(client: Any, table: str, clock: Clock) -> SimpleNamespace:
    lineage = DynamoLineage(client, table, PSEUDONYMS, clock=clock)
    return SimpleNamespace(lineage=lineage, dump=lambda: dump_of(client, table))


@pytest.fixture(params=["memory", "dynamodb"])
def store(request: pytest.FixtureRequest, clock: Clock) -> SimpleNamespace:
    """`lineage` (the store) and `dump()` (everything that it keeps)."""
    if request.param == "memory":
        lineage = MemoryLineage(PSEUDONYMS, clock=clock)
        return SimpleNamespace(lineage=lineage, dump=lineage.table.dump)
    return on_dynamodb(request.getfixturevalue("dynamodb"), TABLE, clock)


@pytest.fixture
def on_a_fresh_table(dynamodb: Any, clock: Clock) -> Callable[[], SimpleNamespace]:
    """A function that makes a store on a table of its own, for every example of a property test."""
    numbers = itertools.count()

    def make() -> SimpleNamespace:
        table = f"{TABLE}-{next(numbers)}"
        dynamodb.create_table(TableName=table, **tables.lineage_schema())
        return on_dynamodb(dynamodb, table, clock)

    return make
