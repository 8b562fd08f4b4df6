"""What the domains need of the world, as protocols; `chalicelib.aws` and the tests' fakes fulfil them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from chalicelib.lineage.alerts import Alert, AlertId, AlertState
from chalicelib.lineage.deliveries import DeliveryAttempt, LastDeliveries
from chalicelib.lineage.ledger import Beat, Counts, HourCounts
from chalicelib.lineage.ledger_items import Hour, LedgerRow, Shard
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


class LineageStore(Protocol):
    """The `lineage` table. Reads of single records are strongly consistent; lists may lag by a moment.

    A read of what isn't there gives None. `commit` raises `LostRace` when a
    condition failed (nothing is written then) and `IdempotencyMismatch` never:
    repeated keys are looked up with `done` first, and a key that was used in
    between makes `commit` raise `LostRace` like any other condition.
    """

    def tick(self) -> Tick | None:
        """Where a replay has put the clock last; None before it has."""
        ...

    def put_tick(self, tick: Tick) -> None:
        """Put the clock; raises `LostRace` when another replay did since `tick.revision` was read."""
        ...

    def model(self, name: str) -> Model | None: ...
    def models(self, *, teams: frozenset[str] | None, limit: int, cursor: str | None) -> Page[Model]:
        """Models by name, of these teams (None: of all). A bad cursor raises `MalformedRequest`."""
        ...

    def version(self, model: str, number: int) -> Version | None: ...
    def versions(self, model: str, *, limit: int, cursor: str | None) -> Page[Version]:
        """Newest first."""
        ...

    def version_by_digest(self, model: str, digest: str) -> Version | None: ...
    def validating(self, *, limit: int, cursor: str | None) -> Page[Version]:
        """Versions of every model in stage ``validating``, oldest first."""
        ...

    def pointer(self, model: str) -> Pointer | None: ...
    def policy(self, model: str, number: int | None = None) -> Policy | None:
        """The policy that holds, or any that was put, by its number."""
        ...

    def led_alias(self, model: str, name: str) -> Led[Alias]:
        """An alias with its model's pointer, in one read."""
        ...

    def led_version(self, model: str, number: int) -> Led[Version]:
        """A version with its model's pointer, in one read."""
        ...

    def alias(self, model: str, name: str) -> Alias | None: ...
    def aliases(self, model: str, *, limit: int, cursor: str | None) -> Page[Alias]:
        """By name; strongly consistent, unlike other lists."""
        ...

    def reign_at(self, model: str, at: datetime) -> Reign | None:
        """The reign that had started by `at` (inclusive), if any had."""
        ...

    def reign_after(self, model: str, at: datetime) -> Reign | None:
        """The first reign that starts after `at`, if any does yet."""
        ...

    def reigns(self, model: str, *, limit: int, cursor: str | None) -> Page[Reign]:
        """Newest first."""
        ...

    def edges(
        self, node: str, *, direction: Literal["from", "to"], limit: int, cursor: str | None
    ) -> Page[Edge]:
        """Edges of the lineage graph that start at a node, or end at it."""
        ...

    def nodes(self, ids: Sequence[str]) -> Mapping[str, Node]:
        """What is known of these nodes, by id."""
        ...

    def team(self, name: str) -> Team:
        """The head of a team's settings, at revision 0 while nothing was ever set."""
        ...

    def change(self, scope: str, number: int) -> Logged | None:
        """A change of a model, or of ``team:<team>``, as it is on record."""
        ...

    def changes(self, scope: str, *, first: int = 1, limit: int, cursor: str | None) -> Page[Logged]:
        """In their order, from number `first` on."""
        ...

    def webhook(self, team: str, webhook_id: str) -> Webhook | None: ...
    def webhooks(self, team: str, *, limit: int, cursor: str | None) -> Page[Webhook]:
        """By age; strongly consistent, unlike other lists."""
        ...

    def alert(self, alert_id: AlertId) -> Alert | None: ...
    def last_alert(self, scope: str, kind: str) -> Alert | None:
        """The last one of its kind about a model or ``team:…``, active or not; strongly consistent."""
        ...

    def alerts(
        self, *, teams: frozenset[str] | None, states: Sequence[AlertState], limit: int, cursor: str | None
    ) -> Page[Alert]:
        """Newest first, of these teams (None: of all) in these states."""
        ...

    def texts(self, ids: frozenset[str]) -> Mapping[str, str]:
        """Names behind pseudonyms and texts behind commitments; erased ones are left out."""
        ...

    def done(self, key: str) -> Done | None: ...
    def commit(self, change: Change[H]) -> H:
        """Write the change, its edges, its idempotency item and its pending audit entry in one transaction.

        Returns the new head. Raises `LostRace` and writes nothing when
        anything that the change was decided on isn't so any more.
        """
        ...


@dataclass(frozen=True, slots=True)
class Upload:
    """A presigned upload: send the bytes with `method` to `url`, with exactly these headers."""

    method: str
    url: str
    headers: Mapping[str, str]
    expires_at: datetime


class ArtifactStore(Protocol):
    """Content-addressed bytes."""

    def size(self, sha256: str) -> int | None:
        """Size in bytes, or None when it was never uploaded."""
        ...

    def presign(self, sha256: str, *, size: int, media_type: str, now: datetime) -> Upload: ...
    def read(self, sha256: str, *, limit: int) -> bytes:
        """The bytes, digest checked.

        Raises `ArtifactMissing`, `PayloadTooLarge` above `limit` bytes (nothing
        is downloaded then) or `IntegrityError`.
        """
        ...

    def write(self, content: bytes, *, media_type: str) -> str:
        """Store bytes under their SHA-256, which is returned."""
        ...


class Queue(Protocol):
    """At least once, in no order."""

    def send(self, body: str) -> None: ...


class DeliveryQueue(Queue, Protocol):
    """Messages of `outbox.messages`, each for one target."""

    def postpone(self, receipt: str, seconds: int) -> None:
        """Let a message that was received come again after so long, and no sooner."""
        ...


@dataclass(frozen=True, slots=True)
class Letter:
    """A message out of a queue, whose `receipt` deletes it; `sent_at` is when it was first sent."""

    body: str
    receipt: str
    id: str = ""
    sent_at: datetime | None = None


class Gauge(Protocol):
    """How full the stage's queues are."""

    def waiting(self) -> Mapping[str, int]:
        """Messages that nobody is at, about, by the queue's name (``telemetry-dead-letters``)."""
        ...


class DeadLetters(Protocol):
    """Messages that were tried for the last time."""

    def count(self) -> int:
        """About how many there are, those that somebody is just receiving among them."""
        ...

    def receive(self) -> Sequence[Letter]:
        """Up to 10 that nobody received in the last half minute; none when there are no more."""
        ...

    def delete(self, receipt: str) -> None: ...
    def release(self, receipt: str) -> None:
        """Let others receive it again."""
        ...


class Announcer(Protocol):
    """A bus or a topic that events are published on."""

    def publish(self, event: Mapping[str, Any]) -> None:
        """Raises `Unavailable` unless the event was taken."""
        ...


class Deliveries(Protocol):
    """How deliveries to webhooks went lately."""

    def note(self, webhook: Webhook, attempt: DeliveryAttempt) -> None: ...
    def last(self, webhook: Webhook) -> LastDeliveries: ...


class Spool(Protocol):
    """Objects under ``spool/`` of the lake: what is too large for a queue message."""

    def write(self, key: str, content: bytes) -> None: ...


class Sealer(Protocol):
    """Encrypts for whoever holds the stage's telemetry key."""

    def seal(self, content: bytes) -> str:
        """Text that only `unseal` makes sense of."""
        ...


class SpoolReader(Protocol):
    """The spool from its other end."""

    def unsent(self, limit: int) -> Sequence[str]:
        """Keys of records that no message names yet, at most `limit` of them."""
        ...

    def read(self, key: str) -> bytes | None:
        """None when it isn't there (any more)."""
        ...

    def delete(self, key: str) -> None: ...


class Lake(Protocol):
    """Objects under ``rows/`` of the lake; keys are whole."""

    def write(self, key: str, content: bytes) -> None: ...
    def read(self, key: str) -> bytes | None: ...
    def keys(self, prefix: str) -> Iterator[str]:
        """The keys that begin with `prefix`, which ends with a slash, a page at a time."""
        ...


class Ledger(Protocol):
    """Predictions and their counts; see `lineage.ledger.TableLedger`."""

    retention: timedelta

    def add(self, rows: Sequence[LedgerRow], shard: Shard) -> None:
        """Both or neither; raises `NotCounted` when neither."""
        ...

    def known(self, model: str, ids: Sequence[str]) -> frozenset[str]: ...
    def rows(self, model: str, ids: Sequence[str]) -> Mapping[str, LedgerRow]: ...
    def row(self, model: str, row_id: str) -> LedgerRow | None: ...
    def shard(self, hour: Hour, number: int, *, known_on: str | None) -> Shard | None: ...
    def is_closed(self, hour: Hour) -> bool: ...
    def close(self, hour: Hour, at: datetime) -> bool: ...
    def waiting(self, start: datetime) -> Iterator[Hour]: ...
    def shards(self, hour: Hour) -> Sequence[Shard]: ...
    def put_merged(self, hour: Hour, content: bytes) -> None: ...
    def hour(self, hour: Hour) -> HourCounts: ...
    def mend(self, hour: Hour, content: bytes, revision: int, wrong: Sequence[Shard]) -> None: ...
    def counts(self, model: str, version: int, day: str) -> Iterator[Counts]: ...
    def cursor(self) -> tuple[datetime, int] | None: ...
    def move_cursor(self, start: datetime, revision: int) -> bool: ...
    def beat(self, function: str, at: datetime, lag_s: int) -> None: ...
    def last_beat(self, function: str) -> Beat | None: ...
    def memory(self, model: str) -> tuple[bytes, int] | None: ...
    def put_memory(self, model: str, content: bytes, revision: int) -> bool: ...


class Pseudonyms(Protocol):
    """Keyed, one-way names (HMAC-SHA256 under the stage's pepper), lower-case hex."""

    def actor(self, name: str) -> str: ...
    def subject(self, subject_id: str) -> str: ...
    def commitment(self, text: str) -> str: ...
    def webhook_secret(self, webhook_id: str, rotation: int) -> str:
        """What deliveries are signed with: ``whsec_`` and base64 of 32 bytes (Standard Webhooks)."""
        ...


class LogObjects(Protocol):
    """The transparency log's files, by path. Nothing that `put_new` wrote is ever written again."""

    def read(self, path: str) -> bytes | None:
        """The bytes, None when there are none."""
        ...

    def read_tagged(self, path: str) -> tuple[bytes, str] | None:
        """The bytes with the tag that `swap` asks for."""
        ...

    def put_new(self, path: str, content: bytes) -> bool:
        """Write unless something is there; whether it was written."""
        ...

    def swap(self, path: str, content: bytes, *, tag: str | None) -> bool:
        """Write over what was read under `tag` (None: nothing was there); whether it still was so."""
        ...


class LogSigner(Protocol):
    """The key that signs checkpoints: Ed25519."""

    def public_key(self) -> bytes:
        """32 bytes."""
        ...

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        ...
