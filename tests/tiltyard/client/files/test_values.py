from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from tiltyard.client.files.values import Preparer, moment
from tiltyard.contract.features import FeatureSpec
from tiltyard.contract.signature import Column, Signature

COLUMNS = (
    Column("distance", "number", is_nullable=True),
    Column("seats", "integer"),
    Column("carrier", "string", is_nullable=True, categories=("UA", "NA")),
    Column("note", "string", categories=("", "x")),
    Column("weekend", "boolean", is_input=False),
    Column("seen", "datetime", is_input=False),
)
SIGNATURE = Signature(
    task="regression",
    columns=COLUMNS,
    features=FeatureSpec(("distance", "seats"), ("carrier", "note")),
)


def prepared(raw, *, is_text=True, signature=SIGNATURE, **settings):
    return Preparer(signature, is_text=is_text, **settings).row(raw)


@pytest.mark.parametrize(
    ("column", "text", "value"),
    [
        ("distance", "1400", 1400),
        ("distance", "-2.50", -2.5),
        ("distance", "1e3", 1000.0),
        ("distance", "", None),
        ("distance", "9" * 5000, float("inf")),
        ("distance", "1,5", "1,5"),
        ("distance", "1_000", "1_000"),
        ("distance", "far", "far"),
        ("seats", "7", 7),
        ("seats", "7.5", 7.5),
        ("carrier", "007", "007"),
        ("carrier", "NA", "NA"),
        ("carrier", "true", "true"),
        ("carrier", "", None),
        ("note", "", ""),
        ("weekend", "True", True),
        ("weekend", "0", False),
        ("weekend", " yes ", True),
        ("weekend", "maybe", "maybe"),
        ("seen", "2026-02-01 06:15", "2026-02-01T06:15:00Z"),
        ("seen", "2026-02-01T08:15:00+02:00", "2026-02-01T06:15:00Z"),
        ("seen", "2026-02-01", "2026-02-01T00:00:00Z"),
        ("seen", "01.02.2026", "01.02.2026"),
    ],
)
def test_text_gets_the_type_of_its_column_or_stays(column, text, value):
    found = prepared({column: text})[column]

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["nan", "NaN"])
def test_not_a_number_is_missing(text):
    assert prepared({"distance": text}) == {"distance": None}


def test_texts_that_mean_missing_can_be_named_but_no_level_is_lost():
    raw = {"distance": "n/a", "seats": "NA", "carrier": "NA"}

    assert prepared(raw, nulls=("NA", "n/a")) == {"distance": None, "seats": None, "carrier": "NA"}


def test_columns_that_the_model_does_not_know_are_not_sent():
    assert prepared({"distance": "1", "gate": "B4"}) == {"distance": 1}


def test_typed_values_are_sent_as_they_are_and_times_in_utc():
    stamp = datetime.fromisoformat("2026-02-01T06:15:00")
    raw = {"distance": 1, "carrier": 7, "seen": stamp, "gate": "B4"}

    assert prepared(raw, is_text=False) == {"distance": 1, "carrier": 7, "seen": "2026-02-01T06:15:00Z"}


def test_without_a_contract_every_column_is_sent_and_text_is_guessed():
    raw = {"a": "1", "b": "2.5", "c": "x", "d": "", "e": "TRUE", "id": "9"}

    assert prepared(raw, signature=None, ids="id") == {"a": 1, "b": 2.5, "c": "x", "d": None, "e": True}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime(2026, 2, 1, tzinfo=UTC), "2026-02-01T00:00:00Z"),
        (date(2026, 2, 1), "2026-02-01T00:00:00Z"),
        ("2026-02-01T01:00:00+01:00", "2026-02-01T00:00:00Z"),
        ("yesterday", "yesterday"),
        (5, 5),
    ],
)
def test_times_become_rfc_3339(value, expected):
    assert moment(value) == expected
