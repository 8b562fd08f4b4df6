"""The audit entry's one form: canonical bytes that read back, and nothing else that does."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiltyard.audit.entry import MAX_BYTES, Entry
from tiltyard.errors import IntegrityError, InvalidInput

HEX = "0123456789abcdef" * 4
ENTRY = Entry(
    id="017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
    time=datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC),
    model="delays",
    change=7,
    actor=HEX,
    role="engineer",
    action="version.promote",
    object="b" * 64,
    before=None,
    after="b" * 64,
    reason=HEX,
    request_id="r-1",
)
BYTES = (
    b'{"action":"version.promote","actor":"%(hex)b","after":"%(b)b","before":null,"change":7,"format":1,'
    b'"id":"017f22e2-79b0-7cc3-98c4-dc0c0c07398f","model":"delays","object":"%(b)b","reason":"%(hex)b",'
    b'"request_id":"r-1","role":"engineer","time":"2026-03-01T12:00:00.250Z"}'
) % {b"hex": HEX.encode(), b"b": b"b" * 64}

texts = st.text(max_size=40)
entries = st.builds(
    Entry,
    id=texts,
    time=st.datetimes(datetime(1971, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
        lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)
    ),
    model=texts,
    change=st.integers(1, 2**53 - 1),
    actor=st.just(HEX),
    role=texts,
    action=texts,
    object=texts,
    before=st.none() | texts,
    after=st.none() | texts,
    reason=st.none() | st.just(HEX),
    request_id=texts,
)


def test_the_bytes_are_the_canonical_json_of_rfc_8785():
    assert ENTRY.to_bytes() == BYTES


@given(entries)
def test_an_entry_reads_back_from_its_bytes(entry):
    assert Entry.from_bytes(entry.to_bytes()) == entry


def test_a_time_of_another_zone_is_written_in_utc_and_cut_to_the_millisecond():
    at = datetime(2026, 3, 1, 14, 0, 0, 250_999, tzinfo=timezone(timedelta(hours=2)))

    assert replace(ENTRY, time=at).to_bytes() == BYTES


@pytest.mark.parametrize("name", ["actor", "reason"])
@pytest.mark.parametrize("value", ["ada", "", HEX.upper(), HEX + "0", HEX + "\n"])
def test_a_name_or_a_text_is_refused_where_only_a_keyed_digest_may_stand(name, value):
    with pytest.raises(InvalidInput, match=f"/{name}: must be a keyed digest"):
        replace(ENTRY, **{name: value})


def test_a_change_counts_from_one():
    with pytest.raises(InvalidInput, match="/change: must count up from 1"):
        replace(ENTRY, change=0)


def test_a_time_without_an_offset_is_refused():
    with pytest.raises(InvalidInput, match="/time: must have a UTC offset"):
        replace(ENTRY, time=datetime(2026, 3, 1))  # noqa: DTZ001


def test_an_entry_has_at_most_32_kb():
    room = MAX_BYTES - len(replace(ENTRY, object="").to_bytes())

    assert len(replace(ENTRY, object="x" * room).to_bytes()) == MAX_BYTES
    with pytest.raises(InvalidInput, match="name what is large by its digest"):
        replace(ENTRY, object="x" * (room + 1)).to_bytes()


@pytest.mark.parametrize("values", [{"object": "\ud83d"}, {"change": 2**53}])
def test_what_has_no_canonical_json_is_refused(values):
    with pytest.raises(InvalidInput, match="no canonical JSON"):
        replace(ENTRY, **values).to_bytes()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        BYTES + b"\n",
        BYTES.replace(b'"change":7', b'"change": 7'),
        BYTES.replace(b'"change":7', b'"change":7.0'),
        BYTES.replace(b'"change":7', b'"change":true'),
        BYTES.replace(b'"change":7', b'"change":0'),
        BYTES.replace(b'"format":1', b'"format":2'),
        BYTES.replace(b'"role":"engineer"', b'"role":null'),
        BYTES.replace(b'"role":"engineer"', b'"rule":"engineer"'),
        BYTES.replace(b'"role":"engineer"', b'"role":"engineer","x":1'),
        BYTES.replace(b'"role":"engineer"', b'"role":"engineer","role":"engineer"'),
        BYTES.replace(b"engineer", b"\\u0065ngineer"),
        BYTES.replace(b"00.250Z", b"00.250+00:00"),
        BYTES.replace(b"00.250Z", b"00.2500Z"),
        BYTES.replace(b"2026-03-01", b"2026-02-30"),
        BYTES.replace(HEX.encode(), b"ada"),
        json.dumps(json.loads(BYTES)).encode(),
    ],
)
def test_any_other_bytes_are_refused(content):
    assert content != BYTES
    with pytest.raises(IntegrityError, match="audit entry"):
        Entry.from_bytes(content)
