"""Webhooks over HTTP: made, shown, changed, tried out, sent again; the secret once."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_network

import pytest
from fakes import token_of
from scripted_server import scripted_server

from chalicelib.outbox.messages import BUS, Delivery, Target
from chalicelib.outbox.rules import MAX_WEBHOOKS
from tiltyard.errors import IntegrityError
from tiltyard.events.signature import verify

URL = "/v1/webhooks"
# An address that is public and needs no resolver.
ADDRESS = "https://93.184.215.14/hook"


def add(stage, url=ADDRESS, *, role="engineer", team="airport", **more):
    headers = more.pop("headers", {})
    body = {"team": team, "url": url, **more}
    return stage.call("POST", URL, body, role=role, headers=headers)


@pytest.fixture
def hook(stage):
    return add(stage).json


@pytest.fixture
def entries(stage):
    def read():
        items = stage.at_hand.lineage.table.dump()
        found = [item for item in items if item["pk"] == "TEAM#airport" and item["sk"].startswith("CHANGE#")]
        return [json.loads(item["entry"]) for item in found]

    return read


@pytest.fixture
def inside(stage):
    """Lets webhooks call servers on this machine."""
    stage.at_hand.settings = replace(stage.at_hand.settings, webhook_networks=(ip_network("127.0.0.0/8"),))


def test_the_secret_is_in_the_answer_that_makes_it_and_in_no_other(stage):
    made = add(stage, events=["champion.*"], models=["delays"], description="the pager")

    read = stage.call("GET", made.headers["Location"], role="engineer")
    listed = stage.call("GET", URL, role="auditor")

    assert (made.status, read.status, listed.status) == (201, 200, 200)
    assert made.json["secret"].startswith("whsec_")
    assert made.headers["Cache-Control"] == "no-store"
    assert "secret" not in read.json
    assert {**read.json, "secret": made.json["secret"]} == made.json
    assert listed.json == {"items": [read.json], "next": None}
    assert made.json["secret"] not in str(stage.at_hand.lineage.table.dump())
    assert read.json["created_by"] == "ada@example.org (https://issuer.example)"


def test_the_same_request_again_is_the_same_webhook_with_its_secret(stage):
    first, second = (add(stage, headers={"Idempotency-Key": "k-1"}) for _ in range(2))

    assert first.json == second.json
    assert len(stage.call("GET", URL, role="engineer").json["items"]) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://93.184.215.14/",
        "https://127.0.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://10.0.0.1/",
        "https://[::1]/",
        "https://[fd00::1]/",
        "https://2130706433/",
        "https://no-such-name.invalid/",
        "https://user:word@93.184.215.14/",
        "javascript:alert(1)",
        "not a url",
    ],
)
def test_an_address_that_may_not_be_called_is_refused_at_once(stage, changes, url):
    answer = add(stage, url)

    assert (answer.status, answer.problem) == (422, "invalid-input")
    assert answer.json["errors"][0]["pointer"] == "/url"
    assert changes() == 0


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"events": ["champion.promoted"]}, "/events/0"),
        ({"events": ["champion.*", "*"]}, "/events/1"),
        ({"models": ["Not A Name"]}, "/models/0"),
        ({"surprise": 1}, "/surprise"),
        ({"description": "x" * 2001}, "/description"),
    ],
)
def test_what_nobody_could_mean_is_refused(stage, changes, more, pointer):
    answer = add(stage, **more)

    assert answer.status == 422
    assert answer.json["errors"][0]["pointer"] == pointer
    assert changes() == 0


def test_a_team_has_so_many_and_no_more(stage):
    for _ in range(MAX_WEBHOOKS):
        assert add(stage).status == 201

    assert add(stage).status == 409


def test_a_webhook_is_changed_under_its_etag_and_on_record(stage, hook, entries):
    path = f"{URL}/{hook['id']}"
    changed = stage.call(
        "PATCH",
        path,
        {"events": ["alias.set"], "enabled": False},
        role="engineer",
        headers={"If-Match": '"1"'},
    )
    stale = stage.call("PATCH", path, {"enabled": True}, role="engineer", headers={"If-Match": '"1"'})
    same = stage.call("PATCH", path, {"enabled": False}, role="engineer")

    assert (changed.status, stale.status, same.status) == (200, 412, 200)
    assert (changed.json["events"], changed.json["enabled"]) == (["alias.set"], False)
    assert changed.headers["ETag"] == same.headers["ETag"] == '"2"'
    assert [(entry["change"], entry["action"]) for entry in entries()] == [
        (1, "webhook.create"),
        (2, "webhook.change"),
    ]
    assert entries()[0]["after"] == entries()[1]["before"]
    assert "93.184" not in json.dumps(entries())


def test_an_address_is_checked_when_it_is_changed(stage, hook):
    answer = stage.call("PATCH", f"{URL}/{hook['id']}", {"url": "https://10.0.0.1/"}, role="engineer")

    assert answer.status == 422


def test_a_rotation_gives_another_secret(stage, hook, entries):
    path = f"{URL}/{hook['id']}/rotate"
    rotated, again = (
        stage.call("POST", path, role="engineer", headers={"Idempotency-Key": "r"}) for _ in range(2)
    )
    later = stage.call("POST", path, role="engineer")
    late = stage.call("POST", path, role="engineer", headers={"Idempotency-Key": "r"})

    assert len({hook["secret"], rotated.json["secret"], later.json["secret"]}) == 3
    assert rotated.json == again.json
    assert (rotated.json["rotation"], later.json["rotation"]) == (2, 3)
    assert late.json["secret"] is None
    assert [entry["action"] for entry in entries()][1:] == ["webhook.rotate", "webhook.rotate"]


def test_a_deleted_webhook_is_gone_once(stage, hook, entries):
    path = f"{URL}/{hook['id']}"
    keyed = {"Idempotency-Key": "d"}

    assert stage.call("DELETE", path, role="engineer", headers={"If-Match": '"9"'}).status == 412
    assert stage.call("DELETE", path, role="engineer", headers=keyed).status == 204
    assert stage.call("DELETE", path, role="engineer", headers=keyed).status == 204
    assert stage.call("DELETE", path, role="engineer").status == 404
    assert stage.call("GET", path, role="engineer").status == 404
    assert entries()[-1]["action"] == "webhook.remove"
    assert entries()[-1]["after"] is None


def test_a_test_call_says_how_it_went(stage, inside):
    with scripted_server() as server:
        server.answers = [(202, {}, None), (500, {}, None)]
        made = add(stage, server.url).json
        path = f"{URL}/{made['id']}/test"
        taken = stage.call("POST", path, role="engineer").json
        refused = stage.call("POST", path, role="engineer").json
    away = stage.call("POST", path, role="engineer").json

    assert (taken["taken"], taken["status"], taken["detail"]) == (True, 202, "HTTP 202")
    assert (refused["taken"], refused["status"]) == (False, 500)
    assert (away["taken"], away["status"]) == (False, None)
    seen = server.seen[0]
    assert verify(made["secret"], seen.headers, seen.body) == f"{taken['event']}.{made['id']}"
    assert json.loads(seen.body)["type"] == "io.tiltyard.webhook.test"
    with pytest.raises(IntegrityError):
        verify(made["secret"], seen.headers, seen.body + b" ")


def letter(webhook, number):
    return Delivery(Target("webhook", "airport", webhook), f"event-{number}", "{}").to_text()


def test_a_redrive_sends_a_webhooks_own_letters_again_and_leaves_the_others(stage, hook):
    dead = stage.at_hand.dead_letters
    own = [letter(hook["id"], number) for number in range(25)]
    others = [letter("another", 1), Delivery(BUS, "event-2", "{}").to_text(), "not a delivery"]
    for body in [*own[:5], *others, *own[5:]]:
        dead.add(body)

    answer = stage.call("POST", f"{URL}/{hook['id']}/redrive", role="engineer")

    assert answer.json == {"moved": 25, "all": True}
    assert sorted(stage.at_hand.delivery_queue.sent) == sorted(own)
    assert sorted(dead.bodies.values()) == sorted(others)
    assert dead.hidden == set()
    assert stage.call("POST", f"{URL}/{hook['id']}/redrive", role="engineer").json["moved"] == 0


def test_an_admin_redrives_whatever_was_a_delivery(stage):
    for body in (letter("any", 1), Delivery(BUS, "event-2", "{}").to_text(), "not a delivery"):
        stage.at_hand.dead_letters.add(body)

    assert stage.call("POST", "/v1/events/redrive", role="engineer").status == 403
    assert stage.call("POST", "/v1/events/redrive", role="admin").json == {"moved": 2, "all": True}
    assert list(stage.at_hand.dead_letters.bodies.values()) == ["not a delivery"]


def test_letters_that_cannot_be_sent_again_stay(stage, hook):
    stage.at_hand.dead_letters.add(letter(hook["id"], 1))
    stage.at_hand.delivery_queue.breaks = True

    assert stage.call("POST", f"{URL}/{hook['id']}/redrive", role="engineer").status == 500
    assert len(stage.at_hand.dead_letters.bodies) == 1


@pytest.mark.parametrize("role", ["viewer", "caller", "scientist", "business"])
def test_webhooks_are_for_engineers_and_auditors(stage, hook, role):
    path = f"{URL}/{hook['id']}"

    assert stage.call("GET", path, role=role).status == 403
    assert stage.call("GET", URL, role=role).status == 403
    assert add(stage, role=role).status == 403
    assert stage.call("POST", f"{path}/rotate", role=role).status == 403


def test_an_auditor_sees_and_changes_nothing(stage, hook):
    path = f"{URL}/{hook['id']}?team=airport"

    assert stage.call("GET", path, token=token_of("auditor", teams=())).status == 200
    assert stage.call("DELETE", path, token=token_of("auditor", teams=())).status == 403


@pytest.mark.parametrize("roles", [("engineer",), ("viewer",)])
@pytest.mark.parametrize("team", ["", "?team=airport", "?team=nowhere"])
@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/rotate"),
        ("POST", "/test"),
        ("POST", "/redrive"),
    ],
)
def test_a_stranger_cannot_tell_a_webhook_from_none(stage, hook, method, rest, team, roles):
    stranger = token_of(*roles, teams=("finance",), sub="stranger@example.org")

    def asked(webhook):
        body = {} if method == "PATCH" else None
        answer = stage.call(method, f"{URL}/{webhook}{rest}{team}", body, token=stranger)
        return answer.status, str(answer.json["detail"]).replace(webhook, "…")

    assert asked(hook["id"]) == asked("nothing")
    assert asked(hook["id"])[0] in {403, 404}


def test_whose_webhooks_has_to_be_clear(stage, hook):
    both = token_of("engineer", teams=("airport", "finance"))

    assert stage.call("GET", URL, token=both).status == 400
    assert len(stage.call("GET", f"{URL}?team=airport", token=both).json["items"]) == 1
    assert stage.call("GET", f"{URL}?team=finance", token=both).json["items"] == []
    assert stage.call("GET", f"{URL}/{hook['id']}", token=both).status == 200
    assert stage.call("GET", f"{URL}?team=other", token=both).status == 404
    lost = stage.call("GET", f"{URL}/{hook['id']}", token=token_of("admin", teams=()))
    assert (lost.status, "?team=" in lost.json["detail"]) == (404, True)


def test_webhooks_come_in_pages(stage):
    ids = [add(stage).json["id"] for _ in range(5)]
    found, cursor = [], ""
    while True:
        answer = stage.call("GET", f"{URL}?limit=2{cursor}", role="engineer").json
        found += [item["id"] for item in answer["items"]]
        if answer["next"] is None:
            break
        cursor = f"&cursor={answer['next']}"

    assert sorted(found) == sorted(ids)
