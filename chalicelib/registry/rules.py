"""What may be registered and named: pure decisions over records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import rfc8785

from chalicelib.lineage.records import Alias, Blob, Model, Stage, Target, Version
from tiltyard.contract.signature import Task
from tiltyard.errors import Conflict, Fault, InvalidBundle, InvalidInput, NotReady, PreconditionFailed
from tiltyard.runtime.bundle import MANIFEST, MEDIA_TYPES, SIZE_LIMITS, canonical, check_manifest
from tiltyard.runtime.identifiers import NAME

RESERVED_ALIASES = frozenset({"champion", "challenger"})

# A change of team rewrites every alias in the one transaction, which holds 50 items.
MAX_ALIASES = 20

# What an examination has let through, and nobody has put away.
EXAMINED: frozenset[Stage] = frozenset({"candidate", "challenger", "champion", "retired"})

_WHY_NOT: Mapping[Stage, str] = {
    "validating": "it is still being examined; read the version again in a few seconds",
    "rejected": "its examination rejected it; the version's reasons say why, and registering "
    "the same bundle again has it examined again",
    "archived": "it was archived; restore it first",
}


@dataclass(frozen=True, slots=True)
class NewModel:
    name: str
    team: str
    task: Task
    owner: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class ModelChanges:
    """What a model's description becomes; None leaves a value as it is."""

    owner: str | None = None
    description: str | None = None
    team: str | None = None


@dataclass(frozen=True, slots=True)
class Precondition:
    """An ``If-Match`` header: the revisions that will do, or None for any that exists (``*``)."""

    revisions: frozenset[int] | None

    def check(self, revision: int | None, *, what: str) -> None:
        """Raise `PreconditionFailed` unless the stored `revision` (None: there is none) will do."""
        if revision is None:
            raise PreconditionFailed(f"If-Match was sent, and there is no {what}.")
        if self.revisions is not None and revision not in self.revisions:
            raise PreconditionFailed(
                f'{what} is at ETag "{revision}" by now; read it again and repeat the change on that.'
            )


def check_alias_name(name: str) -> None:
    """Raise `InvalidInput` for a name that breaks the rule or is reserved."""
    if not NAME.fullmatch(name):
        raise InvalidInput(
            "The alias's name breaks the rule.", faults=[Fault("", f"{name!r} must match ^{NAME.pattern}$")]
        )
    if name in RESERVED_ALIASES:
        raise InvalidInput(
            f"{name!r} is reserved: it moves by promotion and by gates only.",
            faults=[Fault("", "choose another name for an alias of your own")],
        )


def usable(version: Version) -> Target:
    """What a pointer or an alias holds of `version`.

    Raises
    ------
    NotReady
        When it hasn't passed its examination, or was put away.
    """
    if version.stage not in EXAMINED or version.examination is None:
        why = _WHY_NOT.get(version.stage, f"its stage is {version.stage}")
        raise NotReady(f"Version {version.number} of {version.model!r} can't be used: {why}.")
    return Target(
        version=version.number,
        digest=version.digest,
        files=version.files,
        memory_bytes=version.examination.memory_bytes,
    )


def check_archivable(version: Version, aliases: tuple[Alias, ...]) -> None:
    """Raise `Conflict` for a version that callers or an examination count on."""
    what = f"Version {version.number} of {version.model!r}"
    if version.stage in {"champion", "challenger"}:
        raise Conflict(f"{what} is the {version.stage}; another one has to take its place first.")
    if version.stage == "validating":
        raise Conflict(f"{what} is still being examined; archive it once that is over.")
    naming = [alias.name for alias in aliases if alias.target.version == version.number]
    if naming:
        raise Conflict(f"{what} is named by {', '.join(naming)}; move or delete these aliases first.")


def check_may_move(alias: Alias) -> None:
    """Raise `Conflict` for a pinned alias: what is pinned is changed in two steps, and on purpose."""
    if alias.pinned:
        raise Conflict(
            f"Alias {alias.name!r} of {alias.model!r} is pinned to version {alias.target.version}; "
            f"unpin it first, by setting it to that version with pinned: false."
        )


def check_room_for_alias(aliases: tuple[Alias, ...], model: Model) -> None:
    if len(aliases) >= MAX_ALIASES:
        raise Conflict(f"{model.name!r} has {MAX_ALIASES} aliases, the most it can have; delete one first.")


def manifest_bytes(manifest: Mapping[str, Any], model: Model) -> bytes:
    """The canonical bytes of a well-formed manifest of `model`.

    Raises
    ------
    InvalidBundle
        With a pointer to each part that is wrong.
    """
    check_manifest(manifest)
    if manifest["task"] != model.task:
        raise _invalid("/manifest/task", f"{model.name!r} is a {model.task} model")
    try:
        content = canonical(manifest)
    # A lone surrogate can't be UTF-8; too deep a nesting ends the recursion.
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, RecursionError) as exc:
        raise _invalid("/manifest", f"has no canonical form (RFC 8785): {exc}") from exc
    if len(content) > SIZE_LIMITS[MANIFEST]:
        raise _invalid("/manifest", f"is {len(content)} bytes, more than {SIZE_LIMITS[MANIFEST]}")
    return content


def blobs(manifest: Mapping[str, Any]) -> dict[str, Blob]:
    """The files that a checked manifest names."""
    return {name: Blob(entry["sha256"], entry["size"]) for name, entry in manifest["files"].items()}


def check_upload(size: int, media_type: str) -> None:
    """Raise `InvalidInput` for a file that is larger than any bundle's file of its type may be."""
    limit = max(SIZE_LIMITS[name] for name, of_type in MEDIA_TYPES.items() if of_type == media_type)
    if size > limit:
        raise InvalidInput(
            "The file is too large for a bundle.",
            faults=[Fault("/size", f"{size} bytes; {media_type} may have {limit}")],
        )


def upload_faults(
    files: Mapping[str, Blob], sizes: Mapping[str, int | None]
) -> tuple[list[Fault], list[Fault]]:
    """What is missing and what has another size, given each file's stored size (None: never uploaded)."""
    missing, differing = [], []
    for name, blob in files.items():
        stored, where = sizes[name], f"/manifest/files/{name}"
        if stored is None:
            missing.append(
                Fault(where, f"{blob.sha256} was never uploaded; POST /v1/artifacts says where to")
            )
        elif stored != blob.size:
            differing.append(Fault(f"{where}/size", f"the stored file has {stored} bytes, not {blob.size}"))
    return missing, differing


def _invalid(pointer: str, detail: str) -> InvalidBundle:
    return InvalidBundle("The manifest is invalid.", faults=[Fault(pointer, detail)])
