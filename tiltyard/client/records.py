"""What the service answers, as Python objects.

Every record keeps the answer it was read from in `body`: a newer service may
say more than this client knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from tiltyard.contract.signature import Signature
from tiltyard.errors import IntegrityError

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Me:
    """Who the token says that one is."""

    sub: str
    roles: tuple[str, ...]
    teams: tuple[str, ...]
    body: Body = field(repr=False, compare=False)

    @classmethod
    def of(cls, body: Body) -> Me:
        return cls(_text(body, "sub"), tuple(body.get("roles") or ()), tuple(body.get("teams") or ()), body)


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    team: str
    task: str
    owner: str
    description: str
    created_at: datetime
    body: Body = field(repr=False, compare=False)

    @classmethod
    def of(cls, body: Body) -> Model:
        return cls(
            name=_text(body, "name"),
            team=_text(body, "team"),
            task=_text(body, "task"),
            owner=str(body.get("owner") or ""),
            description=str(body.get("description") or ""),
            created_at=_time(body, "created_at"),
            body=body,
        )


@dataclass(frozen=True, slots=True)
class Version:
    """`stage` says whether it can answer: ``validating`` and ``rejected`` can't; `reasons` say why not."""

    model: str
    version: int
    digest: str
    stage: str
    registered_at: datetime
    reasons: tuple[str, ...]
    description: str
    body: Body = field(repr=False, compare=False)

    @classmethod
    def of(cls, body: Body) -> Version:
        return cls(
            model=_text(body, "model"),
            version=_number(body, "version"),
            digest=_text(body, "digest"),
            stage=_text(body, "stage"),
            registered_at=_time(body, "registered_at"),
            reasons=tuple(str(reason) for reason in body.get("reasons") or ()),
            description=str(body.get("description") or ""),
            body=body,
        )


@dataclass(frozen=True, slots=True)
class Contract:
    """`signature` is what a version takes and gives; `example` a row that it answers, if it keeps any."""

    signature: Signature
    example: Mapping[str, Any] | None
    body: Body = field(repr=False, compare=False)

    @classmethod
    def of(cls, body: Body) -> Contract:
        signature = body.get("signature")
        if not isinstance(signature, Mapping):
            raise _unlike("signature", "an object")
        return cls(Signature.from_json(signature), body.get("example"), body)


@dataclass(frozen=True, slots=True)
class Alias:
    model: str
    alias: str
    version: int
    pinned: bool
    body: Body = field(repr=False, compare=False)

    @classmethod
    def of(cls, body: Body) -> Alias:
        return cls(
            _text(body, "model"),
            _text(body, "alias"),
            _number(body, "version"),
            bool(body.get("pinned")),
            body,
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds for a model's answers; `document` has every default filled in.

    `number` counts the policies that were put; 0 stands for the default, of a
    model that never had one put. `put_by` is None when the name was erased, too.
    """

    model: str
    number: int
    digest: str
    document: Mapping[str, Any]
    put_at: datetime | None
    put_by: str | None
    body: Body = field(repr=False, compare=False)

    @classmethod
    def of(cls, body: Body) -> Policy:
        document = body.get("document")
        if not isinstance(document, Mapping):
            raise _unlike("document", "an object")
        return cls(
            _text(body, "model"),
            _number(body, "number"),
            _text(body, "digest"),
            document,
            _time(body, "put_at") if body.get("put_at") else None,
            body.get("put_by"),
            body,
        )


@dataclass(frozen=True, slots=True)
class Reign:
    """A champion's period: from `started_at` to the start of the next one.

    `ended_at` is None while it lasts.
    `approved_by` and `reason` are None when they were erased. `change` is the
    model's change that began it: ``verify_audit_entry((model, change))`` proves it.
    """

    model: str
    version: int
    generation: int
    started_at: datetime
    ended_at: datetime | None
    action: str
    approved_by: str | None
    reason: str | None
    change: int
    body: Body = field(repr=False, compare=False)

    @classmethod
    def of(cls, body: Body) -> Reign:
        return cls(
            _text(body, "model"),
            _number(body, "version"),
            _number(body, "generation"),
            _time(body, "started_at"),
            _time(body, "ended_at") if body.get("ended_at") else None,
            _text(body, "action"),
            body.get("approved_by"),
            body.get("reason"),
            _number(body, "change"),
            body,
        )


@dataclass(frozen=True, slots=True)
class Swap:
    """What a promotion or a rollback did; `previous` is the version that answered before."""

    model: str
    version: int
    generation: int
    started_at: datetime
    previous: int | None
    body: Body = field(repr=False, compare=False)

    @classmethod
    def of(cls, body: Body) -> Swap:
        previous = body.get("previous")
        return cls(
            _text(body, "model"),
            _number(body, "version"),
            _number(body, "generation"),
            _time(body, "started_at"),
            previous if isinstance(previous, int) else None,
            body,
        )


@dataclass(frozen=True, slots=True)
class Prediction:
    """One row's answer.

    `value` is the decision: a class label, or the number of a regression; None
    where the model's policy abstains, and what it answers instead where it
    overrides (`model_value` is the model's own then). `score` is a binary model's
    probability of its positive class, `scores` the probability of each class of a
    multiclass model.

    `set` holds the classes that can't be ruled out at the policy's level, likeliest
    first, and `interval` the lowest and highest value of a regression (None where
    there is no bound). `warnings` say what is odd about the row, by column, and
    `rules` which humility rules fired; `action` is ``answer``, ``flag``,
    ``override`` or ``abstain``. `explanation` is there when it was asked for.
    """

    id: str
    value: str | float | None
    score: float | None
    scores: Mapping[str, float] | None
    set: tuple[str, ...] | None
    interval: tuple[float | None, float | None] | None
    warnings: tuple[Body, ...]
    action: str
    rules: tuple[str, ...]
    model_value: str | float | None
    explanation: Body | None
    version: int
    body: Body = field(repr=False, compare=False)

    @classmethod
    def of(cls, body: Body, version: int) -> Prediction:
        return cls(
            id=_text(body, "id"),
            value=body["value"],
            score=body.get("score"),
            scores=body.get("scores"),
            set=None if (classes := body.get("set")) is None else tuple(classes),
            interval=None if (ends := body.get("interval")) is None else (ends[0], ends[1]),
            warnings=tuple(body.get("warnings") or ()),
            action=body.get("action", "answer"),
            rules=tuple(body.get("rules") or ()),
            model_value=body.get("model_value"),
            explanation=body.get("explanation"),
            version=version,
            body=body,
        )


@dataclass(frozen=True, slots=True)
class Predictions(Sequence[Prediction]):
    """The answers in the order of the rows.

    Large inputs are sent in parts, and a swap may fall between two of them: each
    prediction names the version that gave it, and `versions` are all of them.
    """

    model: str
    items: tuple[Prediction, ...]

    @overload
    def __getitem__(self, index: int) -> Prediction: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Prediction, ...]: ...
    def __getitem__(self, index: int | slice) -> Prediction | tuple[Prediction, ...]:
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self.items)

    @property
    def values(self) -> list[str | float | None]:
        """The decisions; None where the policy abstains."""
        return [item.value for item in self.items]

    @property
    def scores(self) -> NDArray[np.float64]:
        """Shape (n,): the positive class's probability (NaN where a row has none)."""
        return np.array([np.nan if i.score is None else i.score for i in self.items], dtype=np.float64)

    @property
    def versions(self) -> tuple[int, ...]:
        return tuple(sorted({item.version for item in self.items}))


def _text(body: Body, key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str):
        raise _unlike(key, "a text")
    return value


def _number(body: Body, key: str) -> int:
    value = body.get(key)
    if not isinstance(value, int):
        raise _unlike(key, "a whole number")
    return value


def _time(body: Body, key: str) -> datetime:
    try:
        return datetime.fromisoformat(_text(body, key))
    except ValueError as exc:
        raise _unlike(key, "a time") from exc


def _unlike(key: str, wanted: str) -> IntegrityError:
    return IntegrityError(
        f"The answer's {key!r} is not {wanted}: is the URL that of a Tiltyard, and this client as new as it?"
    )
