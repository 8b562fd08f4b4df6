"""Rows that the models of these tests were not fitted on."""

from __future__ import annotations

import pandas as pd
import pytest
from pipelines import FEATURES, TRAINED, flights, late


@pytest.fixture(scope="session")
def held_out() -> pd.DataFrame:
    return flights()[TRAINED:].reset_index(drop=True)


@pytest.fixture(scope="session")
def rows(held_out: pd.DataFrame) -> pd.DataFrame:
    """The held-out rows with the model's columns only."""
    return held_out[FEATURES]


@pytest.fixture(scope="session")
def target() -> pd.Series:
    return late(flights())[TRAINED:].reset_index(drop=True)
