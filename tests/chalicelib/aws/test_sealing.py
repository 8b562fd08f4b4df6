"""Sealed records on moto's KMS."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib import aws
from tiltyard.errors import IntegrityError


def test_what_is_sealed_is_unsealed_by_the_same_stage(stage):
    sealer = aws.open_sealer(stage.settings)
    sealed = sealer.seal(b"a record")

    assert sealer.unseal(sealed) == b"a record"
    assert b"a record" not in base64.b64decode(sealed)
    assert sealer.seal(b"a record") != sealed


def test_another_stage_opens_nothing(stage):
    sealed = aws.open_sealer(stage.settings).seal(b"a record")

    with pytest.raises(IntegrityError):
        aws.open_sealer(replace(stage.settings, stage="other")).unseal(sealed)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_changed_record_is_told(stage, data):
    sealer = aws.open_sealer(stage.settings)
    content = bytearray(base64.b64decode(sealer.seal(b"a record")))
    # The wrapped key's own form is KMS's business; the nonce and the ciphertext are ours.
    place = data.draw(st.integers(len(content) - 36, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))

    with pytest.raises(IntegrityError):
        sealer.unseal(base64.b64encode(bytes(content)).decode())


@pytest.mark.parametrize("text", ["", "AAAA", "not base64!"])
def test_what_was_never_sealed_is_told(stage, text):
    with pytest.raises(IntegrityError):
        aws.open_sealer(stage.settings).unseal(text)
