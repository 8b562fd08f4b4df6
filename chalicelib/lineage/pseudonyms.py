"""Keyed one-way names: HMAC-SHA256 (RFC 2104) under a stage's pepper.

A name alone can't be turned into its pseudonym without the pepper, so a
dictionary of names recovers nothing from the log. Each use has a prefix of its
own: the same text as an actor, a subject and a reason gives three digests that
don't show that they belong together.
"""

from __future__ import annotations

import base64
import hmac
import unicodedata
from dataclasses import dataclass, field

from tiltyard.errors import InvalidInput

PEPPER_BYTES = 32


@dataclass(frozen=True, slots=True)
class KeyedPseudonyms:
    """Pseudonyms and commitments under one pepper, 64 lower-case hex digits each.

    Names are compared in Unicode's composed form (NFC); a commitment covers the
    text's exact characters.
    """

    pepper: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.pepper) < PEPPER_BYTES:
            raise InvalidInput(f"a pepper has at least {PEPPER_BYTES} bytes, this one has {len(self.pepper)}")

    def actor(self, name: str) -> str:
        return self._digest("actor", unicodedata.normalize("NFC", name))

    def subject(self, subject_id: str) -> str:
        return self._digest("subject", unicodedata.normalize("NFC", subject_id))

    def commitment(self, text: str) -> str:
        return self._digest("text", text)

    def webhook_secret(self, webhook_id: str, rotation: int) -> str:
        digest = hmac.digest(self.pepper, f"webhook\0{webhook_id}\0{rotation}".encode(), "sha256")
        return "whsec_" + base64.b64encode(digest).decode()

    def _digest(self, purpose: str, text: str) -> str:
        try:
            message = f"{purpose}\0{text}".encode()
        except UnicodeEncodeError as exc:
            raise InvalidInput("a text holds half of a surrogate pair, which isn't valid Unicode") from exc
        return hmac.digest(self.pepper, message, "sha256").hex()
