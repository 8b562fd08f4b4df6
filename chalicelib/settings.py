"""What the service is told by its environment, read once a container and checked before use.

Every function gets the same variables, all prefixed ``TILTYARD_``; a variable
that is missing or wrong stops the start with one error that names all of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any
from urllib.parse import urlsplit

from tiltyard.errors import Fault, TiltyardError

Network = IPv4Network | IPv6Network

LOCAL = "local"
WALL, REPLAY = "wall", "replay"
DEFAULT_POINTER_INTERVAL_S = 2.0
# A year and the month that is compared with the same one a year before.
DEFAULT_LEDGER_DAYS = 400
# What a predictor needs beside the loaded models: the interpreter, ONNX Runtime, a request's rows.
RESERVED_MEMORY_MB = 300

_STAGE = re.compile(r"[a-z][a-z0-9-]{0,30}")
_RESOURCES = (
    "lineage_table",
    "ledger_table",
    "artifacts_bucket",
    "lake_bucket",
    "incoming_bucket",
    "audit_bucket",
    "telemetry_queue_url",
    "telemetry_dead_letters_url",
    "examination_queue_url",
    "notary_queue_url",
    "delivery_queue_url",
    "delivery_dead_letters_url",
    "event_bus",
    "event_topic_arn",
    "pepper_key_id",
    "telemetry_key_id",
    "audit_key_id",
)
_QUEUES = tuple(name for name in _RESOURCES if name.endswith(("queue_url", "letters_url")))
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Issuer:
    """An OIDC issuer whose tokens are accepted.

    Its keys come from `jwks_uri`, or, in stage ``local`` alone, from `jwks` (a
    JSON Web Key Set, RFC 7517) in the settings themselves. Exactly one is set.
    """

    issuer: str
    audience: str
    jwks_uri: str | None = None
    jwks: Mapping[str, Any] | None = field(default=None, hash=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """Names of a stage's resources and what can be tuned; see the module for where they come from."""

    stage: str
    lineage_table: str
    ledger_table: str
    artifacts_bucket: str
    lake_bucket: str
    incoming_bucket: str
    audit_bucket: str
    telemetry_queue_url: str
    telemetry_dead_letters_url: str
    examination_queue_url: str
    notary_queue_url: str
    delivery_queue_url: str
    delivery_dead_letters_url: str
    event_bus: str
    event_topic_arn: str
    pepper_key_id: str
    telemetry_key_id: str
    audit_key_id: str
    issuers: tuple[Issuer, ...]
    pointer_interval_s: float = DEFAULT_POINTER_INTERVAL_S
    session_memory_mb: int = 1024 - RESERVED_MEMORY_MB
    webhook_networks: tuple[Network, ...] = ()
    ledger_days: int = DEFAULT_LEDGER_DAYS
    watched_queues: tuple[tuple[str, str], ...] = ()
    clock: str = WALL

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read and check all variables.

        ``TILTYARD_SESSION_MEMORY_MB`` defaults to the function's own memory less
        300 MB, ``TILTYARD_POINTER_INTERVAL_S`` to 2. ``TILTYARD_WEBHOOK_NETWORKS``
        names private networks that webhooks may reach all the same, none by default.
        ``TILTYARD_CLOCK=replay`` is for stage ``local`` alone: decisions in an account
        are never made at another time than now.

        Raises
        ------
        TiltyardError
            With one fault for every variable that is missing or wrong.
        """
        reader = _Reader(environ)
        stage = reader.text("stage")
        if stage and not _STAGE.fullmatch(stage):
            reader.refuse("stage", f"{stage!r} must be a letter and up to 30 of a-z, 0-9 and '-'")
        values: dict[str, Any] = {name: reader.text(name) for name in _RESOURCES}
        for name in _QUEUES:
            if values[name] and not _is_url(values[name], {"https", "http"}):
                reader.refuse(name, f"{values[name]!r} isn't the URL of a queue")
        try:
            issuers = parse_issuers(reader.text("issuers") or "[]", stage=stage)
        except TiltyardError as exc:
            issuers = ()
            reader.faults.extend(exc.faults)
        interval = reader.number("pointer_interval_s", least=0.01, default=DEFAULT_POINTER_INTERVAL_S)
        memory = reader.number("session_memory_mb", least=1, default=_default_session_memory(environ))
        networks = reader.networks("webhook_networks")
        ledger_days = reader.number("ledger_days", least=1, default=DEFAULT_LEDGER_DAYS)
        watched = reader.pairs("watched_queues")
        clock = reader.choice("clock", (WALL, REPLAY))
        if clock == REPLAY and stage != LOCAL:
            reader.refuse("clock", "is 'replay', which only stage local accepts")
        if reader.faults:
            raise TiltyardError("the service's settings are incomplete or wrong", faults=reader.faults)
        return cls(
            stage=stage,
            **values,
            issuers=issuers,
            pointer_interval_s=interval,
            session_memory_mb=int(memory),
            webhook_networks=networks,
            ledger_days=int(ledger_days),
            watched_queues=watched,
            clock=clock,
        )


def parse_issuers(text: str, *, stage: str) -> tuple[Issuer, ...]:
    """Read ``TILTYARD_ISSUERS``: a JSON list of {issuer, audience, jwks_uri}.

    An empty list is allowed: every token is refused then. `jwks` in place of
    `jwks_uri` is for stage ``local``: keys that a person made for trying things
    out must never open a stage in an account.

    Raises
    ------
    TiltyardError
        With one fault for everything that is wrong.
    """
    faults: list[Fault] = []
    try:
        documents = json.loads(text)
    except ValueError as exc:
        documents = None
        faults.append(_fault("issuers", f"isn't JSON: {exc}"))
    else:
        if not isinstance(documents, list):
            faults.append(_fault("issuers", "must be a JSON list of {issuer, audience, jwks_uri}"))
    if faults:
        raise TiltyardError("the issuers can't be read", faults=faults)
    issuers = []
    for index, document in enumerate(documents):
        problem = _issuer_problem(document, stage=stage)
        if problem:
            faults.append(_fault("issuers", f"entry {index} {problem}"))
        else:
            issuers.append(Issuer(**document))
    names = [issuer.issuer for issuer in issuers]
    faults.extend(
        _fault("issuers", f"names {name!r} more than once")
        for name in sorted(set(names))
        if names.count(name) > 1
    )
    if faults:
        raise TiltyardError("the issuers are wrong", faults=faults)
    return tuple(issuers)


def _issuer_problem(document: object, *, stage: str) -> str | None:
    """What is wrong with one issuer, or None."""
    if not isinstance(document, dict) or not document.keys() <= {"issuer", "audience", "jwks_uri", "jwks"}:
        return "must be an object of issuer, audience and jwks_uri, nothing else"
    for name in ("issuer", "audience"):
        if not isinstance(document.get(name), str) or not document[name]:
            return f"needs {name!r} as text"
    if ("jwks_uri" in document) == ("jwks" in document):
        return "needs 'jwks_uri' (or 'jwks' in stage local, not both)"
    if "jwks" in document:
        if stage != LOCAL:
            return "has 'jwks', which only stage local accepts; give 'jwks_uri'"
        keys = document["jwks"].get("keys") if isinstance(document["jwks"], dict) else None
        return None if isinstance(keys, list) and keys else "has a 'jwks' without keys"
    uri = document["jwks_uri"]
    if not isinstance(uri, str) or not _is_url(uri, {"https"} if stage != LOCAL else {"https", "http"}):
        return "needs 'jwks_uri' as an https URL"
    if uri.startswith("http:") and urlsplit(uri).hostname not in _LOOPBACK:
        return "has a 'jwks_uri' over plain http that isn't on this machine"
    return None


class _Reader:
    """Reads variables by setting name and gathers what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.faults: list[Fault] = []

    def text(self, name: str) -> str:
        """The trimmed value; a missing or empty one is refused and read as empty."""
        value = self._environ.get(_variable(name), "").strip()
        if not value:
            self.refuse(name, "isn't set")
        return value

    def number(self, name: str, *, least: float, default: float) -> float:
        text = self._environ.get(_variable(name), "").strip()
        if not text:
            return default
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value < float("inf"):
            self.refuse(name, f"{text!r} must be a number from {least:g} up")
        return value

    def choice(self, name: str, among: tuple[str, ...]) -> str:
        """One of these words, the first by default."""
        text = self._environ.get(_variable(name), "").strip() or among[0]
        if text not in among:
            self.refuse(name, f"{text!r} must be {' or '.join(among)}")
        return text

    def pairs(self, name: str) -> tuple[tuple[str, str], ...]:
        """``name=URL`` of queues, comma-separated; none by default."""
        text = self._environ.get(_variable(name), "")
        found = []
        for part in filter(None, (part.strip() for part in text.split(","))):
            key, _, url = part.partition("=")
            if not key or not _is_url(url, {"https", "http"}):
                self.refuse(name, f"{part!r} isn't a name, =, and the URL of a queue")
            found.append((key, url))
        return tuple(found)

    def networks(self, name: str) -> tuple[Network, ...]:
        """Networks in CIDR form, separated by commas or spaces; none when it isn't set."""
        found = []
        for text in self._environ.get(_variable(name), "").replace(",", " ").split():
            try:
                found.append(ip_network(text))
            except ValueError:
                self.refuse(name, f"{text!r} must be a network such as 10.20.0.0/16")
        return tuple(found)

    def refuse(self, name: str, detail: str) -> None:
        self.faults.append(_fault(name, detail))


def _default_session_memory(environ: Mapping[str, str]) -> float:
    """The function's memory less what it needs itself, at least 1 MB."""
    try:
        memory_mb = int(environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", ""))
    except ValueError:
        memory_mb = 1024  # not in a function
    return max(1, memory_mb - RESERVED_MEMORY_MB)


def _variable(name: str) -> str:
    return f"TILTYARD_{name.upper()}"


def _fault(name: str, detail: str) -> Fault:
    return Fault("", f"{_variable(name)} {detail}")


def _is_url(text: str, schemes: set[str]) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:  # an unclosed IPv6 bracket
        return False
    return parts.scheme in schemes and bool(parts.hostname)
