"""The `lineage` table on DynamoDB: one GetItem a record, one TransactWriteItems a change."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from chalicelib.aws.attributes import from_attributes, to_attribute, to_attributes
from chalicelib.aws.faults import THROTTLED, code_of, passing_faults
from chalicelib.lineage import tables
from chalicelib.lineage.items import Item, Key
from chalicelib.lineage.store import Commitments, Rows, TableLineage, real_time
from chalicelib.lineage.writes import (
    Absent,
    AbsentOrExpired,
    AtRevision,
    CheckItem,
    Condition,
    DeleteItem,
    Operation,
    PutItem,
    key_of,
    lost_race,
)
from tiltyard.errors import LostRace, Unavailable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# A conflict says only that another transaction was under way. Whether the race is
# lost is for the conditions to say, so it is tried again, a few times and not at once.
CONFLICT_ATTEMPTS = 5
CONFLICT_PAUSE_S = 0.02
BATCH_KEYS = 100
BATCH_ATTEMPTS = 4

_LOST, _CONFLICT = "ConditionalCheckFailed", "TransactionConflict"


class DynamoTable:
    """A table of items under ``pk`` and ``sk``.

    `sleep` and `jitter` (a number in [0, 1)) pace what is tried again.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        name: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._name = name
        self._sleep = sleep
        self._jitter = jitter

    def get(self, key: Key) -> Item | None:
        with passing_faults("reading the lineage table"):
            found = self._client.get_item(TableName=self._name, Key=_key(key), ConsistentRead=True)
        return from_attributes(found["Item"]) if "Item" in found else None

    def get_many(self, keys: Sequence[Key]) -> list[Item]:
        found: list[Item] = []
        for start in range(0, len(keys), BATCH_KEYS):
            found.extend(self._get_batch([_key(key) for key in keys[start : start + BATCH_KEYS]]))
        return found

    def query(self, rows: Rows, *, limit: int) -> list[Item]:
        request = self._query_of(rows)
        found: list[Item] = []
        while len(found) < limit:
            with passing_faults("reading the lineage table"):
                answer = self._client.query(**request, Limit=limit - len(found))
            found.extend(from_attributes(item) for item in answer["Items"])
            # DynamoDB ends an answer at 1 MB, whatever the limit says.
            if "LastEvaluatedKey" not in answer:
                break
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
        return found

    def transact(self, operations: Sequence[Operation]) -> None:
        # botocore gives every call a ClientRequestToken of its own and keeps it over its
        # retries, so a commit whose answer was lost isn't carried out twice.
        writes: Any = [self._write(operation) for operation in operations]
        for attempt in range(CONFLICT_ATTEMPTS):
            if attempt:
                self._pause(attempt)
            try:
                with passing_faults("writing to the lineage table"):
                    self._client.transact_write_items(TransactItems=writes)
                return
            except ClientError as exc:
                if not _is_conflict(exc, operations):
                    raise
                conflict = exc
        raise LostRace("other changes of the same records kept coming first; read again") from conflict

    def _get_batch(self, keys: list[dict[str, Any]]) -> list[Item]:
        found: list[Item] = []
        waiting: Any = {self._name: {"Keys": keys, "ConsistentRead": True}}
        for attempt in range(BATCH_ATTEMPTS):
            if attempt:
                self._pause(attempt)
            with passing_faults("reading the lineage table"):
                answer = self._client.batch_get_item(RequestItems=waiting)
            found.extend(from_attributes(item) for item in answer["Responses"].get(self._name, []))
            waiting = answer.get("UnprocessedKeys")
            if not waiting:
                return found
        raise Unavailable("the lineage table kept leaving keys unread; try again")

    def _query_of(self, rows: Rows) -> dict[str, Any]:
        partition, sort = tables.INDEX_KEYS[rows.index]
        request: dict[str, Any] = {
            "TableName": self._name,
            "KeyConditionExpression": "#p = :p AND #s BETWEEN :low AND :high",
            "ExpressionAttributeNames": {"#p": partition, "#s": sort},
            "ExpressionAttributeValues": {
                ":p": {"S": rows.pk},
                ":low": {"S": rows.low},
                ":high": {"S": rows.high},
            },
            "ScanIndexForward": not rows.newest_first,
        }
        if rows.index is not None:
            request["IndexName"] = rows.index
        else:
            request["ConsistentRead"] = rows.is_consistent
        return request

    def _write(self, operation: Operation) -> dict[str, Any]:
        condition = _condition(operation.condition)
        match operation:
            case PutItem():
                return {"Put": {"TableName": self._name, "Item": to_attributes(operation.item), **condition}}
            case DeleteItem():
                return {"Delete": {"TableName": self._name, "Key": _key(operation.key), **condition}}
            case CheckItem():
                return {"ConditionCheck": {"TableName": self._name, "Key": _key(operation.key), **condition}}

    def _pause(self, attempt: int) -> None:
        self._sleep(CONFLICT_PAUSE_S * 2**attempt * self._jitter())


class DynamoLineage(TableLineage):
    """The `LineageStore` port on a DynamoDB table."""

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        commitments: Commitments,
        *,
        clock: Callable[[], datetime] = real_time,
        randomness: Callable[[int], bytes] = os.urandom,
    ) -> None:
        super().__init__(DynamoTable(client, table), commitments, clock=clock, randomness=randomness)


def _key(key: Key) -> dict[str, Any]:
    return {"pk": {"S": key.pk}, "sk": {"S": key.sk}}


def _condition(condition: Condition | None) -> dict[str, Any]:
    match condition:
        case None:
            return {}
        case Absent():
            return {"ConditionExpression": "attribute_not_exists(pk)"}
        case AtRevision(revision):
            # False when the item is gone, too: a missing attribute equals nothing.
            return _compared("#a = :value", "revision", revision)
        case AbsentOrExpired(now):
            return _compared("attribute_not_exists(pk) OR #a <= :value", tables.TTL_ATTRIBUTE, now)


def _compared(expression: str, attribute: str, value: int) -> dict[str, Any]:
    return {
        "ConditionExpression": expression,
        "ExpressionAttributeNames": {"#a": attribute},
        "ExpressionAttributeValues": {":value": to_attribute(value)},
    }


def _is_conflict(error: ClientError, operations: Sequence[Operation]) -> bool:
    """True when the transaction met another one and may be tried again, False for a foreign error.

    The reasons of a cancelled transaction come in the order of its writes. A reason
    that isn't a lost race, a conflict or throttling (an invalid write, above all)
    is a fault of the service, and makes the whole error foreign.

    Raises `LostRace` when a condition failed and `Unavailable` when it was throttled.
    """
    if code_of(error) != "TransactionCanceledException":
        return False
    response: Mapping[str, Any] = error.response
    reasons = [str(reason.get("Code", "None")) for reason in response.get("CancellationReasons", [])]
    codes = set(reasons) - {"None"}
    if not codes or codes - {_LOST, _CONFLICT} - THROTTLED:
        return False
    if _LOST in codes:
        lost = [key_of(operation) for operation, why in zip(operations, reasons, strict=True) if why == _LOST]
        raise lost_race(lost) from error
    if codes & THROTTLED:
        raise Unavailable("writing to the lineage table was refused for now; try again") from error
    return True
