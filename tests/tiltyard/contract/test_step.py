"""`FeatureStep` does in training what the feature spec does in serving."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

from tiltyard.contract.features import FeatureSpec
from tiltyard.contract.step import FeatureStep, column_type, to_columns
from tiltyard.errors import InvalidInput


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "departed": pd.to_datetime(
                ["2024-02-29T23:59:59", None, "2023-12-31T00:00:00", "1969-12-31T12:30:00"]
            ).tz_localize("UTC"),
            "dest": ["BOS", "LAX", "BOS", None],
            "carrier": ["UA", None, "AA", "UA"],
            "weekend": pd.array([True, None, False, True], dtype="boolean"),
            "distance": [1.0, np.nan, 3.0, 4.0],
        }
    )


STEP = FeatureStep(
    datetime_parts={"departed": ["hour", "weekday"]},
    lump={"dest": 1},
    fill={"carrier": "__missing__"},
    booleans=["weekend"],
    missing_indicators=["distance"],
)


def test_output_holds_the_columns_in_a_fixed_order_without_the_timestamps(frame):
    out = clone(STEP).fit_transform(frame)

    assert list(out.columns) == [
        "dest", "carrier", "weekend", "distance", "distance_missing", "departed_hour", "departed_weekday",
    ]  # fmt: skip


def test_output_equals_the_calendar_and_the_declared_levels(frame):
    out = clone(STEP).fit_transform(frame)

    np.testing.assert_array_equal(out["departed_hour"], [23, np.nan, 0, 12])
    np.testing.assert_array_equal(out["departed_weekday"], [3, np.nan, 6, 2])
    assert out["dest"].tolist()[:3] == ["BOS", "__other__", "BOS"]
    assert pd.isna(out["dest"].iloc[3])
    assert out["carrier"].tolist() == ["UA", "__missing__", "AA", "UA"]
    np.testing.assert_array_equal(out["weekend"], [1, np.nan, 0, 1])
    np.testing.assert_array_equal(out["distance_missing"], [0, 1, 0, 0])


def test_spec_after_a_json_round_trip_gives_the_same_columns(frame):
    step = clone(STEP).fit(frame)

    served = FeatureSpec.from_json(step.spec_.to_json()).apply(to_columns(frame, step.types_))

    out = step.transform(frame)
    for name in step.spec_.numbers:
        np.testing.assert_array_equal(served[name], out[name].to_numpy(float))
    for name in step.spec_.strings:
        assert [None if pd.isna(v) else v for v in out[name]] == served[name].tolist()


def test_unseen_levels_are_lumped(frame):
    step = clone(STEP).fit(frame)

    out = step.transform(frame.assign(dest="SFO"))

    assert out["dest"].tolist() == ["__other__"] * 4


def test_a_share_keeps_levels_that_reach_it():
    frame = pd.DataFrame({"dest": ["a"] * 6 + ["b"] * 3 + ["c"] + [None] * 10})

    step = FeatureStep(lump={"dest": 0.3}).fit(frame)

    assert step.spec_.operations[0].keep == ("a", "b")


def test_other_never_collides_with_a_level():
    frame = pd.DataFrame({"dest": ["a", "a", "__other__"]})

    step = FeatureStep(lump={"dest": 1}).fit(frame)

    assert step.spec_.operations[0].other == "__other___"


def test_times_in_another_zone_are_read_in_utc():
    frame = pd.DataFrame({"t": pd.to_datetime(["2024-07-01T22:30:00"]).tz_localize("America/New_York")})

    out = FeatureStep(datetime_parts={"t": ["hour", "day"]}).fit_transform(frame)

    assert out.to_dict("records") == [{"t_hour": 2.0, "t_day": 2.0}]


def test_untouched_columns_keep_their_dtype(frame):
    frame["count"] = [1, 2, 3, 4]

    out = clone(STEP).fit_transform(frame)

    assert out["count"].dtype == frame["count"].dtype


def test_it_is_cloned_and_leaves_its_input_alone(frame):
    before = frame.copy(deep=True)

    twin = clone(STEP)
    twin.fit(frame).transform(frame)

    pd.testing.assert_frame_equal(frame, before)
    assert twin is not STEP
    assert twin.get_params() == STEP.get_params()


def test_it_works_first_in_a_pipeline(frame):
    encode = ColumnTransformer([("text", OneHotEncoder(handle_unknown="ignore"), ["dest", "carrier"])])
    pipeline = make_pipeline(clone(STEP), encode, LogisticRegression())

    pipeline.set_params(featurestep__lump={"dest": 2}).fit(frame, [0, 1, 0, 1])

    assert pipeline.predict_proba(frame).shape == (4, 2)
    assert list(pipeline[0].get_feature_names_out()) == list(pipeline[0].transform(frame).columns)


def test_pipeline_shows_it_by_name():
    assert repr(Pipeline([("step", STEP)])).startswith("Pipeline(")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"booleans": ["absent"]}, "names 'absent', which is not a column"),
        ({"booleans": ["dest"]}, "needs 'dest' as boolean; it is string"),
        ({"datetime_parts": {"dest": ["hour"]}}, "needs 'dest' as datetime"),
        ({"datetime_parts": {"departed": ["century"]}}, "'century' of 'departed' is no date part"),
        ({"lump": {"dest": 0}}, "must be a number of levels or a share"),
        ({"lump": {"dest": 1.5}}, "must be whole or below 1"),
        ({"fill": {"distance": "x"}}, "needs 'distance' as string"),
    ],
)
def test_parameters_that_do_not_fit_the_frame_are_refused(frame, parameters, message):
    with pytest.raises(InvalidInput, match=message):
        FeatureStep(**parameters).fit(frame)


def test_an_array_a_missing_column_and_an_unfitted_step_are_refused(frame):
    with pytest.raises(InvalidInput, match="give it a pandas DataFrame, not ndarray"):
        FeatureStep().fit(np.zeros((2, 2)))
    with pytest.raises(InvalidInput, match="missing: dest"):
        clone(STEP).fit(frame).transform(frame.drop(columns="dest"))
    with pytest.raises(InvalidInput, match="isn't fitted"):
        FeatureStep().transform(frame)
    with pytest.raises(InvalidInput, match="no parameter 'colour'"):
        FeatureStep().set_params(colour="red")


def test_a_new_column_never_overwrites_one(frame):
    with pytest.raises(InvalidInput, match="'dest_missing', which exists"):
        FeatureStep(missing_indicators=["dest"]).fit(frame.assign(dest_missing=0))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], "integer"),
        ([1.5, None], "number"),
        ([True, False], "boolean"),
        (pd.Series([True, None], dtype=object), "boolean"),
        (pd.Series([1, None], dtype=object), "integer"),
        (pd.Series(["a", None], dtype="category"), "string"),
        (pd.Series([3, 4], dtype="category"), "integer"),
        (pd.array([1, None], dtype="Int64"), "integer"),
        ([None, "a"], "string"),
    ],
)
def test_type_of_a_column(values, kind):
    assert column_type(pd.Series(values)) == kind


def test_a_column_of_several_types_is_refused():
    with pytest.raises(InvalidInput, match="holds int, str"):
        column_type(pd.Series([1, "a"], dtype=object, name="mixed"))


def test_importing_it_loads_neither_pandas_nor_scikit_learn():
    code = (
        "import sys; from tiltyard.contract import FeatureStep; assert FeatureStep;"
        "assert not {'pandas', 'sklearn'} & set(sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
