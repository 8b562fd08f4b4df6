"""The audit entry: one change, in the final form that the transparency log keeps.

Bytes are RFC 8785 canonical JSON, so that the same entry has the same bytes
wherever it is made and a leaf hash can be checked by anyone. Personal data stays
out: `actor` is a keyed pseudonym and `reason` a keyed commitment, both 64 lower-case
hex digits, and the constructor refuses anything else there. Names and texts are
kept beside the log, where they can be erased without touching a proof.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

import rfc8785

from tiltyard.errors import Fault, IntegrityError, InvalidInput

FORMAT = 1
MAX_BYTES = 32 * 1024

_KEYED = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_OPTIONAL = frozenset({"before", "after", "reason"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One change of one model.

    `id` is unique in a stage and ordered by time, `change` the model's change
    number, counting up from 1 without gaps. `object` names what changed (a digest
    or an id), `before` and `after` are digests of its state. `time` is aware and
    kept to the millisecond.

    Raises
    ------
    InvalidInput
        If `actor` or `reason` isn't a keyed digest, `change` isn't positive or
        `time` has no UTC offset.
    """

    id: str
    time: datetime
    model: str
    change: int
    actor: str
    role: str
    action: str
    object: str
    before: str | None
    after: str | None
    reason: str | None
    request_id: str

    def __post_init__(self) -> None:
        faults = [
            Fault(f"/{name}", "must be a keyed digest of 64 lower-case hex digits, never a name or a text")
            for name, value in (("actor", self.actor), ("reason", self.reason))
            if value is not None and not _KEYED.fullmatch(value)
        ]
        if self.change < 1:
            faults.append(Fault("/change", f"must count up from 1, not {self.change}"))
        if self.time.tzinfo is None:
            faults.append(Fault("/time", "must have a UTC offset"))
        if faults:
            raise InvalidInput(f"audit entry {self.id} can't be made", faults=faults)

    def to_json(self) -> dict[str, str | int | None]:
        return {
            "format": FORMAT,
            "id": self.id,
            "time": canonical_time(self.time),
            "model": self.model,
            "change": self.change,
            "actor": self.actor,
            "role": self.role,
            "action": self.action,
            "object": self.object,
            "before": self.before,
            "after": self.after,
            "reason": self.reason,
            "request_id": self.request_id,
        }

    def to_bytes(self) -> bytes:
        """Canonical bytes (RFC 8785), at most 32 KB.

        Raises `InvalidInput` when a field makes it larger (put a digest there) or
        isn't valid Unicode.
        """
        try:
            content = rfc8785.dumps(self.to_json())
        except rfc8785.CanonicalizationError as exc:
            raise InvalidInput(f"audit entry {self.id} has no canonical JSON: {exc}") from exc
        if len(content) > MAX_BYTES:
            raise InvalidInput(
                f"audit entry {self.id} has {len(content)} bytes and may have {MAX_BYTES}; "
                "name what is large by its digest"
            )
        return content

    @classmethod
    def from_bytes(cls, content: bytes) -> Entry:
        """Read an entry back and check that these are its only possible bytes.

        Raises `IntegrityError` when they aren't: another format, a field too many
        or too few, or JSON that isn't canonical.
        """
        try:
            document = json.loads(content)
        except ValueError as exc:
            raise IntegrityError(f"an audit entry isn't JSON: {exc}") from exc
        try:
            entry = cls(**_checked(document))
            is_canonical = entry.to_bytes() == content
        except InvalidInput as exc:
            raise IntegrityError(f"an audit entry breaks its own rules: {exc}") from exc
        if not is_canonical:
            raise IntegrityError(f"audit entry {entry.id} isn't in canonical form (RFC 8785)")
        return entry


def _checked(document: object) -> dict[str, Any]:
    """The constructor's arguments out of a parsed entry."""
    names = {f.name for f in fields(Entry)}
    if not isinstance(document, dict) or document.keys() != names | {"format"}:
        raise IntegrityError("an audit entry doesn't have exactly the fields of the format")
    if document["format"] != FORMAT:
        raise IntegrityError(f"audit entry format {document['format']!r} is unknown, only {FORMAT} is")
    for name in names - {"change"}:
        value = document[name]
        if not (isinstance(value, str) or (value is None and name in _OPTIONAL)):
            raise IntegrityError(f"field {name!r} of an audit entry must be text")
    if type(document["change"]) is not int:
        raise IntegrityError("field 'change' of an audit entry must be a whole number")
    if not _TIME.fullmatch(document["time"]):
        raise IntegrityError(f"time {document['time']!r} of an audit entry isn't UTC to the millisecond")
    try:
        time = datetime.fromisoformat(document["time"])
    except ValueError as exc:
        raise IntegrityError(f"time of an audit entry: {exc}") from exc
    return {name: document[name] for name in names} | {"time": time}


def canonical_time(time: datetime) -> str:
    """RFC 3339 in UTC, to the millisecond (what is finer is cut off, so order is kept)."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
