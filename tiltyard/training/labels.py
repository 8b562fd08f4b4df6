"""True labels of the held-out rows, and what the classes are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tiltyard.contract.signature import Task
from tiltyard.errors import InvalidInput
from tiltyard.training.options import Classes

FEWEST_ROWS = 10
ENOUGH_ROWS = 2000
"""Held-out rows from which on drift can be judged as STATISTICS expects."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """Rows without their label, the labels, shape (n,), and the label's name."""

    data: pd.DataFrame
    labels: NDArray[Any]
    name: str


def labelled(data: object, target: object) -> Labelled:
    """Take `data` and `target` (labels, or the name of a column of `data`) apart.

    Raises
    ------
    InvalidInput
        If they don't fit each other, are too few, or a label is missing.
    """
    if not isinstance(data, pd.DataFrame):
        raise InvalidInput(
            f"`data` must be a pandas DataFrame with named columns, not {type(data).__name__}."
        )
    name = "target"
    if isinstance(target, str):
        if target not in data.columns:
            raise InvalidInput(f"`data` has no column {target!r} to be the target.")
        name, target, data = target, data[target], data.drop(columns=target)
    elif isinstance(target, pd.Series):
        name = str(target.name) if target.name is not None else name
    labels = pd.Series(np.asarray(target).ravel() if not isinstance(target, pd.Series) else target)
    if len(labels) != len(data):
        raise InvalidInput(f"`data` has {len(data)} rows and `target` {len(labels)} labels.")
    if len(data) < FEWEST_ROWS:
        raise InvalidInput(
            f"`data` has {len(data)} rows; at least {FEWEST_ROWS} held-out rows are needed, "
            f"{ENOUGH_ROWS} are better."
        )
    missing = int(labels.isna().sum())
    if missing:
        raise InvalidInput(f"{missing} labels of `target` are missing: hand in labelled rows only.")
    return Labelled(data.reset_index(drop=True), labels.to_numpy(), name)


def class_name(label: object) -> str:
    """A class label as text: whole numbers without a point, booleans as JSON has them."""
    if isinstance(label, bool | np.bool_):
        return "true" if label else "false"
    if isinstance(label, float | np.floating) and float(label).is_integer():
        return str(int(label))
    return str(label)


def class_names(labels: tuple[object, ...], classes: Classes | None) -> tuple[str, ...]:
    """What the classes with these `labels` are called: by ``classes=``, or as their labels are written.

    Raises
    ------
    InvalidInput
        If ``classes=`` doesn't name each class once.
    """
    if classes is None:
        return tuple(class_name(label) for label in labels)
    known = ", ".join(class_name(label) for label in labels)
    if not labels:
        raise InvalidInput("A regression has no classes; leave classes= out.")
    if isinstance(classes, Mapping):
        names = _by_label(labels, classes, known)
    else:
        names = tuple(classes)
        if isinstance(classes, str) or len(names) != len(labels):
            raise InvalidInput(f"classes= must have {len(labels)} names, for {known} in this order.")
        own = [class_name(label) for label in labels]
        if set(names) == set(own) and names != tuple(own):
            raise InvalidInput(f"classes= must name the classes in the model's order: {known}.")
    wrong = [name for name in names if not isinstance(name, str) or not name]
    if wrong:
        raise InvalidInput(f"classes= holds {wrong[0]!r}: a class's name is text that isn't empty.")
    if len(set(names)) != len(names):
        raise InvalidInput("classes= gives two classes one name.")
    return names


def _by_label(labels: tuple[object, ...], classes: Mapping[Any, str], known: str) -> tuple[str, ...]:
    """The name of each label; one that is said as text is the label that is written so."""
    by_text = {class_name(label): name for label, name in classes.items()}
    found = [classes.get(label, by_text.get(class_name(label))) for label in labels]
    if None in found:
        absent = class_name(labels[found.index(None)])
        raise InvalidInput(f"classes= doesn't name {absent!r}; the model's labels are {known}.")
    if len(classes) > len(labels):
        raise InvalidInput(f"classes= names {len(classes)} labels; the model's labels are {known}.")
    return tuple(name for name in found if name is not None)


def outcomes(
    values: NDArray[Any], *, task: Task, labels: tuple[object, ...], names: tuple[str, ...]
) -> NDArray[Any]:
    """Class index of each value, or the values of a regression as float64, shape (n,).

    A value is a class's label, its label as text, or its name; the first that fits counts.

    Raises
    ------
    InvalidInput
        If a value is no class of the model, or no finite number.
    """
    if task == "regression":
        try:
            numbers = values.astype(np.float64)
        except (TypeError, ValueError) as exc:
            raise InvalidInput(
                "The model is a regression and `target` holds values that aren't numbers."
            ) from exc
        if not np.isfinite(numbers).all():
            raise InvalidInput("`target` holds infinite values.")
        return numbers
    by_label = {label: i for i, label in enumerate(labels)}
    by_text = {name: i for i, name in enumerate(names)}
    by_text.update({class_name(label): i for i, label in enumerate(labels)})
    found = [by_label.get(value, by_text.get(class_name(value), -1)) for value in values.tolist()]
    if -1 in found:
        unknown = sorted({class_name(v) for v, i in zip(values.tolist(), found, strict=True) if i < 0})
        known = ", ".join(class_name(label) for label in labels)
        raise InvalidInput(
            f"`target` holds {', '.join(unknown[:5])}, which the model doesn't know; it knows {known}."
        )
    return np.array(found, dtype=np.int64)
