"""What a manifest may say of its origin."""

from __future__ import annotations

import pytest

from tiltyard.runtime.origin import faults_of, origin_of

DATA = {"digest": "ab" * 32, "use": "training", "rows": 3, "columns": 0, "name": "flights"}


def pointers(origin):
    return [fault.pointer for fault in faults_of(origin, "/o")]


@pytest.mark.parametrize(
    "origin",
    [
        {},
        {"datasets": []},
        {"datasets": [DATA, {**DATA, "use": "held-out"}], "run": {"id": "mlflow 7"}},
        {"datasets": [{"digest": f"{n:064x}", "use": "training"} for n in range(20)]},
    ],
)
def test_what_is_well_formed_passes(origin):
    assert pointers(origin) == []


@pytest.mark.parametrize(
    ("origin", "where"),
    [
        ([], "/o"),
        ({"more": 1}, "/o"),
        ({"datasets": {}}, "/o/datasets"),
        ({"datasets": [{"digest": f"{n:064x}", "use": "training"} for n in range(21)]}, "/o/datasets"),
        ({"datasets": [DATA, DATA]}, "/o/datasets/1"),
        ({"datasets": [{"use": "training"}]}, "/o/datasets/0"),
        ({"datasets": [{**DATA, "columns_of": ["ada"]}]}, "/o/datasets/0"),
        ({"datasets": [{**DATA, "digest": "AB" * 32}]}, "/o/datasets/0/digest"),
        ({"datasets": [{**DATA, "digest": 7}]}, "/o/datasets/0/digest"),
        ({"datasets": [{**DATA, "use": "fun"}]}, "/o/datasets/0/use"),
        ({"datasets": [{**DATA, "rows": -1}]}, "/o/datasets/0/rows"),
        ({"datasets": [{**DATA, "rows": True}]}, "/o/datasets/0/rows"),
        ({"datasets": [{**DATA, "columns": 2**60}]}, "/o/datasets/0/columns"),
        ({"datasets": [{**DATA, "name": "\ud800"}]}, "/o/datasets/0/name"),
        ({"datasets": [{**DATA, "name": " "}]}, "/o/datasets/0/name"),
        ({"run": "7"}, "/o/run"),
        ({"run": {"id": ""}}, "/o/run"),
        ({"run": {"id": "7", "by": "ada"}}, "/o/run"),
    ],
)
def test_what_is_not_is_pointed_at(origin, where):
    assert pointers(origin) == [where]


def test_the_order_of_data_sets_follows_from_them():
    held_out = {"digest": "cd" * 32, "use": "held-out"}

    assert origin_of([DATA, held_out, DATA], None) == origin_of([held_out, DATA], None)
    assert pointers(origin_of([DATA, held_out, DATA], "r")) == []
