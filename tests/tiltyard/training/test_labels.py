"""What the classes are called, and how labels find their class."""

from __future__ import annotations

from typing import get_type_hints

import numpy as np
import pandas as pd
import pytest
from pipelines import by_column, fit, flights
from sklearn.linear_model import LogisticRegression, Ridge

from tiltyard.errors import InvalidInput
from tiltyard.runtime.bundle import MANIFEST
from tiltyard.runtime.model import ServedModel
from tiltyard.training import build_bundle, summary
from tiltyard.training.frames import json_rows
from tiltyard.training.labels import class_names, outcomes
from tiltyard.training.options import Chosen, Options


def bands(frame: pd.DataFrame) -> pd.Series:
    return pd.cut(frame["wind"], [-99, -3, 3, 99], labels=["a", "b", "c"]).astype(str)


@pytest.fixture(scope="module")
def binary():
    return fit(by_column(), LogisticRegression(max_iter=300))


@pytest.fixture(scope="module")
def three():
    return fit(by_column(), LogisticRegression(max_iter=300), target=bands(flights()))


@pytest.mark.parametrize(
    "classes",
    [
        {0: "on time", 1: "late"},
        {"1": "late", "0": "on time"},
        {False: "on time", True: "late"},
        ["on time", "late"],
    ],
    ids=str,
)
def test_answers_use_the_names_at_the_custom_threshold(classes, binary, rows, target):
    bundle = build_bundle(binary, data=rows, target=target, classes=classes, threshold=0.3)

    types = {column.name: column.type for column in bundle.signature.inputs}
    answers = ServedModel.open(bundle.files).predict(json_rows(rows, types))
    assert bundle.signature.classes == ("on time", "late")
    assert answers.values == ["late" if p >= 0.3 else "on time" for p in answers.scores[:, 1].tolist()]
    assert 0 < answers.values.count("late") < len(rows)
    assert "binary late (on time, late), decided at 0.3" in summary(bundle)


def test_labels_may_be_given_by_name(binary, rows, target):
    names = {0: "on time", 1: "late"}

    by_name = build_bundle(binary, data=rows, target=target.map(names).rename("late"), classes=names)

    by_number = build_bundle(binary, data=rows, target=target, classes=names)
    # Labels in other words are other data, which the manifest's origin says; all that answers is the same.
    assert {**by_name.files, MANIFEST: b""} == {**by_number.files, MANIFEST: b""}
    assert by_name.manifest["origin"] != by_number.manifest["origin"]


def test_many_classes_have_names_too(three, rows, held_out):
    named = build_bundle(three, data=rows, target=bands(held_out), classes={"c": "C!", "a": "A!", "b": "B!"})
    plain = build_bundle(three, data=rows, target=bands(held_out))

    assert named.signature.classes == ("A!", "B!", "C!")
    assert plain.signature.classes == ("a", "b", "c")
    assert named.files["model.onnx"] == plain.files["model.onnx"]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ({0: "on time"}, "doesn't name '1'; the model's labels are 0, 1"),
        ({0: "on time", 1: "late", 2: "lost"}, "names 3 labels; the model's labels are 0, 1"),
        ({0: "on time", 1: "on time"}, "gives two classes one name"),
        ({0: "on time", 1: ""}, "holds '': a class's name is text"),
        ({0: "on time", 1: 7}, "holds 7: a class's name is text"),
        (["late"], "must have 2 names, for 0, 1 in this order"),
        ("ab", "must have 2 names"),
        (["1", "0"], "must name the classes in the model's order: 0, 1"),
    ],
    ids=str,
)
def test_names_that_do_not_fit_are_refused(classes, message):
    with pytest.raises(InvalidInput, match=message):
        class_names((0, 1), classes)


def test_a_regression_has_no_classes(rows, held_out):
    model = fit(by_column(), Ridge(), target=flights()["wind"])

    with pytest.raises(InvalidInput, match="leave classes= out"):
        build_bundle(model, data=rows, target=held_out["wind"], classes=["a", "b"])


@pytest.mark.parametrize(
    ("labels", "values"),
    [
        ((0, 1), [1, 0, 1]),
        ((0, 1), [True, False, True]),
        ((0, 1), ["1", "0", "1"]),
        ((0, 1), [1.0, 0.0, 1.0]),
        ((False, True), [1, 0, 1]),
        (("0", "1"), [1, 0, 1]),
        (("no", "yes"), ["yes", "no", "yes"]),
        ((0.5, 1.5), [1.5, 0.5, 1.5]),
    ],
    ids=str,
)
def test_a_label_is_found_by_value_or_by_its_text(labels, values):
    made = outcomes(
        np.array(values, dtype=object), task="binary", labels=labels, names=class_names(labels, None)
    )

    assert made.tolist() == [1, 0, 1]


def test_a_label_counts_before_a_name():
    made = outcomes(np.array([0, 1]), task="binary", labels=(0, 1), names=("1", "0"))

    assert made.tolist() == [0, 1]


def test_every_option_has_its_default_and_no_other_is_taken(binary, rows, target):
    assert list(get_type_hints(Options)) == list(Chosen.__slots__)
    with pytest.raises(TypeError, match="unexpected keyword argument 'treshold'"):
        build_bundle(binary, data=rows, target=target, treshold=0.3)
    with pytest.raises(InvalidInput, match=r"is a list of columns: nullable=\['wind'\]"):
        build_bundle(binary, data=rows, target=target, nullable="wind")
