"""Time-ordered ids: UUID version 7 (RFC 9562 section 5.7)."""

from __future__ import annotations

import uuid
from datetime import datetime

RANDOM_BYTES = 10


def uuid7(at: datetime, randomness: bytes) -> str:
    """The UUIDv7 of a moment: 48 bits of milliseconds, then 74 of the 80 random bits given.

    Ids sort as text by their millisecond, in no order within one.
    """
    milliseconds = int(at.timestamp() * 1000)
    noise = int.from_bytes(randomness[:RANDOM_BYTES], "big")
    value = (milliseconds & (1 << 48) - 1) << 80 | noise
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))
