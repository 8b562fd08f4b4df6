"""The trials of real models: what registration makes, the examiner accepts."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from chalicelib.registry.trials import TrialLimits, hold
from tiltyard.runtime.bundle import MODEL
from tiltyard.training.bundle import build_bundle

LIMITS = TrialLimits(session_memory_bytes=1024 * 2**20)
RNG = np.random.default_rng(5)
DATA = pd.DataFrame({f"x{i}": RNG.normal(size=3_000) for i in range(6)}).assign(
    city=RNG.choice(["Ulm", "Bonn", "Kiel"], 3_000)
)
TARGET = DATA["x0"] * 2 + DATA["x1"] + RNG.normal(size=3_000)


def test_classifier_with_categories_is_accepted():
    model = make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["city"]), remainder="passthrough"
        ),
        HistGradientBoostingClassifier(max_iter=20),
    ).fit(DATA[:1500], TARGET[:1500] > 0)
    bundle = build_bundle(model, data=DATA[1500:], target=(TARGET > 0)[1500:])

    finding = hold(bundle.files, LIMITS)

    assert finding.reasons == ()
    assert finding.task == "binary"


def test_forest_is_measured_at_many_times_its_file_and_must_fit_twice():
    numbers = [f"x{i}" for i in range(6)]
    model = RandomForestRegressor(60, random_state=0, n_jobs=1).fit(DATA[numbers][:1500], TARGET[:1500])
    bundle = build_bundle(model, data=DATA[numbers][1500:], target=TARGET[1500:])

    roomy = hold(bundle.files, TrialLimits(session_memory_bytes=2048 * 2**20))
    tight = hold(bundle.files, TrialLimits(session_memory_bytes=roomy.memory_bytes))

    size = len(bundle.files[MODEL])
    assert roomy.reasons == ()
    assert 4 * size < roomy.memory_bytes < 30 * size
    assert tight.reasons
