"""Keys and indexes of both tables; `infra/template.yaml` declares the same, and a test compares.

`lineage` and `ledger` are keyed by ``pk`` and ``sk``. Every index is sparse.
`subject` holds keys alone: it only has to name what is about a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

IndexName = Literal["inverse", "listing"]
LedgerIndexName = Literal["cohort", "subject"]

TTL_ATTRIBUTE = "expires_at"
# Attribute names of the partition and the sort key, by index (None: the table itself).
INDEX_KEYS: Mapping[IndexName | None, tuple[str, str]] = {
    None: ("pk", "sk"),
    "inverse": ("ipk", "isk"),
    "listing": ("lpk", "lsk"),
}
LEDGER_INDEX_KEYS: Mapping[LedgerIndexName | None, tuple[str, str]] = {
    None: ("pk", "sk"),
    "cohort": ("cpk", "csk"),
    "subject": ("spk", "ssk"),
}
_KEYS_ONLY = frozenset({"subject"})


def lineage_schema() -> dict[str, Any]:
    """The `lineage` table in the form that DynamoDB's CreateTable and CloudFormation share."""
    return _schema(INDEX_KEYS)


def ledger_schema() -> dict[str, Any]:
    """The `ledger` table in the same form."""
    return _schema(LEDGER_INDEX_KEYS)


def _schema(indexes: Mapping[Any, tuple[str, str]]) -> dict[str, Any]:
    names = [name for keys in indexes.values() for name in keys]
    secondary = [
        {
            "IndexName": index,
            "KeySchema": _key_schema(*keys),
            "Projection": {"ProjectionType": "KEYS_ONLY" if index in _KEYS_ONLY else "ALL"},
        }
        for index, keys in indexes.items()
        if index is not None
    ]
    return {
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in names],
        "KeySchema": _key_schema(*indexes[None]),
        "GlobalSecondaryIndexes": secondary,
        "BillingMode": "PAY_PER_REQUEST",
    }


def _key_schema(partition: str, sort: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": partition, "KeyType": "HASH"},
        {"AttributeName": sort, "KeyType": "RANGE"},
    ]
