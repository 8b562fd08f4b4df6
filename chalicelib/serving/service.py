"""Answer a prediction: pointer → session → rows → answer, and one telemetry message."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from chalicelib.lineage.records import PolicyCopy, Target, Version
from chalicelib.ports import ArtifactStore, LineageStore, Pseudonyms, Queue, Sealer, Spool
from chalicelib.serving import telemetry
from chalicelib.serving.answers import predictions
from chalicelib.serving.body import PredictBody
from chalicelib.serving.pointers import Answering, Check, Name, PointerCache
from chalicelib.serving.sessions import SessionCache
from tiltyard.contract.signature import Signature
from tiltyard.errors import NotFound, NotReady
from tiltyard.runtime.bundle import SIZE_LIMITS
from tiltyard.runtime.explanation import Explanation
from tiltyard.runtime.identifiers import uuid7s
from tiltyard.runtime.judgement import Judge
from tiltyard.runtime.model import SERVED, Answers, ServedModel
from tiltyard.runtime.policy import parse

CHAMPION = "champion"
DIRECT = "direct"

_MOST_JUDGES = 100

_USABLE = frozenset({"candidate", "challenger", "champion", "retired"})


class Resolved(NamedTuple):
    """A name that leads to a version: whose it is, and in which role the version answers."""

    model: str
    team: str
    role: str
    target: Target | None
    policy: PolicyCopy | None = None
    """None: none was ever put, and the default holds."""
    refused: NotReady | None = None
    """Why the version can't answer; told to no one before the caller's rights are known."""


class Predictor:
    """What a container keeps between predictions, and how it answers one."""

    def __init__(
        self,
        *,
        lineage: LineageStore,
        artifacts: ArtifactStore,
        queue: Queue,
        spool: Spool,
        sealer: Callable[[], Sealer] | None = None,
        pseudonyms: Callable[[], Pseudonyms],
        interval_s: float,
        memory_bytes: int,
    ) -> None:
        self._lineage = lineage
        self._artifacts = artifacts
        self._queue = queue
        self._spool = spool
        self._sealer = sealer
        self._pseudonyms = pseudonyms
        self._judges: dict[tuple[str, str | None], Judge] = {}
        self._sessions = SessionCache(self._load, capacity_bytes=memory_bytes)
        self._pointers = PointerCache(self._read, self._prepare, interval_s=interval_s)

    def resolve(self, name: Name, *, check: Check | None = None) -> Resolved | None:
        """Who answers for a model or alias; None when there is no such name.

        `check` is told the owning team before a version is loaded, and may raise.
        """
        answering = self._pointers.get(name, check=check)
        if answering is None:
            return None
        return Resolved(
            name.model, answering.team, name.alias or CHAMPION, answering.target, answering.policy
        )

    def resolve_version(self, model: str, number: int) -> Resolved | None:
        """A version by its number, read afresh: role ``direct``, never a part of a gate."""
        pointer, version = self._lineage.led_version(model, number)
        if pointer is None:
            return None
        try:
            target = None if version is None else _target_of(version)
        except NotReady as refused:
            return Resolved(model, pointer.team, DIRECT, None, refused=refused)
        return Resolved(model, pointer.team, DIRECT, target, pointer.policy)

    def answer(
        self, resolved: Resolved, body: PredictBody, *, request_id: str, now: datetime
    ) -> dict[str, Any]:
        """Answer every row, or none.

        Raises
        ------
        NotFound
            If the name leads to no version yet.
        NotReady
            If the version hasn't passed its examination.
        InvalidRows
            If a row breaks the contract.
        Unavailable
            If the answer's record can be kept nowhere that the policy accepts.
        """
        target = _answering(resolved)
        with self._sessions.lease(target) as served:
            answers = served.predict(body.rows)
            judge = self._judge(resolved, target, served)
            judged = judge.judge(served.assurance, answers)
            explanations = served.explainer.explain(body.rows) if body.explain else None
        ids = body.ids or uuid7s(len(body.rows), unix_ms=int(now.timestamp() * 1000))
        document = telemetry.record(
            model=resolved.model,
            version=target.version,
            digest=target.digest,
            role=resolved.role,
            signature=served.signature,
            asked=telemetry.Asked(ids, self._subjects(body, served, answers), body.at),
            answers=answers,
            judged=judged,
            policy=resolved.policy,
            request_id=request_id,
            received_at=now,
        )
        telemetry.send(
            document,
            queue=self._queue,
            spool=self._spool,
            sealer=self._sealer,
            is_required=judge.requires_telemetry,
        )
        return {
            "model": resolved.model,
            "version": target.version,
            "role": resolved.role,
            "policy": 0 if resolved.policy is None else resolved.policy.number,
            "applied": Counter(rule for d in judged.decisions.values() for rule in d.rules),
            "predictions": predictions(served.signature, answers, judged, ids, explanations),
        }

    def explain(self, resolved: Resolved, columns: Mapping[str, Any]) -> Explanation:
        """Explain one row by a version, as `answer` does when it is asked to.

        Raises what `answer` raises of versions and rows.
        """
        with self._sessions.lease(_answering(resolved)) as served:
            row = dict(columns)
            if served.signature.subject is not None:
                # Whose row it is was never kept, and is no input of the model.
                row.setdefault(served.signature.subject, "")
            (explanation,) = served.explainer.explain([row])
        return explanation

    def _judge(self, resolved: Resolved, target: Target, served: ServedModel) -> Judge:
        """The policy, compiled for the version; the few that answer by turns are kept."""
        policy = resolved.policy
        key = (target.digest, None if policy is None else policy.digest)
        judge = self._judges.get(key)
        if judge is None:
            signature = served.signature
            judge = (
                Judge.by_default(signature)
                if policy is None
                else Judge(parse(json.loads(policy.document), task=signature.task), signature)
            )
            if len(self._judges) >= _MOST_JUDGES:
                self._judges.clear()
            self._judges[key] = judge
        return judge

    def _subjects(self, body: PredictBody, served: ServedModel, answers: Answers) -> list[str | None] | None:
        """Pseudonyms of the subjects that the request names, beside the rows or in the subject column."""
        column = served.signature.subject
        raw = body.subjects
        if raw is None and column is not None:
            raw = answers.columns.get(column)
        if raw is None or not any(value is not None for value in raw):
            return None
        pseudonyms = self._pseudonyms()
        known = {value: pseudonyms.subject(str(value)) for value in set(raw) if value is not None}
        return [None if value is None else known[value] for value in raw]

    def _read(self, name: Name) -> Answering | None:
        if name.alias is None or name.alias == CHAMPION:
            pointer = self._lineage.pointer(name.model)
            return None if pointer is None else Answering(pointer.team, pointer.champion, pointer.policy)
        pointer, alias = self._lineage.led_alias(name.model, name.alias)
        if pointer is None or alias is None:
            return None
        return Answering(alias.team, alias.target, pointer.policy)

    def _prepare(self, target: Target) -> None:
        with self._sessions.lease(target):
            pass

    def _load(self, target: Target) -> ServedModel:
        files = {
            name: self._artifacts.read(target.files[name].sha256, limit=SIZE_LIMITS[name]) for name in SERVED
        }
        return ServedModel.open(files)

    def signature(self, resolved: Resolved) -> Signature:
        """The contract of the version that would answer, loaded; raises as `answer` does of versions."""
        with self._sessions.lease(_answering(resolved)) as served:
            return served.signature


def _answering(resolved: Resolved) -> Target:
    """The version that answers, or why there is none (`NotFound`, `NotReady`)."""
    if resolved.refused is not None:
        raise resolved.refused
    target = resolved.target
    if target is None:
        raise NotFound(
            f"Model {resolved.model!r} has no {resolved.role} version to answer; promote one first."
            if resolved.role == CHAMPION
            else f"Model {resolved.model!r} has no such version."
        )
    return target


def _target_of(version: Version) -> Target:
    if version.stage not in _USABLE or version.examination is None:
        raise NotReady(
            f"Version {version.number} of {version.model!r} is {version.stage}; "
            "only a version that passed its examination, and isn't put away, answers."
        )
    return Target(version.number, version.digest, version.files, version.examination.memory_bytes)
