"""`tiltyard audit` against the whole service in this process, and copies of its log without it."""

from __future__ import annotations

import json

import pytest
from bundles import logistic_bundle
from in_process import running_service

from chalicelib.governance.notary import notarise
from tiltyard import Client
from tiltyard.cli import main


@pytest.fixture
def service():
    with running_service() as service:
        yield service


def log(service):
    at_hand = service.at_hand
    notarise(at_hand.log, at_hand.log_objects, at_hand.log_signer, origin=at_hand.log_origin)


@pytest.fixture
def filled(service):
    """A model with a champion, logged; and a change that waits."""
    with Client(service.url, service.token()) as client:
        client.create_model("delays", team="demo", task="binary")
        bundle = logistic_bundle((0.5, -0.25))
        service.at_hand.upload(bundle)
        client._http.write("POST", "/v1/models/delays/versions", {"manifest": dict(bundle.manifest)})
        client.promote("delays", 1, reason="the first")
        log(service)
        client.set_alias("delays", "nightly", 1)
    return service


@pytest.fixture
def run(filled, capsys, monkeypatch):
    def run(*arguments, role="auditor"):
        monkeypatch.setenv("TILTYARD_URL", filled.url)
        monkeypatch.setenv("TILTYARD_TOKEN", filled.token(role))
        with pytest.raises(SystemExit) as ended:
            main(["audit", *map(str, arguments)], prog_name="tiltyard")
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return run


def test_the_log_is_listed(run):
    code, out, _ = run("list")

    assert code == 0
    assert [line.split()[4] for line in out.splitlines()[1:]] == [
        "model.create",
        "version.register",
        "version.accept",
        "champion.promote",
    ]


def test_a_model_s_changes_are_listed_by_its_team_with_what_waits(run):
    code, out, _ = run("list", "--model", "delays", "--from", "4", role="viewer")

    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["3", "waiting"]


def test_the_log_verifies_and_says_that_the_key_came_with_it(run):
    code, out, err = run("verify")

    assert code == 0
    assert "ok  the entries hash to the signed root" in out
    assert "4 entries hold. Changes: delays (4)." in out
    assert "The key came with the log" in err


def test_a_key_of_one_s_own_is_independent(run, tmp_path):
    _, key, _ = run("checkpoint", "--key")
    (tmp_path / "key").write_text(key)

    code, out, err = run("verify", "--key", tmp_path / "key", "--json")

    assert code == 0
    assert "The key came with the log" not in err
    assert json.loads(out)["key_is_independent"] is True
    assert run("verify", "--key", key.strip())[0] == 0
    assert run("verify", "--key", "nonsense")[0] == 2


def test_a_checkpoint_is_remembered_and_held_against_the_log_later(run, filled, tmp_path):
    file = tmp_path / "remembered"

    assert run("verify", "--remember", file)[0] == 0
    first = file.read_text()
    log(filled)
    code, out, _ = run("verify", "--remember", file)

    assert code == 0
    assert "ok  the log begins with the checkpoint that was remembered" in out
    assert file.read_text() != first
    assert run("verify", "--since", file)[0] == 0


def test_a_log_that_was_begun_anew_is_found_out(run, filled, tmp_path):
    file = tmp_path / "remembered"
    run("verify", "--remember", file)
    objects = filled.at_hand.log_objects.stored
    objects["checkpoint"] = objects["checkpoints/000000000004"].replace(b"\n4\n", b"\n3\n")

    code, _, err = run("verify", "--remember", file)

    assert code != 0
    assert err
    assert file.read_text().split("\n")[1] == "4"


def test_an_entry_is_proved_by_its_index_or_its_change(run):
    code, out, _ = run("verify", "--entry", "3")
    assert code == 0
    assert "ok  the log holds entry 3" in out

    code, out, _ = run("verify", "--entry", "delays/4", role="viewer")
    assert code == 0
    assert "champion.promote" in out

    code, _, err = run("verify", "--entry", "delays/5", role="viewer")
    assert code == 1
    assert "isn't in the log yet" in err
    assert run("verify", "--entry", "delays/x")[0] == 2


def test_an_exported_copy_verifies_without_the_service_and_a_changed_one_does_not(run, tmp_path, monkeypatch):
    code, _, err = run("export", tmp_path / "copy")
    assert code == 0
    assert "4 entries are in" in err
    monkeypatch.delenv("TILTYARD_URL", raising=False)

    assert run("verify", tmp_path / "copy")[0] == 0

    bundle = tmp_path / "copy" / "tile" / "entries" / "000.p" / "4"
    bundle.write_bytes(bundle.read_bytes().replace(b"champion.promote", b"champion.demoted"))
    code, _, err = run("verify", tmp_path / "copy")
    assert code == 1
    assert "entry 3: its hash isn't the one that was logged there" in err


def test_who_may_not_read_the_log_is_told(run):
    code, _, err = run("verify", role="engineer")

    assert code == 1
    assert "auditor" in err
