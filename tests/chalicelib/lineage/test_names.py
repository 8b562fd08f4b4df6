"""Ids, pseudonyms and cursors."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.lineage import cursors
from chalicelib.lineage.ids import uuid7
from chalicelib.lineage.pseudonyms import KeyedPseudonyms
from tiltyard.errors import InvalidInput, MalformedRequest

moments = st.datetimes(datetime(1971, 1, 1), datetime(2500, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
noise = st.binary(min_size=10, max_size=10)
keys = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7D), min_size=1, max_size=80)


def test_uuid7_is_the_example_of_the_standard():
    at = datetime.fromtimestamp(
        1645557742, UTC
    )  # RFC 9562 appendix A.6: 017F22E2-79B0-7CC3-98C4-DC0C0C07398F

    made = uuid7(at, bytes.fromhex("0CC318C4DC0C0C07398F"))

    assert made == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@given(moments, noise)
def test_uuid7_holds_the_exact_millisecond(at, random):
    made = uuid.UUID(uuid7(at, random))

    elapsed = at - datetime(1970, 1, 1, tzinfo=UTC)
    assert made.int >> 80 == elapsed.days * 86_400_000 + elapsed.seconds * 1000 + elapsed.microseconds // 1000


@given(moments, noise, noise)
def test_uuid7_sorts_by_millisecond_and_is_valid(at, first, second):
    earlier, later = uuid7(at, first), uuid7(at + timedelta(milliseconds=1), second)

    assert earlier < later
    assert (uuid.UUID(earlier).version, uuid.UUID(earlier).variant) == (7, uuid.RFC_4122)


def test_pseudonyms_are_hmac_sha256_of_the_purpose_and_the_name():
    import hashlib
    import hmac

    pepper = bytes(range(32))

    made = KeyedPseudonyms(pepper).actor("ada")

    assert made == hmac.new(pepper, b"actor\0ada", hashlib.sha256).hexdigest()


def test_the_same_text_has_another_digest_for_every_purpose_and_pepper():
    one, other = KeyedPseudonyms(b"1" * 32), KeyedPseudonyms(b"2" * 32)

    made = {one.actor("ada"), one.subject("ada"), one.commitment("ada"), other.actor("ada")}

    assert len(made) == 4


def test_a_name_is_the_same_in_both_forms_of_unicode_and_a_text_is_not():
    keyed = KeyedPseudonyms(b"1" * 32)
    composed, decomposed = "Andr\u00e9", "Andre\u0301"

    assert keyed.subject(composed) == keyed.subject(decomposed)
    assert keyed.actor(composed) == keyed.actor(decomposed)
    assert keyed.commitment(composed) != keyed.commitment(decomposed)


def test_half_a_surrogate_pair_is_refused():
    with pytest.raises(InvalidInput, match="surrogate"):
        KeyedPseudonyms(b"1" * 32).commitment("\ud83d")


def test_a_short_pepper_is_refused_and_none_is_ever_shown():
    with pytest.raises(InvalidInput, match="at least 32 bytes"):
        KeyedPseudonyms(b"short")

    assert "sssss" not in repr(KeyedPseudonyms(b"s" * 32))


@given(keys, keys)
def test_a_cursor_gives_its_position_back_in_its_own_list_alone(name, position):
    cursor = cursors.encode(name, position)

    assert cursors.decode(name, cursor, low="!", high="~") == position
    with pytest.raises(MalformedRequest):
        cursors.decode(name + "x", cursor, low="!", high="~")


@given(keys, st.integers(0, 200), st.sampled_from("AZaz09-_=+/ "))
def test_a_cursor_with_another_character_is_refused_or_names_another_position(position, place, character):
    cursor = cursors.encode("list", position)
    place %= len(cursor)
    changed = cursor[:place] + character + cursor[place + 1 :]

    try:
        found = cursors.decode("list", changed, low="!", high="~")
    except MalformedRequest:
        return

    assert changed == cursors.encode("list", found)
