"""The table that Athena reads is the lake as ingest writes it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from chalicelib.monitoring.rows import Row, lake_object
from infra.assemble import load_template
from infra.requirements import PROJECT

AT = datetime(2026, 2, 1, 6, 15, tzinfo=UTC)
ROW = Row(
    id="x",
    model="late-flights",
    version=3,
    digest="d" * 64,
    role="champion",
    at=AT,
    received_at=AT,
    request_id="r",
    columns={"Wind Gust": 3.5, "carrier": None},
    scores=[0.25, 0.75],
    subject="s",
    warnings=[{"column": "carrier", "kind": "unseen_category"}],
    action="flag",
    rules=["unseen-category"],
)
# How JSON types are read. An object whose names aren't known beforehand, and a list of such, is a text.
READ_AS = {str: "string", int: "int", bool: "boolean", dict: "string"}
READ_LISTS_AS = {float: "array<double>", str: "array<string>", dict: "string"}


@pytest.fixture
def template() -> dict[str, Any]:
    return load_template(PROJECT / "infra" / "template.yaml")


@pytest.fixture
def table(template) -> dict[str, Any]:
    return template["Resources"]["LakeRows"]["Properties"]["TableInput"]


def test_its_columns_are_those_of_a_line(table):
    line = orjson.loads(ROW.to_line())

    expected = {
        name: READ_LISTS_AS[type(value[0])] if isinstance(value, list) else READ_AS[type(value)]
        for name, value in line.items()
    }
    columns = table["StorageDescriptor"]["Columns"]
    assert {column["Name"]: column["Type"] for column in columns} == expected
    # Names are read as they are spelled, so all must be as Athena knows them: lower case.
    assert table["StorageDescriptor"]["SerdeInfo"]["Parameters"] == {"case.insensitive": "FALSE"}
    assert all(name == name.lower() for name in line)
    assert not expected.keys() & {key["Name"] for key in table["PartitionKeys"]}


def test_its_partitions_are_the_folders_that_objects_lie_in(table):
    parameters = table["Parameters"]
    keys = {key["Name"]: key["Type"] for key in table["PartitionKeys"]}
    values = {
        "model": ROW.model,
        "version": str(ROW.version),
        "day": f"{AT:%Y-%m-%d}",
        "hour": f"{AT.hour:0{parameters['projection.hour.digits']}d}",
    }

    template = parameters["storage.location.template"]["Fn::Sub"]
    projected = re.sub(r"\$\{!(\w+)\}", lambda found: values[found[1]], template)

    folder, _, _ = lake_object([ROW]).key.rpartition("/")
    assert projected == f"s3://${{LakeBucket}}/{folder}"
    assert list(keys) == re.findall(r"(\w+)=", folder) == list(values)
    # A key that is injected must be a string.
    injected = [name for name in keys if parameters[f"projection.{name}.type"] == "injected"]
    assert injected == ["model", "version"]
    assert {keys[name] for name in injected} == {"string"}
    assert parameters["projection.day.format"] == "yyyy-MM-dd"
    assert parameters["projection.hour.range"] == "0,23"
    assert all(isinstance(value, str | dict) for value in parameters.values())


def test_its_days_reach_back_as_far_as_rows_are_kept(template, table):
    rules = template["Resources"]["LakeBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]

    (rows,) = (rule for rule in rules if rule["Id"] == "rows")
    assert rows["ExpirationInDays"] == {"Ref": "LedgerDays"}
    assert table["Parameters"]["projection.day.range"] == {"Fn::Sub": "NOW-${LedgerDays}DAYS,NOW+1DAYS"}


def test_only_an_account_keeps_the_catalog(template):
    resources = template["Resources"]
    catalog = {name: r for name, r in resources.items() if r["Type"].startswith("AWS::Glue::")}

    assert set(catalog) == {"LakeDatabase", "LakeRows"}
    assert {resource["Condition"] for resource in catalog.values()} == {"KeepsACatalog"}
    assert template["Outputs"]["LakeDatabaseName"]["Condition"] == "KeepsACatalog"
    assert template["Conditions"]["KeepsACatalog"] == {
        "Fn::Not": [{"Fn::Equals": [{"Ref": "Stage"}, "local"]}]
    }
