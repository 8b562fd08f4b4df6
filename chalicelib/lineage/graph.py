"""Walks over the lineage graph: pure, over a function that reads the edges of a node.

An edge leads from what came out to what it came out of. *Ancestry* follows
edges that way, *impact* against it; a walk goes breadth first and one way only,
so it never wanders from a version over its model to that model's other versions.

The order is total and the same every time: by depth, then by the node that an
edge was come upon from, then by relation and far end. A page is what comes
after a `Position`; whoever asks for it walks again from the start, and edges
that were written since may join what is still to come but move nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from chalicelib.lineage.records import Edge

Way = Literal["ancestry", "impact"]

MAX_EDGES = 10_000
"""Edges that one walk reads at most."""

# Kinds of nodes that came out of nothing in the graph: their edges outward needn't be read.
SOURCES = frozenset({"blob", "model"})

ReadEdges = Callable[[str, Way], Iterable[Sequence[Edge]]]
"""The edges out of a node (ancestry) or into it (impact), by relation and far end, some at a time."""

Shown = Callable[[Sequence[str]], Collection[str]]
"""Those of some nodes that may be seen."""


class Position(NamedTuple):
    """Where an edge stands in the order of its walk."""

    depth: int
    near: str
    relation: str
    far: str


@dataclass(frozen=True, slots=True)
class Step:
    """An edge as a walk came upon it: `depth` counts edges from the roots, starting at 1."""

    edge: Edge
    depth: int
    way: Way

    @property
    def near(self) -> str:
        return self.edge.source if self.way == "ancestry" else self.edge.target

    @property
    def far(self) -> str:
        return far_end(self.edge, self.way)

    @property
    def position(self) -> Position:
        return Position(self.depth, self.near, self.edge.relation, self.far)


class Walk:
    """One walk from `roots`, to be iterated over once; nothing is read ahead of what is asked for.

    Parameters
    ----------
    roots
        Ids of the nodes to begin at, which are taken to be visible.
    way, depth
        Which way, and how many edges far.
    read, shown
        The graph, and what of it the caller may see. What isn't shown is left
        out together with its edges, and nothing behind it is looked at.
    most
        Edges to read before the walk is broken off.

    Attributes
    ----------
    withheld
        Nodes that were come upon so far and aren't shown.
    is_truncated
        Whether the walk was broken off, with more edges to come.
    """

    def __init__(
        self,
        roots: Iterable[str],
        way: Way,
        depth: int,
        *,
        read: ReadEdges,
        shown: Shown,
        most: int = MAX_EDGES,
    ) -> None:
        self.withheld: set[str] = set()
        self.is_truncated = False
        self._way = way
        self._depth = depth
        self._read = read
        self._shown = shown
        self._left = most
        self._seen = set(roots)

    def __iter__(self) -> Iterator[Step]:
        level = sorted(self._seen)
        for depth in range(1, self._depth + 1):
            following: list[str] = []
            for near in level:
                for edge in self._edges(near):
                    far = far_end(edge, self._way)
                    if far not in self._seen:
                        self._seen.add(far)
                        following.append(far)
                    yield Step(edge, depth, self._way)
                if self.is_truncated:
                    return
            level = sorted(following)

    def _edges(self, near: str) -> Iterator[Edge]:
        """The edges of one node whose other end is shown."""
        if self._way == "ancestry" and kind_of(near) in SOURCES:
            return
        for edges in self._read(near, self._way):
            fresh = {far_end(edge, self._way) for edge in edges} - self._seen - self.withheld
            self.withheld.update(fresh - set(self._shown(sorted(fresh))))
            for edge in edges:
                if self._left == 0:
                    self.is_truncated = True
                    return
                self._left -= 1
                if far_end(edge, self._way) not in self.withheld:
                    yield edge


def far_end(edge: Edge, way: Way) -> str:
    return edge.target if way == "ancestry" else edge.source


def kind_of(node: str) -> str:
    return node.partition(":")[0]


def key_of(node: str) -> str:
    """What stands behind the kind: a digest, a name."""
    return node.partition(":")[2]
