"""Walks over random graphs against a naive closure, whatever is seen and however far."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.lineage.graph import Walk
from chalicelib.lineage.records import Edge

NODES = [f"version:{number}" for number in range(9)]
# From the larger number to the smaller one: what came out names what it came out of.
EDGES = st.sets(st.tuples(st.integers(0, 8), st.integers(0, 8)).filter(lambda pair: pair[0] > pair[1]))


def walked(edges, root, way, depth, *, hidden=frozenset(), at_once=2, most=10_000):
    def read(node, direction):
        own = "source" if direction == "ancestry" else "target"
        found = sorted(
            (e for e in edges if getattr(e, own) == node), key=lambda e: (e.relation, e.target, e.source)
        )
        for start in range(0, len(found), at_once):
            yield found[start : start + at_once]

    walk = Walk(
        [root], way, depth, read=read, shown=lambda ids: [i for i in ids if i not in hidden], most=most
    )
    return walk, list(walk)


def closure(edges, root, way, depth, hidden):
    """Edges within `depth` of the root over nodes that are seen, by the definition."""
    near, far = ("source", "target") if way == "ancestry" else ("target", "source")
    reached, found, level = {root}, set(), {root}
    for _ in range(depth):
        steps = {e for e in edges if getattr(e, near) in level and getattr(e, far) not in hidden}
        found |= steps
        level = {getattr(e, far) for e in steps} - reached
        reached |= level
    return found


@settings(max_examples=200, deadline=None)
@given(
    EDGES,
    st.integers(0, 8),
    st.sampled_from(["ancestry", "impact"]),
    st.integers(1, 9),
    st.sets(st.sampled_from(NODES)),
    st.integers(1, 4),
)
def test_a_walk_is_the_closure_in_one_order_that_never_changes(pairs, root, way, depth, hidden, at_once):
    edges = [Edge(NODES[a], "used", NODES[b]) for a, b in pairs]
    hidden = hidden - {NODES[root]}

    walk, steps = walked(edges, NODES[root], way, depth, hidden=hidden, at_once=at_once)

    assert {step.edge for step in steps} == closure(edges, NODES[root], way, depth, hidden)
    assert len({step.edge for step in steps}) == len(steps)
    assert [step.position for step in steps] == sorted(step.position for step in steps)
    assert steps == walked(edges, NODES[root], way, depth, hidden=hidden, at_once=4)[1]
    assert walk.withheld <= hidden
    assert not walk.is_truncated


def test_a_walk_that_is_broken_off_says_so():
    edges = [Edge("version:0", "used", f"dataset:{number}") for number in range(5)]

    walk, steps = walked(edges, "version:0", "ancestry", 3, most=3)

    assert len(steps) == 3
    assert walk.is_truncated
