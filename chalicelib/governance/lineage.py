"""Where things came from and what came of them, as far as the caller may see it.

Whose a node is follows from its models as they are now: of a reign its id names
the model, of a run its record, of versions and policies the edges ``version-of``
and ``policy-of``, for one bundle may be a version of several models. Data sets
and files are nobody's: whoever comes to one over something of their own sees it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Literal, get_args

from chalicelib.lineage import cursors
from chalicelib.lineage.graph import MAX_EDGES, Position, Step, Walk, Way, key_of, kind_of
from chalicelib.lineage.items import LAST, text_of, time_of
from chalicelib.lineage.records import Edge, Model, Node
from chalicelib.ports import LineageStore
from tiltyard.errors import MalformedRequest, NotFound

Direction = Literal["ancestry", "impact", "both"]

DEFAULT_DEPTH, MAX_DEPTH = 5, 10
READ_AT_ONCE = 50

BY_DIGEST = ("version", "run", "dataset", "blob", "policy")
"""Kinds of nodes whose key is 64 hexadecimal digits."""

_OWNED_BY = {"version": "version-of", "policy": "policy-of"}
_OPEN = frozenset({"dataset", "blob"})
_NAMED_BY_MODEL = frozenset({"model", "reign"})

Facts = Mapping[str, str | int | None]

_ROOT = re.compile(r"[1-9][0-9]{0,5}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the graph: which way, how far, and which part of the answer."""

    direction: Direction = "both"
    depth: int = DEFAULT_DEPTH
    limit: int = 50
    cursor: str | None = None

    @property
    def ways(self) -> tuple[Way, ...]:
        return get_args(Way) if self.direction == "both" else (self.direction,)


@dataclass(frozen=True, slots=True)
class Thing:
    """A node as it is shown; `model` is one that it belongs to and that the caller may see.

    `at` is when it came to be known, None for what is nobody's.
    """

    id: str
    kind: str
    label: str
    model: str | None
    team: str | None
    at: datetime | None
    facts: Facts


@dataclass(frozen=True, slots=True)
class Lineage:
    """A part of an answer: edges in the walk's order, and what their ends are, by id.

    `withheld` counts the nodes that this walk has come upon so far and the
    caller may not see; `is_truncated` says that the walk was broken off.
    """

    roots: tuple[str, ...]
    steps: tuple[Step, ...]
    nodes: Mapping[str, Thing]
    next: str | None
    withheld: int
    is_truncated: bool


class Sight:
    """What a caller sees of the graph as it was at one moment. Remembers what it read, so use it once.

    Parameters
    ----------
    teams
        The teams whose models may be seen; None: every team's.
    as_of
        Edges written later are left out.
    home
        The model to name a version by that belongs to several.
    """

    def __init__(
        self, lineage: LineageStore, teams: frozenset[str] | None, as_of: datetime, home: str | None = None
    ) -> None:
        self._lineage = lineage
        self._teams = teams
        self._as_of = as_of
        self._home = home
        self._models: dict[str, Model | None] = {}
        self._stored: dict[str, Node | None] = {}
        self._claims: dict[str, tuple[Edge, ...]] = {}

    def read(self, node: str, way: Way) -> Iterator[Sequence[Edge]]:
        """The edges of a node, some at a time."""
        direction: Literal["from", "to"] = "from" if way == "ancestry" else "to"
        cursor = None
        while True:
            page = self._lineage.edges(node, direction=direction, limit=READ_AT_ONCE, cursor=cursor)
            yield [edge for edge in page.items if edge.at is None or edge.at <= self._as_of]
            cursor = page.next
            if cursor is None:
                return

    def shown(self, ids: Sequence[str]) -> Collection[str]:
        if self._teams is None:
            return ids
        self._fetch(ids)
        return [node for node in ids if kind_of(node) in _OPEN or self._models_of(node)]

    def is_reached(self, node: str) -> bool:
        """Whether an edge that the caller may see begins or ends at the node."""
        if kind_of(node) not in _OPEN and not self._models_of(node):
            return False
        steps = (Walk([node], way, 1, read=self.read, shown=self.shown) for way in get_args(Way))
        return next(iter(chain.from_iterable(steps)), None) is not None

    def describe(self, ids: Iterable[str], steps: Iterable[Step]) -> dict[str, Thing]:
        """What these nodes are: from their records, from whose they are, and from what the edges say."""
        wanted = dict.fromkeys(ids)
        self._fetch(list(wanted))
        said: dict[str, Edge] = {}
        for step in steps:
            said.setdefault(step.edge.target, step.edge)
        return {node: self._described(node, said.get(node)) for node in wanted}

    def _described(self, node: str, said: Edge | None) -> Thing:
        kind, models = kind_of(node), self._models_of(node)
        owner = models.get(self._home or "") or next(iter(models.values()), None)
        name, team = (None, None) if owner is None else (owner.name, owner.team)
        stored = self._stored.get(node)
        if stored is not None:
            return Thing(node, kind, stored.label, name, team, stored.at, stored.facts)
        if kind in _OPEN:
            facts = {} if said is None else said.facts
            return Thing(node, kind, _label(node, None, facts), None, None, None, facts)
        claim = self._claim(node, name)
        if claim is None:
            return Thing(node, kind, _label(node, name, {}), name, team, None, {})
        return Thing(node, kind, _label(node, name, claim.facts), name, team, claim.at, claim.facts)

    def _claim(self, node: str, model: str | None) -> Edge | None:
        """The edge by which a model says that a version or a policy is its own, with its number."""
        claims = self._claims.get(node, ())
        return next((edge for edge in claims if key_of(edge.target) == model), None)

    def _models_of(self, node: str) -> dict[str, Model]:
        """The models that a node belongs to and that the caller may see, by name."""
        kind = kind_of(node)
        if kind in _OPEN:
            return {}
        if kind in _NAMED_BY_MODEL:
            names = [key_of(node).partition("/")[0]]
        elif kind in _OWNED_BY:
            if node not in self._claims:
                edges = chain.from_iterable(self.read(node, "ancestry"))
                self._claims[node] = tuple(edge for edge in edges if edge.relation == _OWNED_BY[kind])
            names = [key_of(edge.target) for edge in self._claims[node]]
        else:
            self._fetch([node])
            stored = self._stored[node]
            names = [stored.model] if stored is not None and stored.model is not None else []
        found = {name: self._model(name) for name in names}
        return {
            name: model
            for name, model in found.items()
            if model is not None and (self._teams is None or model.team in self._teams)
        }

    def _model(self, name: str) -> Model | None:
        if name not in self._models:
            self._models[name] = self._lineage.model(name)
        return self._models[name]

    def _fetch(self, ids: Iterable[str]) -> None:
        """Read the records of nodes, all in one; those that never have one aren't looked for."""
        without = _OPEN | _OWNED_BY.keys() | {"model"}
        missing = [node for node in ids if kind_of(node) not in without and node not in self._stored]
        if missing:
            found = self._lineage.nodes(missing)
            self._stored.update({node: found.get(node) for node in missing})


def of_version(
    lineage: LineageStore,
    model: Model,
    number: int | None,
    question: Question,
    *,
    teams: frozenset[str] | None,
    now: datetime,
) -> Lineage:
    """The lineage of a version; of the champion, or else the newest one, where no number is given.

    Raises
    ------
    NotFound
        When there is no such version.
    MalformedRequest
        For a cursor of another question.
    """
    name = f"lineage {model.name} {number} {question.direction} {question.depth}"
    begun = _begun(question, name)
    if begun is None:
        wanted = number if number is not None else _leading(lineage, model)
    else:
        # The champion may be another one by now; the answer goes on with the one it began with.
        wanted = int(begun.root) if begun.root.isdigit() else 0
    found = lineage.version(model.name, wanted)
    if found is None:
        raise NotFound(f"{model.name!r} has no version {wanted}.")
    start = begun or _Begun(now, str(wanted), None)
    sight = Sight(lineage, teams, start.as_of, home=model.name)
    return _answer(sight, (f"version:{found.digest}",), question, start, name)


def of_digest(
    lineage: LineageStore,
    digest: str,
    question: Question,
    *,
    teams: frozenset[str] | None,
    now: datetime,
) -> Lineage:
    """The lineage of everything that has this digest: a version, its manifest's file, a data set, …

    Raises
    ------
    NotFound
        When nothing has it that the caller may see.
    MalformedRequest
        For a cursor of another question.
    """
    name = f"lineage {digest} {question.direction} {question.depth}"
    start = _begun(question, name) or _Begun(now, digest, None)
    sight = Sight(lineage, teams, start.as_of)
    roots = tuple(node for kind in BY_DIGEST if sight.is_reached(node := f"{kind}:{digest}"))
    if not roots:
        raise NotFound(f"Nothing that you may see has the digest {digest}.")
    return _answer(sight, roots, question, start, name)


@dataclass(frozen=True, slots=True)
class _Begun:
    """Where an answer goes on: as of its first page's moment, behind the last edge of the page before."""

    as_of: datetime
    root: str
    after: tuple[int, Position] | None

    def to_text(self) -> str:
        return json.dumps([text_of(self.as_of), self.root, *(self.after or ())], separators=(",", ":"))


def _begun(question: Question, name: str) -> _Begun | None:
    if question.cursor is None:
        return None
    text = cursors.decode(name, question.cursor, low="", high=LAST)
    try:
        as_of, root, way, (depth, near, relation, far) = json.loads(text)
        begun = _Begun(time_of(as_of), str(root), (int(way), Position(int(depth), near, relation, far)))
        # A cursor that was made by hand may name another version of the model, and no more.
        if not _ROOT.fullmatch(begun.root) or not all(isinstance(p, str) for p in (near, relation, far)):
            raise ValueError(text)
        return replace(begun, as_of=begun.as_of.astimezone(UTC))
    except (ValueError, TypeError, OverflowError, RecursionError) as exc:
        raise MalformedRequest("the cursor isn't one that this list gave; start again without it") from exc


def _answer(sight: Sight, roots: tuple[str, ...], question: Question, start: _Begun, name: str) -> Lineage:
    walks = [
        Walk(roots, way, question.depth, read=sight.read, shown=sight.shown, most=MAX_EDGES)
        for way in question.ways
    ]
    ordered = ((number, step) for number, walk in enumerate(walks) for step in walk)
    after = start.after
    rest = (pair for pair in ordered if after is None or (pair[0], pair[1].position) > after)
    found = list(islice(rest, question.limit + 1))
    shown = found[: question.limit]
    following = None
    if len(found) > question.limit:
        number, step = shown[-1]
        position = replace(start, after=(number, step.position)).to_text()
        following = cursors.encode(name, position)
    steps = tuple(step for _, step in shown)
    ids = chain(roots, (end for step in steps for end in (step.edge.source, step.edge.target)))
    return Lineage(
        roots=roots,
        steps=steps,
        nodes=sight.describe(ids, steps),
        next=following,
        withheld=len(set().union(*(walk.withheld for walk in walks))),
        is_truncated=any(walk.is_truncated for walk in walks),
    )


def _leading(lineage: LineageStore, model: Model) -> int:
    pointer = lineage.pointer(model.name)
    if pointer is not None and pointer.champion is not None:
        return pointer.champion.version
    if not model.versions:
        raise NotFound(f"{model.name!r} has no version yet.")
    return model.versions


def _label(node: str, model: str | None, facts: Facts) -> str:
    kind, key = kind_of(node), key_of(node)
    short = key[:12]
    match kind:
        case "version" if model is not None and "version" in facts:
            return f"{model}/{facts['version']}"
        case "policy" if model is not None and "policy" in facts:
            return f"policy {facts['policy']} of {model}"
        case "dataset":
            return str(facts.get("name") or f"data set {short}")
        case "blob":
            return str(facts.get("file") or f"file {short}")
        case "model":
            return key
    return f"{kind} {short}"
