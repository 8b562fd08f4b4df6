"""A bundle: the files of one immutable version, named by content.

The digest of a bundle is the SHA-256 of its canonical manifest (RFC 8785), and
the manifest names every other file by SHA-256 and size; so the digest stands
for all of them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import rfc8785

from tiltyard.contract.signature import TASKS, Signature
from tiltyard.errors import Fault, IntegrityError, InvalidBundle
from tiltyard.runtime import origin

FORMAT = 1

MODEL = "model.onnx"
SIGNATURE = "signature.json"
PROFILE = "profile.json"
REFERENCE = "reference.json"
PARITY = "parity.json"
MANIFEST = "manifest.json"

PARTS = (MODEL, SIGNATURE, PROFILE, REFERENCE, PARITY)
"""The files that a manifest names."""

MEDIA_TYPES = dict.fromkeys((SIGNATURE, PROFILE, REFERENCE, PARITY, MANIFEST), "application/json") | {
    MODEL: "application/octet-stream"
}

SIZE_LIMITS = {
    MODEL: 64 * 2**20,
    SIGNATURE: 2**20,
    PROFILE: 8 * 2**20,
    REFERENCE: 4 * 2**20,
    PARITY: 8 * 2**20,
    MANIFEST: 2**18,
}
"""Bytes; larger files are refused before they are read."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


def canonical(document: Mapping[str, Any]) -> bytes:
    """RFC 8785 bytes of a JSON object."""
    return rfc8785.dumps(dict(document))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True, slots=True)
class Bundle:
    """All files of a version by name, the manifest included."""

    files: Mapping[str, bytes]

    @classmethod
    def seal(cls, parts: Mapping[str, bytes], *, about: Mapping[str, Any]) -> Bundle:
        """Write the manifest over `parts`; `about` is what it says beside the files (task, framework, …)."""
        manifest = {
            "format": FORMAT,
            "files": {name: {"sha256": sha256(parts[name]), "size": len(parts[name])} for name in PARTS},
            **about,
        }
        check_manifest(manifest)
        return cls({**{name: parts[name] for name in PARTS}, MANIFEST: canonical(manifest)})

    @property
    def manifest(self) -> dict[str, Any]:
        manifest: dict[str, Any] = json.loads(self.files[MANIFEST])
        return manifest

    @property
    def digest(self) -> str:
        return sha256(self.files[MANIFEST])

    @property
    def signature(self) -> Signature:
        return Signature.from_json(json.loads(self.files[SIGNATURE]))

    def verify(self) -> None:
        """Hold every file against the manifest.

        Raises
        ------
        IntegrityError
            Naming the first file whose bytes aren't those that the manifest names.
        """
        for name, entry in self.manifest["files"].items():
            content = self.files.get(name)
            if content is None or len(content) != entry["size"] or sha256(content) != entry["sha256"]:
                raise IntegrityError(f"{name} is not the file that the manifest names.")


def check_manifest(manifest: object) -> None:
    """Check the form of a manifest, not the files that it names.

    Raises
    ------
    InvalidBundle
        With a pointer to each part that is wrong.
    """
    if not isinstance(manifest, Mapping):
        raise _invalid([Fault("/manifest", "must be an object")])
    faults: list[Fault] = []
    if manifest.get("format") != FORMAT:
        faults.append(Fault("/manifest/format", f"this Tiltyard reads manifest format {FORMAT}"))
    if manifest.get("task") not in TASKS:
        faults.append(Fault("/manifest/task", f"must be one of {', '.join(TASKS)}"))
    files = manifest.get("files")
    if not isinstance(files, Mapping) or set(files) != set(PARTS):
        faults.append(Fault("/manifest/files", f"must name exactly {', '.join(PARTS)}"))
    else:
        for name, entry in files.items():
            faults.extend(_file_faults(name, entry))
    if "origin" in manifest:
        faults.extend(origin.faults_of(manifest["origin"], "/manifest/origin"))
    if faults:
        raise _invalid(faults)


def _file_faults(name: str, entry: object) -> list[Fault]:
    where = f"/manifest/files/{name}"
    if not isinstance(entry, Mapping) or set(entry) != {"sha256", "size"}:
        return [Fault(where, "must be an object of sha256 and size")]
    faults = []
    digest, size = entry["sha256"], entry["size"]
    if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        faults.append(Fault(f"{where}/sha256", "must be 64 lower-case hexadecimal digits"))
    if not isinstance(size, int) or isinstance(size, bool) or not 0 < size <= SIZE_LIMITS[name]:
        faults.append(Fault(f"{where}/size", f"must be between 1 and {SIZE_LIMITS[name]} bytes"))
    return faults


def _invalid(faults: list[Fault]) -> InvalidBundle:
    return InvalidBundle("The manifest is invalid.", faults=faults)
