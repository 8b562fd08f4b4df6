"""Items of the record: changes, the lineage graph, and what a team sets for itself (see `items`)."""

from __future__ import annotations

from chalicelib.lineage.items import META, Item, head_pk, text_of, time_of
from chalicelib.lineage.records import TEAM_SCOPE, Edge, Logged, Node, Team, Webhook

AUDIT_PENDING = "AUDIT#PENDING"
NODE = "NODE"
CHANGES, EDGES, WEBHOOKS = "CHANGE#", "EDGE#", "WEBHOOK#"


def scope_of(pk: str) -> str:
    """A head's name by its partition: `items.head_pk` the other way round."""
    kind, _, name = pk.partition("#")
    return TEAM_SCOPE + name if kind == "TEAM" else name


def change_sk(number: int) -> str:
    return f"{CHANGES}{number:010d}"


def webhook_sk(webhook_id: str) -> str:
    return f"{WEBHOOKS}{webhook_id}"


def node_pk(node: str) -> str:
    return f"NODE#{node}"


def team_item(team: Team) -> Item:
    return {
        "pk": head_pk(team.name),
        "sk": META,
        "kind": "team",
        "team": team.team,
        "changes": team.changes,
        "revision": team.revision,
    }


def team_from(item: Item) -> Team:
    return Team(item["team"], item["changes"], item["revision"])


def logged_item(logged: Logged) -> Item:
    return {
        "pk": head_pk(logged.scope),
        "sk": change_sk(logged.number),
        "kind": "change",
        "scope": logged.scope,
        "number": logged.number,
        "team": logged.team,
        "entry": logged.entry,
        "result": dict(logged.result),
    }


def logged_from(item: Item) -> Logged:
    """`index` is there once the notary has marked the item with it."""
    return Logged(
        scope=item["scope"],
        number=item["number"],
        team=item["team"],
        entry=item["entry"],
        result=item["result"],
        index=item.get("index"),
    )


def pending_item(entry_id: str, logged: Logged) -> Item:
    return {
        "pk": AUDIT_PENDING,
        "sk": entry_id,
        "kind": "audit",
        "entry": logged.entry,
        "scope": logged.scope,
        "number": logged.number,
    }


def edge_item(edge: Edge, *, at: str) -> Item:
    return {
        "pk": node_pk(edge.source),
        "sk": f"{EDGES}{edge.relation}#{edge.target}",
        "kind": "edge",
        "ipk": node_pk(edge.target),
        "isk": f"{EDGES}{edge.relation}#{edge.source}",
        "source": edge.source,
        "relation": edge.relation,
        "target": edge.target,
        "at": at,
        **({"facts": dict(edge.facts)} if edge.facts else {}),
    }


def edge_from(item: Item) -> Edge:
    return Edge(item["source"], item["relation"], item["target"], time_of(item["at"]), item.get("facts", {}))


def node_item(node: Node) -> Item:
    return {
        "pk": node_pk(node.id),
        "sk": NODE,
        "kind": "node",
        "id": node.id,
        "of": node.kind,
        "label": node.label,
        "at": text_of(node.at),
        "model": node.model,
        "team": node.team,
        "facts": dict(node.facts),
    }


def node_from(item: Item) -> Node:
    return Node(
        id=item["id"],
        kind=item["of"],
        label=item["label"],
        at=time_of(item["at"]),
        model=item["model"],
        team=item["team"],
        facts=item["facts"],
    )


def webhook_item(webhook: Webhook) -> Item:
    return {
        "pk": head_pk(webhook.model),
        "sk": webhook_sk(webhook.id),
        "kind": "webhook",
        "id": webhook.id,
        "team": webhook.team,
        "url": webhook.url,
        "created_at": text_of(webhook.created_at),
        "created_by": webhook.created_by,
        "events": list(webhook.events),
        "models": list(webhook.models),
        "description": webhook.description,
        "severity": webhook.severity,
        "enabled": webhook.enabled,
        "rotation": webhook.rotation,
        "rotated_at": None if webhook.rotated_at is None else text_of(webhook.rotated_at),
        "revision": webhook.revision,
    }


def webhook_from(item: Item) -> Webhook:
    return Webhook(
        id=item["id"],
        team=item["team"],
        url=item["url"],
        created_at=time_of(item["created_at"]),
        created_by=item["created_by"],
        events=tuple(item["events"]),
        models=tuple(item["models"]),
        description=item["description"],
        severity=item.get("severity", "info"),
        enabled=item["enabled"],
        rotation=item["rotation"],
        rotated_at=None if item["rotated_at"] is None else time_of(item["rotated_at"]),
        revision=item["revision"],
    )
