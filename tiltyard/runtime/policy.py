"""The policy of a model: how sure an answer must be, and what becomes of it when it isn't.

A policy is a small document (format 1). `parse` reads it without trust, in plain
code, for it is read on the way to a prediction; `tiltyard.runtime.humility` applies it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import rfc8785

from tiltyard.contract.signature import Signature, Task
from tiltyard.errors import Fault, InvalidInput
from tiltyard.runtime.identifiers import NAME

FORMAT = 1
MAX_BYTES = 8 * 1024
"""Of the canonical document: a copy of it lies in the pointer, which has 16 KB for all."""
MAX_RULES = 32

UNCERTAINTY_LEVEL = 0.9
ANOMALY_LEVEL = 0.01
RUNBOOK = "docs/alerts.md"

When = Literal["uncertain", "anomalous", "out_of_range", "unseen_category"]
Measure = Literal["flag", "override", "abstain"]
Telemetry = Literal["best-effort", "required"]

WHENS: tuple[When, ...] = get_args(When)
MEASURES: tuple[Measure, ...] = get_args(Measure)
TELEMETRY: tuple[Telemetry, ...] = get_args(Telemetry)

# A text is never out of a range, and a number has no categories.
_NEVER: Mapping[str, frozenset[str]] = {
    "unseen_category": frozenset({"number", "integer", "boolean", "datetime"}),
    "out_of_range": frozenset({"string"}),
    "anomalous": frozenset({"string"}),
}

_KEYS = frozenset({"format", "uncertainty", "anomaly", "humility", "telemetry", "monitoring"})
_MONITORING_KEYS = frozenset({"alerts_a_year", "smallest_effect", "late_share", "runbook"})
MAX_RUNBOOK = 500
_RULE_KEYS = frozenset({"name", "when", "columns", "wider_than", "action", "value"})


@dataclass(frozen=True, slots=True)
class Rule:
    """A humility rule: when something is odd, in these columns (None: in any), do this.

    `wider_than` is the width of an interval, in the target's unit, above which
    a regression counts as uncertain; `value` is what an override answers: a
    class, or a number.
    """

    name: str
    when: When
    action: Measure
    columns: tuple[str, ...] | None = None
    wider_than: float | None = None
    value: str | float | None = None

    def to_json(self) -> dict[str, Any]:
        """The rule as it is written in the document: what isn't said is left out."""
        document: dict[str, Any] = {"name": self.name, "when": self.when, "action": self.action}
        if self.columns is not None:
            document["columns"] = list(self.columns)
        if self.wider_than is not None:
            document["wider_than"] = self.wider_than
        if self.value is not None:
            document["value"] = self.value
        return document


@dataclass(frozen=True, slots=True)
class Monitoring:
    """What the watch may cost: false alerts a feature and year, at most, and what nobody is woken for.

    `smallest_effect` is a PSI beyond noise, `late_share` the share of a day's rows
    that may come late, `runbook` where an alert says to look (its kind is appended).
    """

    alerts_a_year: float = 0.7
    smallest_effect: float = 0.02
    late_share: float = 0.05
    runbook: str = RUNBOOK

    def to_json(self) -> dict[str, Any]:
        """What isn't the default."""
        usual = Monitoring()
        names = ("alerts_a_year", "smallest_effect", "late_share", "runbook")
        return {name: getattr(self, name) for name in names if getattr(self, name) != getattr(usual, name)}


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy with every default filled in.

    `uncertainty_level` is the coverage of conformal sets and intervals,
    `anomaly_level` the share of usual rows that may be called anomalous; both in
    (0, 1), or None where that judgement is switched off. `telemetry` ``required``
    means: rather no answer than one whose record is in no store.
    """

    humility: tuple[Rule, ...]
    uncertainty_level: float | None = UNCERTAINTY_LEVEL
    anomaly_level: float | None = ANOMALY_LEVEL
    telemetry: Telemetry = "best-effort"
    monitoring: Monitoring = Monitoring()

    def to_json(self) -> dict[str, Any]:
        # Named where it isn't the default: digests of policies from before it stay what they were.
        named: dict[str, Any] = {} if self.telemetry == "best-effort" else {"telemetry": self.telemetry}
        if self.monitoring != Monitoring():
            named["monitoring"] = self.monitoring.to_json()
        return {
            "format": FORMAT,
            "uncertainty": self.uncertainty_level is not None and {"level": self.uncertainty_level},
            "anomaly": self.anomaly_level is not None and {"level": self.anomaly_level},
            "humility": [rule.to_json() for rule in self.humility],
            **named,
        }

    def to_bytes(self) -> bytes:
        """The canonical document (RFC 8785)."""
        return rfc8785.dumps(self.to_json())

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical document, lower-case hex."""
        return hashlib.sha256(self.to_bytes()).hexdigest()


def default(task: Task) -> Policy:
    """What holds where no policy was ever put: everything odd is flagged, nothing is changed.

    How wide an interval is too wide depends on the target's unit, so a
    regression has no rule on uncertainty by default.
    """
    whens = (when for when in WHENS if task != "regression" or when != "uncertain")
    return Policy(tuple(Rule(when.replace("_", "-"), when, "flag") for when in whens))


def parse(document: object, *, task: Task) -> Policy:
    """Read a policy of a model of this task; what is left out gets its default.

    Raises
    ------
    InvalidInput
        With a pointer to everything that is wrong, in form or in sense.
    """
    faults = form_faults(document)
    if not faults:
        assert isinstance(document, dict)
        policy = _read(document, task)
        faults = _sense_faults(policy, task)
        if not faults:
            return policy
    raise InvalidInput("The policy is invalid.", faults=faults)


def form_faults(document: object) -> list[Fault]:
    """What breaks the document's form, whatever the model is."""
    return list(_document_faults(document))


def check_fit(policy: Policy, signature: Signature) -> list[Fault]:
    """What of a policy a version of this signature can't follow; pointers go into the policy."""
    faults = _task_faults(policy, signature.task)
    types = {column.name: column.type for column in signature.columns}
    for i, rule in enumerate(policy.humility):
        for j, name in enumerate(rule.columns or ()):
            where = f"/humility/{i}/columns/{j}"
            if name not in types:
                faults.append(Fault(where, f"{name!r} is no column of the version"))
            elif types[name] in _NEVER.get(rule.when, ()):
                detail = f"{name!r} holds {types[name]} values, which are never {rule.when}"
                faults.append(Fault(where, detail))
        if isinstance(rule.value, str) and signature.classes and rule.value not in signature.classes:
            detail = f"{rule.value!r} is no class of the version; it has {', '.join(signature.classes)}"
            faults.append(Fault(f"/humility/{i}/value", detail))
    return faults


def _read(document: Mapping[str, Any], task: Task) -> Policy:
    uncertainty = _level(document.get("uncertainty"), UNCERTAINTY_LEVEL)
    anomaly = _level(document.get("anomaly"), ANOMALY_LEVEL)
    telemetry: Telemetry = document.get("telemetry") or "best-effort"
    monitoring = _monitoring(document.get("monitoring") or {})
    rules = document.get("humility")
    if rules is not None:
        return Policy(tuple(_rule(rule) for rule in rules), uncertainty, anomaly, telemetry, monitoring)
    off = _switched_off(uncertainty, anomaly)
    usual = tuple(rule for rule in default(task).humility if rule.when not in off)
    return Policy(usual, uncertainty, anomaly, telemetry, monitoring)


def _monitoring(part: Mapping[str, Any]) -> Monitoring:
    given: dict[str, Any] = {
        name: value if name == "runbook" else float(value)
        for name, value in part.items()
        if value is not None
    }
    return Monitoring(**given)


def _level(part: Any, usual: float) -> float | None:
    if part is False:
        return None
    return float((part or {}).get("level") or usual)


def _switched_off(uncertainty: float | None, anomaly: float | None) -> set[When]:
    """The rules' conditions that can't come about."""
    off: set[When] = set()
    if uncertainty is None:
        off.add("uncertain")
    if anomaly is None:
        off.add("anomalous")
    return off


def _rule(document: Mapping[str, Any]) -> Rule:
    columns, width, value = (document.get(key) for key in ("columns", "wider_than", "value"))
    return Rule(
        name=document["name"],
        when=document["when"],
        action=document["action"],
        columns=None if columns is None else tuple(columns),
        wider_than=None if width is None else float(width),
        value=value if value is None or isinstance(value, str) else float(value),
    )


def _document_faults(document: object) -> Iterator[Fault]:
    if not isinstance(document, dict):
        yield Fault("", "must be an object")
        return
    yield from _unknown(document, _KEYS, "")
    number = document.get("format")
    if not isinstance(number, int) or isinstance(number, bool) or number != FORMAT:
        yield Fault("/format", f"must be {FORMAT}")
    for part in ("uncertainty", "anomaly"):
        yield from _level_faults(document.get(part), f"/{part}")
    telemetry = document.get("telemetry")
    if telemetry is not None and telemetry not in TELEMETRY:
        yield Fault("/telemetry", f"must be one of {', '.join(TELEMETRY)}")
    yield from _monitoring_faults(document.get("monitoring"))
    rules = document.get("humility")
    if rules is None:
        return
    if not isinstance(rules, list) or len(rules) > MAX_RULES:
        yield Fault("/humility", f"must be a list of at most {MAX_RULES} rules")
        return
    for i, rule in enumerate(rules):
        yield from _rule_faults(rule, f"/humility/{i}")


def _monitoring_faults(part: object) -> Iterator[Fault]:
    if part is None:
        return
    if not isinstance(part, dict):
        yield Fault("/monitoring", "must be an object")
        return
    yield from _unknown(part, _MONITORING_KEYS, "/monitoring")
    for name, low, high in (
        ("alerts_a_year", 0.001, 100),
        ("smallest_effect", 0, 10),
        ("late_share", 0, 1),
    ):
        value = part.get(name)
        if value is not None and not (_is_number(value) and low <= value <= high):
            yield Fault(f"/monitoring/{name}", f"must be a number from {low} to {high}")
    runbook = part.get("runbook")
    if runbook is not None and not (
        isinstance(runbook, str) and runbook.startswith("https://") and len(runbook) <= MAX_RUNBOOK
    ):
        yield Fault("/monitoring/runbook", f"must be an https:// address of at most {MAX_RUNBOOK} characters")


def _level_faults(part: object, where: str) -> Iterator[Fault]:
    if part is None or part is False:
        return
    if not isinstance(part, dict):
        yield Fault(where, "must be an object with a level, or false to switch it off")
        return
    yield from _unknown(part, frozenset({"level"}), where)
    level = part.get("level")
    if level is not None and not (_is_number(level) and 0 < level < 1):
        yield Fault(f"{where}/level", "must be a number between 0 and 1, and neither of the two")


def _rule_faults(rule: object, where: str) -> Iterator[Fault]:
    if not isinstance(rule, dict):
        yield Fault(where, "must be an object")
        return
    yield from _unknown(rule, _RULE_KEYS, where)
    name, when, action = rule.get("name"), rule.get("when"), rule.get("action")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        yield Fault(f"{where}/name", f"must match ^{NAME.pattern}$")
    if when not in WHENS:
        yield Fault(f"{where}/when", f"must be one of {', '.join(WHENS)}")
    if action not in MEASURES:
        yield Fault(f"{where}/action", f"must be one of {', '.join(MEASURES)}")
    yield from _column_faults(rule.get("columns"), when, f"{where}/columns")
    width, value = rule.get("wider_than"), rule.get("value")
    if width is not None and not (_is_number(width) and width > 0):
        yield Fault(f"{where}/wider_than", "must be a number above 0, in the target's unit")
    elif width is not None and when != "uncertain":
        yield Fault(f"{where}/wider_than", "belongs to rules on `uncertain` only")
    if value is not None and not _is_text(value) and not _is_number(value):
        yield Fault(f"{where}/value", "must be a class or a finite number")
    elif value is None and action == "override":
        yield Fault(f"{where}/value", "is missing: say what an override answers")
    elif value is not None and action != "override":
        yield Fault(f"{where}/value", "belongs to rules that override only")


def _column_faults(columns: object, when: object, where: str) -> Iterator[Fault]:
    if columns is None:
        return
    if not isinstance(columns, list) or not columns:
        yield Fault(where, "must name at least one column; leave it out for any column")
        return
    if when == "uncertain":
        yield Fault(where, "can't be named here: an answer is uncertain, not a column of it")
    for j, column in enumerate(columns):
        if not _is_text(column) or not column:
            yield Fault(f"{where}/{j}", "must be a column's name")


def _sense_faults(policy: Policy, task: Task) -> list[Fault]:
    """Contradictions within a policy, and with the model's task."""
    faults, names = _task_faults(policy, task), set()
    override: tuple[int, Rule] | None = None
    off = _switched_off(policy.uncertainty_level, policy.anomaly_level)
    for i, rule in enumerate(policy.humility):
        if rule.when in off:
            part = "uncertainty" if rule.when == "uncertain" else "anomaly"
            faults.append(Fault(f"/humility/{i}/when", f"never comes about: `{part}` is switched off"))
        if rule.name in names:
            faults.append(Fault(f"/humility/{i}/name", f"{rule.name!r} is the name of an earlier rule"))
        names.add(rule.name)
        for j, column in enumerate(rule.columns or ()):
            if column in (rule.columns or ())[:j]:
                faults.append(Fault(f"/humility/{i}/columns/{j}", f"{column!r} is there twice"))
        if rule.action != "override":
            continue
        if override is None:
            override = i, rule
        elif rule.value != override[1].value:
            # One row can be odd in every way and in every column at once.
            detail = (
                f"contradicts rule {override[1].name!r} (/humility/{override[0]}): both can fire "
                f"for one row, and one answers {override[1].value!r}, the other {rule.value!r}"
            )
            faults.append(Fault(f"/humility/{i}/value", detail))
    size = len(policy.to_bytes())
    if size > MAX_BYTES:
        faults.append(Fault("", f"takes {size} bytes; at most {MAX_BYTES} are allowed"))
    return faults


def _task_faults(policy: Policy, task: Task) -> list[Fault]:
    faults = []
    for i, rule in enumerate(policy.humility):
        where = f"/humility/{i}"
        if task != "regression" and rule.wider_than is not None:
            detail = f"a {task} model answers sets, which have no width; leave it out"
            faults.append(Fault(f"{where}/wider_than", detail))
        if task == "regression" and rule.when == "uncertain" and rule.wider_than is None:
            detail = "is missing: say how wide a regression's interval may be"
            faults.append(Fault(f"{where}/wider_than", detail))
        if rule.value is not None and isinstance(rule.value, str) != (task != "regression"):
            wanted = "a finite number" if task == "regression" else "one of the classes, as text"
            faults.append(Fault(f"{where}/value", f"must be {wanted}: this is a {task} model"))
    return faults


def _unknown(document: Mapping[str, Any], known: frozenset[str], where: str) -> Iterator[Fault]:
    for key in document:
        if key not in known:
            token = key.replace("~", "~0").replace("/", "~1")
            yield Fault(f"{where}/{token}", f"isn't known here; there are {', '.join(sorted(known))}")


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond every float
        return False


def _is_text(value: object) -> bool:
    """Text that UTF-8 can hold: half of a surrogate pair can come out of JSON."""
    if not isinstance(value, str):
        return False
    return not any("\ud800" <= character <= "\udfff" for character in value)
