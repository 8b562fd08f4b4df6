"""Columns that callers may leave missing although no held-out row does."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tiltyard.contract.features import FeatureSpec, Fill
from tiltyard.contract.signature import ColumnType
from tiltyard.errors import Fault, InvalidInput, TiltyardError
from tiltyard.training import frames


def check_names(nullable: frozenset[str], data: pd.DataFrame) -> None:
    """Hold the names of ``nullable=`` against the columns.

    Raises
    ------
    InvalidInput
        If one is no column.
    """
    absent = sorted(name for name in nullable if name not in data.columns)
    if absent:
        raise InvalidInput(
            f"`data` has no column {absent[0]!r}, which nullable= names; its columns are "
            f"{', '.join(map(str, data.columns))}.",
            faults=[Fault("/nullable", f"there is no column {name!r}") for name in absent],
        )


def check_gaps(
    answer: Callable[[pd.DataFrame], NDArray[np.float64]],
    features: FeatureSpec,
    data: pd.DataFrame,
    types: Mapping[str, ColumnType],
    asked: frozenset[str],
) -> None:
    """Ask the model for a row without each of the columns `asked`, and for one without any of them.

    Parameters
    ----------
    answer
        The estimator's own answers to a frame.
    features
        What comes before the graph, whose ``string`` input knows no missing text.
    data
        Rows without the column's gaps.

    Raises
    ------
    InvalidInput
        Naming the column in which the model can't take missing values, and what mends it.
    """
    filled = {operation.column for operation in features.operations if isinstance(operation, Fill)}
    for name in sorted(asked):
        if types[name] == "string" and name in features.strings and name not in filled:
            raise _refused(
                name,
                "nothing stands for missing text",
                f"FeatureStep(fill={{{name!r}: '__missing__'}}), or a fill operation of its contract,",
            )
        imputer = "most_frequent" if types[name] == "string" else "median"
        mend = f"SimpleImputer(strategy={imputer!r})"
        try:
            answers = answer(frames.with_missing(data, types, [name]))
        except TiltyardError as exc:
            said = "; ".join(fault.detail for fault in exc.faults) or str(exc)
            raise _refused(name, said, mend) from exc
        if not np.isfinite(answers).all():
            raise _refused(name, "its answer is no number then", mend)


def _refused(name: str, why: str, mend: str) -> InvalidInput:
    return InvalidInput(
        f"nullable= names {name!r}, and the model can't answer a row in which it is missing: put {mend} "
        f"for that column first in its pipeline and fit again, or leave {name!r} out of nullable=.",
        faults=[Fault(f"/nullable/{name}", why)],
    )
