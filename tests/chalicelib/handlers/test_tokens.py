"""Which tokens are believed, and what is read of them."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from fakes import AUDIENCE, ISSUER, KEY_ID, claims_for, issuer, signing_key, token_of
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from chalicelib.handlers.tokens import (
    KEYS_LIFETIME_S,
    MAX_TOKEN_LENGTH,
    REFRESH_INTERVAL_S,
    KeySet,
    Verifier,
    claims_of,
    fetch_https,
    public_keys,
)
from chalicelib.settings import Issuer
from tiltyard.errors import Unauthenticated, Unavailable

URI = "https://issuer.example/keys"
REMOTE = Issuer(ISSUER, AUDIENCE, jwks_uri=URI)


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def jwk(key: Any, kid: str, **more: Any) -> dict[str, Any]:
    algorithm = {
        rsa.RSAPrivateKey: RSAAlgorithm,
        ec.EllipticCurvePrivateKey: ECAlgorithm,
        ed25519.Ed25519PrivateKey: OKPAlgorithm,
    }
    maker = next(maker for kind, maker in algorithm.items() if isinstance(key, kind))
    return {**maker.to_jwk(key.public_key(), as_dict=True), "kid": kid, **more}


def verifier() -> Verifier:
    return Verifier((issuer(),))


def bearer(token: str) -> str:
    return f"Bearer {token}"


def signed(claims: dict[str, Any], key: Any = None, algorithm: str = "EdDSA", **header: Any) -> str:
    """Signed as it is: `jwt.encode` would refuse some of the claims."""
    content = json.dumps(
        {k: v.timestamp() if isinstance(v, datetime) else v for k, v in claims.items()}
    ).encode()
    headers = {"typ": "JWT", "kid": KEY_ID, **header}
    return jwt.PyJWS().encode(content, key or signing_key(), algorithm, headers=headers)


def good(**others: Any) -> dict[str, Any]:
    claims = {**claims_for("ada", ["engineer"], ["airport"]), **others}
    return {name: value for name, value in claims.items() if value is not None}


def test_token_of_ours_is_believed():
    claims = verifier().verify(bearer(token_of("engineer", "viewer", teams=("b", "a"))))

    assert claims.sub == "ada@example.org"
    assert claims.to_context() == {
        "sub": "ada@example.org",
        "iss": ISSUER,
        "exp": str(claims.exp),
        "roles": "engineer viewer",
        "teams": "a b",
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"exp": datetime.now(UTC) - timedelta(minutes=5)},
        {"exp": None},
        {"exp": "soon"},
        {"exp": 1e400},
        {"nbf": datetime.now(UTC) + timedelta(minutes=5)},
        {"aud": "another"},
        {"aud": None},
        {"iss": "https://elsewhere.example"},
        {"iss": ISSUER + "/"},
        {"iss": None},
        {"iss": [ISSUER]},
        {"sub": None},
        {"sub": ""},
        {"sub": "a\nb"},
        {"sub": "a" * 256},
    ],
)
def test_token_with_a_wrong_claim_is_refused(wrong):
    with pytest.raises(Unauthenticated):
        verifier().verify(bearer(signed(good(**wrong))))


def unsigned() -> str:
    return jwt.encode(good(), None, "none", headers={"kid": KEY_ID})


def signed_with_public_key_as_secret() -> str:
    """The classic confusion: the public key, which anyone has, as an HMAC secret."""
    pem = signing_key().public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return jwt.encode(good(), pem + b"\0" * 32, "HS256", headers={"kid": KEY_ID})


def altered() -> str:
    head, _, signature = signed(good()).split(".")
    content = json.dumps({**good(nbf=0, exp=4_000_000_000), "roles": ["admin"]})
    return ".".join([head, base64.urlsafe_b64encode(content.encode()).rstrip(b"=").decode(), signature])


@pytest.mark.parametrize(
    "token",
    [
        unsigned(),
        signed_with_public_key_as_secret(),
        altered(),
        signed(good(), ed25519.Ed25519PrivateKey.generate()),
        signed(good(), kid="key-2"),
        jwt.encode(good(), signing_key(), "EdDSA"),
        signed(good(), crit=["exp"]),
        signed(good()) + "x" * MAX_TOKEN_LENGTH,
        "",
        "a.b.c",
        "....",
        "é.é.é",
    ],
)
def test_token_that_proves_nothing_is_refused(token):
    with pytest.raises(Unauthenticated):
        verifier().verify(bearer(token))


@pytest.mark.parametrize("header", ["", "Bearer", "Basic YTpi", "bearer", f"Token {token_of('viewer')}"])
def test_header_without_a_bearer_token_is_refused(header):
    with pytest.raises(Unauthenticated, match="Bearer"):
        verifier().verify(header)


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=200))
def test_any_text_is_refused_and_never_breaks(head, body, signature):
    with pytest.raises(Unauthenticated):
        verifier().verify(bearer(f"{head}.{body}.{signature}"))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None, max_examples=150)
@given(
    st.dictionaries(
        st.sampled_from(["iss", "sub", "aud", "exp", "nbf", "iat", "roles", "teams"]), json_values
    )
)
def test_any_signed_claims_are_read_or_refused(claims):
    token = signed({**good(nbf=0, exp=4_000_000_000), **claims})

    try:
        found = verifier().verify(bearer(token))
    except Unauthenticated:
        return

    context = found.to_context()
    assert all(isinstance(value, str) for value in context.values())
    assert tuple(context["roles"].split()) == found.roles
    assert tuple(context["teams"].split()) == found.teams


@pytest.mark.parametrize(
    ("roles", "found"),
    [
        (["engineer", "viewer"], ("engineer", "viewer")),
        ("viewer engineer", ("engineer", "viewer")),
        (["viewer", "viewer"], ("viewer",)),
        (["data admin"], ()),  # one name with a space must not become two
        (["admin\tviewer", "Admin", 3, None], ()),
        ({"admin": True}, ()),
        (None, ()),
    ],
)
def test_roles_are_single_words(roles, found):
    assert claims_of({"sub": "ada", "exp": 1, "roles": roles}).roles == found


@pytest.mark.parametrize("kind", ["RS256", "ES256", "EdDSA"])
def test_every_allowed_algorithm_works_with_its_own_key_only(kind, rsa_key):
    keys = {
        "RS256": rsa_key,
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    }
    jwks = {"keys": [jwk(key, name) for name, key in keys.items()]}
    tested = Verifier((Issuer(ISSUER, AUDIENCE, jwks=jwks),))

    assert tested.verify(bearer(signed(good(), keys[kind], kind, kid=kind))).sub == "ada"
    for other in set(keys) - {kind}:
        with pytest.raises(Unauthenticated, match="no such key"):
            tested.verify(bearer(signed(good(), keys[kind], kind, kid=other)))


@pytest.mark.filterwarnings("ignore:The RSA key is 1024 bits")
def test_weak_and_foreign_keys_verify_nothing():
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    curve = ec.generate_private_key(ec.SECP384R1())
    tested = Verifier((Issuer(ISSUER, AUDIENCE, jwks={"keys": [jwk(weak, "weak"), jwk(curve, "curve")]}),))

    with pytest.raises(Unauthenticated):
        tested.verify(bearer(signed(good(), weak, "RS256", kid="weak")))
    with pytest.raises(Unauthenticated):
        tested.verify(bearer(signed(good(), curve, "ES384", kid="curve")))


def test_key_set_keeps_signing_keys_only(rsa_key):
    secret = {"kty": "oct", "k": "c2VjcmV0", "kid": "secret"}
    found = public_keys(
        {
            "keys": [
                jwk(rsa_key, "good", use="sig"),
                jwk(rsa_key, "encrypts", use="enc"),
                {**jwk(rsa_key, "private"), "d": "AQAB"},
                secret,
                {"kid": "empty"},
                {"kty": "RSA", "kid": "broken", "n": "!", "e": "AQAB"},
                "text",
                jwk(rsa_key, 3),  # type: ignore[arg-type]
            ]
        }
    )

    assert set(found) == {"good"}


@pytest.mark.parametrize("document", [None, [], {}, {"keys": {}}, "keys"])
def test_what_is_no_key_set_is_said_so(document):
    with pytest.raises(ValueError, match="list of keys"):
        public_keys(document)


class Remote:
    """An issuer's key set behind a counter and a clock."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = [jwk(signing_key(), KEY_ID)]
        self.fetched = 0
        self.is_away = False
        self.now = 1000.0

    def fetch(self, uri: str) -> bytes:
        self.fetched += 1
        if self.is_away:
            raise OSError("timed out")
        return json.dumps({"keys": self.keys}).encode()

    def open(self) -> KeySet:
        return KeySet(REMOTE, self.fetch, lambda: self.now)


def test_key_set_is_fetched_once():
    remote = Remote()
    keys = remote.open()

    for _ in range(5):
        assert keys.key(KEY_ID) is not None
    assert remote.fetched == 1


def test_rotated_key_works_at_once_and_invented_ids_cost_one_fetch_a_minute():
    remote = Remote()
    keys = remote.open()
    keys.key(KEY_ID)
    remote.keys = [jwk(signing_key(), "key-2")]

    remote.now += REFRESH_INTERVAL_S
    assert keys.key("key-2") is not None
    for n in range(100):
        assert keys.key(f"invented-{n}") is None
    assert remote.fetched == 2
    assert keys.key(KEY_ID) is None


def test_keys_are_fetched_again_after_an_hour():
    remote = Remote()
    keys = remote.open()
    keys.key(KEY_ID)
    remote.keys = []

    remote.now += KEYS_LIFETIME_S + 1

    assert keys.key(KEY_ID) is None


def test_issuer_that_is_down_locks_nobody_out():
    remote = Remote()
    keys = remote.open()
    keys.key(KEY_ID)
    remote.is_away = True

    remote.now += KEYS_LIFETIME_S + 1

    assert keys.key(KEY_ID) is not None
    assert remote.fetched == 2


def test_keys_never_had_are_unavailable():
    remote = Remote()
    remote.is_away = True

    with pytest.raises(Unavailable, match="can't be fetched"):
        remote.open().key(KEY_ID)


def test_remote_keys_verify_tokens():
    remote = Remote()
    tested = Verifier((REMOTE,), remote.fetch)

    assert tested.verify(bearer(token_of("viewer"))).roles == ("viewer",)


@pytest.mark.parametrize(
    "uri", ["http://issuer.example/keys", "file:///etc/hostname", "ftp://issuer.example/"]
)
def test_only_https_is_fetched(uri):
    with pytest.raises(OSError, match="https"):
        fetch_https(uri)


def test_authorizer_allows_every_route_and_says_one_word_otherwise(stage):
    from app import app

    event = {
        "type": "TOKEN",
        "authorizationToken": bearer(token_of("engineer")),
        "methodArn": "arn:aws:execute-api:eu-west-1:1:api/stage/GET/v1/models",
    }
    authorizer = app.handler_map["authorizer"]

    answer = authorizer(event, SimpleNamespace())

    assert answer["policyDocument"]["Statement"][0]["Resource"] == [
        "arn:aws:execute-api:eu-west-1:1:api/stage/*/*"
    ]
    assert answer["context"]["roles"] == "engineer"
    with pytest.raises(Exception, match=r"^Unauthorized$"):
        authorizer({**event, "authorizationToken": "Bearer x"}, SimpleNamespace())
