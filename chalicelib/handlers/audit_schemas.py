"""Answers of the audit routes, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from chalicelib.handlers.schema_types import Schema, Time

Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="SHA-256, lower-case hexadecimal")]
Index = Annotated[int, Field(ge=0)]


class AuditEntry(Schema):
    """One change; the leaf hash is over its canonical JSON (RFC 8785)."""

    format: int
    id: str
    time: Time
    model: str = Field(description="The model's name, or `team:<team>` for a team's own settings")
    change: int = Field(ge=1, description="Counts up from 1 without gaps")
    actor: Hash = Field(description="A pseudonym")
    role: str
    action: str
    object: str
    before: str | None
    after: str | None
    reason: Hash | None = Field(description="A keyed commitment")
    request_id: str


class LoggedEntry(Schema):
    index: Index | None = Field(description="Its place in the log; null while it waits for it")
    leaf_hash: Hash
    entry: AuditEntry
    actor: str | None = Field(description="The name behind the pseudonym, unless it was erased")
    reason: str | None = Field(description="The text behind the commitment, unless it was erased")


class AuditPage(Schema):
    items: list[LoggedEntry]
    next: str | None


class Checkpoint(Schema):
    origin: str
    size: Index
    root: Hash
    note: str = Field(description="The signed note (C2SP tlog-checkpoint)")
    key: str = Field(description="The verifier key: name+id+key")


class InclusionProof(Schema):
    index: Index
    size: Index
    leaf_hash: Hash
    root: Hash
    proof: list[Hash]


class ConsistencyProof(Schema):
    first: Index
    second: Index
    root_1: Hash
    root_2: Hash
    proof: list[Hash]
