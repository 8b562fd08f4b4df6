"""The lineage of versions and digests on a store: visibility, pages, and what they cost."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lineage_examples import NOON, PSEUDONYMS, attempt_at, creation, new_model, sha256_of, version_of

from chalicelib.governance.lineage import Question, of_digest, of_version
from chalicelib.lineage import cursors
from chalicelib.lineage.memory import MemoryLineage
from chalicelib.lineage.records import Change, Edge, Put
from chalicelib.registry import origin
from tiltyard.errors import MalformedRequest, NotFound

LATER = NOON + timedelta(hours=1)
DATA = sha256_of("flights")
HELD_OUT = sha256_of("flights, held out")
MINE = frozenset({"airport"})


class Counted:
    """A table that counts what is read from it."""

    def __init__(self, table):
        self.table, self.reads = table, 0

    def __getattr__(self, name):
        if name in ("get", "get_many", "query"):
            self.reads += 1
        return getattr(self.table, name)


class Graph:
    """Models with versions, written as registration writes them."""

    def __init__(self):
        self.lineage = MemoryLineage(PSEUDONYMS)
        self.heads = {}

    def model(self, name="delays", team="airport"):
        self.heads[name] = self.lineage.commit(creation(new_model(name, team=team)))

    def version(self, name="delays", bundle=None, data=DATA, at=NOON):
        head = self.heads[name]
        version = version_of(head, head.versions + 1, stage="candidate", bundle=bundle)
        manifest = {
            "task": "binary",
            "files": {n: {"sha256": b.sha256, "size": b.size} for n, b in version.files.items()},
            "framework": {"name": "scikit-learn", "version": "1.7.2", "estimator": "Tree"},
            "origin": {
                "datasets": [
                    {"digest": HELD_OUT, "use": "held-out", "rows": 50},
                    {"digest": data, "use": "training", "rows": 100, "name": f"flights of {name}"},
                ]
            },
        }
        run = origin.run_node(version, head, manifest)
        self.heads[name] = self.lineage.commit(
            Change(
                replace(head, versions=version.number),
                attempt_at(at),
                "version.register",
                f"version:{version.digest}",
                None,
                None,
                writes=(Put(version),),
                edges=origin.edges_of(version, manifest),
                nodes=(run,),
            )
        )
        return version

    def ask(self, name="delays", number=None, *, teams=MINE, now=LATER, **question):
        model = self.lineage.model(name)
        return of_version(self.lineage, model, number, Question(**question), teams=teams, now=now)

    def ask_digest(self, digest, *, teams=MINE, now=LATER, **question):
        return of_digest(self.lineage, digest, Question(**question), teams=teams, now=now)


@pytest.fixture
def graph():
    graph = Graph()
    graph.model()
    return graph


def edges(found):
    return [
        (s.edge.source.partition(":")[0], s.edge.relation, s.edge.target.partition(":")[0])
        for s in found.steps
    ]


def test_a_version_came_from_its_run_and_data(graph):
    version = graph.version()

    found = graph.ask(direction="ancestry")

    assert found.roots == (f"version:{version.digest}",)
    assert edges(found) == [
        *[("version", "contains", "blob")] * 6,
        ("version", "produced-by", "run"),
        ("version", "profiled-on", "dataset"),
        ("version", "version-of", "model"),
        ("run", "used", "dataset"),
    ]
    labels = {thing.kind: thing.label for thing in found.nodes.values()}
    assert (labels["version"], labels["run"], labels["model"]) == ("delays/1", "Tree", "delays")
    assert found.nodes[f"dataset:{DATA}"].label == "flights of delays"
    assert found.nodes[f"version:{version.digest}"].facts["version"] == 1
    assert found.nodes[f"version:{version.digest}"].at == NOON
    assert (found.withheld, found.is_truncated, found.next) == (0, False, None)


def test_a_data_set_tells_what_came_of_it(graph):
    first, second = graph.version(), graph.version(data=sha256_of("other"))

    found = graph.ask_digest(DATA, direction="impact")

    assert edges(found) == [("run", "used", "dataset"), ("version", "produced-by", "run")]
    assert {n for n in found.nodes if n.startswith("version")} == {f"version:{first.digest}"}
    assert {
        t.label for t in graph.ask_digest(HELD_OUT, direction="impact").nodes.values() if t.kind == "version"
    } == {"delays/1", "delays/2"}
    assert second.number == 2


def test_without_a_number_the_champion_or_else_the_newest_is_meant(graph):
    graph.version()
    second = graph.version()

    assert graph.ask(depth=1).roots == (f"version:{second.digest}",)
    assert graph.ask(number=1).nodes != graph.ask(number=2).nodes
    with pytest.raises(NotFound):
        graph.ask(number=3)
    graph.model("empty")
    with pytest.raises(NotFound, match="no version yet"):
        graph.ask("empty")


def test_other_teams_are_withheld_and_counted(graph):
    graph.version()
    graph.model("secret", "finance")
    theirs = graph.version("secret")

    found = graph.ask_digest(DATA, direction="impact")
    everything = graph.ask_digest(DATA, direction="impact", teams=None)

    assert {thing.model for thing in found.nodes.values()} == {None, "delays"}
    assert (found.withheld, everything.withheld) == (1, 0)
    assert {thing.model for thing in everything.nodes.values()} == {None, "delays", "secret"}
    assert found.nodes[f"dataset:{DATA}"].label == "flights of delays"
    for digest in (theirs.digest, theirs.files["model.onnx"].sha256, sha256_of("nothing")):
        with pytest.raises(NotFound, match="Nothing that you may see"):
            graph.ask_digest(digest)


def test_one_bundle_in_two_models_is_told_to_each_team_as_its_own(graph):
    graph.model("secret", "finance")
    graph.version(bundle="same")
    graph.version("secret", bundle="other")
    theirs = graph.version("secret", bundle="same")

    mine = graph.ask_digest(theirs.digest)
    finance = graph.ask_digest(theirs.digest, teams=frozenset({"finance"}))

    root = f"version:{theirs.digest}"
    assert (mine.nodes[root].label, finance.nodes[root].label) == ("delays/1", "secret/2")
    assert "model:secret" not in mine.nodes
    assert "model:delays" not in finance.nodes
    assert {t.model for t in mine.nodes.values() if t.kind == "run"} == {"delays"}


def test_a_model_that_moves_takes_its_lineage_along(graph):
    graph.version()
    head = graph.heads["delays"]
    graph.lineage.commit(
        Change(replace(head, team="finance"), attempt_at(), "model.change", "model:delays", None, None)
    )

    assert graph.ask_digest(DATA, teams=frozenset({"finance"})).withheld == 0
    with pytest.raises(NotFound):
        graph.ask_digest(DATA)


def test_a_digest_that_several_things_have_gives_all_of_them(graph):
    version = graph.version()
    manifest = version.files["manifest.json"].sha256
    head = graph.heads["delays"]
    graph.lineage.commit(
        Change(
            head,
            attempt_at(),
            "x",
            "x",
            None,
            None,
            edges=(Edge(f"version:{version.digest}", "contains", f"blob:{version.digest}"),),
        )
    )

    found = graph.ask_digest(version.digest, direction="impact")

    assert found.roots == (f"version:{version.digest}", f"blob:{version.digest}")
    assert graph.ask_digest(manifest).roots == (f"blob:{manifest}",)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 30), st.sampled_from(["ancestry", "impact", "both"]), st.booleans())
def test_pages_are_the_whole_whatever_their_size_and_whatever_is_written_meanwhile(limit, direction, by_data):
    graph = Graph()
    graph.model()
    for _ in range(3):
        graph.version()
    ask = (lambda **q: graph.ask_digest(HELD_OUT, **q)) if by_data else graph.ask
    whole = ask(direction=direction, limit=200)

    found, cursor, now = [], None, LATER
    while True:
        page = ask(direction=direction, limit=limit, cursor=cursor, now=now)
        found += page.steps
        cursor = page.next
        now += timedelta(minutes=1)
        graph.version(at=now)
        if cursor is None:
            break

    assert found == list(whole.steps)
    assert whole.next is None


@pytest.mark.parametrize("cursor", ["x", "", "AAAA", "A" * 2000])
def test_a_cursor_of_another_question_is_refused(graph, cursor):
    graph.version()
    other = graph.ask(limit=1, direction="impact", number=1, depth=3)

    with pytest.raises(MalformedRequest):
        graph.ask(cursor=cursor)
    assert other.next is None
    first = graph.ask(limit=1)
    assert first.next is not None
    with pytest.raises(MalformedRequest):
        graph.ask(limit=1, depth=2, cursor=first.next)


def test_a_cursor_made_by_hand_is_refused(graph):
    graph.version()
    name = "lineage delays None both 5"
    good = ["2026-03-01T13:00:00.000Z", "1", 0, [1, "a", "b", "c"]]
    for i, bad in [
        (0, "x"),
        (0, 1),
        (0, "9" * 30),
        (1, "1'"),
        (1, DATA + "0"),
        (2, "x"),
        (2, None),
        (3, []),
        (3, [1, 2, 3, 4]),
    ]:
        forged = [bad if n == i else part for n, part in enumerate(good)]
        with pytest.raises(MalformedRequest):
            graph.ask(cursor=cursors.encode(name, json.dumps(forged)))
    with pytest.raises(NotFound):
        graph.ask(cursor=cursors.encode(name, json.dumps([good[0], DATA, *good[2:]])))


def reads_of(graph, ask):
    counted = Counted(graph.lineage._table)
    graph.lineage._table = counted
    found = ask()
    graph.lineage._table = counted.table
    return counted.reads, len(found.steps)


def test_reads_grow_with_hits_and_not_with_versions():
    reads = {}
    for count in (50, 500):
        graph = Graph()
        graph.model()
        for n in range(count):
            graph.version(data=sha256_of(f"data {n}"))
        reads[count] = [
            reads_of(graph, partial(graph.ask, number=7)),
            reads_of(graph, partial(graph.ask_digest, sha256_of("data 7"))),
        ]

    assert reads[50] == reads[500]
    for read, hits in reads[50]:
        assert read <= 10 + 2 * hits
