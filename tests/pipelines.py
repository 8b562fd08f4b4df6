"""Small mixed data and pieces of pipelines over them, for tests of registration."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

ROWS = 1200
TRAINED = 600


def flights(seed: int = 0, rows: int = ROWS) -> pd.DataFrame:
    """Numbers with gaps, whole numbers, booleans, text with gaps and rare levels, times, people."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "distance": rng.normal(size=rows).round(4),
            "wind": (rng.normal(size=rows) * 10).round(3),
            "stops": rng.integers(0, 9, rows),
            "weekend": rng.random(rows) < 0.3,
            "dest": rng.choice(list("ABCDEFGH"), rows, p=[0.4, 0.3, 0.1, 0.08, 0.06, 0.03, 0.02, 0.01]),
            "carrier": rng.choice(["UA", "AA", "DL"], rows),
            "departed": pd.Timestamp("2013-01-01T05:00", tz="UTC")
            + pd.to_timedelta(rng.integers(0, 60 * 24 * 28, rows), unit="min"),
            "passenger": [f"person-{i % 200}" for i in range(rows)],
        }
    )
    frame.loc[rng.random(rows) < 0.1, "distance"] = np.nan
    frame.loc[rng.random(rows) < 0.1, "carrier"] = None
    return frame


def late(frame: pd.DataFrame, seed: int = 1) -> pd.Series:
    rng = np.random.default_rng(seed)
    score = (
        frame["distance"].fillna(0) + (frame["dest"] == "A") + (frame["carrier"] == "UA") + frame["weekend"]
    )
    return pd.Series((score + rng.normal(size=len(frame)) > 1).astype(int), name="late")


FEATURES = ["distance", "wind", "stops", "weekend", "dest", "carrier"]
NUMBERS = ["distance", "wind", "stops"]
TEXTS = ["dest", "carrier"]


def one_hot(**options: object) -> OneHotEncoder:
    return OneHotEncoder(**{"handle_unknown": "ignore", "sparse_output": False, **options})


def by_column(text: object = None, number: object = None) -> ColumnTransformer:
    """Numbers imputed, booleans as they are, text one-hot, unless told otherwise."""
    return ColumnTransformer(
        [
            ("number", number or SimpleImputer(strategy="median"), NUMBERS),
            ("boolean", "passthrough", ["weekend"]),
            ("text", text or one_hot(), TEXTS),
        ]
    )


def fit(*steps: object, columns: list[str] | None = None, target: pd.Series | None = None) -> object:
    """The steps as a pipeline, fitted on the first half of the data."""
    frame = flights()
    train = frame[columns or FEATURES][:TRAINED]
    labels = (late(frame) if target is None else target)[:TRAINED]
    return make_pipeline(*steps).fit(train, labels)
