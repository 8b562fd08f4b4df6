"""What a ColumnTransformer's column specifications stand for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer

from tiltyard.training.refusals import refuse


def selected_columns(
    selected: Any, columns: tuple[str, ...], where: str, owner: ColumnTransformer
) -> tuple[str, ...]:
    """The names that a ColumnTransformer's column specification stands for."""
    if isinstance(selected, str):
        advice = f"{selected!r} hands a single column over as a vector: write [{selected!r}]"
        raise refuse(where, owner, advice)
    if isinstance(selected, slice):
        if isinstance(selected.start, str) or isinstance(selected.stop, str):
            start = columns.index(selected.start) if selected.start is not None else 0
            stop = columns.index(selected.stop) + 1 if selected.stop is not None else None
            return columns[start:stop]
        return columns[selected]
    if callable(selected):
        raise refuse(where, owner, "its columns are a function: name them in a list")
    values = list(selected)
    if values and all(isinstance(v, bool | np.bool_) for v in values):
        return tuple(name for name, chosen in zip(columns, values, strict=True) if chosen)
    return tuple(str(v) if isinstance(v, str) else columns[int(v)] for v in values)


def runs(flags: Sequence[bool]) -> list[tuple[int, int]]:
    """Borders of the runs of equal values."""
    cuts = [i for i in range(1, len(flags)) if flags[i] != flags[i - 1]]
    return list(zip([0, *cuts], [*cuts, len(flags)], strict=True))
