"""The lineage graph: what a version came from, what came of a data set."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

from tiltyard.client.registration import model_path
from tiltyard.client.transport import Transport
from tiltyard.errors import IntegrityError

Direction = Literal["ancestry", "impact", "both"]
Body = Mapping[str, Any]

PAGE = 200

# How the tree says an edge: as seen from what came out, and from what it came out of.
_SAID: Mapping[str, tuple[str, str]] = {
    "produced-by": ("came out of", "gave"),
    "used": ("was fitted on", "fitted"),
    "profiled-on": ("was profiled on", "profiled"),
    "contains": ("contains", "is in"),
    "version-of": ("is a version of", "has the version"),
    "reign-of": ("reign of", "reigned:"),
    "under-policy": ("under", "held for"),
    "policy-of": ("is a policy of", "has the policy"),
}


@dataclass(frozen=True, slots=True)
class Edge:
    """`source` came out of `target`; `direction` says which way it was come upon, `depth` how far away."""

    source: str
    relation: str
    target: str
    depth: int
    direction: str
    at: datetime | None
    facts: Body


@dataclass(frozen=True, slots=True)
class Node:
    """`model` and `team` are None where it is nobody's: data sets and files."""

    id: str
    kind: str
    label: str
    model: str | None
    team: str | None
    facts: Body


@dataclass(frozen=True, slots=True)
class Lineage:
    """Edges by direction and depth, and what their ends are.

    `withheld` counts nodes of teams that one may not see, and `is_truncated`
    says that there is more than the service walks through.
    """

    roots: tuple[str, ...]
    edges: tuple[Edge, ...]
    nodes: Mapping[str, Node]
    withheld: int
    is_truncated: bool
    body: Body = field(repr=False, compare=False)

    @classmethod
    def of(cls, body: Body) -> Lineage:
        try:
            return cls(
                roots=tuple(body["roots"]),
                edges=tuple(_edge(item) for item in body["items"]),
                nodes={name: _node(name, said) for name, said in body["nodes"].items()},
                withheld=int(body["withheld"]),
                is_truncated=bool(body["truncated"]),
                body=body,
            )
        except (KeyError, TypeError, ValueError) as exc:
            raise IntegrityError("The answer is no lineage: is this client as new as the service?") from exc

    def tree(self, *, without: Collection[str] = ()) -> str:
        """The graph as text: ancestry and impact of each root, leaving out some relations.

        What is reached on several ways is drawn in full once.
        """
        lines: list[str] = []
        for root in self.roots:
            lines.append(self._label(root))
            drawn = {root}
            shown = [edge for edge in self.edges if edge.relation not in without]
            lines.extend(self._branches(root, shown, drawn, ""))
        if self.withheld:
            lines.append(f"(and {self.withheld} of teams that aren't yours)")
        if self.is_truncated:
            lines.append("(and more than the service walks through)")
        return "\n".join(lines)

    def _branches(self, node: str, edges: list[Edge], drawn: set[str], indent: str) -> Iterator[str]:
        is_root = indent == ""
        way = None if is_root else edges[0].direction
        below = [edge for edge in edges if _near(edge) == node and way in (None, edge.direction)]
        for i, edge in enumerate(below):
            is_last = i == len(below) - 1
            far = edge.target if edge.direction == "ancestry" else edge.source
            words = _SAID.get(edge.relation, (edge.relation, f"{edge.relation} of"))
            branch = "└── " if is_last else "├── "
            yield f"{indent}{branch}{words[edge.direction == 'impact']} {self._told(edge, far)}"
            if far not in drawn:
                drawn.add(far)
                onward = [other for other in edges if other.direction == edge.direction]
                yield from self._branches(far, onward, drawn, indent + ("    " if is_last else "│   "))

    def _label(self, node: str) -> str:
        known = self.nodes.get(node)
        return node if known is None else known.label

    def _told(self, edge: Edge, far: str) -> str:
        node = self.nodes.get(far)
        kind = far.partition(":")[0]
        parts = [str(edge.facts.get("name") or edge.facts.get("file") or self._label(far))]
        if kind == "run":
            parts.insert(0, "run")
        if isinstance(rows := edge.facts.get("rows"), int):
            parts.append(f"({rows:,} rows)")
        if kind in ("run", "dataset", "blob", "policy"):
            parts.append(far.partition(":")[2][:12])
        if kind == "reign" and node is not None:
            when = "" if edge.at is None else f" at {edge.at.isoformat(timespec='seconds')}"
            parts.append(f"by {node.facts.get('action', 'promotion')}{when}")
        return " ".join(parts)


class LineageCalls:
    """The lineage calls of `Client`."""

    _http: Transport

    def lineage(
        self, name: str, version: int | None = None, *, direction: Direction = "both", depth: int = 5
    ) -> Lineage:
        """What a version came from and what came of it: of the champion, else the newest, without one.

        `depth` (1 to 10) counts edges.
        """
        return self._walked(f"{model_path(name)}/lineage", version=version, direction=direction, depth=depth)

    def lineage_of(self, digest: str, *, direction: Direction = "both", depth: int = 5) -> Lineage:
        """The lineage of whatever has a digest: a version, a run, a data set, a file, a policy.

        Raises
        ------
        NotFound
            When nothing has it, or nothing that one may see.
        """
        return self._walked(f"/v1/lineage/{quote(digest, safe='')}", direction=direction, depth=depth)

    def openlineage(
        self, name: str, version: int | None = None, *, direction: Direction = "both", depth: int = 5
    ) -> Body:
        """The lineage of a version as OpenLineage 2-0-2: `items` holds the events."""
        path = f"{model_path(name)}/lineage"
        body: Body = self._http.get(
            path, version=version, direction=direction, depth=depth, format="openlineage"
        ).body
        return body

    def openlineage_of(self, digest: str, *, direction: Direction = "both", depth: int = 5) -> Body:
        """The lineage of whatever has a digest as OpenLineage 2-0-2."""
        path = f"/v1/lineage/{quote(digest, safe='')}"
        body: Body = self._http.get(path, direction=direction, depth=depth, format="openlineage").body
        return body

    def _walked(self, path: str, **asked: str | int | None) -> Lineage:
        """All pages as one."""
        items: list[Body] = []
        nodes: dict[str, Body] = {}
        cursor: str | None = None
        while True:
            page = self._http.get(path, limit=PAGE, cursor=cursor, **asked).body
            items += page["items"]
            nodes = {**page["nodes"], **nodes}
            cursor = page["next"]
            if cursor is None:
                return Lineage.of({**page, "items": items, "nodes": nodes})


def _near(edge: Edge) -> str:
    return edge.source if edge.direction == "ancestry" else edge.target


def _edge(item: Body) -> Edge:
    at = item["at"]
    return Edge(
        source=item["source"],
        relation=item["relation"],
        target=item["target"],
        depth=item["depth"],
        direction=item["direction"],
        at=None if at is None else datetime.fromisoformat(at),
        facts=item["facts"],
    )


def _node(name: str, said: Body) -> Node:
    return Node(name, said["kind"], said["label"], said["model"], said["team"], said["facts"])
