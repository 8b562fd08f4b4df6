"""The service in one process: ports in memory, our own issuer, and a client that acts as API Gateway."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from chalice.test import Client
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chalicelib.bootstrap import Container, replaced, utc_now
from chalicelib.handlers.authorizer import Unauthorized
from chalicelib.lineage.deliveries import TableDeliveries
from chalicelib.lineage.ledger import TableLedger
from chalicelib.lineage.log import TableLog
from chalicelib.lineage.memory import MemoryLineage, MemoryTable
from chalicelib.lineage.pseudonyms import KeyedPseudonyms
from chalicelib.lineage.records import Change, Examination, Put, Version
from chalicelib.ports import Letter, Upload
from chalicelib.settings import Issuer, Settings
from tiltyard.errors import ArtifactMissing, IntegrityError, PayloadTooLarge, Unavailable
from tiltyard.runtime.bundle import Bundle

ISSUER = "https://issuer.example"
AUDIENCE = "tiltyard"
KEY_ID = "key-1"


class MemoryArtifacts:
    """An `ArtifactStore` in memory."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}

    def size(self, sha256: str) -> int | None:
        content = self.stored.get(sha256)
        return None if content is None else len(content)

    def presign(self, sha256: str, *, size: int, media_type: str, now: datetime) -> Upload:
        return Upload(
            "PUT",
            f"https://artifacts.example/{sha256}",
            {"content-type": media_type, "content-length": str(size)},
            now + timedelta(minutes=15),
        )

    def read(self, sha256: str, *, limit: int) -> bytes:
        content = self.stored.get(sha256)
        if content is None:
            raise ArtifactMissing(f"{sha256} was never uploaded.")
        if len(content) > limit:
            raise PayloadTooLarge(f"{sha256} has {len(content)} bytes, the limit is {limit}.")
        if hashlib.sha256(content).hexdigest() != sha256:
            raise IntegrityError(f"{sha256} has other bytes.")
        return content

    def write(self, content: bytes, *, media_type: str) -> str:
        digest = hashlib.sha256(content).hexdigest()
        self.stored[digest] = content
        return digest


class MemoryQueue:
    """A `Queue` in memory; `breaks` makes it fail."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.breaks = False

    def send(self, body: str) -> None:
        if self.breaks:
            raise ConnectionError("the queue is away")
        self.sent.append(body)


class MemoryDeliveryQueue(MemoryQueue):
    """A `DeliveryQueue` in memory; after `breaks_after` more messages it fails."""

    def __init__(self) -> None:
        super().__init__()
        self.breaks_after: int | None = None
        self.postponed: list[tuple[str, int]] = []

    def send(self, body: str) -> None:
        if self.breaks_after is not None:
            if self.breaks_after == 0:
                raise ConnectionError("the queue went away")
            self.breaks_after -= 1
        super().send(body)

    def postpone(self, receipt: str, seconds: int) -> None:
        self.postponed.append((receipt, seconds))


class MemoryGauge:
    """A `Gauge` that says what it is told."""

    def __init__(self) -> None:
        self.found: dict[str, int] = {}

    def waiting(self) -> Mapping[str, int]:
        return self.found


class MemoryDeadLetters:
    """`DeadLetters` in memory: what is received stays hidden until it is released."""

    def __init__(self) -> None:
        self.bodies: dict[str, str] = {}
        self.added = 0
        self.hidden: set[str] = set()

    def add(self, body: str) -> None:
        self.bodies[str(self.added)] = body
        self.added += 1

    def count(self) -> int:
        return len(self.bodies)

    def receive(self) -> Sequence[Letter]:
        found = [receipt for receipt in self.bodies if receipt not in self.hidden][:10]
        self.hidden.update(found)
        sent_at = datetime(2026, 2, 1, 6, 15, tzinfo=UTC)
        return [Letter(self.bodies[receipt], receipt, f"id-{receipt}", sent_at) for receipt in found]

    def delete(self, receipt: str) -> None:
        del self.bodies[receipt]
        self.hidden.discard(receipt)

    def release(self, receipt: str) -> None:
        self.hidden.discard(receipt)


class MemoryAnnouncer:
    """An `Announcer` in memory; `breaks` makes it fail."""

    def __init__(self) -> None:
        self.events: list[Mapping[str, Any]] = []
        self.breaks = False

    def publish(self, event: Mapping[str, Any]) -> None:
        if self.breaks:
            raise Unavailable("the bus is away")
        self.events.append(event)


class MemorySpool:
    """`Spool`, `SpoolReader` and `Lake` in memory; `breaks` makes it fail."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}
        self.breaks = False

    def write(self, key: str, content: bytes) -> None:
        if self.breaks:
            raise Unavailable("the lake is away")
        self.stored[key] = content

    def read(self, key: str) -> bytes | None:
        return self.stored.get(key)

    def delete(self, key: str) -> None:
        self.stored.pop(key, None)

    def keys(self, prefix: str) -> Iterator[str]:
        return iter(sorted(key for key in self.stored if key.startswith(prefix)))

    def unsent(self, limit: int) -> Sequence[str]:
        return sorted(key for key in self.stored if key.startswith("unsent/"))[:limit]


class MemoryLogObjects:
    """`LogObjects` in memory."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def read(self, path: str) -> bytes | None:
        return self.stored.get(path)

    def read_tagged(self, path: str) -> tuple[bytes, str] | None:
        content = self.stored.get(path)
        return None if content is None else (content, hashlib.sha256(content).hexdigest())

    def put_new(self, path: str, content: bytes) -> bool:
        with self._lock:
            return self.stored.setdefault(path, content) is content

    def swap(self, path: str, content: bytes, *, tag: str | None) -> bool:
        with self._lock:
            found = self.read_tagged(path)
            if (None if found is None else found[1]) != tag:
                return False
            self.stored[path] = content
            return True


class TestSealer:
    """A `Sealer` that shows what it was given; `breaks` makes it fail."""

    __test__ = False

    def __init__(self) -> None:
        self.sealed: list[bytes] = []
        self.breaks = False

    def seal(self, content: bytes) -> str:
        if self.breaks:
            raise Unavailable("the key is away")
        self.sealed.append(content)
        return base64.b64encode(content).decode()


class TestSigner:
    """A `LogSigner` with a key of its own."""

    __test__ = False

    def public_key(self) -> bytes:
        return signing_key().public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return signing_key().sign(message)


class MemoryContainer(Container):
    """A stage in memory; real time stands still at `now` when it is set."""

    lineage: MemoryLineage
    artifacts: MemoryArtifacts
    examination_queue: MemoryQueue
    telemetry_queue: MemoryQueue
    notary_queue: MemoryQueue
    delivery_queue: MemoryDeliveryQueue
    dead_letters: MemoryDeadLetters
    gauge: MemoryGauge
    telemetry_dead_letters: MemoryDeadLetters
    deliveries: TableDeliveries
    event_bus: MemoryAnnouncer
    event_topic: MemoryAnnouncer
    log: TableLog
    log_objects: MemoryLogObjects
    log_signer: TestSigner
    spool: MemorySpool
    spool_reader: MemorySpool
    sealer: TestSealer
    lake: MemorySpool
    ledger_table: MemoryTable
    ledger: TableLedger
    pseudonyms: KeyedPseudonyms
    settings: Settings

    def __init__(self, *, issuers: tuple[Issuer, ...] = ()) -> None:
        self.now: datetime | None = None
        self.pseudonyms = KeyedPseudonyms(b"p" * 32)
        self.lineage = MemoryLineage(self.pseudonyms)
        self.artifacts = MemoryArtifacts()
        self.examination_queue = MemoryQueue()
        self.telemetry_queue = MemoryQueue()
        self.notary_queue = MemoryQueue()
        self.delivery_queue = MemoryDeliveryQueue()
        self.dead_letters = MemoryDeadLetters()
        self.gauge = MemoryGauge()
        self.telemetry_dead_letters = MemoryDeadLetters()
        self.deliveries = TableDeliveries(self.lineage.table)
        self.event_bus = MemoryAnnouncer()
        self.event_topic = MemoryAnnouncer()
        self.log = TableLog(self.lineage.table)
        self.log_objects = MemoryLogObjects()
        self.log_signer = TestSigner()
        self.spool = self.spool_reader = MemorySpool()
        self.sealer = TestSealer()
        self.lake = MemorySpool()
        self.ledger_table = MemoryTable()
        self.ledger = TableLedger(self.ledger_table, retention=timedelta(days=400))
        self.settings = settings_of(issuers)

    def wall(self) -> datetime:
        return self.now or utc_now()

    def upload(self, bundle: Bundle) -> None:
        for content in bundle.files.values():
            self.artifacts.write(content, media_type="application/octet-stream")

    def accept(self, model: str, number: int, *, reasons: tuple[str, ...] = ()) -> Version:
        """End a version's examination as the examiner does: accepted, or rejected for `reasons`."""
        version = self.lineage.version(model, number)
        head = self.lineage.model(model)
        assert version is not None
        assert head is not None
        examined = replace(
            version,
            stage="rejected" if reasons else "candidate",
            examination=Examination(self.clock(), not reasons, reasons, memory_bytes=0 if reasons else 1000),
        )
        attempt = _examiner(self)
        self.lineage.commit(
            Change(head, attempt, "version.accept", version.digest, None, None, writes=(Put(examined),))
        )
        return examined


def _examiner(container: MemoryContainer) -> Any:
    from chalicelib.registry import examination

    return examination.attempt(container.pseudonyms, at=container.clock(), request_id="examination")


def settings_of(issuers: tuple[Issuer, ...]) -> Settings:
    return Settings(
        stage="local",
        lineage_table="lineage",
        ledger_table="ledger",
        artifacts_bucket="artifacts",
        lake_bucket="lake",
        incoming_bucket="incoming",
        audit_bucket="audit",
        telemetry_queue_url="https://queues.example/telemetry",
        telemetry_dead_letters_url="https://queues.example/telemetry-dead-letters",
        examination_queue_url="https://queues.example/examination",
        notary_queue_url="https://queues.example/notary",
        delivery_queue_url="https://queues.example/delivery",
        delivery_dead_letters_url="https://queues.example/delivery-dead-letters",
        event_bus="tiltyard",
        event_topic_arn="arn:aws:sns:eu-west-1:123456789012:tiltyard",
        audit_key_id="audit",
        pepper_key_id="pepper",
        telemetry_key_id="telemetry",
        issuers=issuers,
    )


@functools.cache
def signing_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(b"k" * 32)


@functools.cache
def issuer() -> Issuer:
    """The issuer of `token_of`, its keys in the settings as in stage local."""
    raw = signing_key().public_key().public_bytes_raw()
    x = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    jwks = {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x, "kid": KEY_ID, "use": "sig"}]}
    return Issuer(ISSUER, AUDIENCE, jwks=jwks)


def claims_for(sub: str, roles: Any, teams: Any, **others: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": sub,
        "nbf": now,
        "exp": now + timedelta(hours=1),
        "roles": roles,
        "teams": teams,
    }
    return {name: value for name, value in {**claims, **others}.items() if value is not None}


def token_of(
    *roles: str, teams: tuple[str, ...] = ("airport",), sub: str = "ada@example.org", **claims: Any
) -> str:
    """A token that the service believes."""
    content = claims_for(sub, list(roles), list(teams), **claims)
    return jwt.encode(content, signing_key(), "EdDSA", headers={"kid": KEY_ID})


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes
    json: Any = field(default=None)

    @property
    def problem(self) -> str:
        """The last part of the problem's type."""
        return str(self.json["type"]).removeprefix("/problems/")


class Gateway:
    """Chalice's test client, with API Gateway's 401 for an authorizer that says so."""

    def __init__(self, app: Any) -> None:
        self._client = Client(app)

    def call(
        self,
        method: str,
        path: str,
        json_body: Any = None,
        *,
        token: str | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        content = body if body is not None else b""
        if json_body is not None:
            sent.setdefault("Content-Type", "application/json")
            content = json.dumps(json_body).encode()
        try:
            answer = self._client.http.request(method, path, headers=sent, body=content)
        except Unauthorized:
            return Answer(401, {}, b"", {"type": "/problems/unauthenticated"})
        return Answer(answer.status_code, answer.headers, answer.body, answer.json_body)


@contextmanager
def service(app: Any) -> Iterator[tuple[MemoryContainer, Gateway]]:
    """The app over a stage of its own in memory."""
    stage = MemoryContainer(issuers=(issuer(),))
    with replaced(stage):
        yield stage, Gateway(app)
