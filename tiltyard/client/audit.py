"""The audit log through the API: reading it, and checking it without trusting who answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import rfc8785

from tiltyard.audit.checkpoint import VerifierKey
from tiltyard.audit.verification import Progress, Verification, verify, verify_entry
from tiltyard.client.transport import Transport, time_text
from tiltyard.errors import IntegrityError, NotFound

PAGE = 200


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change. `index` is its place in the log, None while it waits for it.

    `actor` and `reason` are the name and the text that stand beside the log,
    None where they were erased; `entry` holds their pseudonym and commitment.
    """

    index: int | None
    leaf_hash: str
    entry: Mapping[str, Any]
    actor: str | None
    reason: str | None
    body: Mapping[str, Any]

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> AuditEntry:
        return cls(body["index"], body["leaf_hash"], body["entry"], body["actor"], body["reason"], body=body)

    @property
    def content(self) -> bytes:
        """The canonical bytes that are logged."""
        return _canonical(self.entry)


@dataclass(frozen=True, slots=True)
class AuditCheckpoint:
    """The log's state as the service shows it: nothing of it is verified. `note` is the signed text."""

    origin: str
    size: int
    root: str
    note: str
    key: VerifierKey

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> AuditCheckpoint:
        return cls(body["origin"], body["size"], body["root"], body["note"], VerifierKey.parse(body["key"]))


class AuditCalls:
    """The client's calls on the audit log."""

    _http: Transport

    def audit(
        self,
        model: str | None = None,
        *,
        team: str | None = None,
        start: int | datetime | None = None,
    ) -> Iterator[AuditEntry]:
        """The log in its order (roles auditor and admin), or the changes of one model in theirs.

        Parameters
        ----------
        team
            The changes of this team's own settings (its webhooks) instead.
        start
            The first index (with `model` or `team`, the first change's number), or a
            time (UTC when it names no zone).
        """
        given = str(start) if isinstance(start, int) else time_text(start)
        cursor: str | None = None
        while True:
            page = self._http.get(
                "/v1/audit", **{"model": model, "team": team, "from": given, "limit": PAGE, "cursor": cursor}
            ).body
            yield from map(AuditEntry.of, page["items"])
            cursor = page["next"]
            if cursor is None:
                return

    def audit_checkpoint(self, size: int | None = None) -> AuditCheckpoint:
        """The latest checkpoint, or the one that was signed at a size."""
        return AuditCheckpoint.of(self._http.get("/v1/audit/checkpoint", size=size).body)

    def verify_audit(
        self,
        key: VerifierKey | str | None = None,
        *,
        remembered: Sequence[str] = (),
        progress: Progress = lambda read, size: None,
    ) -> Verification:
        """Check the whole log (roles auditor and admin).

        Parameters
        ----------
        key
            The log's public key as you keep it. Without one the service's own
            word is taken for it, which proves that the log agrees with itself.
        remembered
            Signed checkpoints that you kept: the log must begin with each.

        Raises
        ------
        IntegrityError
            At the first bad place, which the message names.
        """
        source = ApiLog(self)
        return verify(source, _key(key) or source.key, remembered=remembered, progress=progress)

    def verify_audit_entry(
        self, entry: int | tuple[str, int], key: VerifierKey | str | None = None
    ) -> AuditEntry:
        """Check that the log holds one entry, by its index or by (model, change), and return it.

        Reads the proof and not the log, so a model's own team may ask it by its
        changes. Raises `IntegrityError` when the proof doesn't hold.
        """
        shown = self.audit_checkpoint()
        model, number = entry if isinstance(entry, tuple) else (None, entry)
        found = next(self.audit(model, start=number), None)
        if found is None or found.index is None:
            raise NotFound("The entry isn't in the log yet; a change is within a minute.")
        if found.index >= shown.size:
            shown = self.audit_checkpoint()  # it was logged between the two reads
        answer = self._http.get("/v1/audit/proof/inclusion", index=found.index, size=shown.size).body
        proof = [_hash(step) for step in answer["proof"]]
        verify_entry(found.content, found.index, proof, shown.note, _key(key) or shown.key)
        return found


class ApiLog:
    """A `Source` that reads through the API."""

    def __init__(self, calls: AuditCalls) -> None:
        self._calls = calls
        shown = calls.audit_checkpoint()
        self._note = shown.note
        self.key = shown.key

    def note(self) -> str:
        return self._note

    def older_notes(self) -> Sequence[str]:
        return ()

    def entries(self, size: int) -> Iterator[tuple[bytes, bytes]]:
        if not size:
            return
        for index, found in enumerate(self._calls.audit()):
            if index == size:
                return
            if found.index != index:
                raise IntegrityError(f"entry {index}: the service gives entry {found.index} in its place")
            yield found.content, _hash(found.leaf_hash)

    def tile(self, level: int, index: int, width: int) -> bytes | None:
        return None


def _key(key: VerifierKey | str | None) -> VerifierKey | None:
    return VerifierKey.parse(key) if isinstance(key, str) else key


def _hash(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as exc:
        raise IntegrityError(f"{text!r} is no hash") from exc


def _canonical(entry: Mapping[str, Any]) -> bytes:
    try:
        return rfc8785.dumps(dict(entry))
    except (rfc8785.CanonicalizationError, RecursionError) as exc:
        raise IntegrityError(f"an entry has no canonical form: {exc}") from exc
