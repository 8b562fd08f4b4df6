"""`tiltyard webhook` and the client's calls, against the service in this process."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_network

import pytest
from fakes import token_of
from in_process import TEAM, running_service
from scripted_server import scripted_server

from chalicelib.outbox.messages import Delivery, Target
from tiltyard import Client
from tiltyard.cli import main
from tiltyard.errors import NotFound

ADDRESS = "https://93.184.215.14/hook"


@pytest.fixture(scope="module")
def service():
    with running_service() as service:
        service.at_hand.settings = replace(
            service.at_hand.settings, webhook_networks=(ip_network("127.0.0.0/8"),)
        )
        yield service


@pytest.fixture
def run(service, capsys, monkeypatch):
    def run(*arguments, role="engineer"):
        monkeypatch.setenv("TILTYARD_URL", service.url)
        monkeypatch.setenv("TILTYARD_TOKEN", token_of(role, teams=(TEAM,)))
        with pytest.raises(SystemExit) as ended:
            main(["webhook", *arguments], prog_name="tiltyard")
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return run


def made(run, *arguments):
    code, out, err = run("add", ADDRESS, "--team", TEAM, "--json", *arguments)
    assert code == 0, err
    return json.loads(out)


def test_the_secret_is_printed_once_and_said_to_be(run):
    code, out, err = run("add", ADDRESS, "--team", TEAM, "--event", "champion.*", "--model", "delays")

    (secret,) = [line.split()[1] for line in out.splitlines() if line.startswith("secret")]
    assert (code, secret[:6]) == (0, "whsec_")
    assert "shown this once" in err
    assert secret not in run("list", "--json")[1]


def test_webhooks_are_listed_with_what_they_hear_of(run):
    hook = made(run, "--event", "alias.set")

    code, out, _ = run("list")

    assert code == 0
    (row,) = [line for line in out.splitlines() if hook["id"] in line]
    assert row.split() == [hook["id"], ADDRESS, "alias.set", "all", "yes", "-"]


def test_a_webhook_is_changed_shown_rotated_and_removed(run):
    hook = made(run, "--event", "alias.set")

    changed = json.loads(run("change", hook["id"], "--every-event", "--off", "--json")[1])
    shown = run("show", hook["id"])[1]
    rotated = json.loads(run("rotate", hook["id"], "--json")[1])
    removed, _, err = run("remove", hook["id"])

    assert (changed["events"], changed["enabled"]) == ([], False)
    assert "last_failed  -" in shown
    assert rotated["secret"] not in {None, hook["secret"]}
    assert removed == 0
    assert "is deleted" in err
    assert run("show", hook["id"])[0] == 1


def test_choosing_and_taking_all_at_once_is_wrong_usage(run):
    assert run("change", "any", "--event", "alias.set", "--every-event")[0] == 2
    assert run("redrive")[0] == 2
    assert run("redrive", "any", "--all")[0] == 2


def test_a_test_call_tells_by_its_exit_code(run):
    with scripted_server() as server:
        server.answers = [(200, {}, None), (404, {}, None)]
        hook = made(run)
        run("change", hook["id"], "--address", server.url)
        taken, out, _ = run("test", hook["id"])
        refused, _, err = run("test", hook["id"])

    assert (taken, refused) == (0, 3)
    assert "HTTP 200" in out
    assert "HTTP 404" in err


def test_redriven_deliveries_are_counted(run, service):
    hook = made(run)
    for number in range(3):
        text = Delivery(Target("webhook", TEAM, hook["id"]), str(number), "{}").to_text()
        service.at_hand.dead_letters.add(text)

    assert json.loads(run("redrive", hook["id"], "--json")[1]) == {"moved": 3}
    assert "0 deliveries" in run("redrive", "--all", role="admin")[2]


def test_an_address_that_may_not_be_called_says_why(run):
    code, _, err = run("add", "https://10.0.0.1/", "--team", TEAM)

    assert code == 1
    assert "/url" in err
    assert "private" in err


def test_the_client_gives_records_with_etags(service):
    with Client(service.url, token_of("engineer", teams=(TEAM,))) as client:
        hook = client.create_webhook(TEAM, ADDRESS, events=["champion.promote"])
        changed = client.change_webhook(hook.id, description="pager", if_match=hook.etag)
        found = client.webhook(hook.id)

        assert "secret" not in hook.body
        assert (found.description, found.etag, found.secret) == ("pager", changed.etag, None)
        assert hook.id in [listed.id for listed in client.webhooks()]
        client.remove_webhook(hook.id, if_match=found.etag)
        with pytest.raises(NotFound):
            client.webhook(hook.id)
