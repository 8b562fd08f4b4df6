"""What a registration may say of a model beyond its rows."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, TypedDict, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tiltyard.contract.signature import Signature, Task
from tiltyard.errors import InvalidInput

Output = Literal["probabilities", "logits"]
Classes = Mapping[Any, str] | Sequence[str]
Categories = Mapping[str, Sequence[str]]
Ranges = Mapping[str, tuple[float, float]]
TrainedOn = object
"""A DataFrame, a path, a digest, a list of them, or a mapping of names to them."""
Contract = Signature | Mapping[str, Any] | str | os.PathLike[str]

MOST_TOLERANCE = 0.05
"""The largest share of differing rows that a bundle may ask for; the examiner allows no more."""


def zone_of(name: str) -> ZoneInfo:
    """A time zone by its IANA name; raises `InvalidInput` for any other."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise InvalidInput(f"zone={name!r} is no time zone: name one such as 'Europe/Vienna'.") from exc


class Options(TypedDict, total=False):
    """The keyword arguments that `Client.register` and `build_bundle` share."""

    task: Task | None
    """``binary``, ``multiclass`` or ``regression``; found from the model when left out."""
    threshold: float | None
    """Decision threshold on the second class's probability (binary only), .5 by default."""
    classes: Classes | None
    """Names of the classes: label → name, or the names in the model's order."""
    sensitive: Sequence[str]
    """Sensitive attributes."""
    subject: str | None
    """The column that says whom a row is about."""
    time: str | None
    """When the row happened."""
    zone: str | None
    """The time zone that days and weeks of the rows follow (``Europe/Vienna``), by default that of the
    time column, UTC when it has none. Hours of the week are taken in it; windows stay in UTC."""
    calendar: Sequence[str]
    """Columns that follow the date."""
    personal: Sequence[str]
    """Personal data; with any of it, or a subject, the bundle holds no one's row."""
    categories: Categories | None
    """Column → levels beyond those in the rows that may be sent without a warning."""
    ranges: Ranges | None
    """Column → (lowest, highest), likewise."""
    nullable: Sequence[str]
    """Columns that may be missing (null) although no row lacks them: numbers, and text for which the
    pipeline has a value that stands for missing. Parity is proved on rows without them."""
    tolerance: float | None
    """Share of rows (at most .05) whose answer may differ by more than 1e-4, .001 by default."""
    contract: Contract | None
    """Of a ready ONNX file: its data contract, instead of one inferred from the rows."""
    output: Output
    """Of a ready ONNX classifier: what its output holds, ``probabilities`` or ``logits``."""
    trained_on: TrainedOn | None
    """What the model was fitted on, for the lineage graph: a DataFrame, a path, a digest, a list of
    them, or a mapping of names to them (docs/lineage.md)."""
    run: str | None
    """One's own id of the run that fitted it, such as an MLflow run's."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """`Options` with their defaults, each checked as far as it can be alone."""

    task: Task | None = None
    threshold: float | None = None
    classes: Classes | None = None
    sensitive: Sequence[str] = ()
    subject: str | None = None
    time: str | None = None
    zone: str | None = None
    calendar: Sequence[str] = ()
    personal: Sequence[str] = ()
    categories: Categories | None = None
    ranges: Ranges | None = None
    nullable: Sequence[str] = ()
    tolerance: float | None = None
    contract: Contract | None = None
    output: Output = "probabilities"
    trained_on: TrainedOn | None = None
    run: str | None = None

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise InvalidInput(f"threshold={self.threshold} must lie between 0 and 1.")
        if self.tolerance is not None and not 0 < self.tolerance <= MOST_TOLERANCE:
            raise InvalidInput(
                f"tolerance={self.tolerance} must be a share of the rows, above 0 and at most "
                f"{MOST_TOLERANCE}."
            )
        if self.zone is not None:
            zone_of(self.zone)
        if self.output not in get_args(Output):
            raise InvalidInput(f"output={self.output!r} must be 'probabilities' or 'logits'.")
        for name in ("sensitive", "calendar", "personal", "nullable"):
            if isinstance(getattr(self, name), str):
                raise InvalidInput(f"{name}= is a list of columns: {name}=[{getattr(self, name)!r}].")
        if self.contract is not None:
            self._check_alone()

    def _check_alone(self) -> None:
        """A contract says all that the others would."""
        beside = {"task", "tolerance", "output", "contract", "trained_on", "run", "zone"}
        nothing: tuple[object, ...] = (None, (), [], {})
        given = [
            f.name for f in fields(self) if f.name not in beside and getattr(self, f.name) not in nothing
        ]
        if given:
            raise InvalidInput(
                f"contract= says everything about the columns and classes: put {given[0]} into it and leave "
                f"{given[0]}= out."
            )
