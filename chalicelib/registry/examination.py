"""The examiner's side of a registration: read the bundle, try it, accept or reject the version.

Messages may come twice, late and in any order: only a version that is still
``validating`` is examined, and the change that ends that is conditional. What
is wrong with a model rejects it; what is wrong with the world is raised, so
that the queue delivers again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from chalicelib.lineage.races import settle
from chalicelib.lineage.records import Attempt, Change, Examination, Put, Stage, Version
from chalicelib.lineage.states import state_digest
from chalicelib.ports import ArtifactStore, LineageStore, Pseudonyms, Queue
from chalicelib.registry.trials import Finding, TrialLimits, hold
from tiltyard.errors import (
    ArtifactMissing,
    IntegrityError,
    LostRace,
    MalformedRequest,
    NotFound,
    PayloadTooLarge,
)
from tiltyard.runtime.bundle import MANIFEST, PARTS, SIZE_LIMITS

EXAMINER = "system:examiner"
ROLE = "system"

PATIENCE = timedelta(hours=1)
"""How long a version may be ``validating`` before it is rejected."""

# A version's item has room for so much, and so has a reader.
MOST_REASONS = 20
MOST_REASON_CHARACTERS = 500

_PAGE = 100

Trial = Callable[[Mapping[str, bytes], TrialLimits], Finding]


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep did with the versions that were still validating."""

    resent: int
    rejected: int


def message(model: str, number: int) -> str:
    """The body of a message on the examination queue."""
    return json.dumps({"model": model, "version": number})


def parse_message(body: str) -> tuple[str, int]:
    """Model and version that a message names; raises `MalformedRequest` for any other body."""
    try:
        document = json.loads(body)
        name, number = document["model"], document["version"]
    except (ValueError, TypeError, KeyError) as exc:
        raise MalformedRequest("An examination message names a model and a version.") from exc
    if not isinstance(name, str) or not isinstance(number, int) or isinstance(number, bool):
        raise MalformedRequest("An examination message names a model and a version.")
    return name, number


def attempt(pseudonyms: Pseudonyms, *, at: datetime, request_id: str) -> Attempt:
    """The examiner as an actor: a part of the system, no person."""
    return Attempt(actor=pseudonyms.actor(EXAMINER), name=EXAMINER, role=ROLE, at=at, request_id=request_id)


def examine(
    model: str,
    number: int,
    *,
    lineage: LineageStore,
    artifacts: ArtifactStore,
    pseudonyms: Pseudonyms,
    attempt: Attempt,
    limits: TrialLimits,
    trial: Trial = hold,
) -> Version:
    """Examine a version that is ``validating``; any other is returned as it is.

    Returns
    -------
    Version
        As it stands now: ``candidate`` or ``rejected``, with its examination.

    Raises
    ------
    NotFound
        If there is no such version.
    Unavailable, LostRace
        If a store or the machine isn't up to it now; nothing is changed then.
    """
    version = _version(lineage, model, number)
    if version.stage != "validating":
        return version
    finding = _find(version, lineage, artifacts, limits, trial)
    return _conclude(version, finding, lineage, pseudonyms, attempt)


def sweep(
    *,
    lineage: LineageStore,
    queue: Queue,
    pseudonyms: Pseudonyms,
    attempt: Attempt,
    patience: timedelta = PATIENCE,
) -> Sweep:
    """Send again everything that is still ``validating``, and reject what has been for over `patience`."""
    resent = rejected = 0
    cursor: str | None = None
    too_late = Finding(
        (
            f"The examination didn't come to an end within {patience.total_seconds() / 60:g} minutes; "
            "register the same bundle again to have it retried, and tell the operator if this happens twice.",
        )
    )
    while True:
        page = lineage.validating(limit=_PAGE, cursor=cursor)
        for version in page.items:
            if attempt.at - version.waiting_since > patience:
                # A model that is changed all the time waits for the next sweep; the others don't wait for it.
                with contextlib.suppress(LostRace):
                    concluded = _conclude(version, too_late, lineage, pseudonyms, attempt)
                    rejected += concluded.stage == "rejected"
            else:
                queue.send(message(version.model, version.number))
                resent += 1
        cursor = page.next
        if cursor is None:
            return Sweep(resent, rejected)


def _find(
    version: Version, lineage: LineageStore, artifacts: ArtifactStore, limits: TrialLimits, trial: Trial
) -> Finding:
    reasons = check_files(version) or _check_sizes(version, artifacts)
    if reasons:
        return Finding(reasons)
    try:
        files = {name: _read(version, name, artifacts) for name in version.files}
    except (ArtifactMissing, PayloadTooLarge, IntegrityError) as exc:
        return Finding((str(exc),))
    finding = trial(files, limits)
    head = lineage.model(version.model)
    if not finding.reasons and head is not None and finding.task != head.task:
        return Finding((f"/manifest/task: says {finding.task}, the model is a {head.task} model",))
    return finding


def check_files(version: Version) -> tuple[str, ...]:
    """Do the files that a version names make a bundle of allowed sizes? Reasons if not."""
    if set(version.files) != {*PARTS, MANIFEST}:
        return (f"/manifest/files: must name exactly {', '.join(PARTS)}",)
    reasons = [
        f"/{name}: has {blob.size:,} bytes, at most {SIZE_LIMITS[name]:,} are allowed"
        for name, blob in version.files.items()
        if blob.size > SIZE_LIMITS[name]
    ]
    if version.files[MANIFEST].sha256 != version.digest:
        reasons.append("/manifest: is not the manifest that the version's digest stands for")
    return tuple(reasons)


def _check_sizes(version: Version, artifacts: ArtifactStore) -> tuple[str, ...]:
    """Compare stored sizes with the manifest's before a byte is downloaded."""
    reasons = []
    for name, blob in version.files.items():
        stored = artifacts.size(blob.sha256)
        if stored is None:
            reasons.append(f"/{name}: was never uploaded")
        elif stored != blob.size:
            reasons.append(f"/{name}: has {stored:,} bytes, the manifest says {blob.size:,}")
    return tuple(reasons)


def _read(version: Version, name: str, artifacts: ArtifactStore) -> bytes:
    blob = version.files[name]
    content = artifacts.read(blob.sha256, limit=SIZE_LIMITS[name])
    if hashlib.sha256(content).hexdigest() != blob.sha256 or len(content) != blob.size:
        raise IntegrityError(f"/{name}: the stored bytes are not those that the manifest names")
    return content


def _conclude(
    version: Version, finding: Finding, lineage: LineageStore, pseudonyms: Pseudonyms, attempt: Attempt
) -> Version:
    """Commit a finding, unless somebody else has concluded the examination by now."""
    stage: Stage = "rejected" if finding.reasons else "candidate"
    examination = Examination(
        at=attempt.at,
        accepted=not finding.reasons,
        reasons=tuple(_short(reason) for reason in finding.reasons[:MOST_REASONS]),
        memory_bytes=finding.memory_bytes,
    )

    def change() -> Version:
        current = _version(lineage, version.model, version.number)
        head = lineage.model(version.model)
        if current.stage != "validating" or head is None:
            return current
        examined = replace(current, stage=stage, examination=examination)
        lineage.commit(
            Change(
                model=head,
                attempt=attempt,
                action="version.reject" if finding.reasons else "version.accept",
                object=version.digest,
                before=state_digest(current, commitment=pseudonyms.commitment),
                after=state_digest(examined, commitment=pseudonyms.commitment),
                writes=(Put(examined),),
            )
        )
        return replace(examined, revision=current.revision + 1)

    return settle(change)


def _short(reason: str) -> str:
    text = reason.encode("utf-8", "replace").decode("utf-8")
    return text if len(text) <= MOST_REASON_CHARACTERS else f"{text[: MOST_REASON_CHARACTERS - 1]}…"


def _version(lineage: LineageStore, model: str, number: int) -> Version:
    version = lineage.version(model, number)
    if version is None:
        raise NotFound(f"There is no version {number} of {model!r}.")
    return version
