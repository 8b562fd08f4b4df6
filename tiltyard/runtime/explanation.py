"""Why a version answered as it did: Shapley values of the columns that a caller sent.

The players are the input columns as they come, before the feature step, so a date
that becomes five numbers is one player. A coalition's worth is the mean answer when
the row keeps the coalition's columns and every other column is taken from a
background row (interventional, or marginal, Shapley values: Janzing, Minorics &
Bloebaum (2020), Feature Relevance Quantification in Explainable AI, AISTATS). Where
columns go together, such rows mix what never occurs together.

The scale is additive where that exists: log-odds of a class against the rest, or a
regression's value. A graph gives probabilities in float32; where one of those that
were scored is 0 or 1, as a forest's often are, there is no log-odds, and the whole
explanation is of the probability.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tiltyard.contract.features import FeatureSpec
from tiltyard.contract.rows import Batch
from tiltyard.contract.signature import Signature
from tiltyard.errors import Fault, InvalidBundle, InvalidInput, InvalidRows
from tiltyard.runtime.model import ServedModel
from tiltyard.stats.shapley import BoolArray, FloatArray, IntArray, Plan, enumerated, sampled

MAX_ROWS = 20
MAX_SECONDS = 10.0
COALITIONS = 500
MOST_ENUMERATED = 65_536
"""Rows to score (coalitions x background) up to which every coalition is."""
SEED = 0

_CHUNK_S = 0.004
"""Longest stretch that one call of ONNX Runtime is meant to take, so that others get a turn between."""
_MOST_IN_A_CHUNK = 4096
_PROBE, _SMALL_PROBE = 256, 16
_PROBES = 3
_FLOPS = 4e9
"""Floating-point operations a second that the regressions are taken to run at, measured at 100 columns."""
_MOST_CODED = 40
"""Players up to which a coalition and a background row's number fit one int64."""

Scale = Literal["log-odds", "probability", "value"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """One row's answer, shared out among its columns.

    `base` plus the sum of `values` is the row's own answer on the `scale`; `base` is
    the background's mean. `error` bounds what sampling coalitions may have done to any
    one value (three standard errors of the worst, 0 when `method` is exact); it says
    nothing of how well the background stands for the population. `label` is the class
    that is explained: the positive one (binary), the decided one (multiclass).
    """

    base: float
    values: Mapping[str, float]
    scale: Scale
    label: str | None
    method: Literal["exact", "kernel"]
    coalitions: int
    background: int
    seed: int
    error: float

    def to_json(self) -> dict[str, Any]:
        document: dict[str, Any] = {"base": self.base, "values": dict(self.values), "scale": self.scale}
        if self.label is not None:
            document["class"] = self.label
        return document | {
            "method": self.method,
            "coalitions": self.coalitions,
            "background": self.background,
            "seed": self.seed,
            "error": self.error,
        }


class Explainer:
    """Explains a version's answers against background rows.

    Parameters
    ----------
    served
        The version.
    background
        Rows as JSON sends them, at least one; ``/background/rows`` of ``reference.json``.
    clock
        Seconds; differences of it are what the limit is measured in.

    Raises
    ------
    InvalidBundle
        If there is no background row, or one breaks the version's own contract.
    """

    def __init__(
        self,
        served: ServedModel,
        background: Sequence[Mapping[str, Any]],
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._served = served
        self._clock = clock
        try:
            self._background = served.reader.read(background)
        except InvalidRows as exc:
            raise InvalidBundle(
                "The version's background rows break its own contract.",
                faults=[Fault(f"/reference.json/background{f.pointer}", f.detail) for f in exc.faults],
            ) from exc
        signature = served.signature
        self._names = [column.name for column in signature.inputs]
        self._numbers = _owners(signature.features.numbers, signature)
        self._strings = _owners(signature.features.strings, signature)
        self._row_s: float | None = None

    def explain(self, rows: Sequence[Mapping[str, Any]]) -> list[Explanation]:
        """One explanation a row, in order; the same rows always have the same ones.

        Raises
        ------
        InvalidRows
            If a row breaks the contract.
        InvalidInput
            Above 20 rows, or 10 s by the measured cost: before the work by estimate,
            and again while it goes on. The pointer is ``/explain``.
        """
        batch, games = self._read(rows)
        self._check(self._cost(games), len(games))
        start = self._clock()
        decided = self._decided(batch)
        found = []
        for i, game in enumerate(games):
            found.append(self._explained(game, decided[i]))
            self._check((self._clock() - start) * len(games) / (i + 1), len(games))
        return found

    def cost(self, rows: Sequence[Mapping[str, Any]]) -> float:
        """Seconds that explaining these rows takes, estimated from a measured call.

        Raises
        ------
        InvalidRows
            If a row breaks the contract.
        InvalidInput
            Above 20 rows.
        """
        return self._cost(self._read(rows)[1])

    def _read(self, rows: Sequence[Mapping[str, Any]]) -> tuple[Batch, list[_Game]]:
        if len(rows) > MAX_ROWS:
            raise InvalidInput(
                "The request asks for too many explanations.",
                faults=[Fault("/explain", f"is for at most {MAX_ROWS} rows, not {len(rows)}")],
            )
        batch = self._served.reader.read(rows)
        return batch, [self._game(batch, i) for i in range(batch.n)]

    def _game(self, batch: Batch, i: int) -> _Game:
        """The row's players: the columns in which the graph sees it differ from some background row.

        The others are dummies, whose Shapley value is 0.
        """
        numbers = None if batch.numbers is None else batch.numbers[i]
        strings = None if batch.strings is None else batch.strings[i]
        is_same = np.ones((self._background.n, len(self._names)), dtype=bool)  # unread columns stay so
        for mine, theirs, owners in (
            (numbers, self._background.numbers, self._numbers),
            (strings, self._background.strings, self._strings),
        ):
            if mine is not None and theirs is not None:
                equal = theirs == mine
                if theirs.dtype == np.float32:
                    equal |= np.isnan(theirs) & np.isnan(mine)
                for j, owner in enumerate(owners.tolist()):
                    is_same[:, owner] &= equal[:, j]
        players = np.flatnonzero(~is_same.all(axis=0))
        return _Game(
            players, _plan_for(len(players), self._background.n), is_same[:, players], numbers, strings
        )

    def _cost(self, games: Sequence[_Game]) -> float:
        if self._row_s is None:
            self._row_s = self._measured()
        rows = sum(len(game.plan.coalitions) for game in games) * self._background.n
        regressions = sum(_operations(game.plan) for game in games)
        return rows * self._row_s + regressions / _FLOPS

    def _measured(self) -> float:
        """Seconds to mix and score one row: the best of some calls, after one that warms up."""
        game = _Game(
            np.arange(0), enumerated(0), np.ones((self._background.n, 0), bool), *_first(self._background)
        )

        def timed(count: int) -> float:
            which = np.arange(count)
            start = self._clock()
            self._scored(game, which * 0, which % self._background.n)
            return self._clock() - start

        is_slow = timed(_SMALL_PROBE) > _CHUNK_S
        count = _SMALL_PROBE if is_slow else _PROBE
        return min(timed(count) for _ in range(_PROBES)) / count

    def _check(self, seconds: float, rows: int) -> None:
        if seconds > MAX_SECONDS:
            raise InvalidInput(
                "The explanations would take too long.",
                faults=[
                    Fault(
                        "/explain",
                        f"may take {MAX_SECONDS:g} s by measured cost; {_counted(rows)} of this model "
                        f"would take about {seconds:.3g} s: {'send fewer' if rows > 1 else 'leave it out'}",
                    )
                ],
            )

    def _decided(self, batch: Batch) -> list[int]:
        """The graph's output column to explain, by row."""
        signature = self._served.signature
        if signature.task != "multiclass":
            return [len(signature.classes[1:])] * batch.n
        return [
            signature.classes.index(str(label)) for label in self._served.decide(self._served.score(batch))
        ]

    def _explained(self, game: _Game, output: int) -> Explanation:
        scores = self._answers(game)
        scale, answers = _on_scale(scores, output, self._served.signature)
        found = game.plan.solve(answers.mean(axis=1))
        values = dict.fromkeys(self._names, 0.0)
        for player, value in zip(game.players.tolist(), found.values.tolist(), strict=True):
            values[self._names[player]] = value
        classes = self._served.signature.classes
        return Explanation(
            base=found.base,
            values=values,
            scale=scale,
            label=classes[output] if classes else None,
            method=game.plan.method,
            coalitions=game.plan.inner,
            background=self._background.n,
            seed=SEED,
            error=found.error,
        )

    def _answers(self, game: _Game) -> NDArray[np.float32]:
        """The graph's answers, shape (coalitions, background, outputs); equal mixed rows are scored once."""
        shape = (len(game.plan.coalitions), self._background.n)
        coalition, background = np.divmod(np.arange(shape[0] * shape[1]), shape[1])
        if not game.is_same.any() or len(game.players) > _MOST_CODED:
            return self._scored(game, coalition, background).reshape(*shape, -1)
        # Where a background row has the row's own value, it doesn't matter whose is taken.
        bits = 1 << np.arange(len(game.players))
        codes = (game.plan.coalitions @ bits)[:, None] | (game.is_same @ bits)
        _, first, again = np.unique(
            codes * shape[1] + np.arange(shape[1]), return_index=True, return_inverse=True
        )
        distinct = self._scored(game, coalition[first], background[first])
        return np.asarray(distinct[again.ravel()].reshape(*shape, distinct.shape[1]))

    def _scored(self, game: _Game, coalition: IntArray, background: IntArray) -> NDArray[np.float32]:
        """Answers to n mixed rows, shape (n, outputs), in stretches of some milliseconds."""
        size = _MOST_IN_A_CHUNK
        if self._row_s:
            size = int(np.clip(_CHUNK_S / self._row_s, 1, _MOST_IN_A_CHUNK))
        answers: NDArray[np.float32] = np.concatenate(
            [
                self._served.score(self._mixed(game, coalition[part], background[part]))
                for part in _parts(len(coalition), size)
            ]
        )
        return answers

    def _mixed(self, game: _Game, coalition: IntArray, background: IntArray) -> Batch:
        kept = np.zeros((len(coalition), len(self._names)), dtype=bool)
        kept[:, game.players] = game.plan.coalitions[coalition]
        theirs = self._background
        numbers = strings = None
        if theirs.numbers is not None and game.numbers is not None:
            numbers = np.where(kept[:, self._numbers], game.numbers, theirs.numbers[background])
        if theirs.strings is not None and game.strings is not None:
            strings = np.where(kept[:, self._strings], game.strings, theirs.strings[background])
        return Batch(len(coalition), numbers, strings, {}, {})


class _Game(NamedTuple):
    """One row to explain: its players (positions among the inputs) and what the graph is given of it.

    `is_same`, bool of shape (background, players), says where a background row has the row's own value.
    """

    players: IntArray
    plan: Plan
    is_same: BoolArray
    numbers: NDArray[np.float32] | None
    strings: NDArray[np.object_] | None


def _plan_for(players: int, background: int) -> Plan:
    """Every coalition when that is little work, or no more than the sample would be."""
    if players <= 1 or 2**players * background <= MOST_ENUMERATED or 2**players <= COALITIONS:
        return enumerated(players)
    return sampled(players, max(COALITIONS, 4 * players), SEED)


def _owners(graph_columns: Sequence[str], signature: Signature) -> IntArray:
    """The input column, by position, that each of the graph's columns is made from."""
    positions = {column.name: i for i, column in enumerate(signature.inputs)}
    sources = _sources(signature.features, list(positions))
    return np.array([positions[sources[name]] for name in graph_columns], dtype=np.int64)


def _sources(features: FeatureSpec, names: Sequence[str]) -> dict[str, str]:
    """Each column after the feature step → the one it is made from; every operation reads just one."""
    sources = {name: name for name in names}
    for operation in features.operations:
        sources[getattr(operation, "output", operation.column)] = sources[operation.column]
    return sources


def _on_scale(scores: NDArray[np.float32], output: int, signature: Signature) -> tuple[Scale, FloatArray]:
    """Answers on the scale that is explained, float64 of shape (coalitions, background)."""
    mine = scores[:, :, output].astype(np.float64)
    if signature.task == "regression":
        return "value", mine
    rest = np.delete(scores, output, axis=2).astype(np.float64).sum(axis=2)
    if mine.min() <= 0 or rest.min() <= 0:
        return "probability", mine
    return "log-odds", np.log(mine) - np.log(rest)


def _counted(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows} rows"


def _operations(plan: Plan) -> float:
    """Floating-point operations of `plan.solve`, about."""
    m, d = plan.coalitions.shape
    if plan.method == "exact":
        return float(m * d * 4)
    return float((plan.groups.max() + 2) * (2 * m * d * d + d**3))


def _first(batch: Batch) -> tuple[NDArray[np.float32] | None, NDArray[np.object_] | None]:
    return (
        None if batch.numbers is None else batch.numbers[0],
        None if batch.strings is None else batch.strings[0],
    )


def _parts(n: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, n, size))
