"""Signatures of webhook deliveries, as Standard Webhooks says (standardwebhooks.com, specification 1.0).

The signature is HMAC-SHA256 over ``<webhook-id>.<webhook-timestamp>.<body>``
under the webhook's secret, ``whsec_`` and base64. Any library of that standard
verifies it; this module has no dependency but Python itself.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from tiltyard.errors import IntegrityError

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
PREFIX = "whsec_"
TOLERANCE = timedelta(minutes=5)

_VERSION = "v1,"
# Seconds until the year 9999: more digits are no time.
_TIMESTAMP_DIGITS = 12


def sign(secret: str, *, delivery_id: str, at: datetime, body: bytes) -> str:
    """One signature, such as ``v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=``."""
    digest = hmac.digest(_key(secret), _signed(delivery_id, str(int(at.timestamp())), body), "sha256")
    return _VERSION + base64.b64encode(digest).decode()


def headers(secrets: tuple[str, ...], *, delivery_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers of a delivery, signed by each of the secrets (two while one is being replaced)."""
    signatures = [sign(secret, delivery_id=delivery_id, at=at, body=body) for secret in secrets]
    return {ID: delivery_id, TIMESTAMP: str(int(at.timestamp())), SIGNATURE: " ".join(signatures)}


def verify(
    secret: str,
    received: Mapping[str, str],
    body: bytes,
    *,
    now: datetime | None = None,
    tolerance: timedelta = TOLERANCE,
) -> str:
    """Check a delivery and return its id.

    The same id may come again: deliveries are repeated until one is answered,
    and whoever overheard one can send it once more within `tolerance`. Keep the
    ids of that time, and do nothing for one that you have seen.

    Parameters
    ----------
    secret
        As it was shown when the webhook was made: ``whsec_…``.
    received
        The request's headers, names in any case.
    body
        The request's body, byte for byte.

    Raises
    ------
    IntegrityError
        When it wasn't signed with this secret, something was changed, or its time
        is more than `tolerance` away from `now`.
    """
    found = {name.lower(): value for name, value in received.items()}
    missing = [name for name in (ID, TIMESTAMP, SIGNATURE) if not found.get(name)]
    if missing:
        raise IntegrityError(f"the delivery has no {' and no '.join(missing)}: it isn't signed")
    delivery_id, stamp = found[ID], found[TIMESTAMP]
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) < _TIMESTAMP_DIGITS):
        raise IntegrityError(f"{TIMESTAMP} {stamp[:40]!r} is no time")
    expected = hmac.digest(_key(secret), _signed(delivery_id, stamp, body), "sha256")
    if not any(hmac.compare_digest(expected, given) for given in _given(found[SIGNATURE])):
        raise IntegrityError("no signature is by this secret over this delivery")
    age = (now or datetime.now(UTC)).timestamp() - int(stamp)
    if abs(age) > tolerance.total_seconds():
        when = "ago" if age > 0 else "ahead"
        raise IntegrityError(
            f"the delivery was sent {abs(age):.0f} s {when}: a replay, or one of the clocks is wrong"
        )
    return delivery_id


def _signed(delivery_id: str, stamp: str, body: bytes) -> bytes:
    return f"{delivery_id}.{stamp}.".encode("utf-8", "surrogateescape") + body


def _given(signatures: str) -> list[bytes]:
    """The digests of this version; others are of schemes to come."""
    found = []
    for signature in signatures.split():
        if signature.startswith(_VERSION):
            try:
                found.append(base64.b64decode(signature.removeprefix(_VERSION), validate=True))
            except (binascii.Error, ValueError):
                continue  # no base64, so it can't be the one
    return found


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not key:
        raise IntegrityError(f"a webhook's secret begins with {PREFIX} and is base64 after that")
    return key
