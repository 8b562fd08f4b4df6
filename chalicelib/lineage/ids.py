"""Time-ordered ids: UUID version 7 (RFC 9562 section 5.7)."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RANDOM_BYTES = 10


def uuid7(at: datetime, randomness: bytes) -> str:
    """The UUIDv7 of a moment: 48 bits of milliseconds, then 74 of the 80 random bits given.

    Ids sort as text by their millisecond, in no order within one.
    """
    # Not by way of at.timestamp(): its float can fall a millisecond short.
    milliseconds = (at - EPOCH) // timedelta(milliseconds=1)
    noise = int.from_bytes(randomness[:RANDOM_BYTES], "big")
    value = (milliseconds & (1 << 48) - 1) << 80 | noise
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def time_of_uuid7(text: str) -> datetime:
    """The moment that `uuid7` was given, to the millisecond; raises `ValueError` for no UUID."""
    return EPOCH + timedelta(milliseconds=uuid.UUID(text).int >> 80)
