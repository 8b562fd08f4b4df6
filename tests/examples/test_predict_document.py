"""docs/predict.md, run as it stands."""

from __future__ import annotations

import csv
import io
import re
import shlex
import sys
from pathlib import Path

import bundles
import pytest
from in_process import running_service

from tiltyard import Client
from tiltyard.cli import main
from tiltyard.client.files.layout import Layout
from tiltyard.client.registration import Registration, silent
from tiltyard.client.transport import Transport
from tiltyard.contract.signature import Column

DOCUMENT = (Path(__file__).parents[2] / "docs" / "predict.md").read_text(encoding="utf-8")


def blocks(kind):
    return re.findall(rf"```{kind}\n(.*?)```", DOCUMENT, flags=re.DOTALL)


COMMANDS = [line for block in blocks("sh") for line in block.splitlines()]
FLIGHTS, ANSWERS = blocks("csv")


def bundle():
    """Late at a probability of .5, by distance and wind."""
    columns = [
        Column("distance", "number", minimum=0.0, maximum=5000.0),
        Column("wind", "number", minimum=0.0, maximum=50.0),
    ]
    return bundles.bundle_of(
        bundles.logistic((0.0005, 0.02), bias=-1.0),
        bundles.signature_of(columns, classes=("on time", "late")),
        rows=[{"distance": 1000.0, "wind": 10.0}],
        expected=[[0.57444252, 0.42555748]],
    )


@pytest.fixture(scope="module")
def service():
    with running_service() as service:
        with Client(service.url, service.token()) as client:
            client.create_model("delays", team="demo", task="binary")
            registration = Registration(Transport(service.url, service.token()), "delays", bundle(), silent)
            registration.upload()
            version = registration.wait(registration.register(description="by hand").version)
            client.promote("delays", version.version, reason="the first")
            client.set_alias("delays", "night", version.version)
        yield service


@pytest.fixture
def shell(service, tmp_path, monkeypatch, capsys):
    """Runs a line of the document in a folder that holds its file; returns exit code and stdout."""
    monkeypatch.setenv("TILTYARD_URL", service.url)
    monkeypatch.setenv("TILTYARD_TOKEN", service.token())
    monkeypatch.chdir(tmp_path)
    Path("flights.csv").write_text(FLIGHTS)

    def shell(line):
        program, *words = shlex.split(line)
        assert program == "tiltyard"
        to = Path(words[words.index(">") + 1]) if ">" in words else None
        if "<" in words:
            content = Path(words[words.index("<") + 1]).read_bytes()
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        arguments = words[: min((words.index(sign) for sign in "<>" if sign in words), default=len(words))]
        with pytest.raises(SystemExit) as ended:
            main(arguments, prog_name="tiltyard")
        said = capsys.readouterr().out
        if to is not None:
            to.write_text(said)
        return ended.value.code, said

    return shell


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_document_works(shell, line):
    code, said = shell(line)

    assert code == 0
    assert said.strip() or Path("answers.csv").read_text().strip()


def test_the_answers_are_those_of_the_document(shell):
    shell(COMMANDS[0])

    answers = list(csv.DictReader(io.StringIO(Path("answers.csv").read_text())))
    shown = list(csv.DictReader(io.StringIO(ANSWERS)))
    assert list(answers[0]) == list(shown[0])
    for name in ("flight", "distance", "wind", "when", "prediction", "model_version"):
        assert [row[name] for row in answers] == [row[name] for row in shown]
    scores = [[float(row["score"]) for row in rows] for rows in (answers, shown)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-6)
    assert [row["warnings"].count("distance:out_of_range") for row in answers] == [0, 0, 1]


@pytest.mark.parametrize(
    "layout",
    [
        Layout("binary", explains=True, may_refuse=True),
        Layout("regression"),
        Layout("multiclass", ("CLASS",)),
    ],
)
def test_every_added_column_is_told(layout):
    cells = re.findall(r"^\| (`.*?) \|", DOCUMENT, re.MULTILINE)
    told = {name for cell in cells for name in re.findall("`(.*?)`", cell)}

    assert set(layout.types) <= told


def test_every_option_is_told():
    from tiltyard.cli.predict import predict

    named = {option for parameter in predict.params for option in parameter.opts if option.startswith("--")}

    assert named - {"--url", "--token", "--progress"} <= set(re.findall(r"--[a-z-]+", DOCUMENT))


def test_the_refusal_is_worded_as_in_the_document(shell, capsys):
    Path("flights.csv").write_text(FLIGHTS.replace("1576", "far"))

    with pytest.raises(SystemExit):
        main(["predict", "delays", "flights.csv"], prog_name="tiltyard")

    said = [line for line in capsys.readouterr().err.splitlines() if not line.startswith('{"')]
    (shown,) = re.findall(r"```\n(A row breaks.*?)```", DOCUMENT, flags=re.DOTALL)
    assert shown.splitlines() == said[-3:]
