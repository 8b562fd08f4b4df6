"""Settings from the environment: complete and valid, or one error that names everything."""

from __future__ import annotations

import json

import pytest

from chalicelib.settings import Issuer, Settings, parse_issuers
from tiltyard.errors import TiltyardError

COMPANY = {
    "issuer": "https://id.example.org",
    "audience": "tiltyard",
    "jwks_uri": "https://id.example.org/keys",
}
OWN = {"issuer": "tiltyard-local", "audience": "tiltyard", "jwks": {"keys": [{"kty": "EC"}]}}
ENVIRON = {
    "TILTYARD_STAGE": "prod",
    "TILTYARD_LINEAGE_TABLE": "lineage",
    "TILTYARD_LEDGER_TABLE": "ledger",
    "TILTYARD_ARTIFACTS_BUCKET": "artifacts",
    "TILTYARD_LAKE_BUCKET": "lake",
    "TILTYARD_INCOMING_BUCKET": "incoming",
    "TILTYARD_AUDIT_BUCKET": "audit",
    "TILTYARD_TELEMETRY_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/1/telemetry",
    "TILTYARD_TELEMETRY_DEAD_LETTERS_URL": "https://sqs.eu-west-1.amazonaws.com/1/telemetry-dead-letters",
    "TILTYARD_EXAMINATION_QUEUE_URL": "http://127.0.0.1:4566/1/examinations",
    "TILTYARD_NOTARY_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/1/notary",
    "TILTYARD_DELIVERY_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/1/delivery",
    "TILTYARD_DELIVERY_DEAD_LETTERS_URL": "https://sqs.eu-west-1.amazonaws.com/1/delivery-dead-letters",
    "TILTYARD_EVENT_BUS": "tiltyard-events",
    "TILTYARD_EVENT_TOPIC_ARN": "arn:aws:sns:eu-west-1:1:tiltyard-events",
    "TILTYARD_PEPPER_KEY_ID": "key-1",
    "TILTYARD_TELEMETRY_KEY_ID": "key-2",
    "TILTYARD_AUDIT_KEY_ID": "key-3",
    "TILTYARD_ISSUERS": json.dumps([COMPANY]),
}


def faults_of(environ):
    with pytest.raises(TiltyardError, match="settings are incomplete or wrong") as caught:
        Settings.from_environ(environ)
    return [fault.detail for fault in caught.value.faults]


def test_a_complete_environment_is_read_with_its_defaults():
    settings = Settings.from_environ(ENVIRON)

    assert settings.lineage_table == "lineage"
    assert settings.issuers == (Issuer(**COMPANY),)
    assert settings.pointer_interval_s == 2.0
    assert settings.session_memory_mb == 724
    assert hash(settings) == hash(Settings.from_environ(dict(ENVIRON)))


def test_what_can_be_tuned_is_tuned():
    tuned = {"TILTYARD_POINTER_INTERVAL_S": "0.1", "TILTYARD_SESSION_MEMORY_MB": "512"}

    settings = Settings.from_environ(ENVIRON | tuned)

    assert (settings.pointer_interval_s, settings.session_memory_mb) == (0.1, 512)


def test_session_memory_follows_the_function_s_own_memory():
    settings = Settings.from_environ(ENVIRON | {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "3008"})

    assert settings.session_memory_mb == 2708


def test_everything_that_is_missing_is_named_at_once():
    details = faults_of({})

    assert details == [f"{name} isn't set" for name in ENVIRON]


def test_an_empty_value_is_missing():
    assert faults_of(ENVIRON | {"TILTYARD_LAKE_BUCKET": " "}) == ["TILTYARD_LAKE_BUCKET isn't set"]


@pytest.mark.parametrize(
    ("name", "value", "detail"),
    [
        ("TILTYARD_STAGE", "Prod!", "'Prod!' must be a letter"),
        ("TILTYARD_TELEMETRY_QUEUE_URL", "telemetry", "isn't the URL of a queue"),
        ("TILTYARD_TELEMETRY_QUEUE_URL", "http://[", "isn't the URL of a queue"),
        ("TILTYARD_POINTER_INTERVAL_S", "soon", "must be a number from 0.01 up"),
        ("TILTYARD_POINTER_INTERVAL_S", "0", "must be a number from 0.01 up"),
        ("TILTYARD_POINTER_INTERVAL_S", "nan", "must be a number from 0.01 up"),
        ("TILTYARD_POINTER_INTERVAL_S", "inf", "must be a number from 0.01 up"),
        ("TILTYARD_SESSION_MEMORY_MB", "0.5", "must be a number from 1 up"),
        ("TILTYARD_SESSION_MEMORY_MB", "-3", "must be a number from 1 up"),
        ("TILTYARD_CLOCK", "fast", "must be wall or replay"),
        ("TILTYARD_CLOCK", "replay", "which only stage local accepts"),
        ("TILTYARD_ISSUERS", "{", "isn't JSON"),
        ("TILTYARD_ISSUERS", "{}", "must be a JSON list"),
    ],
)
def test_a_wrong_value_is_named_with_what_it_should_be(name, value, detail):
    (found,) = faults_of(ENVIRON | {name: value})

    assert found.startswith(name)
    assert detail in found


def test_a_local_stage_may_replay():
    assert Settings.from_environ(ENVIRON).clock == "wall"
    assert (
        Settings.from_environ(ENVIRON | {"TILTYARD_STAGE": "local", "TILTYARD_CLOCK": "replay"}).clock
        == "replay"
    )


def test_no_issuer_at_all_is_allowed():
    assert parse_issuers("[]", stage="prod") == ()


def test_keys_in_the_settings_are_for_stage_local_alone():
    text = json.dumps([OWN])

    assert parse_issuers(text, stage="local") == (Issuer(**OWN),)
    with pytest.raises(TiltyardError, match="only stage local accepts"):
        parse_issuers(text, stage="prod")


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ("text", "must be an object"),
        (COMPANY | {"secret": "x"}, "nothing else"),
        ({**COMPANY, "audience": ""}, "needs 'audience' as text"),
        ({**COMPANY, "issuer": 3}, "needs 'issuer' as text"),
        ({k: v for k, v in COMPANY.items() if k != "jwks_uri"}, "needs 'jwks_uri'"),
        (COMPANY | {"jwks": OWN["jwks"]}, "not both"),
        ({**COMPANY, "jwks_uri": "http://id.example.org/keys"}, "as an https URL"),
        ({**COMPANY, "jwks_uri": 5}, "as an https URL"),
    ],
)
def test_a_wrong_issuer_is_refused_in_an_account(document, problem):
    with pytest.raises(TiltyardError, match=problem):
        parse_issuers(json.dumps([document]), stage="prod")


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({**OWN, "jwks": {"keys": []}}, "without keys"),
        ({**OWN, "jwks": "keys"}, "without keys"),
        ({**COMPANY, "jwks_uri": "http://id.example.org/keys"}, "isn't on this machine"),
    ],
)
def test_a_wrong_issuer_is_refused_in_stage_local(document, problem):
    with pytest.raises(TiltyardError, match=problem):
        parse_issuers(json.dumps([document]), stage="local")


def test_one_issuer_cannot_have_two_sets_of_keys():
    with pytest.raises(TiltyardError, match="more than once"):
        parse_issuers(json.dumps([COMPANY, COMPANY]), stage="prod")


def test_webhooks_reach_no_private_network_unless_one_is_named():
    named = {"TILTYARD_WEBHOOK_NETWORKS": "10.20.0.0/16, fd00::/8"}

    assert Settings.from_environ(ENVIRON).webhook_networks == ()
    assert Settings.from_environ(ENVIRON | {"TILTYARD_WEBHOOK_NETWORKS": ""}).webhook_networks == ()
    assert [str(network) for network in Settings.from_environ(ENVIRON | named).webhook_networks] == [
        "10.20.0.0/16",
        "fd00::/8",
    ]
    assert faults_of(ENVIRON | {"TILTYARD_WEBHOOK_NETWORKS": "10.20.0.1/16"}) == [
        "TILTYARD_WEBHOOK_NETWORKS '10.20.0.1/16' must be a network such as 10.20.0.0/16"
    ]
