"""Answers of the lineage routes, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, RootModel

from chalicelib.handlers.schema_types import Name, Schema, Time

NodeId = Annotated[str, Field(description="Kind and key: `version:<digest>`, `reign:<model>/<generation>`")]
Facts = dict[str, str | int | None]


class LineageEdge(Schema):
    """`source` came out of `target`, or belongs to it."""

    source: NodeId
    relation: str
    target: NodeId
    depth: int = Field(ge=1, description="Edges from the roots")
    direction: Literal["ancestry", "impact"] = Field(description="Which way it was come upon")
    at: Time | None
    facts: Facts = Field(description="What the source says of the target: its name, its number, its rows")


class LineageNode(Schema):
    kind: str
    label: str
    model: Name | None = Field(description="A model of one's own that it belongs to")
    team: str | None
    at: Time | None = Field(description="When it came to be known; null for data sets and files")
    facts: Facts


class Lineage(Schema):
    roots: list[NodeId]
    items: list[LineageEdge]
    nodes: dict[str, LineageNode] = Field(description="The roots and the ends of the edges, by id")
    withheld: int = Field(ge=0, description="Nodes come upon so far that are other teams'")
    truncated: bool = Field(description="Whether the walk was broken off after 10,000 edges")
    next: str | None


class OpenLineage(Schema):
    items: list[dict[str, Any]] = Field(description="RunEvents of OpenLineage 2-0-2")
    withheld: int = Field(ge=0)
    truncated: bool


class LineageAnswer(RootModel[Lineage | OpenLineage]):
    """`OpenLineage` with `format=openlineage`."""
