"""Checkpoints: the specification's form and RFC 8032's signatures, and nothing that only looks like them."""

from __future__ import annotations

import base64
import random

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tiltyard.audit.checkpoint import Checkpoint, VerifierKey, open_note, sign
from tiltyard.errors import IntegrityError

# RFC 8032, section 7.1, test 1: the secret key, its public key, and its signature of nothing.
SECRET = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
KEY = Ed25519PrivateKey.from_private_bytes(SECRET)
MINE = VerifierKey("tiltyard.test.audit", PUBLIC)
CHECKPOINT = Checkpoint(MINE.name, 1234, bytes(range(32)))
NOTE = sign(CHECKPOINT, MINE, KEY.sign)


def signed(body, name=MINE.name, key_id=MINE.id):
    """A note around any text, signed as a checkpoint is."""
    content = base64.b64encode(key_id + KEY.sign(body.encode())).decode()
    return f"{body}\n— {name} {content}\n"


def test_the_key_is_that_of_the_rfc():
    assert KEY.public_key().public_bytes_raw() == PUBLIC
    assert KEY.sign(b"").hex().startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901")


def test_a_checkpoint_is_three_lines_and_its_signature():
    assert CHECKPOINT.body() == f"tiltyard.test.audit\n1234\n{base64.b64encode(bytes(range(32))).decode()}\n"
    body, line = NOTE.split("\n\n")
    assert body + "\n" == CHECKPOINT.body()
    assert line.startswith("— tiltyard.test.audit ")
    assert line.endswith("\n")
    assert open_note(NOTE, MINE) == CHECKPOINT


def test_a_verifier_key_is_read_as_it_was_written():
    published = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"

    assert str(VerifierKey.parse(published)) == published
    assert VerifierKey.parse(f"{MINE}\n") == MINE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+00000000+AAAA",
        str(MINE).replace("+", " "),
        str(MINE)[:-1],
        str(MINE).replace(MINE.id.hex(), "00000000"),
        f"name+00000000+{base64.b64encode(bytes([2]) + PUBLIC).decode()}",
    ],
)
def test_other_keys_are_refused(text):
    with pytest.raises(IntegrityError):
        VerifierKey.parse(text)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\n"])
def test_a_key_s_name_has_no_spaces_and_no_plus(name):
    with pytest.raises(IntegrityError):
        VerifierKey(name, PUBLIC)


def test_witnesses_sign_beside_and_extensions_follow():
    witness = "— witness.example " + base64.b64encode(b"1234" + b"w" * 72).decode() + "\n"

    assert open_note(NOTE + witness, MINE) == CHECKPOINT
    assert open_note(signed(CHECKPOINT.body() + "extension\n"), MINE) == CHECKPOINT


@pytest.mark.parametrize(
    "note",
    [
        "",
        CHECKPOINT.body(),
        NOTE.removesuffix("\n"),
        NOTE.replace("— ", "- "),
        NOTE.replace("\n\n", "\n"),
        NOTE + "— nobody\n",
        NOTE + "\0",
        NOTE + "\r\n",
        "x" * 70_000,
        signed("origin\n5\n"),
        signed(CHECKPOINT.body().replace("1234", "01234")),
        signed(CHECKPOINT.body().replace("1234", "-1")),
        signed(CHECKPOINT.body().replace("1234", "1e3")),
        signed(f"{MINE.name}\n1234\nAAAA\n"),
        signed(f"{MINE.name}\n1234\n????\n"),
        signed(CHECKPOINT.body().replace(MINE.name, "another.log")),
        signed(CHECKPOINT.body(), name="another.key"),
        signed(CHECKPOINT.body(), key_id=b"1234"),
    ],
)
def test_what_is_no_signed_checkpoint_of_the_log_is_refused(note):
    with pytest.raises(IntegrityError):
        open_note(note, MINE)


def test_another_key_s_signature_is_refused():
    other = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
    theirs = VerifierKey(MINE.name, other.public_key().public_bytes_raw())

    with pytest.raises(IntegrityError, match="isn't signed by the key"):
        open_note(sign(CHECKPOINT, theirs, other.sign), MINE)


def test_a_signature_by_the_wrong_key_is_never_given_out():
    other = Ed25519PrivateKey.from_private_bytes(b"o" * 32)

    with pytest.raises(IntegrityError):
        sign(CHECKPOINT, MINE, other.sign)


def test_a_thousand_changed_notes_are_all_refused():
    generator, content = random.Random(3), NOTE.encode()
    for _ in range(1000):
        bit = generator.randrange(8 * len(content))
        changed = bytes(b ^ (1 << bit % 8 if place == bit // 8 else 0) for place, b in enumerate(content))
        with pytest.raises((IntegrityError, UnicodeDecodeError)):
            open_note(changed.decode(), MINE)
