"""``tiltyard predict`` against the service's own routes, over HTTP."""

from __future__ import annotations

import csv
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import bundles
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from in_process import running_service

from tiltyard import Client
from tiltyard.cli import main
from tiltyard.client.registration import Registration, silent
from tiltyard.client.transport import Transport
from tiltyard.errors import NotFound, Unavailable

ADDED = [
    "prediction",
    "score",
    "set",
    "action",
    "rules",
    "model_value",
    "warnings",
    "model_version",
    "prediction_id",
]


@dataclass(frozen=True)
class Result:
    exit_code: int
    stdout: str
    stderr: str

    @property
    def table(self) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.stdout)))


@pytest.fixture(scope="module")
def service():
    """A champion `delays` of two numbers: `a` (0 to 10, may be null) and `b`."""
    with running_service() as service:
        http = Transport(service.url, service.token())
        with Client(service.url, service.token()) as client:
            client.create_model("delays", team="demo", task="binary")
            registration = Registration(http, "delays", bundles.logistic_bundle(), silent)
            registration.upload()
            version = registration.wait(registration.register(description="by hand").version)
            client.promote("delays", version.version, reason="the first")
            client.set_alias("delays", "night", version.version)
        yield service


@pytest.fixture
def predict(service, monkeypatch, capsys):
    monkeypatch.setenv("TILTYARD_URL", service.url)
    monkeypatch.setenv("TILTYARD_TOKEN", service.token())

    def predict(*arguments, stdin=None, model="delays"):
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            main(["predict", model, *map(str, arguments)], prog_name="tiltyard")
        said = capsys.readouterr()
        # The service runs in this process, and its log lines come between.
        told = [line for line in said.err.splitlines() if not line.startswith('{"')]
        return Result(ended.value.code, said.out, "\n".join(told))

    return predict


@pytest.fixture
def file(tmp_path):
    def file(content, name="rows.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return file


def test_answers_stand_beside_the_rows_of_csv(predict, file):
    result = predict(file('a,b,note\n1,2,"x, y"\n,3,\n11,0,z\n'))

    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == ",".join(["a", "b", "note", *ADDED])
    rows = result.table
    assert [row["note"] for row in rows] == ["x, y", "", "z"]
    assert [row["prediction"] for row in rows] == ["yes", "no", "yes"]
    assert float(rows[0]["score"]) == pytest.approx(0.5, abs=1e-6)
    assert [row["warnings"] for row in rows] == ["", "", "a:out_of_range"]
    assert {row["model_version"] for row in rows} == {"1"}
    assert len({row["prediction_id"] for row in rows}) == 3
    assert "Carried along, for delays doesn't know them: note." in result.stderr
    assert "3 rows in" in result.stderr
    assert "answered by version 1; 1 with warnings" in result.stderr


def test_ndjson_keeps_its_rows_as_they_are(predict, file):
    rows = [{"a": 1.5, "b": 2, "tags": ["x"], "name": "ü"}, {"a": None, "b": 3}]

    result = predict(file("".join(json.dumps(row) + "\n" for row in rows), "rows.ndjson"))

    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert [{name: row[name] for name in row if name not in ADDED} for row in answers] == rows
    assert list(answers[0])[4:] == ADDED
    assert answers[0]["warnings"] == []


def test_parquet_keeps_its_types_and_gets_typed_columns(predict, file, tmp_path):
    given = pa.table(
        {"a": [1.0, 20.0], "b": pa.array([2, 3], pa.int8()), "day": pa.array([1, 2], pa.date32())}
    )
    out = io.BytesIO()
    pq.write_table(given, out)

    result = predict(file(out.getvalue(), "rows.parquet"), "--output", tmp_path / "answers.parquet")

    answers = pq.read_table(tmp_path / "answers.parquet")
    assert result.exit_code == 0
    assert answers.select(["a", "b", "day"]).equals(given)
    assert answers.column_names == ["a", "b", "day", *ADDED]
    assert answers.schema.field("score").type == pa.float64()
    assert answers["warnings"].to_pylist() == [[], [{"column": "a", "kind": "out_of_range"}]]
    assert not (tmp_path / "answers.parquet.part").exists()


def test_parquet_is_written_to_a_pipe_too(predict, monkeypatch, tmp_path):
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"a": [1.0], "b": [2.0]}), path)
    piped = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", piped)

    predict(path)

    assert pq.read_table(io.BytesIO(piped.buffer.getvalue())).num_rows == 1


def test_standard_input_needs_a_format(predict):
    refused = predict("-", stdin=b"a,b\n1,2\n")
    answered = predict("-", "--format", "csv", stdin=b"a,b\n1,2\n")

    assert refused.exit_code == 2
    assert "Which format has standard input?" in refused.stderr
    assert answered.exit_code == 0
    assert len(answered.table) == 1


def test_json_is_the_services_own_answers(predict, file):
    result = predict(file("a,b\n1,2\n3,4\n"), "--json")

    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer["version"] for answer in answers] == [1, 1]
    assert {"id", "value", "score", "warnings", "action"} <= set(answers[0])


def test_rows_keep_their_own_ids_and_their_order_over_many_requests(predict, file, service):
    content = "key,a,b\n" + "".join(f"r{i},{i % 10},{i}\n" for i in range(50))

    result = predict(file(content), "--id-column", "key", "--batch", "7", "--parallel", "3")
    told = predict(file(content), "--id-column", "key", "--batch", "7", "--json")

    assert [row["key"] for row in result.table] == [f"r{i}" for i in range(50)]
    assert "prediction_id" not in result.table[0]
    assert [json.loads(line)["id"] for line in told.stdout.splitlines()] == [f"r{i}" for i in range(50)]


@pytest.mark.parametrize("asked", [["--version", "1"], []])
def test_a_version_or_an_alias_can_be_asked(predict, file, asked):
    result = predict(file("a,b\n1,2\n"), *asked, model="delays" if asked else "delays@night")

    assert result.exit_code == 0
    assert result.table[0]["prediction"] == "yes"


@pytest.mark.parametrize(
    ("content", "settings", "said"),
    [
        (b"\xef\xbb\xbfa;b\r\n1;2\r\n", [], "is read as separated by ';' (--separator semicolon)"),
        (b"a\tb\n1\t2\n", ["--separator", "tab"], "is read as separated by '\\t'"),
        ("a,b,für\n1,2,ü\n".encode("cp1252"), ["--encoding", "cp1252"], "Carried along"),
        ("a,b\n1,2\n".encode("utf-16"), ["--encoding", "utf-16"], "1 row in"),
        (b'"a","b"\n"1","2"\n', [], "1 row in"),
    ],
)
def test_files_of_all_kinds_of_programs_are_read(predict, file, content, settings, said):
    result = predict(file(content), *settings)

    assert result.exit_code == 0
    assert said in result.stderr
    assert "yes" in result.stdout


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a,b\n1,2\n1,far\n", "line 3, column b: must be a number, not a string ('far')"),
        ("a,b\n1,2\n\n1,\n", "line 4, column b: must not be null"),
        ("a,b\n1,inf\n", "line 2, column b: must be finite"),
        ('a,b,c\n1,2,"x\ny"\n1,"2,5",\n', "line 4, column b: must be a number, not a string ('2,5')"),
        ("a,B\n1,2\n", "column b: is missing; is 'B' meant?"),
        ("a,b\n1,2,3\n", "line 2, has 3 values for the 2 columns"),
        (b"a,b,c\n1,2,\xe9\n", "line 2, isn't UTF-8"),
        ("", "is empty"),
    ],
)
def test_what_cannot_be_answered_is_named_with_its_place(predict, file, content, said):
    result = predict(file(content))

    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stdout.count("\n") <= 1


def test_ids_that_repeat_or_are_missing_are_named_with_their_lines(predict, file):
    result = predict(file("key,a,b\nx,1,2\ny,1,2\nx,1,2\n"), "--id-column", "key")

    assert result.exit_code == 1
    assert "line 4, column key: repeats that of line 2 ('x')" in result.stderr


def test_ndjson_and_parquet_name_line_and_row(predict, file, tmp_path):
    pq.write_table(pa.table({"a": [1.0, 2.0], "b": ["1", "x"]}), tmp_path / "rows.parquet")

    ndjson = predict(file('{"a": 1, "b": 2}\n\n{"a": 1}\n', "rows.ndjson"))
    parquet = predict(tmp_path / "rows.parquet", "--output", tmp_path / "answers.parquet")

    assert "line 3, column b: is missing" in ndjson.stderr
    assert "row 2, column b: must be a number, not a string ('x')" in parquet.stderr
    assert not (tmp_path / "answers.parquet").exists()


def test_what_was_answered_before_a_refused_row_is_kept(predict, file, tmp_path):
    content = "a,b\n" + "1,2\n" * 9 + "1,far\n" + "1,2\n" * 5
    output = tmp_path / "answers.csv"

    refused = predict(file(content), "--batch", "4", "--output", output)
    rest = predict(file(content.replace("far", "3")), "--skip", "8")

    part = tmp_path / "answers.csv.part"
    assert refused.exit_code == 1
    assert not output.exists()
    assert len(part.read_text().splitlines()) == 1 + 8
    assert f"8 rows before are answered, in {part}; go on after them with --skip 8." in refused.stderr
    assert "line 11, column b" in refused.stderr
    assert len(rest.table) == 7


def test_the_others_are_answered_when_asked_to_keep_going(predict, file):
    content = "a,b\n1,2\n1,far\n" + "1,2\n" * 5 + ",\n1,3\n"

    result = predict(file(content), "--keep-going", "--batch", "4")

    rows = result.table
    assert result.exit_code == 0
    assert [i for i, row in enumerate(rows) if row["refusal"]] == [1, 7]
    assert [row["prediction"] for row in rows] == ["yes", "", *["yes"] * 5, "", "no"]
    assert rows[1]["refusal"] == "line 3, column b: must be a number, not a string ('far')"
    assert "9 rows in" in result.stderr
    assert "2 refused" in result.stderr


def test_all_rows_may_be_refused(predict, file):
    result = predict(file("a,b\n1,x\n1,y\n"), "--keep-going")

    assert [row["prediction"] for row in result.table] == ["", ""]


@pytest.mark.parametrize(("name", "lines"), [("rows.csv", 1), ("rows.ndjson", 0)])
def test_a_file_without_rows_has_results_without_rows(predict, file, name, lines):
    result = predict(file("a,b\n" if name == "rows.csv" else "", name))

    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == lines
    assert result.stderr.endswith("0 rows")


def test_columns_named_like_the_added_ones_are_told_apart_by_a_prefix(predict, file):
    path = file("a,b,score\n1,2,0.9\n")
    odd = file('{"a": 1, "b": 2, "score": 3}\n', "rows.ndjson")

    refused, answered, refused_late = predict(path), predict(path, "--prefix", "tiltyard_"), predict(odd)

    assert refused.exit_code == refused_late.exit_code == 1
    assert "those that the answers add: score" in refused.stderr
    assert "--prefix" in refused_late.stderr
    assert answered.table[0]["score"] == "0.9"
    assert answered.table[0]["tiltyard_prediction"] == "yes"


def test_a_service_without_contracts_is_asked_with_guessed_types(predict, file, monkeypatch):
    def not_there(self, name, version):
        raise NotFound("There is no such route.")

    monkeypatch.setattr(Client, "contract", not_there)

    answered = predict(file("a,b\n1,2\n,3\n"))
    refused = predict(file("a,b,note\n1,2,x\n"))

    assert "tells no contract of delays/1" in answered.stderr
    assert [row["prediction"] for row in answered.table] == ["yes", "no"]
    assert "line 2, column note: is not a column of this model" in refused.stderr


def test_progress_is_told_when_asked_for(predict, file, monkeypatch):
    monkeypatch.setattr("tiltyard.cli.reporter.REPORT_S", 0.0)

    told = predict(file("a,b\n" + "1,2\n" * 9), "--batch", "3", "--progress")
    quiet = predict(file("a,b\n" + "1,2\n" * 9), "--batch", "3")

    assert [line.split(" rows,")[0] for line in told.stderr.splitlines()[:3]] == ["3", "6", "9"]
    assert len(quiet.stderr.splitlines()) == 1


def test_the_rows_are_never_overwritten(predict, file):
    path = file("a,b\n1,2\n")

    result = predict(path, "--output", path)

    assert result.exit_code == 2
    assert path.read_text() == "a,b\n1,2\n"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nowhere.csv"], 1, "nowhere.csv can't be read: No such file or directory"),
        (["rows.csv", "--output", "nowhere/answers.csv"], 1, "can't be written"),
        (["rows.csv", "--output", "answers.parquet"], 2, "have the format of the rows, csv"),
        (["rows.csv", "--id-column", "key"], 1, "no column 'key' for --id-column; it has a, b"),
        (["rows.csv", "--version", "9"], 1, "has no version 9"),
    ],
)
def test_wrong_names_are_told(predict, file, monkeypatch, arguments, code, said):
    monkeypatch.chdir(file("a,b\n1,2\n").parent)

    result = predict(*arguments)

    assert (result.exit_code, said in result.stderr) == (code, True)


def test_an_alias_and_a_version_at_once_are_refused(predict, file):
    result = predict(file("a,b\n1,2\n"), "--version", "1", model="delays@night")

    assert result.exit_code == 2
    assert "An alias names a version already" in result.stderr


def test_models_that_are_not_there_are_not_found(predict, file):
    result = predict(file("a,b\n1,2\n"), model="other")

    assert result.exit_code == 1
    assert "There is no model 'other'" in result.stderr


def test_a_request_that_fails_on_the_way_is_repeated_with_its_ids(predict, file, server, monkeypatch):
    reign = {
        "model": "delays",
        "version": 1,
        "generation": 1,
        "started_at": "2026-01-02T03:04:05Z",
        "change": 3,
    }
    answer = {"id": "x", "value": "yes", "score": 0.9, "warnings": [], "action": "answer"}
    server.answers = [
        (200, {}, {**reign, "action": "promote"}),
        (404, {}, {"type": "/problems/not-found", "detail": "There is no such route."}),
        (503, {}, {"type": "/problems/unavailable", "detail": "Busy."}),
        None,
        (200, {}, {"model": "delays", "version": 1, "role": "champion", "predictions": [answer]}),
    ]
    monkeypatch.setenv("TILTYARD_URL", server.url)
    monkeypatch.setattr("tiltyard.client.transport.FIRST_WAIT_S", 0.0)

    result = predict(file("a,b\n1,2\n"))

    asked = [json.loads(seen.body) for seen in server.seen if seen.method == "POST"]
    assert result.exit_code == 0
    assert len(asked) == 3
    assert asked[0] == asked[1] == asked[2]
    assert len(asked[0]["ids"]) == 1


def test_a_service_that_stays_away_is_code_3_and_says_where_to_go_on(predict, file, service, monkeypatch):
    answer = Client.answer

    def answer_twice(self, name, request, *, version=None):
        if request.rows[0]["b"] >= 20:
            raise Unavailable("The service can't be reached.")
        return answer(self, name, request, version=version)

    monkeypatch.setattr(Client, "answer", answer_twice)

    result = predict(file("a,b\n" + "".join(f"1,{i}\n" for i in range(40))), "--batch", "10")

    assert result.exit_code == 3
    assert len(result.table) == 20
    assert "20 rows before are answered; go on after them with --skip 20." in result.stderr
