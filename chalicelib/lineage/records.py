"""The control plane's records: frozen, plain, and ignorant of where they are kept.

Every record that can change carries a `revision`, counting up from 1; a write
names the revision that it replaces, and that is the whole of the optimistic
concurrency. Times are aware UTC datetimes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from chalicelib.lineage.alerts import Alert, Severity
from tiltyard.contract.signature import Task

Stage = Literal["validating", "candidate", "challenger", "champion", "retired", "rejected", "archived"]

T = TypeVar("T")

TEAM_SCOPE = "team:"
"""Before a team's name in audit entries; no model's name holds a colon."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list; `next` is an opaque cursor, None on the last page."""

    items: tuple[T, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """A model's head record.

    `changes` is the number of the model's last change (audit entries carry it,
    without gaps) and `versions` the number of its last version.
    """

    name: str
    team: str
    task: Task
    owner: str
    created_at: datetime
    description: str = ""
    changes: int = 0
    versions: int = 0
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Team:
    """A team's head record: its own settings (webhooks) change under it, one after the other.

    Made by the first change. `changes` counts like a model's.
    """

    team: str
    changes: int = 0
    revision: int = 0

    @property
    def name(self) -> str:
        """What audit entries call it: ``team:airport``."""
        return TEAM_SCOPE + self.team


@dataclass(frozen=True, slots=True)
class Blob:
    """A content-addressed file: lower-case hex SHA-256 and size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Examination:
    """What the examiner found; `memory_bytes` is the measured size of a loaded session."""

    at: datetime
    accepted: bool
    reasons: tuple[str, ...] = ()
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Version:
    """An immutable bundle under a number that is never used again.

    `digest` is the SHA-256 of the canonical manifest (RFC 8785); `files` are the
    bundle's files by name, the manifest included; `registered_by` is an actor's
    pseudonym. `retried_at` is when a rejected version was last handed in again,
    and its examination began anew; `archived_from` the stage that an archived one
    had, and goes back to.
    """

    model: str
    number: int
    digest: str
    stage: Stage
    files: Mapping[str, Blob]
    registered_at: datetime
    registered_by: str
    description: str = ""
    examination: Examination | None = None
    retried_at: datetime | None = None
    archived_from: Stage | None = None
    revision: int = 0

    @property
    def waiting_since(self) -> datetime:
        """When its last examination was asked for."""
        return self.retried_at or self.registered_at


@dataclass(frozen=True, slots=True)
class Target:
    """All that a predictor needs to know of a version, so that an alias is one read."""

    version: int
    digest: str
    files: Mapping[str, Blob]
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class PolicyCopy:
    """What a predictor needs of a policy: `document` is its canonical JSON (RFC 8785), as text.

    Text, for items hold no fractions, and its digest is over these very bytes.
    """

    number: int
    digest: str
    document: str


@dataclass(frozen=True, slots=True)
class Policy:
    """A model's policy under a number that is never used again, counting up from 1.

    `put_by` is an actor's pseudonym. The one that holds is replaced; all are kept.
    """

    model: str
    number: int
    digest: str
    document: str
    put_at: datetime
    put_by: str
    revision: int = 0

    @property
    def copy(self) -> PolicyCopy:
        return PolicyCopy(self.number, self.digest, self.document)


@dataclass(frozen=True, slots=True)
class Pointer:
    """Who answers for ``name`` and by which policy: one item, complete, at most 16 KB.

    `generation` counts promotions and rollbacks; `started_at` is the start of the
    champion's reign; `policy` is None while none was ever put.
    """

    model: str
    team: str
    champion: Target | None = None
    started_at: datetime | None = None
    generation: int = 0
    policy: PolicyCopy | None = None
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Alias:
    """A user's own name for one version: ``name@alias``.

    A pinned one neither moves nor goes until it is unpinned. Its `revision` starts
    at the number of the change that makes it, so that no ETag of an alias that was
    deleted comes back with a new one of that name.
    """

    model: str
    team: str
    name: str
    target: Target
    pinned: bool = False
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Reign:
    """A champion's period; it ends where the next one starts, so there is no gap and no overlap.

    `approved_by` is an actor's pseudonym, `reason` the keyed commitment of the
    reason's text. `change` is the number of the model's change that began it (filled
    in by the store): by it the reign is found in the audit log.
    """

    model: str
    started_at: datetime
    generation: int
    version: int
    digest: str
    approved_by: str
    reason: str
    action: Literal["promote", "rollback"]
    change: int = 0


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A caller's key, already bound to who called what: `key` is a digest of (actor, method, path, header).

    `body` is the SHA-256 of the request's body.
    """

    key: str
    body: str


@dataclass(frozen=True, slots=True)
class Done:
    """What a key was used for: `result` refers to the record that the change made."""

    key: str
    body: str
    result: Mapping[str, Any]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Edge:
    """`source` —`relation`→ `target`, read both ways: `source` came out of `target`, or belongs to it.

    The ends are node ids: ``dataset:<digest>``, ``run:<id>``, ``version:<digest>``, ``blob:<sha256>``,
    ``reign:<model>/<generation>``, ``policy:<digest>``, ``model:<name>``. `at` is the time of the change
    that wrote it (filled in by the store), `facts` what `source` says of `target`: its name, its number.
    """

    source: str
    relation: str
    target: str
    at: datetime | None = None
    facts: Mapping[str, str | int | None] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Node:
    """What an end of an edge is, for people: written in the change that first names it.

    `kind` is what stands before the colon of `id`. `team` says who may see it
    (None: whoever knows a way to it), and `facts` are a few small values to show;
    both follow from the id, so that writing a node twice changes nothing.
    """

    id: str
    kind: str
    label: str
    at: datetime
    model: str | None = None
    team: str | None = None
    facts: Mapping[str, str | int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Webhook:
    """An address that hears of a team's changes.

    `events` are actions (``champion.promote``) or groups of them (``champion.*``),
    `models` the models meant; empty means all. Of alerts those of `severity` and
    above are sent. Its secret follows from `id`,
    `rotation` and the stage's pepper, and is kept nowhere; for a while after
    `rotated_at` the one before it holds, too. `created_by` is an actor's pseudonym.
    """

    id: str
    team: str
    url: str
    created_at: datetime
    created_by: str
    events: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    description: str = ""
    severity: Severity = "info"
    enabled: bool = True
    rotation: int = 1
    rotated_at: datetime | None = None
    revision: int = 0

    @property
    def model(self) -> str:
        """The head that it changes under."""
        return TEAM_SCOPE + self.team


@dataclass(frozen=True, slots=True)
class Logged:
    """A change as it is on record: what a model's history lists and what is announced.

    `scope` is the model's name or ``team:<team>``; `entry` the canonical bytes of
    the audit entry; `result` what the change came to. `index` is its place in the
    transparency log, None until the notary has put it there.
    """

    scope: str
    number: int
    team: str
    entry: bytes
    result: Mapping[str, Any]
    index: int | None = None


class Led(NamedTuple, Generic[T]):
    """A record with the pointer of its model, which knows the team and the policy."""

    pointer: Pointer | None
    record: T | None


Head = Model | Team
H = TypeVar("H", bound=Model | Team)


@dataclass(frozen=True, slots=True)
class Attempt:
    """Who is trying to change something, and when.

    `actor` is the pseudonym of `name`; `role` the role that the right comes from.
    """

    actor: str
    name: str
    role: str
    at: datetime
    request_id: str
    idempotency: IdempotencyKey | None = None


@dataclass(frozen=True, slots=True)
class Put:
    """Write `record`, whose `revision` is still the one it was read at.

    The store writes ``revision + 1`` on the condition that the stored one is
    `revision` (0: that there is none). A new alias is written at the number of
    the change instead.
    """

    record: Model | Version | Pointer | Policy | Alias | Webhook | Alert


@dataclass(frozen=True, slots=True)
class Append:
    """Write an immutable record that must not be there yet."""

    record: Reign


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete `record` on the condition that the stored revision is the one it was read at."""

    record: Alias | Webhook


@dataclass(frozen=True, slots=True)
class Change(Generic[H]):
    """One change of one model, or of a team's settings: all of it is committed, or none.

    `model` is the head as it was read (revision 0 for a new one) with its new
    values; the store gives it the next change number, and that condition makes
    changes of a head one after the other. `action` is a verb of the domain
    (``version.register``), `object` the digest or id of what changed, `before`
    and `after` digests of its state. `reason` is free text of a person: only its
    commitment reaches the log. `result` is what a repeated idempotency key
    refers to.
    """

    model: H
    attempt: Attempt
    action: str
    object: str
    before: str | None
    after: str | None
    writes: tuple[Put | Append | Remove, ...] = ()
    edges: tuple[Edge, ...] = ()
    nodes: tuple[Node, ...] = ()
    reason: str | None = None
    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tick:
    """A replay put the clock `to` this time when it was `put_at` in reality; `revision` counts ticks."""

    to: datetime
    put_at: datetime
    revision: int

    def at(self, real: datetime) -> datetime:
        """The clock's time at a real one: it goes on from where it was put."""
        return self.to + max(real - self.put_at, timedelta(0))
