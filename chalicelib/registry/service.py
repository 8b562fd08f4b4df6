"""Models and versions: read all, decide, write once.

Who may do what was decided before (`handlers.access`); an `Attempt` says who
does it and when.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from chalicelib.lineage.alerts import KINDS, Alert
from chalicelib.lineage.races import settle
from chalicelib.lineage.records import (
    Alias,
    Attempt,
    Blob,
    Change,
    Model,
    Pointer,
    Put,
    Version,
)
from chalicelib.lineage.states import state_digest
from chalicelib.ports import ArtifactStore, LineageStore, Pseudonyms, Queue, Upload
from chalicelib.registry import origin, rules
from chalicelib.registry.rules import ModelChanges, NewModel, Precondition
from tiltyard.errors import ArtifactMissing, Conflict, InvalidBundle, LostRace, NotFound
from tiltyard.runtime.bundle import MANIFEST, MEDIA_TYPES, sha256

log = logging.getLogger("tiltyard.registry")


@dataclass(frozen=True, slots=True)
class Registration:
    """What a registration came to.

    `is_new` is False when the same bundle was there already, and no examination
    was begun: not when it had been rejected.
    """

    version: Version
    is_new: bool


def create_model(lineage: LineageStore, pseudonyms: Pseudonyms, new: NewModel, *, attempt: Attempt) -> Model:
    """Raises `Conflict` when the name is taken; names are one for all teams."""
    taken = Conflict(f"The name {new.name!r} is taken; choose another one.")
    if lineage.model(new.name) is not None:
        raise taken
    model = Model(
        name=new.name,
        team=new.team,
        task=new.task,
        owner=new.owner,
        created_at=attempt.at,
        description=new.description,
    )
    try:
        return lineage.commit(
            Change(
                model=model,
                attempt=attempt,
                action="model.create",
                object=f"model:{new.name}",
                before=None,
                after=state_digest(model, commitment=pseudonyms.commitment),
                # There from the start, so that a prediction learns in one read whose the model is.
                writes=(Put(Pointer(model=new.name, team=new.team)),),
                result={"model": new.name},
            )
        )
    except LostRace as exc:
        raise taken from exc


def find_model(lineage: LineageStore, name: str) -> Model:
    model = lineage.model(name)
    if model is None:
        raise NotFound(f"There is no model {name!r}, or it is not your team's.")
    return model


def find_version(lineage: LineageStore, model: str, number: int) -> Version:
    version = lineage.version(model, number)
    if version is None:
        raise NotFound(f"{model!r} has no version {number}.")
    return version


def change_model(
    lineage: LineageStore,
    pseudonyms: Pseudonyms,
    name: str,
    changes: ModelChanges,
    *,
    precondition: Precondition | None,
    attempt: Attempt,
) -> Model:
    """Change a model's owner, description or team.

    A move to another team takes pointer and aliases along, because a prediction
    checks the team on them alone, and what is alerted of it just now.

    Raises
    ------
    PreconditionFailed
        When the model is at another revision than the caller read.
    """

    def change() -> Model:
        model = find_model(lineage, name)
        if precondition is not None:
            precondition.check(model.revision, what=f"model {name!r}")
        changed = replace(
            model,
            owner=model.owner if changes.owner is None else changes.owner,
            description=model.description if changes.description is None else changes.description,
            team=model.team if changes.team is None else changes.team,
        )
        if changed == model:
            return model
        moved = _moved(lineage, model, changed.team) if changed.team != model.team else ()
        return lineage.commit(
            Change(
                model=changed,
                attempt=attempt,
                action="model.change",
                object=f"model:{name}",
                before=state_digest(model, commitment=pseudonyms.commitment),
                after=state_digest(changed, commitment=pseudonyms.commitment),
                writes=moved,
                result={"model": name},
            )
        )

    return settle(change)


def _moved(lineage: LineageStore, model: Model, team: str) -> tuple[Put, ...]:
    held: list[Pointer | Alias | Alert] = list(aliases_of(lineage, model.name))
    pointer = lineage.pointer(model.name)
    if pointer is not None:
        held.append(pointer)
    for kind in KINDS:
        alert = lineage.last_alert(model.name, kind)
        if alert is not None and alert.is_active:
            held.append(alert)
    return tuple(Put(replace(record, team=team)) for record in held)


def aliases_of(lineage: LineageStore, model: str) -> tuple[Alias, ...]:
    """All of them, by name."""
    return lineage.aliases(model, limit=rules.MAX_ALIASES + 1, cursor=None).items


def offer_upload(artifacts: ArtifactStore, blob: Blob, *, media_type: str, now: datetime) -> Upload | None:
    """Where to send a file, or None when it is there.

    Raises
    ------
    InvalidInput
        When it is larger than a bundle's file may be.
    InvalidBundle
        When a file of this digest is there with another size: one of the two is mistaken.
    """
    rules.check_upload(blob.size, media_type)
    stored = artifacts.size(blob.sha256)
    if stored is None:
        return artifacts.presign(blob.sha256, size=blob.size, media_type=media_type, now=now)
    if stored != blob.size:
        raise InvalidBundle(f"The stored file {blob.sha256} has {stored} bytes, not {blob.size}.")
    return None


def register_version(
    lineage: LineageStore,
    artifacts: ArtifactStore,
    examinations: Queue,
    pseudonyms: Pseudonyms,
    name: str,
    manifest: Mapping[str, Any],
    *,
    description: str,
    attempt: Attempt,
) -> Registration:
    """Make a version of an uploaded bundle and have it examined.

    The same bundle again is the same version. If that was rejected it is
    examined again under its number: what was at fault may have been the
    machine, or a limit that has been raised since.

    Raises
    ------
    InvalidBundle
        When the manifest breaks its form, or a stored file has another size.
    ArtifactMissing
        With one fault for each file that was never uploaded.
    """
    content = rules.manifest_bytes(manifest, find_model(lineage, name))
    digest = sha256(content)
    known = lineage.version_by_digest(name, digest)
    if known is not None and known.stage != "rejected":
        return Registration(known, is_new=False)
    files = rules.blobs(manifest)
    _check_uploads(artifacts, files)
    # Before the commit: a version must never name a file that isn't there. A
    # manifest without a version harms nobody.
    artifacts.write(content, media_type=MEDIA_TYPES[MANIFEST])
    files[MANIFEST] = Blob(digest, len(content))

    def change() -> Registration:
        known = lineage.version_by_digest(name, digest)
        if known is not None and known.stage == "rejected":
            return _retried(lineage, pseudonyms, known, attempt=attempt)
        if known is not None:
            return Registration(known, is_new=False)
        return _registered(
            lineage, pseudonyms, name, manifest, files, description=description, attempt=attempt
        )

    registration = settle(change)
    if registration.is_new:
        _announce(examinations, registration.version)
    return registration


def _registered(
    lineage: LineageStore,
    pseudonyms: Pseudonyms,
    name: str,
    manifest: Mapping[str, Any],
    files: Mapping[str, Blob],
    *,
    description: str,
    attempt: Attempt,
) -> Registration:
    model = find_model(lineage, name)
    version = Version(
        model=name,
        number=model.versions + 1,
        digest=files[MANIFEST].sha256,
        stage="validating",
        files=files,
        registered_at=attempt.at,
        registered_by=attempt.actor,
        description=description,
    )
    run = origin.run_node(version, model, manifest)
    # A run that another version came out of, too, stays as it was first told.
    is_told = run is None or run.id in lineage.nodes([run.id])
    lineage.commit(
        Change(
            model=replace(model, versions=version.number),
            attempt=attempt,
            action="version.register",
            object=f"version:{version.digest}",
            before=None,
            after=state_digest(version, commitment=pseudonyms.commitment),
            writes=(Put(version),),
            edges=origin.edges_of(version, manifest),
            nodes=() if run is None or is_told else (run,),
            result={"model": name, "version": version.number},
        )
    )
    return Registration(replace(version, revision=version.revision + 1), is_new=True)


def _retried(
    lineage: LineageStore, pseudonyms: Pseudonyms, rejected: Version, *, attempt: Attempt
) -> Registration:
    """Have a rejected version examined again; its registration stays as it is on record."""
    version = replace(rejected, stage="validating", examination=None, retried_at=attempt.at)
    lineage.commit(
        Change(
            model=find_model(lineage, rejected.model),
            attempt=attempt,
            action="version.retry",
            object=f"version:{version.digest}",
            before=state_digest(rejected, commitment=pseudonyms.commitment),
            after=state_digest(version, commitment=pseudonyms.commitment),
            writes=(Put(version),),
            result={"model": version.model, "version": version.number},
        )
    )
    return Registration(replace(version, revision=rejected.revision + 1), is_new=True)


def _check_uploads(artifacts: ArtifactStore, files: Mapping[str, Blob]) -> None:
    sizes = {name: artifacts.size(blob.sha256) for name, blob in files.items()}
    missing, differing = rules.upload_faults(files, sizes)
    if missing:
        raise ArtifactMissing("The bundle names files that were never uploaded.", faults=missing)
    if differing:
        raise InvalidBundle("The manifest and the uploaded files differ.", faults=differing)


def _announce(examinations: Queue, version: Version) -> None:
    """After the commit: announce. It stands already, so a queue that fails must not fail the request."""
    try:
        examinations.send(json.dumps({"model": version.model, "version": version.number}))
    except Exception:
        # The sweeper sends again what is still validating.
        log.exception("version %d of %s isn't queued for examination", version.number, version.model)
