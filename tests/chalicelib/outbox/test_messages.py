"""Events, who wants them, and the messages that wait in between."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lineage_examples import attempt_at

from chalicelib.lineage.records import Webhook
from chalicelib.outbox.events import ACTIONS, GROUPS
from chalicelib.outbox.messages import LONGEST_PAUSE_S, Delivery, Target, pause_s, wants
from tiltyard.errors import MalformedRequest

SERVICE = Path(__file__).parents[3] / "chalicelib"


def hook(**more):
    return Webhook("1", "airport", "https://hooks.example.org/", attempt_at().at, "ada", **more)


CALLS = {"Change", "_put", "_commit", "_moved"}


def test_every_action_of_the_service_can_be_chosen():
    """They are words in `CALLS`; promote and rollback are put together."""
    found = set()
    for path in SERVICE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in CALLS:
                texts = [leaf.value for leaf in ast.walk(node) if isinstance(leaf, ast.Constant)]
                found |= {t for t in texts if isinstance(t, str) and re.fullmatch(r"[a-z]+\.[a-z]+", t)}

    assert found | {"champion.promote", "champion.rollback"} == set(ACTIONS)


@pytest.mark.parametrize(
    ("wanted", "scope", "action", "expected"),
    [
        ({}, "delays", "champion.promote", True),
        ({}, "team:airport", "webhook.create", True),
        ({"enabled": False}, "delays", "champion.promote", False),
        ({"events": ("champion.promote",)}, "delays", "champion.promote", True),
        ({"events": ("champion.promote",)}, "delays", "champion.rollback", False),
        ({"events": ("champion.*", "alias.set")}, "delays", "champion.rollback", True),
        ({"events": ("champion.*",)}, "delays", "version.register", False),
        ({"models": ("delays",)}, "delays", "alias.set", True),
        ({"models": ("delays",)}, "fraud", "alias.set", False),
        ({"models": ("delays",)}, "team:airport", "webhook.create", False),
        ({"models": ("fraud",), "events": ("alias.*",)}, "delays", "alias.set", False),
    ],
)
def test_a_webhook_hears_of_what_it_chose(wanted, scope, action, expected):
    assert wants(hook(**wanted), scope=scope, action=action) is expected


def test_groups_are_those_of_the_actions():
    assert GROUPS == (
        "alert.*",
        "alias.*",
        "champion.*",
        "model.*",
        "policy.*",
        "version.*",
        "webhook.*",
        "window.*",
    )


@given(st.sampled_from(["bus", "topic", "webhook"]), st.text(), st.text(), st.text(), st.text())
def test_a_delivery_comes_out_of_its_message_as_it_went_in(kind, team, webhook, event_id, body):
    delivery = Delivery(Target(kind, team, webhook), event_id, body)

    assert Delivery.from_text(delivery.to_text()) == delivery


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "null",
        "{" * 100_000,
        json.dumps({"target": {"kind": "pigeon", "team": "", "webhook": ""}, "event": "1", "body": ""}),
        json.dumps({"target": {"kind": "bus", "team": "", "webhook": ""}, "event": 1, "body": ""}),
        json.dumps({"target": "bus", "event": "1", "body": ""}),
    ],
)
def test_a_message_that_is_none_is_refused(text):
    with pytest.raises(MalformedRequest):
        Delivery.from_text(text)


def test_pauses_grow_to_four_hours_and_ten_attempts_take_half_a_day():
    pauses = [pause_s(attempts) for attempts in range(1, 10)]

    assert pauses[:4] == [10, 30, 90, 270]
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE_S == pause_s(1000)
    assert 10 * 3600 < sum(pauses) < 14 * 3600
