"""Tokens of a local stack, signed by a key of its own that no other stage accepts.

EdDSA over Ed25519 (RFC 8037). The key never leaves the stack's folder; its
public half reaches the service as the one issuer of stage ``local``.
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

from tiltyard.errors import InvalidInput

AUDIENCE = "tiltyard"
ALGORITHM = "EdDSA"
ROLES = (
    "viewer",
    "caller",
    "scientist",
    "engineer",
    "business",
    "risk",
    "privacy",
    "auditor",
    "admin",
)
LONGEST_TTL_S = 30 * 24 * 3600


def issuer_name(stack: str) -> str:
    """The `iss` of a stack's tokens, a name that nobody can own (RFC 2606)."""
    return f"https://{stack}.local.tiltyard.invalid/"


def ensure_key(path: Path) -> None:
    """Make the stack's key, readable for its owner only, unless there is one."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if path.exists():
        return
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    # Never readable by others, not even between creation and a later chmod.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)


def issuers_setting(path: Path, *, stack: str) -> str:
    """The value of ``TILTYARD_ISSUERS``: this stack as the only issuer, its public key inline."""
    issuer = {"issuer": issuer_name(stack), "audience": AUDIENCE, "jwks": {"keys": [_public_jwk(path)]}}
    return json.dumps([issuer], separators=(",", ":"))


def sign(
    path: Path, *, stack: str, subject: str, roles: Sequence[str], teams: Sequence[str], ttl_s: int
) -> str:
    """A bearer token.

    Raises `InvalidInput` for a role that doesn't exist, no role at all or a
    lifetime outside 1 second to 30 days.
    """
    import jwt
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    unknown = sorted(set(roles) - set(ROLES))
    if unknown or not roles:
        raise InvalidInput(
            f"Name one or more of the roles {', '.join(ROLES)}; got {', '.join(unknown) or 'none'}."
        )
    if not 1 <= ttl_s <= LONGEST_TTL_S:
        raise InvalidInput(f"A token may live 1 s to {LONGEST_TTL_S} s (30 days), not {ttl_s} s.")
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidInput(f"{path} is no Ed25519 key: `tiltyard local reset` makes a new one.")
    now = int(time.time())
    claims = {
        "iss": issuer_name(stack),
        "aud": AUDIENCE,
        "sub": subject,
        "iat": now,
        "exp": now + ttl_s,
        "roles": list(roles),
        "teams": list(teams),
    }
    return jwt.encode(claims, key, algorithm=ALGORITHM, headers={"kid": _public_jwk(path)["kid"]})


def _public_jwk(path: Path) -> dict[str, str]:
    """The public key (RFC 8037 section 2), named by its thumbprint (RFC 7638)."""
    import hashlib

    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    public = load_pem_private_key(path.read_bytes(), password=None).public_key()
    raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    required = {"crv": "Ed25519", "kty": "OKP", "x": _base64url(raw)}
    thumbprint = hashlib.sha256(json.dumps(required, separators=(",", ":"), sort_keys=True).encode()).digest()
    return required | {"alg": ALGORITHM, "kid": _base64url(thumbprint), "use": "sig"}


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")
