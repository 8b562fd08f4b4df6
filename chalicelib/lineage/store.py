"""Reads and commits of the `lineage` table, over anything that keeps items.

`TableLineage` fulfils the `LineageStore` port. All that depends on where the
items are is in `Table`: the same reads and the same plans run in memory and on
DynamoDB, and one contract suite holds for both.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Literal, Protocol, TypeVar

from chalicelib.lineage import alert_items, cursors, items, record_items, tables
from chalicelib.lineage.alerts import Alert, AlertId, AlertState
from chalicelib.lineage.ids import RANDOM_BYTES, uuid7
from chalicelib.lineage.items import Item, Key
from chalicelib.lineage.records import (
    Alias,
    Change,
    Done,
    Edge,
    H,
    Led,
    Logged,
    Model,
    Node,
    Page,
    Pointer,
    Policy,
    Reign,
    Team,
    Tick,
    Version,
    Webhook,
)
from chalicelib.lineage.tables import IndexName
from chalicelib.lineage.writes import Absent, AtRevision, Operation, PutItem, plan

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rows:
    """A range of one partition, by sort key; both ends belong to it."""

    pk: str
    low: str
    high: str
    index: IndexName | None = None
    newest_first: bool = False
    is_consistent: bool = False


class Table(Protocol):
    """Items under two keys, and conditional writes of many at once."""

    def get(self, key: Key) -> Item | None:
        """Strongly consistent."""
        ...

    def get_many(self, keys: Sequence[Key]) -> list[Item]:
        """Those that are there, in no order; strongly consistent."""
        ...

    def query(self, rows: Rows, *, limit: int) -> list[Item]:
        """The first `limit` of the range, fewer only at its end."""
        ...

    def transact(self, operations: Sequence[Operation]) -> None:
        """All or none. Raises `LostRace` when a condition doesn't hold."""
        ...


class Commitments(Protocol):
    def commitment(self, text: str) -> str: ...


def real_time() -> datetime:
    return datetime.now(UTC)


class TableLineage:
    """The `LineageStore` port over a table.

    `clock` is real time, whatever time the changes themselves carry: it orders
    pending audit entries and expires idempotency keys.
    """

    def __init__(
        self,
        table: Table,
        commitments: Commitments,
        *,
        clock: Callable[[], datetime] = real_time,
        randomness: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._table = table
        self._commitments = commitments
        self._clock = clock
        self._randomness = randomness

    def tick(self) -> Tick | None:
        item = self._table.get(items.CLOCK_KEY)
        return None if item is None else items.tick_from(item)

    def put_tick(self, tick: Tick) -> None:
        condition = Absent() if tick.revision == 1 else AtRevision(tick.revision - 1)
        self._table.transact([PutItem(items.tick_item(tick), condition)])

    def model(self, name: str) -> Model | None:
        item = self._table.get(Key(items.model_pk(name), items.META))
        return None if item is None else items.model_from(item)

    def models(self, *, teams: frozenset[str] | None, limit: int, cursor: str | None) -> Page[Model]:
        """By name. One query a team, so the cost grows with what is found and not with what others have."""
        if teams is None:
            parts = [Rows(items.ALL_MODELS, items.FIRST, items.LAST, index="inverse")]
        else:
            mine = (items.team_models(team) for team in sorted(teams))
            parts = [Rows(pk, items.FIRST, items.LAST, index="listing") for pk in mine]
        return self._page("models", parts, "isk", items.model_from, limit=limit, cursor=cursor)

    def version(self, model: str, number: int) -> Version | None:
        item = self._table.get(Key(items.model_pk(model), items.version_sk(number)))
        return None if item is None else items.version_from(item)

    def versions(self, model: str, *, limit: int, cursor: str | None) -> Page[Version]:
        rows = _of_model(model, "VERSION#", newest_first=True)
        return self._page(f"versions {model}", [rows], "sk", items.version_from, limit=limit, cursor=cursor)

    def version_by_digest(self, model: str, digest: str) -> Version | None:
        """Two reads at most; a digest's number never changes, so nothing can come between them."""
        item = self._table.get(Key(items.model_pk(model), items.digest_sk(digest)))
        return None if item is None else self.version(model, item["number"])

    def validating(self, *, limit: int, cursor: str | None) -> Page[Version]:
        rows = Rows(items.VALIDATING, items.FIRST, items.LAST, index="listing")
        return self._page("validating", [rows], "lsk", items.version_from, limit=limit, cursor=cursor)

    def pointer(self, model: str) -> Pointer | None:
        item = self._table.get(Key(items.model_pk(model), items.POINTER))
        return None if item is None else items.pointer_from(item)

    def policy(self, model: str, number: int | None = None) -> Policy | None:
        """The policy that holds, or any that was put."""
        sk = items.POLICY if number is None else items.policy_sk(number)
        item = self._table.get(Key(items.model_pk(model), sk))
        return None if item is None else items.policy_from(item)

    def led_alias(self, model: str, name: str) -> Led[Alias]:
        """An alias with its model's pointer, in one read."""
        return self._led(model, items.alias_sk(name), items.alias_from)

    def led_version(self, model: str, number: int) -> Led[Version]:
        """A version with its model's pointer, in one read."""
        return self._led(model, items.version_sk(number), items.version_from)

    def alias(self, model: str, name: str) -> Alias | None:
        item = self._table.get(Key(items.model_pk(model), items.alias_sk(name)))
        return None if item is None else items.alias_from(item)

    def aliases(self, model: str, *, limit: int, cursor: str | None) -> Page[Alias]:
        # Consistent: a move to another team rewrites them all, and must not miss the last one.
        rows = replace(_of_model(model, "ALIAS#"), is_consistent=True)
        return self._page(f"aliases {model}", [rows], "sk", items.alias_from, limit=limit, cursor=cursor)

    def reign_at(self, model: str, at: datetime) -> Reign | None:
        started = _of_model(model, "REIGN#", newest_first=True)
        rows = replace(started, high=items.reign_sk(at), is_consistent=True)
        found = self._table.query(rows, limit=1)
        return items.reign_from(found[0]) if found else None

    def reign_after(self, model: str, at: datetime) -> Reign | None:
        # Times are kept to the millisecond, so a reign that starts at this one is not after it.
        start = items.reign_sk(at)
        rows = replace(_of_model(model, "REIGN#"), low=start, is_consistent=True)
        later = [item for item in self._table.query(rows, limit=2) if item["sk"] != start]
        return items.reign_from(later[0]) if later else None

    def reigns(self, model: str, *, limit: int, cursor: str | None) -> Page[Reign]:
        rows = _of_model(model, "REIGN#", newest_first=True)
        return self._page(f"reigns {model}", [rows], "sk", items.reign_from, limit=limit, cursor=cursor)

    def edges(
        self, node: str, *, direction: Literal["from", "to"], limit: int, cursor: str | None
    ) -> Page[Edge]:
        """Edges that start at a node, or end at it."""
        index: IndexName | None = None if direction == "from" else "inverse"
        sort_key = tables.INDEX_KEYS[index][1]
        prefix = record_items.EDGES
        rows = Rows(record_items.node_pk(node), prefix, prefix + items.LAST, index=index)
        name = f"edges {direction} {node}"
        return self._page(name, [rows], sort_key, record_items.edge_from, limit=limit, cursor=cursor)

    def nodes(self, ids: Sequence[str]) -> Mapping[str, Node]:
        """What is known of these nodes, by id."""
        keys = [Key(record_items.node_pk(i), record_items.NODE) for i in dict.fromkeys(ids)]
        found = (record_items.node_from(item) for item in self._table.get_many(keys))
        return {node.id: node for node in found}

    def team(self, name: str) -> Team:
        """The head of a team's settings, at revision 0 while nothing was ever set."""
        item = self._table.get(Key(items.head_pk(Team(name).name), items.META))
        return Team(name) if item is None else record_items.team_from(item)

    def change(self, scope: str, number: int) -> Logged | None:
        item = self._table.get(Key(items.head_pk(scope), record_items.change_sk(number)))
        return None if item is None else record_items.logged_from(item)

    def changes(self, scope: str, *, first: int = 1, limit: int, cursor: str | None) -> Page[Logged]:
        """Changes on record of a model or ``team:<team>``, in their order, from number `first` on."""
        rows = Rows(items.head_pk(scope), record_items.change_sk(first), record_items.CHANGES + items.LAST)
        name = f"changes {scope} {first}"
        return self._page(name, [rows], "sk", record_items.logged_from, limit=limit, cursor=cursor)

    def webhook(self, team: str, webhook_id: str) -> Webhook | None:
        item = self._table.get(Key(items.head_pk(Team(team).name), record_items.webhook_sk(webhook_id)))
        return None if item is None else record_items.webhook_from(item)

    def webhooks(self, team: str, *, limit: int, cursor: str | None) -> Page[Webhook]:
        """By id, which is by age."""
        pk, prefix = items.head_pk(Team(team).name), record_items.WEBHOOKS
        rows = Rows(pk, prefix, prefix + items.LAST, is_consistent=True)
        name = f"webhooks {team}"
        return self._page(name, [rows], "sk", record_items.webhook_from, limit=limit, cursor=cursor)

    def alert(self, alert_id: AlertId) -> Alert | None:
        sk = alert_items.alert_sk(alert_id.kind, alert_id.number)
        item = self._table.get(Key(items.head_pk(alert_id.scope), sk))
        return None if item is None else alert_items.alert_from(item)

    def last_alert(self, scope: str, kind: str) -> Alert | None:
        """The last one of its kind, active or not; strongly consistent."""
        prefix = alert_items.alerts_of(kind)
        pk = items.head_pk(scope)
        rows = Rows(pk, prefix, prefix + items.LAST, newest_first=True, is_consistent=True)
        found = self._table.query(rows, limit=1)
        return alert_items.alert_from(found[0]) if found else None

    def alerts(
        self, *, teams: frozenset[str] | None, states: Sequence[AlertState], limit: int, cursor: str | None
    ) -> Page[Alert]:
        """Newest first, of these teams (None: of all) in these states."""
        index: IndexName = "inverse" if teams is None else "listing"
        whose: list[str | None] = [None] if teams is None else [*sorted(teams)]
        parts = [
            Rows(
                alert_items.team_alerts(team, state), items.FIRST, items.LAST, index=index, newest_first=True
            )
            for team in whose
            for state in states
        ]
        sort_key = tables.INDEX_KEYS[index][1]
        name = f"alerts {' '.join(states)}"
        return self._page(name, parts, sort_key, alert_items.alert_from, limit=limit, cursor=cursor)

    def texts(self, ids: frozenset[str]) -> Mapping[str, str]:
        keys = {key: i for i in ids for key in (items.actor_key(i), items.reason_key(i))}
        found = self._table.get_many(list(keys))
        return {keys[items.key_of(item)]: item["text"] for item in found}

    def done(self, key: str) -> Done | None:
        item = self._table.get(items.idempotency_key(key))
        if item is None:
            return None
        done = items.done_from(item)
        return done if self._clock() < done.expires_at else None

    def commit(self, change: Change[H]) -> H:
        now = self._clock()
        planned = plan(
            change,
            now=now,
            entry_id=uuid7(now, self._randomness(RANDOM_BYTES)),
            commitment=None if change.reason is None else self._commitments.commitment(change.reason),
        )
        self._table.transact(planned.operations)
        return planned.head

    def _led(self, model: str, sk: str, record: Callable[[Item], T]) -> Led[T]:
        pk = items.model_pk(model)
        found = {item["sk"]: item for item in self._table.get_many([Key(pk, items.POINTER), Key(pk, sk)])}
        pointer, item = found.get(items.POINTER), found.get(sk)
        return Led(
            None if pointer is None else items.pointer_from(pointer), None if item is None else record(item)
        )

    def _page(
        self,
        name: str,
        parts: Sequence[Rows],
        sort_key: str,
        record: Callable[[Item], T],
        *,
        limit: int,
        cursor: str | None,
    ) -> Page[T]:
        """A page of a list that is the ordered union of `parts`; one row more tells of a next page."""
        after = None
        if parts and cursor is not None:
            after = cursors.decode(name, cursor, low=parts[0].low, high=parts[0].high)
        found = (self._after(rows, after, sort_key, limit=limit + 1) for rows in parts)
        newest_first = any(rows.newest_first for rows in parts)
        ordered = heapq.merge(*found, key=lambda item: str(item[sort_key]), reverse=newest_first)
        page = list(islice(ordered, limit + 1))
        following = cursors.encode(name, page[limit - 1][sort_key]) if len(page) > limit else None
        return Page(tuple(record(item) for item in page[:limit]), following)

    def _after(self, rows: Rows, after: str | None, sort_key: str, *, limit: int) -> Iterable[Item]:
        if after is None:
            return self._table.query(rows, limit=limit)
        rest = replace(rows, high=after) if rows.newest_first else replace(rows, low=after)
        # Ranges hold both ends, and the row at the cursor was on the page before (it may be gone since).
        found = self._table.query(rest, limit=limit + 1)
        return [item for item in found if item[sort_key] != after][:limit]


def _of_model(model: str, prefix: str, *, newest_first: bool = False) -> Rows:
    return Rows(items.model_pk(model), prefix, prefix + items.LAST, newest_first=newest_first)
