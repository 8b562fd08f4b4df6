"""Names of models, and prediction ids: UUID version 7 (RFC 9562 section 5.7), which sort by time."""

from __future__ import annotations

import os
import re

NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
"""Names of models and aliases, matched whole."""

# The variant's two bits are 10; the two below them are random.
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def uuid7s(n: int, *, unix_ms: int) -> list[str]:
    """`n` new ids of one moment (milliseconds since the epoch), from one read of the system's randomness."""
    stamp = f"{unix_ms:012x}"
    head = f"{stamp[:8]}-{stamp[8:]}-7"
    noise = os.urandom(10 * n).hex()
    return [
        f"{head}{noise[i : i + 3]}-{_VARIANT[noise[i + 3]]}{noise[i + 4 : i + 7]}-{noise[i + 7 : i + 19]}"
        for i in range(0, 20 * n, 20)
    ]
