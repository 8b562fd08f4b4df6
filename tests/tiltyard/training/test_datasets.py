"""Digests of data: by the published definition, the same wherever they are taken."""

from __future__ import annotations

import hashlib
import struct

import numpy as np
import pandas as pd
import pytest
from pipelines import by_column, fit
from sklearn.linear_model import LogisticRegression

from tiltyard.errors import InvalidInput
from tiltyard.training import build_bundle
from tiltyard.training.datasets import file_digest, frame_digest

FRAME = pd.DataFrame({"a": [1.5, None], "b": [True, None], "c": ["é", None], "d": [1, 2]})


def test_a_frame_s_digest_is_the_one_that_the_document_defines():
    header = (
        b'{"columns":[["a","number"],["b","boolean"],["c","string"],["d","integer"]],'
        b'"format":"tiltyard-frame-1","rows":2}\n'
    )
    columns = [
        struct.pack("<d", 1.5) + bytes.fromhex("000000000000f87f"),
        b"\x01\x02",
        b"\x02\x00\x00\x00\xc3\xa9" + b"\xff" * 4,
        struct.pack("<2d", 1, 2),
    ]
    parts = b"".join(hashlib.sha256(column).digest() for column in columns)

    assert frame_digest(FRAME) == hashlib.sha256(header + parts).hexdigest()


def test_how_values_are_held_does_not_count():
    times = pd.to_datetime(["2013-01-01T05:00Z", None])
    plain = pd.DataFrame({"t": times, "s": ["x", "y"], "n": [1, 2], "z": [0.0, 1.0]})
    other = pd.DataFrame(
        {
            "t": times.tz_convert("Europe/Berlin"),
            "s": pd.Categorical(["x", "y"]),
            "n": pd.array([1, 2], dtype="Int64"),
            "z": [-0.0, 1.0],
        },
        index=[7, 9],
    )

    assert frame_digest(plain) == frame_digest(other)


@pytest.mark.parametrize(
    "other",
    [
        FRAME[["b", "a", "c", "d"]],
        FRAME[::-1],
        FRAME.rename(columns={"a": "A"}),
        FRAME.assign(c=["e", None]),
        FRAME.assign(d=[1, 3]),
        FRAME[:1],
    ],
)
def test_what_is_other_data_has_another_digest(other):
    assert frame_digest(other) != frame_digest(FRAME)


def test_whole_numbers_beyond_a_double_are_told_apart():
    one, other = (pd.DataFrame({"id": [2**53 + n, 1]}) for n in (2, 3))

    assert frame_digest(one) != frame_digest(other)


def test_a_column_of_several_types_counts_by_its_name():
    odd = pd.DataFrame({"a": [1, "x"]})

    assert frame_digest(odd) == frame_digest(pd.DataFrame({"a": ["y", 2]}))
    assert frame_digest(odd) != frame_digest(odd.rename(columns={"a": "b"}))


@pytest.mark.parametrize("columns", [["a", "a"], ["a", 1]])
def test_columns_need_names(columns):
    with pytest.raises(InvalidInput, match="names"):
        frame_digest(pd.DataFrame([[1, 2]], columns=columns))


@pytest.fixture(scope="module")
def model():
    return fit(by_column(), LogisticRegression())


def origin(model, held_out, target, **more):
    return build_bundle(model, data=held_out, target=target, **more).manifest["origin"]


def test_a_manifest_names_what_it_was_fitted_and_profiled_on(model, held_out, target, tmp_path):
    file = tmp_path / "train.csv"
    file.write_bytes(b"a\n1\n")

    said = origin(
        model, held_out, target, trained_on={"fit": FRAME, "raw": file, "old": "ab" * 32}, run="r-7"
    )

    training = {data["name"]: data for data in said["datasets"] if data["use"] == "training"}
    held = [data for data in said["datasets"] if data["use"] == "held-out"]
    assert training["fit"] == {
        "digest": frame_digest(FRAME), "use": "training", "rows": 2, "columns": 4, "name": "fit",
    }  # fmt: skip
    assert training["raw"]["digest"] == file_digest(file) == hashlib.sha256(b"a\n1\n").hexdigest()
    assert training["old"]["digest"] == "ab" * 32
    assert held == [
        {
            "digest": frame_digest(held_out.assign(late=np.asarray(target))),
            "use": "held-out",
            "rows": len(held_out),
            "columns": held_out.shape[1] + 1,
        }
    ]
    assert said["run"] == {"id": "r-7"}


def test_the_target_counts_alike_wherever_it_comes_from(model, held_out, target):
    together = held_out.assign(late=np.asarray(target))

    assert origin(model, held_out, target) == origin(model, together, "late")
    assert "run" not in origin(model, held_out, target)


@pytest.mark.parametrize(
    "more",
    [
        {"trained_on": 7},
        {"trained_on": "no-such-file.csv"},
        {"trained_on": {"": "ab" * 32}},
        {"trained_on": {"line\nfeed": "ab" * 32}},
        {"trained_on": [f"{n:064x}" for n in range(20)]},
        {"run": ""},
        {"run": "x" * 201},
    ],
)
def test_what_cannot_be_recorded_is_refused(model, held_out, target, more):
    with pytest.raises(InvalidInput):
        origin(model, held_out, target, **more)
