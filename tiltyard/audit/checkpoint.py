"""Checkpoints of a log: C2SP tlog-checkpoint (https://c2sp.org/tlog-checkpoint) as signed notes.

A checkpoint is three lines of text (origin, size, root) and the signature lines
behind them (https://c2sp.org/signed-note). The log's own is Ed25519 (RFC 8032,
signature type 0x01). Others may add theirs: a witness's line is kept, and is
nothing to who doesn't have its key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tiltyard.audit.merkle import HASH_BYTES
from tiltyard.errors import IntegrityError

ED25519 = b"\x01"
KEY_BYTES, SIGNATURE_BYTES, ID_BYTES = 32, 64, 4
MAX_NOTE_BYTES = 64 * 1024

_DASH = "— "
_SIZE = re.compile(r"0|[1-9][0-9]{0,15}")
_ID = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a log: `origin` names it, `root` (32 bytes) is that of its first `size` entries."""

    origin: str
    size: int
    root: bytes

    def body(self) -> str:
        """The text that is signed, its last line feed included."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """The public half of a log's key: `name` (the origin) and 32 bytes of Ed25519.

    Its text, ``name+id+key``, is what an auditor keeps.

    Raises
    ------
    IntegrityError
        When the name is empty or holds a space or a plus, or the key another length.
    """

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        if not self.name or "+" in self.name or any(c.isspace() for c in self.name):
            raise IntegrityError(f"a key's name has no spaces and no plus signs, unlike {self.name!r}")
        if len(self.public_key) != KEY_BYTES:
            raise IntegrityError(f"an Ed25519 key has {KEY_BYTES} bytes, not {len(self.public_key)}")

    @property
    def id(self) -> bytes:
        """Four bytes that tell keys of one name apart: SHA-256(name || 0x0A || 0x01 || key)."""
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.public_key).digest()[:ID_BYTES]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(ED25519 + self.public_key).decode()}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Raises `IntegrityError` unless `text` is ``name+id+key`` and the id is the key's own."""
        # Base64 may hold a plus, so only the first two part.
        parts = text.strip().split("+", 2)
        if len(parts) != 3 or not _ID.fullmatch(parts[1]):
            raise IntegrityError("a verifier key is written as name+id+key")
        content = _decoded(parts[2], "the verifier key")
        if content[:1] != ED25519:
            raise IntegrityError("the verifier key isn't one of Ed25519")
        key = cls(parts[0], content[1:])
        if key.id.hex() != parts[1]:
            raise IntegrityError(f"the verifier key's id is {key.id.hex()}, not {parts[1]}")
        return key


def sign(checkpoint: Checkpoint, key: VerifierKey, signer: Callable[[bytes], bytes]) -> str:
    """The signed note of a checkpoint.

    Parameters
    ----------
    key
        The signing key's public half; its name must be the checkpoint's origin.
    signer
        Gives the Ed25519 signature (64 bytes) of the bytes that it is called with.

    Raises
    ------
    IntegrityError
        When the signature isn't one by `key`: a note that nobody could verify is worse than none.
    """
    if key.name != checkpoint.origin:
        raise IntegrityError(f"the key of {key.name} can't sign a checkpoint of {checkpoint.origin}")
    body = checkpoint.body()
    signature = signer(body.encode())
    note = f"{body}\n{_DASH}{key.name} {base64.b64encode(key.id + signature).decode()}\n"
    open_note(note, key)
    return note


def open_note(note: str, key: VerifierKey) -> Checkpoint:
    """The checkpoint of a note that `key` signed.

    Raises
    ------
    IntegrityError
        When it isn't a signed note of a checkpoint, bears no signature of `key`,
        or one that is wrong, or names another log than the key does.
    """
    body, signatures = _parted(note)
    mine = [content for name, content in signatures if name == key.name and content[:ID_BYTES] == key.id]
    if not mine:
        raise IntegrityError(f"the checkpoint isn't signed by the key {key.name}+{key.id.hex()}")
    for content in mine:
        _verify(key, content[ID_BYTES:], body.encode())
    checkpoint = _checkpoint(body)
    if checkpoint.origin != key.name:
        raise IntegrityError(f"the checkpoint is of the log {checkpoint.origin!r}, the key of {key.name!r}")
    return checkpoint


def _parted(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """The signed text, its last line feed included, and the signature lines as (key name, content)."""
    if len(note) > MAX_NOTE_BYTES:
        raise IntegrityError(f"a checkpoint of over {MAX_NOTE_BYTES} characters isn't read")
    if any(c < " " and c != "\n" for c in note):
        raise IntegrityError("a checkpoint holds control characters")
    body, blank, lines = note.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        raise IntegrityError("a checkpoint must be its text, an empty line and signature lines")
    signatures = []
    for line in lines.removesuffix("\n").split("\n"):
        name, space, content = line.removeprefix(_DASH).partition(" ")
        if not line.startswith(_DASH) or not name or not space or "+" in name:
            raise IntegrityError("a signature line of a checkpoint must be a dash, a name and a signature")
        decoded = _decoded(content, f"the signature of {name}")
        if len(decoded) <= ID_BYTES:
            raise IntegrityError(f"the signature of {name} is too short")
        signatures.append((name, decoded))
    return body + "\n", signatures


def _checkpoint(body: str) -> Checkpoint:
    origin, *rest = body.removesuffix("\n").split("\n")
    # What follows the third line are extensions: signed, and not for us.
    if not origin or len(rest) < 2 or not all(rest):
        raise IntegrityError("a checkpoint must have origin, size and root, one a line")
    if not _SIZE.fullmatch(rest[0]):
        raise IntegrityError(f"the size of a checkpoint must be a whole number, not {rest[0]!r}")
    root = _decoded(rest[1], "the root of a checkpoint")
    if len(root) != HASH_BYTES:
        raise IntegrityError(f"the root of a checkpoint must have {HASH_BYTES} bytes, not {len(root)}")
    return Checkpoint(origin, int(rest[0]), root)


def _verify(key: VerifierKey, signature: bytes, message: bytes) -> None:
    if len(signature) != SIGNATURE_BYTES:
        raise IntegrityError(f"an Ed25519 signature has {SIGNATURE_BYTES} bytes, not {len(signature)}")
    try:
        Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature, message)
    except (InvalidSignature, ValueError) as exc:
        raise IntegrityError(f"the checkpoint's signature isn't by the key {key.name}") from exc


def _decoded(text: str, what: str) -> bytes:
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise IntegrityError(f"{what} isn't base64") from exc
    # Base64 can spell the same bytes in several ways; only one of them is signed for.
    if base64.b64encode(content).decode() != text:
        raise IntegrityError(f"{what} isn't in base64's canonical form")
    return content
