import json

import jwt
import pytest

from tiltyard.errors import InvalidInput
from tiltyard.local import tokens


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key.pem"
    tokens.ensure_key(path)
    return path


def sign(key, **changes):
    claims = {"stack": "default", "subject": "ada", "roles": ["engineer"], "teams": ["demo"], "ttl_s": 60}
    return tokens.sign(key, **(claims | changes))


def test_a_token_verifies_by_the_published_key(key):
    (issuer,) = json.loads(tokens.issuers_setting(key, stack="default"))
    token = sign(key)

    (published,) = jwt.PyJWKSet.from_dict(issuer["jwks"]).keys
    claims = jwt.decode(
        token, published, algorithms=["EdDSA"], audience=issuer["audience"], issuer=issuer["issuer"]
    )

    assert (claims["sub"], claims["roles"], claims["teams"]) == ("ada", ["engineer"], ["demo"])
    assert claims["exp"] - claims["iat"] == 60
    assert jwt.get_unverified_header(token)["kid"] == published.key_id


def test_only_the_public_half_is_published(key):
    (issuer,) = json.loads(tokens.issuers_setting(key, stack="default"))

    (published,) = issuer["jwks"]["keys"]

    assert set(published) == {"alg", "crv", "kid", "kty", "use", "x"}


def test_a_key_is_made_once(key):
    before = key.read_bytes()

    tokens.ensure_key(key)

    assert key.read_bytes() == before


def test_keys_of_two_stacks_refuse_one_another(key, tmp_path):
    other = tmp_path / "other.pem"
    tokens.ensure_key(other)
    (issuer,) = json.loads(tokens.issuers_setting(other, stack="other"))
    (published,) = jwt.PyJWKSet.from_dict(issuer["jwks"]).keys

    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(sign(key), published, algorithms=["EdDSA"], audience=issuer["audience"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"roles": []}, "got none"),
        ({"roles": ["root"]}, "got root"),
        ({"ttl_s": 0}, "not 0 s"),
        ({"ttl_s": 31 * 24 * 3600}, "30 days"),
    ],
)
def test_bad_claims_are_refused(key, changes, message):
    with pytest.raises(InvalidInput, match=message):
        sign(key, **changes)
