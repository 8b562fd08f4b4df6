"""Odd rows to look at: from rows that were answered, over HTTP, page by page."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from fakes import token_of
from production import NOW, run

from chalicelib.monitoring.anomalies import Place, odd_rows
from chalicelib.monitoring.counting import Counters
from chalicelib.monitoring.series import Span
from tiltyard.errors import MalformedRequest

PATH = "/v1/models/delays/anomalies"


@pytest.fixture
def odd(stage):
    """Three hours: two odd rows, none, five odd rows; each among usual ones."""
    for hour, odd in enumerate((2, 0, 5)):
        stage.at_hand.now = NOW + hour * timedelta(hours=1)
        rows = [{"a": 1.0, "b": 1.2}] * 3 + [{"a": 1000.0 + n, "b": 1.2} for n in range(odd)]
        stage.ask(rows, ids=[f"h{hour}-{n}" for n in range(len(rows))])
        messages = stage.messages()
        assert run(messages) == []
        assert run(messages) == []  # twice, as queues do
    return stage


def page(stage, query="", role="scientist", teams=("airport",)):
    token = token_of(role, teams=teams, exp=stage.expires)
    return stage.gateway.call("GET", f"{PATH}?kind=out_of_range{query}", token=token)


def test_odd_rows_are_listed_once_latest_hour_first(odd):
    found = page(odd).json

    assert [row["id"] for row in found["items"]] == [f"h2-{n}" for n in range(3, 8)] + ["h0-3", "h0-4"]
    assert found["next"] is None
    first = found["items"][0]
    assert first["columns"] == {"a": 1000.0, "b": 1.2}
    assert first["masked"] == []
    assert {"column": "a", "kind": "out_of_range"} in first["warnings"]
    assert "out-of-range" in first["rules"]


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6, 7])
def test_pages_lose_and_double_nothing(odd, limit):
    seen, cursor = [], ""
    for _ in range(20):
        found = page(odd, f"&limit={limit}{cursor}").json
        assert len(found["items"]) <= limit
        seen += [row["id"] for row in found["items"]]
        if found["next"] is None:
            break
        cursor = f"&cursor={found['next']}"

    assert seen == [row["id"] for row in page(odd).json["items"]]


def test_only_a_span_is_asked_for(odd):
    found = page(odd, f"&to={NOW.replace(minute=0):%Y-%m-%dT%H:%M:%SZ}").json
    assert found["items"] == []

    found = page(odd, "&from=2026-02-01T07:00:00Z&to=2026-02-01T08:00:00Z").json
    assert [row["id"] for row in found["items"]] == ["h0-3", "h0-4"]


def test_time_that_runs_out_ends_the_page_and_not_the_list(odd):
    at_hand = odd.at_hand
    version = at_hand.lineage.version("delays", 1)
    counter = Counters(at_hand.lineage, at_hand.artifacts).read(version)
    span = Span(NOW.replace(minute=0), NOW.replace(minute=0) + timedelta(hours=4), "hour")
    times = iter([0.0, 0.0, 60.0])

    def read(place, clock):
        return odd_rows(
            at_hand.ledger,
            at_hand.lake,
            version,
            counter,
            "out_of_range",
            span,
            limit=50,
            place=place,
            clock=clock,
        )

    first = read(None, lambda: next(times))
    rest = read(first.next, lambda: 0.0)

    assert (len(first.items), len(rest.items)) == (5, 2)
    assert Place.of(first.next.text) == first.next


def test_personal_columns_are_masked_and_so_is_what_is_said_of_them(odd):
    at_hand = odd.at_hand
    version = at_hand.lineage.version("delays", 1)
    counter = Counters(at_hand.lineage, at_hand.artifacts).read(version)
    columns = tuple(replace(c, is_personal=c.name == "a") for c in counter.signature.columns)
    counter.signature = replace(counter.signature, columns=columns)
    span = Span(NOW.replace(minute=0), NOW.replace(minute=0) + timedelta(hours=4), "hour")

    found = odd_rows(
        at_hand.ledger, at_hand.lake, version, counter, "out_of_range", span, limit=50, place=None
    )

    assert {row.masked for row in found.items} == {("a",)}
    assert all("a" not in row.columns for row in found.items)
    assert all(w.keys() == {"column", "kind"} for row in found.items for w in row.warnings)


@pytest.mark.parametrize("role", ["viewer", "caller", "business"])
def test_rows_are_not_for_everybody(odd, role):
    assert page(odd, role=role).status == 403


def test_other_teams_find_nothing(odd):
    assert page(odd, teams=("finance",)).status == 404


@pytest.mark.parametrize(
    "query", ["&cursor=x", "&cursor=2026-13-01T00.0", "&kind=odd", "&limit=0", "&version=x"]
)
def test_bad_queries_are_refused(odd, query):
    assert page(odd, query).status == 400


def test_a_cursor_is_what_it_wrote():
    with pytest.raises(MalformedRequest):
        Place.of("2026-02-30T00.1")
