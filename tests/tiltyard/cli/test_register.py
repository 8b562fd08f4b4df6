"""``tiltyard model register`` from files to a candidate."""

from __future__ import annotations

import json
from urllib.request import Request, urlopen

import joblib
import numpy as np
import pandas as pd
import pytest
from bundles import linear
from in_process import running_service
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from tiltyard import Client
from tiltyard.cli import main


@pytest.fixture
def service(monkeypatch):
    with running_service() as service:
        monkeypatch.setenv("TILTYARD_URL", service.url)
        monkeypatch.setenv("TILTYARD_TOKEN", service.token())
        yield service


@pytest.fixture
def files(tmp_path):
    """A saved model and held-out rows."""
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(generator.normal(size=(400, 2)), columns=["a", "b"])
    frame["late"] = (frame["a"] + generator.normal(size=400) > 0).astype(int)
    model = LogisticRegression().fit(frame.loc[:199, ["a", "b"]], frame.loc[:199, "late"])
    joblib.dump(model, tmp_path / "model.joblib")
    frame.loc[200:].to_csv(tmp_path / "rows.csv", index=False)
    frame.loc[200:].to_parquet(tmp_path / "rows.parquet")
    return tmp_path


def run(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments], prog_name="tiltyard")
    return ended.value.code


def register(files, *more):
    return run("model", "register", "delays", files / "model.joblib", "--data", files / "rows.csv", *more)


def test_a_saved_model_becomes_a_version_that_can_be_promoted(service, files, capsys):
    code = register(files, "--target", "late", "--threshold", "0.4", "--json")

    said = capsys.readouterr()
    assert code == 0
    version = json.loads(said.out)
    assert (version["version"], version["stage"]) == (1, "candidate")
    assert "only load files that you trust" in said.err
    assert "NOT fitted on" in said.err
    assert "tiltyard champion promote delays/1 --reason" in said.err
    assert run("champion", "promote", "delays/1", "--reason", "the first") == 0


def test_rows_of_csv_and_parquet_make_the_same_version(service, files, capsys):
    register(files, "--target", "late")
    capsys.readouterr()

    code = run(
        "model", "register", "delays", files / "model.joblib",
        "--data", files / "rows.parquet", "--target", "late", "--json",
    )  # fmt: skip

    said = capsys.readouterr()
    assert code == 0
    assert json.loads(said.out)["version"] == 1
    assert "is this very bundle already" in said.err


def test_classes_are_called_as_the_command_says(service, files, capsys):
    code = register(files, "--target", "late", "--class", "1=late", "--class", "0=on time", "--json")

    assert code == 0
    assert "(on time, late)" in capsys.readouterr().err
    assert register(files, "--target", "late", "--class", "1") == 2
    assert "'1' names no class: write LABEL=NAME" in capsys.readouterr().err


def test_a_regression_of_another_framework_has_its_contract_in_a_file(service, files, capsys):
    (files / "model.onnx").write_bytes(linear([0.5, -0.25]))
    columns = [{"name": "b", "type": "number"}, {"name": "a", "type": "number", "range": [-9, 9]}]
    columns.append({"name": "at", "type": "datetime", "role": "time"})
    rows = pd.read_csv(files / "rows.csv")
    rows.assign(at="2013-01-01T05:00:00Z").to_csv(files / "rows.csv", index=False)
    document = {"task": "regression", "target": "late", "columns": columns}
    (files / "contract.json").write_text(json.dumps(document))

    code = run(
        "model", "register", "minutes", files / "model.onnx", "--data", files / "rows.csv",
        "--target", "late", "--contract", files / "contract.json", "--json",
    )  # fmt: skip

    said = capsys.readouterr()
    assert code == 0
    assert json.loads(said.out)["stage"] == "candidate"
    assert "regression of late" in said.err
    assert run("model", "show", "minutes") == 0
    assert "regression" in capsys.readouterr().out


def test_a_column_may_be_missing_when_the_command_says_so(service, files, capsys):
    model = make_pipeline(SimpleImputer(), LogisticRegression())
    rows = pd.read_csv(files / "rows.csv")
    joblib.dump(model.fit(rows[["a", "b"]], rows["late"]), files / "model.joblib")

    code = register(files, "--target", "late", "--nullable", "a", "--nullable", "b", "--json")

    assert code == 0
    assert json.loads(capsys.readouterr().out)["stage"] == "candidate"


def test_a_column_that_the_model_needs_is_refused_by_name(service, files, capsys):
    code = register(files, "--target", "late", "--nullable", "b")

    assert code == 1
    assert "nullable= names 'b', and the model can't answer" in capsys.readouterr().err


def test_a_target_that_is_no_column_is_refused_with_the_columns(service, files, capsys):
    code = register(files, "--target", "label")

    assert code == 1
    assert "the columns are a, b, late" in capsys.readouterr().err


def test_without_waiting_the_version_is_still_validating(service, files, capsys):
    service.examination = "none"

    code = register(files, "--target", "late", "--no-wait", "--json")

    assert code == 0
    assert json.loads(capsys.readouterr().out)["stage"] == "validating"


def test_a_csv_with_times_levels_and_ranges_becomes_a_version(service, files):
    rows = pd.read_csv(files / "rows.csv").assign(at="2013-02-01T06:15:00Z", a=lambda f: f["a"].clip(-2, 2))
    rows.to_csv(files / "rows.csv", index=False)

    code = register(
        files, "--target", "late", "--team", "demo", "--time", "at", "--range", "a=-5:5", "--owner", "Ann"
    )

    assert code == 0
    client = Client(service.url, service.token())
    assert client.model("delays").owner == "Ann"
    head = {"Authorization": f"Bearer {service.token()}"}
    with urlopen(Request(f"{service.url}/v1/models/delays/versions/1/contract", headers=head)) as answer:
        columns = {column["name"]: column for column in json.load(answer)["signature"]["columns"]}
    assert (columns["at"]["type"], columns["at"]["role"]) == ("datetime", "time")
    assert columns["a"]["range"] == [-5, 5]


def test_a_name_that_breaks_the_rule_is_refused_before_the_model_is_converted(service, files, capsys):
    code = run(
        "model", "register", "Delays_2", files / "model.joblib", "--data", files / "rows.csv",
        "--target", "late", "--team", "demo",
    )  # fmt: skip

    told = capsys.readouterr().err
    assert code == 1
    assert "use lower-case letters, digits and hyphens" in told
    assert "converting" not in told
