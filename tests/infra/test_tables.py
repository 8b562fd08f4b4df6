"""The template declares the tables that the code and its tests believe in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chalicelib.lineage import tables
from infra.assemble import load_template

PROJECT = Path(__file__).parents[2]


def declared(name: str) -> dict[str, Any]:
    return load_template(PROJECT / "infra" / "template.yaml")["Resources"][name]["Properties"]


def by_name(schema: dict[str, Any]) -> dict[str, Any]:
    """A table's keys and indexes, whatever order they are listed in."""
    return {
        "attributes": {
            item["AttributeName"]: item["AttributeType"] for item in schema["AttributeDefinitions"]
        },
        "key": schema["KeySchema"],
        "indexes": {index["IndexName"]: index for index in schema["GlobalSecondaryIndexes"]},
        "billing": schema["BillingMode"],
    }


@pytest.mark.parametrize(
    ("name", "schema"),
    [("LineageTable", tables.lineage_schema()), ("LedgerTable", tables.ledger_schema())],
)
def test_the_template_and_the_code_agree_on_a_table(name, schema):
    assert by_name(declared(name)) == by_name(schema)


@pytest.mark.parametrize("name", ["LineageTable", "LedgerTable"])
def test_items_expire_by_the_attribute_that_the_code_writes(name):
    assert declared(name)["TimeToLiveSpecification"] == {
        "AttributeName": tables.TTL_ATTRIBUTE,
        "Enabled": True,
    }


def test_the_index_of_persons_holds_keys_alone():
    projections = {
        index["IndexName"]: index["Projection"]["ProjectionType"]
        for index in tables.ledger_schema()["GlobalSecondaryIndexes"]
    }

    assert projections == {"cohort": "ALL", "subject": "KEYS_ONLY"}
