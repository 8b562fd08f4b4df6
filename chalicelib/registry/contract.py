"""What to send a version: its signature, and a row that it takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib.lineage.records import Version
from chalicelib.ports import ArtifactStore
from chalicelib.registry.rules import usable
from tiltyard.runtime.bundle import PARITY, SIGNATURE, SIZE_LIMITS


@dataclass(frozen=True, slots=True)
class Contract:
    """`signature` is the bundle's own document; `example` is a raw row, None when the bundle holds none."""

    signature: Mapping[str, Any]
    example: Mapping[str, Any] | None


def read_contract(artifacts: ArtifactStore, version: Version) -> Contract:
    """The contract of a version that passed its examination: the documents were checked there.

    The example is no one's row where the model is about persons: a bundle draws
    its rows column by column then (DESIGN section 4).

    Raises
    ------
    NotReady
        When the version didn't pass, or was put away.
    """
    usable(version)
    parity = _read(artifacts, version, PARITY)
    return Contract(_read(artifacts, version, SIGNATURE), next(iter(parity["rows"]), None))


def _read(artifacts: ArtifactStore, version: Version, name: str) -> dict[str, Any]:
    content = artifacts.read(version.files[name].sha256, limit=SIZE_LIMITS[name])
    document: dict[str, Any] = json.loads(content)
    return document
