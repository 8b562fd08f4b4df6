"""Walks: paged or not, they find what a naive closure finds, in one order."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.lineage.graph import Walk
from chalicelib.lineage.records import Edge

RELATIONS = ("contains", "used")


def name(number):
    return f"dataset:{number}"


@st.composite
def graphs(draw):
    """Edges of a DAG of up to 9 nodes: from higher numbers to lower ones, some in two relations."""
    size = draw(st.integers(2, 9))
    pairs = [(a, b) for a in range(size) for b in range(a)]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=20))
    edges = {(name(a), draw(st.sampled_from(RELATIONS)), name(b)) for a, b in chosen}
    edges |= {(a, "profiled-on", b) for a, _, b in edges if draw(st.booleans())}
    return name(draw(st.integers(0, size - 1))), [Edge(*edge) for edge in sorted(edges)]


def reader(edges, *, at_once=2, reads=None):
    def read(node, way):
        if reads is not None:
            reads.append(node)
        found = [e for e in edges if (e.source if way == "ancestry" else e.target) == node]
        found.sort(key=lambda e: (e.relation, e.target if way == "ancestry" else e.source))
        for i in range(0, len(found), at_once):
            yield found[i : i + at_once]

    return read


def closure(root, edges, way, depth):
    """Edges by the depth at which their near end was first reached, the naive way."""
    found, level = {}, {root}
    for d in range(1, depth + 1):
        reached = set()
        for edge in edges:
            near, far = (edge.source, edge.target) if way == "ancestry" else (edge.target, edge.source)
            if near in level and edge not in found:
                found[edge] = d
                reached.add(far)
        level = reached
    return found


def walk(root, edges, way, depth, hidden=(), **more):
    made = Walk(
        [root], way, depth, read=reader(edges), shown=lambda ids: [i for i in ids if i not in hidden], **more
    )
    return made, list(made)


@settings(deadline=None)
@given(graphs(), st.sampled_from(["ancestry", "impact"]), st.integers(1, 6))
def test_a_walk_finds_what_a_naive_closure_finds_in_order(graph, way, depth):
    root, edges = graph

    _, steps = walk(root, edges, way, depth)

    assert {step.edge: step.depth for step in steps} == closure(root, edges, way, depth)
    assert [s.position for s in steps] == sorted({s.position for s in steps})


@settings(deadline=None)
@given(graphs(), st.sampled_from(["ancestry", "impact"]), st.sets(st.integers(0, 8)))
def test_what_is_hidden_hides_its_edges_and_what_lies_behind_it(graph, way, numbers):
    root, edges = graph
    hidden = {name(n) for n in numbers} - {root}

    made, steps = walk(root, edges, way, 10, hidden)

    open_edges = [e for e in edges if not {e.source, e.target} & hidden]
    assert {step.edge for step in steps} == set(closure(root, open_edges, way, 10))
    assert made.withheld <= hidden


@settings(deadline=None)
@given(graphs(), st.integers(0, 12))
def test_a_walk_that_is_broken_off_says_so(graph, most):
    root, edges = graph
    _, whole = walk(root, edges, "ancestry", 10)

    made, steps = walk(root, edges, "ancestry", 10, most=most)

    assert steps == whole[:most]
    assert made.is_truncated == (len(whole) > most)


def test_nothing_is_read_ahead_of_what_is_asked_for():
    edges = [Edge(name(n), "used", name(n - 1)) for n in range(1, 9)]
    reads: list[str] = []

    steps = iter(Walk([name(8)], "ancestry", 10, read=reader(edges, reads=reads), shown=lambda ids: ids))
    next(steps)

    assert reads == [name(8)]


def test_files_and_models_came_out_of_nothing_and_are_not_read():
    near = defaultdict(list, {"version:a": [Edge("version:a", "contains", "blob:b")]})

    def read(node, way):
        assert node == "version:a"
        yield near[node]

    assert len(list(Walk(["version:a"], "ancestry", 5, read=read, shown=lambda ids: ids))) == 1
