from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from tiltyard.cli import main

VERSION = {
    "model": "late-flights",
    "version": 3,
    "digest": "ab" * 32,
    "stage": "candidate",
    "files": {"model.onnx": {"sha256": "cd" * 32, "size": 10}},
    "description": "",
    "registered_at": "2026-01-02T03:04:05.678Z",
    "registered_by": "ada",
    "examined_at": None,
    "reasons": [],
    "memory_bytes": None,
}
MODEL = {
    "name": "late-flights",
    "team": "ops",
    "task": "binary",
    "owner": "ada",
    "description": "",
    "created_at": "2026-01-02T03:04:05.678Z",
    "versions": 3,
    "changes": 4,
}
SWAP = {
    "model": "late-flights",
    "version": 3,
    "generation": 2,
    "started_at": "2026-01-02T03:04:05.678Z",
    "previous": 1,
}
LINEAGE = {
    "roots": [f"version:{'ab' * 32}"],
    "items": [
        {
            "source": f"version:{'ab' * 32}",
            "relation": "produced-by",
            "target": f"run:{'b' * 64}",
            "depth": 1,
            "direction": "ancestry",
            "at": "2026-01-02T03:04:05.678Z",
            "facts": {},
        },
        {
            "source": f"run:{'b' * 64}",
            "relation": "used",
            "target": f"dataset:{'c' * 64}",
            "depth": 2,
            "direction": "ancestry",
            "at": None,
            "facts": {"name": "January", "rows": 1000},
        },
        {
            "source": "reign:late-flights/2",
            "relation": "reign-of",
            "target": f"version:{'ab' * 32}",
            "depth": 1,
            "direction": "impact",
            "at": "2026-02-01T00:00:00.000Z",
            "facts": {},
        },
    ],
    "nodes": {
        name: {"kind": name.partition(":")[0], "label": label, "model": None, "team": None, "facts": facts}
        for name, label, facts in (
            (f"version:{'ab' * 32}", "late-flights/3", {}),
            (f"run:{'b' * 64}", "HistGradientBoosting", {}),
            (f"dataset:{'c' * 64}", "", {}),
            ("reign:late-flights/2", "late-flights, generation 2", {"action": "promote"}),
        )
    },
    "withheld": 0,
    "truncated": False,
    "next": None,
}
ALIAS = {"model": "late-flights", "alias": "night", "version": 3, "digest": "ab" * 32}


def page(*items):
    return 200, {}, {"items": list(items), "next": None}


@dataclass(frozen=True)
class Result:
    exit_code: int
    stdout: str
    stderr: str


@pytest.fixture
def invoke(capsys):
    def invoke(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(list(arguments), prog_name="tiltyard")
        said = capsys.readouterr()
        return Result(ended.value.code, said.out, said.err)

    return invoke


@pytest.fixture
def run(server, invoke, monkeypatch):
    monkeypatch.setattr("tiltyard.client.transport.FIRST_WAIT_S", 0.0)

    def run(*arguments, answers, **environment):
        server.answers = list(answers)
        for name, value in {"TILTYARD_URL": server.url, "TILTYARD_TOKEN": "t", **environment}.items():
            monkeypatch.setenv(name, value)
        return invoke(*arguments)

    return run


def test_a_list_is_a_table_on_stdout(run):
    result = run("version", "list", "late-flights", answers=[page(VERSION)])

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "VERSION  STAGE      REGISTERED_AT             DIGEST        DESCRIPTION",
        "3        candidate  2026-01-02T03:04:05.678Z  abababababab  -",
    ]


def test_an_empty_list_says_so_on_stderr(run):
    result = run("model", "list", answers=[page()])

    assert result.exit_code == 0
    assert result.stdout == ""
    assert "None yet" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (["model", "show", "late-flights"], MODEL),
        (["model", "create", "late-flights", "--team", "ops", "--task", "binary"], MODEL),
        (["version", "show", "late-flights/3"], VERSION),
        (["champion", "promote", "late-flights/3", "--reason", "better"], SWAP),
        (["champion", "rollback", "late-flights", "--reason", "worse"], SWAP),
        (["alias", "set", "late-flights/3", "night"], ALIAS),
    ],
)
def test_json_is_the_services_own_answer(run, arguments, body):
    result = run(*arguments, "--json", answers=[(200, {}, body)])

    assert result.exit_code == 0
    assert json.loads(result.stdout) == body


@pytest.mark.parametrize(
    ("noun", "body"), [("model", MODEL), ("version", VERSION), ("alias", ALIAS), ("timeline", None)]
)
def test_json_of_a_list_is_a_list(run, noun, body):
    if noun == "timeline":
        body = {
            **SWAP,
            "action": "promote",
            "approved_by": "ada",
            "reason": "better",
            "ended_at": None,
            "change": 4,
        }
        arguments = ["champion", "timeline", "late-flights"]
    else:
        arguments = [noun, "list", *(["late-flights"] if noun != "model" else [])]

    result = run(*arguments, "--json", answers=[page(body)])

    assert json.loads(result.stdout) == [body]


def test_a_record_is_a_line_a_value(run):
    result = run("model", "show", "late-flights", answers=[(200, {}, MODEL)])

    assert result.stdout.splitlines()[:2] == ["name         late-flights", "team         ops"]


def test_a_version_is_shown_with_its_files_by_name_and_its_ancestry_as_a_tree(run):
    result = run("version", "show", "late-flights/3", answers=[(200, {}, VERSION), (200, {}, LINEAGE)])

    lines = result.stdout.splitlines()
    assert "files          model.onnx" in lines
    assert lines[-4:] == [
        "late-flights/3",
        f"├── came out of run HistGradientBoosting {'b' * 12}",
        f"│   └── was fitted on January (1,000 rows) {'c' * 12}",
        "└── reigned: late-flights, generation 2 by promote at 2026-02-01T00:00:00+00:00",
    ]


def test_promote_sends_version_and_reason(run, server):
    run("champion", "promote", "late-flights/3", "--reason", "better", answers=[(200, {}, SWAP)])

    assert server.seen[0].path == "/v1/models/late-flights/promote"
    assert json.loads(server.seen[0].body) == {"version": 3, "reason": "better"}


def test_rollback_names_a_past_champion_only_when_told(run, server):
    run("champion", "rollback", "late-flights", "--reason", "r", answers=[(200, {}, SWAP)])
    run("champion", "rollback", "late-flights", "--reason", "r", "--to", "2", answers=[(200, {}, SWAP)])

    assert [json.loads(seen.body) for seen in server.seen] == [{"reason": "r"}, {"reason": "r", "version": 2}]


@pytest.mark.parametrize(("more", "out"), [((), ""), (("--json",), "null\n")])
def test_a_time_before_the_first_reign_is_no_error(run, more, out):
    nobody = {"model": "late-flights", "version": None}

    result = run(
        "champion", "show", "late-flights", "--as-of", "2012-01-01", *more, answers=[(200, {}, nobody)]
    )

    assert (result.exit_code, result.stdout) == (0, out)
    assert more or "Nobody was champion of late-flights then." in result.stderr


def test_as_of_is_sent_as_a_time(run, server):
    reign = {**SWAP, "digest": "ab", "action": "promote", "approved_by": None, "reason": None, "change": 4}

    result = run(
        "champion", "show", "late-flights", "--as-of", "2026-01-02T03:04:05Z", answers=[(200, {}, reign)]
    )

    assert result.exit_code == 0
    assert server.seen[0].path.endswith("champion?as_of=2026-01-02T03%3A04%3A05%2B00%3A00")


def test_deleting_an_alias_is_told(run, server):
    result = run("alias", "delete", "late-flights", "night", answers=[(204, {}, None)])

    assert result.exit_code == 0
    assert server.seen[0].method == "DELETE"
    assert "late-flights@night is deleted" in result.stderr


def test_a_refusal_is_a_message_and_exit_code_1(run):
    problem = {
        "type": "/problems/incompatible",
        "detail": "Version 3 can't take over.",
        "errors": [{"pointer": "/columns/gust", "detail": "is new"}],
    }

    result = run("champion", "promote", "a/3", "--reason", "r", answers=[(409, {}, problem)])

    assert result.exit_code == 1
    assert result.stdout == ""
    assert "Callers of the champion couldn't call this version." in result.stderr
    assert "Version 3 can't take over." in result.stderr
    assert "/columns/gust: is new" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_service_that_is_down_is_exit_code_3(run):
    result = run("model", "list", answers=[(503, {}, {})])

    assert result.exit_code == 3
    assert "Temporarily unavailable" in result.stderr


@pytest.mark.parametrize(
    ("environment", "said"),
    [({"TILTYARD_URL": ""}, "tiltyard local up"), ({"TILTYARD_TOKEN": ""}, "tiltyard local token")],
)
def test_a_missing_connection_is_wrong_usage_that_says_what_to_do(run, environment, said):
    result = run("model", "list", answers=[page()], **environment)

    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize("name", ["late-flights", "late-flights/", "/3", "late-flights/x"])
def test_a_version_must_be_named_with_its_number(run, name):
    result = run("version", "show", name, answers=[page()])

    assert result.exit_code == 2
    assert "write NAME/3" in result.stderr


def test_a_time_that_is_none_is_wrong_usage(run):
    result = run("champion", "show", "a", "--as-of", "yesterday", answers=[page()])

    assert result.exit_code == 2
    assert "write 2026-02-01T06:15:00Z" in result.stderr


def test_every_noun_is_listed_and_has_help(invoke):
    listed = invoke("--help").stdout

    for noun in ("alias", "champion", "local", "model", "policy", "predict", "version"):
        assert f"  {noun}" in listed
        assert invoke(noun, "--help").exit_code == 0


def test_registers_help_says_that_the_rows_must_be_held_out(invoke):
    told = invoke("model", "register", "--help").stdout

    assert "the model was NOT fitted on" in " ".join(told.split())
    assert "only load files that you trust" in " ".join(told.split())


def test_an_unknown_noun_is_wrong_usage(invoke):
    result = invoke("gremlin")

    assert result.exit_code == 2
    assert "No such command" in result.stderr
