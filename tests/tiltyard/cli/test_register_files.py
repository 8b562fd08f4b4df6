from __future__ import annotations

import sys
from pathlib import Path

import joblib
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from tiltyard.cli.inputs import load_model, read_rows, read_times, take_target, times_of
from tiltyard.contract import FeatureStep
from tiltyard.errors import InvalidInput
from tiltyard.training.frames import infer_types


def test_rows_of_csv_are_read(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n1,x\n2,\n")

    assert read_rows(path).to_dict("list")["a"] == [1, 2]


def test_rows_that_cannot_be_read_are_refused_by_name(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("")

    with pytest.raises(InvalidInput, match=r"rows.csv can't be read"):
        read_rows(path)


def test_rows_of_parquet_keep_their_types_and_gaps(tmp_path):
    path = tmp_path / "rows.parquet"
    departed = pd.to_datetime(["2013-01-01T05:00Z", None, "2013-01-02T06:30Z"])
    rows = pd.DataFrame(
        {
            "distance": [1.5, None, 3.0],
            "stops": pd.array([1, None, 2], dtype="Int64"),
            "dest": ["A", None, "B"],
            "weekend": [True, False, True],
            "departed": departed,
        }
    )
    rows.to_parquet(path)

    read = read_rows(path)

    assert infer_types(read) == {
        "distance": "number", "stops": "integer", "dest": "string", "weekend": "boolean",
        "departed": "datetime",
    }  # fmt: skip
    assert read.isna().sum().to_dict() == {
        "distance": 1, "stops": 1, "dest": 1, "weekend": 0, "departed": 1,
    }  # fmt: skip
    assert read["departed"].tolist()[::2] == departed.tolist()[::2]


def test_a_damaged_parquet_file_is_refused_by_name(tmp_path):
    path = tmp_path / "rows.parquet"
    path.write_bytes(b"PAR1, but no more")

    with pytest.raises(InvalidInput, match=r"rows.parquet can't be read as .parquet"):
        read_rows(path)


def test_parquet_without_its_reader_says_what_to_install(tmp_path, monkeypatch):
    def read_parquet(path: Path) -> pd.DataFrame:
        raise ImportError("Unable to find a usable engine")

    monkeypatch.setattr(pd, "read_parquet", read_parquet)

    with pytest.raises(InvalidInput, match=r"pip install 'tiltyard\[parquet\]'"):
        read_rows(tmp_path / "rows.parquet")


def test_an_onnx_file_is_handed_on_unread(tmp_path, capsys):
    path = tmp_path / "model.onnx"

    assert load_model(path) == path
    assert capsys.readouterr().err == ""


def test_a_joblib_file_is_loaded_with_a_warning(tmp_path, capsys):
    path = tmp_path / "model.joblib"
    joblib.dump({"a": 1}, path)

    assert load_model(path) == {"a": 1}
    assert "only load files that you trust" in capsys.readouterr().err


def test_a_file_that_is_no_estimator_is_refused(tmp_path):
    path = tmp_path / "model.joblib"
    path.write_bytes(b"not a pickle")

    with pytest.raises(InvalidInput, match="can't be loaded as an estimator"):
        load_model(path)


def test_without_the_training_extra_the_message_names_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "joblib", None)

    with pytest.raises(InvalidInput, match=r"pip install 'tiltyard\[training\]'"):
        load_model(tmp_path / "model.joblib")


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"\xef\xbb\xbfa,b\n1,2\n")

    assert list(read_rows(path).columns) == ["a", "b"]


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_another_separator_is_named(tmp_path, separator):
    path = tmp_path / "rows.csv"
    path.write_text(f"a{separator}late\n1{separator}0\n")

    with pytest.raises(InvalidInput, match="add --separator"):
        take_target(read_rows(path), "late", path)
    assert list(take_target(read_rows(path, separator=separator), "late", path)[1]) == [0]


def test_a_missing_target_is_refused_with_the_columns_that_there_are(tmp_path):
    with pytest.raises(InvalidInput, match="no column 'late'") as refused:
        take_target(pd.DataFrame({"a": [1], "b": [2]}), "late", tmp_path / "rows.csv")

    assert refused.value.faults[0].detail == "the columns are a, b"


def test_times_are_those_of_the_feature_step_and_of_the_role():
    model = make_pipeline(FeatureStep(datetime_parts={"departed": ["hour"]}), LogisticRegression())

    assert times_of(model, "at") == ["departed", "at"]
    assert times_of(LogisticRegression(), None) == []


def test_text_is_read_as_times_in_utc(tmp_path):
    frame = pd.DataFrame({"at": ["2013-01-01T05:00:00-05:00", None, "2013-01-02"], "a": [1, 2, 3]})

    read = read_times(frame, ["at"], tmp_path / "rows.csv")

    assert infer_types(read)["at"] == "datetime"
    assert read["at"][0] == pd.Timestamp("2013-01-01T10:00Z")
    assert read["at"].isna().tolist() == [False, True, False]


def test_what_is_no_time_is_refused_with_its_line(tmp_path):
    frame = pd.DataFrame({"at": ["2013-01-01", "yesterday"]})

    with pytest.raises(InvalidInput, match="must hold times") as refused:
        read_times(frame, ["at"], tmp_path / "rows.csv")

    assert refused.value.faults[0].detail == "line 3 holds 'yesterday'"
