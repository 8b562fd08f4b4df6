"""`tiltyard policy` against a scripted server."""

from __future__ import annotations

import json

import pytest

from tiltyard.cli import main

DOCUMENT = {"format": 1, "uncertainty": {"level": 0.9}, "anomaly": {"level": 0.01}, "humility": []}
POLICY = {
    "model": "late-flights",
    "number": 3,
    "digest": "ab" * 32,
    "document": DOCUMENT,
    "put_at": "2026-01-02T03:04:05.678Z",
    "put_by": "ada",
}
DEFAULT = {**POLICY, "number": 0, "put_at": None, "put_by": None}


@pytest.fixture
def run(server, capsys, monkeypatch):
    def run(*arguments, answers):
        server.answers = list(answers)
        monkeypatch.setenv("TILTYARD_URL", server.url)
        monkeypatch.setenv("TILTYARD_TOKEN", "t")
        with pytest.raises(SystemExit) as ended:
            main(["policy", *arguments], prog_name="tiltyard")
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return run


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "policy.json"
    path.write_text(json.dumps({"format": 1}))
    return path


def test_what_is_shown_can_be_put(run, file, server):
    code, out, err = run("show", "late-flights", answers=[(200, {}, POLICY)])
    file.write_text(out)

    put, _, _ = run("put", "late-flights", str(file), "--after", "3", answers=[(200, {}, POLICY)])

    assert (code, put) == (0, 0)
    assert "has policy 3, put at 2026-01-02T03:04:05.678000+00:00 by ada" in err
    sent = server.seen[-1]
    assert (sent.method, sent.path) == ("PUT", "/v1/models/late-flights/policy")
    assert json.loads(sent.body) == DOCUMENT
    assert sent.headers["if-match"] == '"3"'


def test_without_after_whatever_holds_is_replaced(run, file, server):
    code, out, _ = run("put", "late-flights", str(file), answers=[(200, {}, POLICY)])

    assert code == 0
    assert json.loads(out) == DOCUMENT
    assert "if-match" not in server.seen[-1].headers


def test_the_default_is_told_as_such(run):
    code, out, err = run("show", "late-flights", answers=[(200, {}, DEFAULT)])

    assert code == 0
    assert json.loads(out) == DOCUMENT
    assert "default policy" in err


def test_a_past_policy_is_asked_by_its_number(run, server):
    erased = {**POLICY, "put_by": None}

    _, _, err = run("show", "late-flights", "--number", "3", answers=[(200, {}, erased)])

    assert server.seen[-1].path == "/v1/models/late-flights/policy?number=3"
    assert "by somebody erased" in err


@pytest.mark.parametrize("command", [["show"], ["put", "FILE"]])
def test_json_is_the_services_own_answer(run, file, command):
    verb, *rest = command
    arguments = [verb, "late-flights", *(str(file) for _ in rest), "--json"]

    _, out, err = run(*arguments, answers=[(200, {}, POLICY)])

    assert json.loads(out) == POLICY
    assert err == ""


@pytest.mark.parametrize(("content", "said"), [("{", "is not JSON"), ("[1]", "holds no JSON object")])
def test_a_file_that_is_no_policy_never_leaves(run, file, server, content, said):
    file.write_text(content)

    code, _, err = run("put", "late-flights", str(file), answers=[])

    assert code == 2
    assert said in err
    assert server.seen == []


def test_a_refused_policy_is_told_by_its_places(run, file):
    problem = {
        "type": "/problems/invalid-input",
        "title": "The input is invalid",
        "status": 422,
        "detail": "The policy is invalid.",
        "errors": [{"pointer": "/humility/0/when", "detail": "must be one of uncertain"}],
    }

    code, out, err = run("put", "late-flights", str(file), answers=[(422, {}, problem)])

    assert (code, out) == (1, "")
    assert "/humility/0/when: must be one of uncertain" in err
