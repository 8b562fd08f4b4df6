"""Bearer tokens: signed JWTs of configured OIDC issuers (RFC 7519, RFC 8725, OpenID Connect Core 1.0).

A token is believed when, in this order,

1. it is a compact JWT of at most 8 KB, and its header marks nothing as critical;
2. its algorithm is on the list below: never ``none``, never a shared secret;
3. its issuer is a configured one, to the letter;
4. the issuer's key set has the key that it names, of the algorithm's own type;
5. the signature holds, the audience is ours, and it is neither expired nor early.

Key sets are fetched over https, bounded in time and size, and kept for an hour;
an unknown key id fetches again at most once a minute, so that a rotated key
works at once and a flood of invented ids costs the issuer nothing.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from chalicelib.settings import Issuer
from tiltyard.errors import Unauthenticated, Unavailable

log = logging.getLogger("tiltyard.tokens")

ALGORITHMS = ("RS256", "ES256", "EdDSA")
MAX_TOKEN_LENGTH = 8192
MAX_KEY_SET_BYTES = 256 * 1024
FETCH_TIMEOUT_S = 3.0
KEYS_LIFETIME_S = 3600.0
REFRESH_INTERVAL_S = 60.0
LEEWAY_S = 10
MIN_RSA_BITS = 2048

# One word each: they travel separated by spaces, so "a b" as one name would become two.
_ROLE = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_TEAM = re.compile(r"[A-Za-z0-9/][A-Za-z0-9_.:/-]{0,62}")

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


@dataclass(frozen=True, slots=True)
class Claims:
    """What a believed token says; `exp` is in seconds since the epoch."""

    sub: str
    issuer: str
    exp: int
    roles: tuple[str, ...]
    teams: tuple[str, ...]

    def to_context(self) -> dict[str, str]:
        """The authorizer's context: API Gateway passes on nothing but flat text."""
        return {
            "sub": self.sub,
            "iss": self.issuer,
            "exp": str(self.exp),
            "roles": " ".join(self.roles),
            "teams": " ".join(self.teams),
        }


class KeySet:
    """The keys of one issuer by their ids, from its settings or from its `jwks_uri`."""

    def __init__(
        self, issuer: Issuer, fetch: Callable[[str], bytes], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._uri = issuer.jwks_uri
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._keys = {} if issuer.jwks is None else public_keys(issuer.jwks)
        self._fetched_at: float | None = None
        self._tried_at: float | None = None

    def key(self, key_id: str) -> PublicKey | None:
        """Raises `Unavailable` when there are no keys yet and none can be had."""
        if self._uri is None:
            return self._keys.get(key_id)
        with self._lock:
            now = self._clock()
            is_stale = self._fetched_at is None or now - self._fetched_at > KEYS_LIFETIME_S
            may_try = self._tried_at is None or now - self._tried_at >= REFRESH_INTERVAL_S
            if (is_stale or key_id not in self._keys) and may_try:
                self._refresh(self._uri, now)
            if self._fetched_at is None:
                raise Unavailable("The issuer's keys can't be fetched; try again in a minute.")
            return self._keys.get(key_id)

    def _refresh(self, uri: str, now: float) -> None:
        self._tried_at = now
        try:
            self._keys = public_keys(json.loads(self._fetch(uri)))
        except (OSError, ValueError) as exc:
            # An issuer that is down for a while must not lock everybody out: the keys we have go on.
            log.error("the key set %s can't be fetched: %s", uri, exc)
            return
        self._fetched_at = now


class Verifier:
    """Believes the tokens of `issuers`, and no others."""

    def __init__(self, issuers: Sequence[Issuer], fetch: Callable[[str], bytes] | None = None) -> None:
        self._issuers = {issuer.issuer: issuer for issuer in issuers}
        self._keys = {issuer.issuer: KeySet(issuer, fetch or fetch_https) for issuer in issuers}

    def verify(self, authorization: str) -> Claims:
        """The claims of an ``Authorization`` header.

        Raises
        ------
        Unauthenticated
            When it holds no token that is believed.
        Unavailable
            When that can't be told, because the issuer's keys can't be fetched.
        """
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not 0 < len(token) <= MAX_TOKEN_LENGTH:
            raise Unauthenticated("The Authorization header must be 'Bearer' and a token of at most 8 KB.")
        try:
            return self._believed(token.strip())
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as exc:
            raise Unauthenticated(f"The token isn't valid: {exc}") from exc

    def _believed(self, token: str) -> Claims:
        header = jwt.get_unverified_header(token)
        algorithm, key_id = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS:
            raise Unauthenticated(f"The token's algorithm must be one of {', '.join(ALGORITHMS)}.")
        if "crit" in header or header.get("b64", True) is not True:
            raise Unauthenticated("The token's header has extensions that aren't known here.")
        if not isinstance(key_id, str):
            raise Unauthenticated("The token's header names no key ('kid').")
        said = jwt.decode(token, options={"verify_signature": False})
        issuer = self._issuers.get(said["iss"]) if isinstance(said.get("iss"), str) else None
        if issuer is None:
            raise Unauthenticated("The token's issuer isn't one of this stage's.")
        key = self._keys[issuer.issuer].key(key_id)
        if key is None or not _fits(key, algorithm):
            raise Unauthenticated("The issuer has no such key for the token's algorithm.")
        claims = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=issuer.audience,
            issuer=issuer.issuer,
            leeway=LEEWAY_S,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
        return claims_of(claims)


def claims_of(claims: Mapping[str, Any]) -> Claims:
    """What Tiltyard reads of a verified token's claims.

    Roles and teams are lists of text or text separated by spaces (as ``scope``
    is, RFC 8693 section 4.2). A name that couldn't be one of ours is left out:
    it may mean something to another service, and here it grants nothing.
    """
    sub, exp = claims.get("sub"), claims.get("exp")
    if not isinstance(sub, str) or not 0 < len(sub) <= 255 or not sub.isprintable():
        raise Unauthenticated("The token's subject must be 1 to 255 printable characters.")
    if isinstance(exp, bool) or not isinstance(exp, int | float):
        raise Unauthenticated("The token's expiry must be a number.")
    return Claims(
        sub=sub,
        issuer=str(claims.get("iss", "")),
        exp=int(exp),
        roles=_names(claims.get("roles"), _ROLE),
        teams=_names(claims.get("teams"), _TEAM),
    )


def public_keys(document: Any) -> dict[str, PublicKey]:
    """The signing keys of a JSON Web Key Set (RFC 7517) by key id; others are passed over.

    Raises
    ------
    ValueError
        When the document isn't a key set.
    """
    listed = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(listed, list):
        raise ValueError("a JSON Web Key Set has a list of keys")
    keys = {}
    for entry in listed:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("kid"), str):
            continue
        if entry.get("use", "sig") != "sig" or "d" in entry:
            continue  # for encryption, or a private key that should never have been published
        try:
            key = jwt.PyJWK(dict(entry)).key
        except (jwt.PyJWTError, ValueError, TypeError, KeyError) as exc:
            log.warning("key %r of a key set can't be used: %s", entry["kid"], exc)
            continue
        if isinstance(key, PublicKey):
            keys[entry["kid"]] = key
    return keys


def fetch_https(uri: str) -> bytes:
    """GET over https without redirects, within 3 s and 256 KB.

    Raises
    ------
    OSError
        When it can't be fetched so.
    """
    import ssl
    import urllib.request

    if not uri.startswith("https://"):
        raise OSError(f"{uri} is not an https address")
    handlers = (
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    )
    # An opener of these alone knows no http, no file and no redirect.
    opener = urllib.request.OpenerDirector()
    for handler in handlers:
        opener.add_handler(handler)
    request = urllib.request.Request(uri)  # noqa: S310 the opener knows https alone
    answer = opener.open(request, timeout=FETCH_TIMEOUT_S)
    with answer:
        content: bytes = answer.read(MAX_KEY_SET_BYTES + 1)
    if len(content) > MAX_KEY_SET_BYTES:
        raise OSError(f"{uri} answers more than {MAX_KEY_SET_BYTES} bytes")
    return content


def _fits(key: PublicKey, algorithm: str) -> bool:
    """Whether the key is of the algorithm's own kind: a key says what it may verify, a token doesn't."""
    match algorithm:
        case "RS256":
            return isinstance(key, rsa.RSAPublicKey) and key.key_size >= MIN_RSA_BITS
        case "ES256":
            return isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
        case _:
            return isinstance(key, ed25519.Ed25519PublicKey)


def _names(value: object, pattern: re.Pattern[str]) -> tuple[str, ...]:
    if isinstance(value, str):
        value = value.split()
    if not isinstance(value, list):
        return ()
    return tuple(sorted({name for name in value if isinstance(name, str) and pattern.fullmatch(name)}))
