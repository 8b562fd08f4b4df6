"""Which columns an answer adds to its row, the same for every row of a file."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tiltyard.client.records import Prediction
from tiltyard.contract.signature import Signature, Task
from tiltyard.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that the service doesn't answer, and why."""

    reasons: tuple[str, ...]


Outcome = Prediction | Refused


@dataclass(frozen=True, slots=True)
class Layout:
    """The added columns of one task.

    ``prediction``; ``score`` (binary), ``score_CLASS`` each (multiclass); ``set``
    of classes, or ``interval_low`` and ``interval_high`` (regression);
    ``action``, ``rules`` and ``model_value`` of the policy; ``warnings``;
    ``model_version``; and as asked for ``explanation``, ``prediction_id`` (rows
    without ids of their own) and ``refusal`` (rows that may go unanswered). What
    an answer doesn't hold is empty.
    """

    task: Task
    classes: tuple[str, ...] = ()
    prefix: str = ""
    explains: bool = False
    has_ids: bool = False
    may_refuse: bool = False

    @classmethod
    def of(cls, signature: Signature, **settings: Any) -> Layout:
        return cls(signature.task, signature.classes, **settings)

    @classmethod
    def like(cls, outcomes: Sequence[Outcome], **settings: Any) -> Layout:
        """For a service that tells no contract: as the first answer is."""
        first = next((o for o in outcomes if isinstance(o, Prediction)), None)
        if first is None or first.score is not None:
            return cls("binary", **settings)
        if first.scores is not None:
            return cls("multiclass", tuple(first.scores), **settings)
        return cls("regression", **settings)

    @property
    def types(self) -> dict[str, str]:
        """What each added column holds, in order: text, number, integer, texts, warnings or object."""
        value = "number" if self.task == "regression" else "text"
        types = {"prediction": value}
        if self.task == "binary":
            types["score"] = "number"
        if self.task == "multiclass":
            types |= {f"score_{label}": "number" for label in self.classes}
        if self.task == "regression":
            types |= {"interval_low": "number", "interval_high": "number"}
        else:
            types["set"] = "texts"
        types |= {"action": "text", "rules": "texts", "model_value": value, "warnings": "warnings"}
        if self.explains:
            types["explanation"] = "object"
        types["model_version"] = "integer"
        if not self.has_ids:
            types["prediction_id"] = "text"
        if self.may_refuse:
            types["refusal"] = "text"
        return {f"{self.prefix}{name}": kind for name, kind in types.items()}

    def check(self, columns: Collection[str], name: str) -> None:
        """Raises `InvalidInput` if an added column has the name of one that is there."""
        taken = [column for column in self.types if column in columns]
        if taken:
            raise InvalidInput(
                f"{name} has columns named as those that the answers add: {', '.join(taken)}. "
                "Choose other names for these by --prefix, for instance --prefix tiltyard_."
            )

    def values(self, outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
        """The values of rows, each in the order of `types`."""
        names = [(column, column.removeprefix(self.prefix)) for column in self.types]
        found = [self._refused(o) if isinstance(o, Refused) else self._answered(o) for o in outcomes]
        return [{column: values.get(name) for column, name in names} for values in found]

    def _answered(self, answer: Prediction) -> Mapping[str, Any]:
        body = answer.body
        low, high = body.get("interval") or (None, None)
        return {
            "prediction": self._value(answer.value),
            "score": answer.score,
            **{f"score_{label}": p for label, p in (answer.scores or {}).items()},
            "set": body.get("set"),
            "interval_low": low,
            "interval_high": high,
            "action": body.get("action"),
            "rules": list(body.get("rules") or ()),
            "model_value": self._value(body.get("model_value")),
            "warnings": [dict(warning) for warning in answer.warnings],
            "explanation": body.get("explanation"),
            "model_version": answer.version,
            "prediction_id": answer.id,
        }

    def _value(self, value: Any) -> Any:
        return value if value is None or self.task == "regression" else str(value)

    def _refused(self, outcome: Refused) -> Mapping[str, Any]:
        return {"refusal": "; ".join(outcome.reasons), "rules": [], "warnings": []}
