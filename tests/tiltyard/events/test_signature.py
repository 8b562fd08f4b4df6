"""Signatures of deliveries: the standard's own example, every change refused, replays refused."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiltyard.errors import IntegrityError
from tiltyard.events.signature import headers, sign, verify

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
OTHER = "whsec_" + base64.b64encode(b"o" * 32).decode()
NOW = datetime(2026, 2, 1, 6, 15, tzinfo=UTC)
BODY = b'{"id":"1","type":"io.tiltyard.champion.promote"}'


def delivered(secrets=(SECRET,), at=NOW, body=BODY):
    return headers(secrets, delivery_id="event.hook", at=at, body=body)


def test_the_known_answer_of_the_standards_libraries():
    # The example that the libraries of Standard Webhooks test themselves with.
    signature = sign(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        delivery_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        at=datetime.fromtimestamp(1614265330, UTC),
        body=b'{"test": 2432232314}',
    )

    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_genuine_delivery_is_told_by_its_id_whatever_the_case_of_headers():
    assert verify(SECRET, {k.title(): v for k, v in delivered().items()}, BODY, now=NOW) == "event.hook"


def test_either_secret_will_do_while_one_replaces_the_other():
    received = delivered((SECRET, OTHER))

    assert verify(SECRET, received, BODY, now=NOW) == verify(OTHER, received, BODY, now=NOW)


def test_signatures_of_other_schemes_are_passed_over():
    received = delivered()
    received["webhook-signature"] = "v2,abc v1,!!! v1a,AAAA " + received["webhook-signature"]

    assert verify(SECRET, received, BODY, now=NOW) == "event.hook"


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_delivery_without_one_of_its_headers_is_refused(name):
    received = delivered()
    del received[name]

    with pytest.raises(IntegrityError, match=name):
        verify(SECRET, received, BODY, now=NOW)


@pytest.mark.parametrize("seconds", [301, -301, 86_400])
def test_a_delivery_replayed_outside_of_the_tolerance_is_refused(seconds):
    with pytest.raises(IntegrityError, match="replay"):
        verify(SECRET, delivered(), BODY, now=NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize("seconds", [299, -299])
def test_a_delivery_within_the_tolerance_holds(seconds):
    assert verify(SECRET, delivered(), BODY, now=NOW + timedelta(seconds=seconds)) == "event.hook"


@pytest.mark.parametrize("stamp", ["", "now", "-5", "1e9", "٣", "9" * 13])
def test_a_time_that_is_none_is_refused(stamp):
    with pytest.raises(IntegrityError):
        verify(SECRET, {**delivered(), "webhook-timestamp": stamp}, BODY, now=NOW)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_***", "sec_AAAA", "AAAA"])
def test_what_is_no_secret_is_said_to_be_none(secret):
    with pytest.raises(IntegrityError, match="whsec_"):
        verify(secret, delivered(), BODY, now=NOW)


@given(st.data())
def test_any_change_of_id_time_body_or_secret_is_refused(data):
    received = delivered()
    secret, body = SECRET, BODY
    match data.draw(st.sampled_from(["id", "time", "body", "signature", "secret"])):
        case "id":
            received["webhook-id"] = data.draw(st.text(min_size=1).filter(lambda t: t != "event.hook"))
        case "time":
            received["webhook-timestamp"] = str(int(NOW.timestamp()) + data.draw(st.integers(1, 299)))
        case "body":
            at = data.draw(st.integers(0, len(BODY) - 1))
            body = BODY[:at] + bytes([BODY[at] ^ data.draw(st.integers(1, 255))]) + BODY[at + 1 :]
        case "signature":
            received["webhook-signature"] = (
                "v1," + base64.b64encode(data.draw(st.binary(max_size=40))).decode()
            )
        case "secret":
            secret = OTHER

    with pytest.raises(IntegrityError):
        verify(secret, received, body, now=NOW)
