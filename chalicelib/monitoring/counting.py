"""Which cells a version's rows are counted in, by its bundle's profile."""

from __future__ import annotations

import json
from collections import Counter as Tally
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chalicelib.lineage.records import Version
from chalicelib.monitoring.rows import Row
from chalicelib.ports import ArtifactStore, LineageStore
from tiltyard.contract.signature import Signature
from tiltyard.errors import IntegrityError, NotFound
from tiltyard.runtime.bundle import PROFILE, SIGNATURE, SIZE_LIMITS
from tiltyard.stats.binned import encode
from tiltyard.stats.binning import Binner, Values, as_floats
from tiltyard.stats.layout import Layout, NumberCells, reference_counts
from tiltyard.stats.summary import Summary
from tiltyard.stats.together import Axes, Together

KEPT = 50

_NUMBERS = frozenset({int, float, bool, type(None)})


class Counter:
    """Counts rows of one version."""

    def __init__(self, signature: Signature, profile: Mapping[str, Any]) -> None:
        personal = frozenset(column.name for column in signature.columns if column.is_personal)
        self.signature = signature
        self.profile = profile
        self.layout = Layout.of(profile, signature.classes, personal=personal)
        self._binner = Binner(self.layout, personal=personal)
        numbers = [cells for cells in self.layout.columns if isinstance(cells, NumberCells)]
        self._distances = {cells.distance: cells.name for cells in numbers if cells.distance is not None}
        self._together = Together(Axes.from_json(profile["together"])) if self._distances else None
        self._numbers = frozenset(cells.name for cells in numbers if cells.distance is None)

    def count(self, rows: Sequence[Row]) -> Summary:
        """The summary of rows, what was odd about them included."""
        if not rows:
            return Summary.empty(self.layout)
        return self._count(rows, *self._columns(rows))

    def taken(self, rows: Sequence[Row]) -> tuple[Summary, list[bytes]]:
        """The summary of those rows that count, and all rows as the cells that they lie in."""
        if not rows:
            return Summary.empty(self.layout), []
        columns, events = self._columns(rows)
        cells = encode(self.layout, self._binner.cells(columns, len(rows)))
        counted = [row for row in rows if row.is_counted]
        if len(counted) < len(rows):
            return self.count(counted), cells
        return self._count(rows, columns, events), cells

    def _columns(self, rows: Sequence[Row]) -> tuple[dict[str, Values], Tally[str]]:
        events: Tally[str] = Tally()
        columns: dict[str, Values] = {}
        for name in self.profile["columns"]:
            columns[name] = self._as_numbers(name, [row.columns.get(name) for row in rows], events)
        if self._together is not None:
            columns |= self._distances_of(self._together, columns)
        return columns, events

    def _count(self, rows: Sequence[Row], columns: Mapping[str, Values], events: Tally[str]) -> Summary:
        for row in rows:
            _tally(row, events)
        scores = np.asarray([row.scores for row in rows], dtype=np.float32)
        return self._binner.count(columns, scores, self._answers(scores), events)

    def added(self, content: bytes, counts: Summary) -> bytes:
        """A stored summary with these counts added; raises `IntegrityError` if it isn't this version's."""
        return (Summary.decode(content, self.layout) + counts).encode()

    def reference(self, name: str) -> list[int]:
        """The held-out rows' counts of a column."""
        cells = next(cells for cells in self.layout.columns if cells.name == name)
        return reference_counts(cells, self.profile)

    def _distances_of(
        self, together: Together, columns: Mapping[str, Values]
    ) -> dict[str, NDArray[np.float64]]:
        told = np.stack([as_floats(columns[name]) for name in together.columns])
        return {self._distances[kind]: found for kind, found in together.distances(told).items()}

    def _as_numbers(self, name: str, values: list[object], events: Tally[str]) -> list[object]:
        """Numbers as numbers. What isn't one is missing and says so; the contract lets none through."""
        if name not in self._numbers or _NUMBERS.issuperset(map(type, values)):
            return values
        wrong = [i for i, value in enumerate(values) if not (value is None or isinstance(value, int | float))]
        if wrong:
            events[f"coerced:{name}"] += len(wrong)
            values = [None if i in set(wrong) else value for i, value in enumerate(values)]
        return values

    def _answers(self, scores: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Sequence[int]:
        if not self.signature.classes:
            return ()
        threshold = self.signature.threshold
        if threshold is not None:
            return [int(hit) for hit in scores[:, 1] >= threshold]
        return [int(place) for place in scores.argmax(axis=1)]


def _tally(row: Row, events: Tally[str]) -> None:
    kinds = set()
    for warning in row.warnings:
        kinds.add(str(warning["kind"]))
        events[f"{warning['kind']}:{warning['column']}"] += 1
    for kind in kinds:
        events[f"rows:{kind}"] += 1
    if row.action is not None:
        events[f"action:{row.action}"] += 1
    for rule in row.rules:
        events[f"rule:{rule}"] += 1
    if row.is_ahead:
        events["ahead"] += 1


class Counters:
    """The counters of versions, the few that are busy kept."""

    def __init__(self, lineage: LineageStore, artifacts: ArtifactStore) -> None:
        self._lineage = lineage
        self._artifacts = artifacts
        self._kept: OrderedDict[tuple[str, int, str], Counter] = OrderedDict()

    def of(self, model: str, version: int, digest: str) -> Counter:
        """The counter of a version.

        Raises
        ------
        NotFound
            When the model has no such version.
        IntegrityError
            When the version has another bundle than the rows were answered by.
        """
        key = (model, version, digest)
        if key not in self._kept:
            found = self._lineage.version(model, version)
            if found is None:
                raise NotFound(f"Telemetry names version {version} of {model!r}, which isn't there.")
            if found.digest != digest:
                raise IntegrityError(
                    f"Telemetry names another bundle than version {version} of {model!r} has."
                )
            self._kept[key] = self.read(found)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def read(self, version: Version) -> Counter:
        """A version's counter, read from its bundle."""
        signature, profile = (
            json.loads(self._artifacts.read(version.files[name].sha256, limit=SIZE_LIMITS[name]))
            for name in (SIGNATURE, PROFILE)
        )
        return Counter(Signature.from_json(signature), profile)
