"""What the watch remembers of a model between two hours, as one small document."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chalicelib.lineage.alerts import Severity
from chalicelib.lineage.items import text_of, time_of
from tiltyard.errors import IntegrityError
from tiltyard.stats.detector import State
from tiltyard.stats.drift import Dispersion

FORMAT = 2
FORMER = 1
"""Without the calibration's degrees of freedom; it is calibrated anew."""
# Hours whose numbers of rows are kept: four weeks.
VOLUMES = 28 * 24


@dataclass(frozen=True, slots=True)
class Flag:
    """Something found wrong that isn't over before `until`."""

    severity: Severity
    until: datetime


@dataclass(frozen=True, slots=True)
class Memory:
    """Of a model whose champion is `version`.

    `checked` is the end of the last hour that was checked (None: none was yet);
    `begun` when the version's reign began. `calibration` is each feature's
    overdispersion by scale, `detectors` their e-detectors' states by feature,
    `volumes` the rows of the hours before `checked`, oldest first, `flags` what was
    found wrong and isn't over, by kind and subject.
    """

    version: int
    begun: datetime
    checked: datetime | None = None
    calibration: Mapping[str, Mapping[str, Dispersion]] = field(default_factory=dict)
    detectors: Mapping[str, State] = field(default_factory=dict)
    volumes: tuple[int, ...] = ()
    flags: Mapping[str, Mapping[str, Flag]] = field(default_factory=dict)

    def of_reign(self, version: int, begun: datetime) -> Memory:
        """What stays when another version reigns: how many rows the model has, and what is alerted of it."""
        if version == self.version:
            return self
        return Memory(version, begun, self.checked, volumes=self.volumes, flags=self.flags)

    def encode(self) -> bytes:
        """Equal memories have equal bytes; floats come back to the bit."""
        document = {
            "format": FORMAT,
            "version": self.version,
            "begun": text_of(self.begun),
            "checked": None if self.checked is None else text_of(self.checked),
            "calibration": {
                step: {
                    name: [said.phi, None if math.isinf(said.df) else said.df] for name, said in of.items()
                }
                for step, of in self.calibration.items()
            },
            "detectors": {
                name: [None if math.isinf(x) else x for x in state] for name, state in self.detectors.items()
            },
            "volumes": list(self.volumes),
            "flags": {
                kind: {subject: [flag.severity, text_of(flag.until)] for subject, flag in flags.items()}
                for kind, flags in self.flags.items()
            },
        }
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return zlib.compress(text.encode(), 9)

    @classmethod
    def decode(cls, content: bytes) -> Memory:
        """Read what `encode` wrote; raises `IntegrityError` for anything else."""
        try:
            found: dict[str, Any] = json.loads(zlib.decompress(content))
            if found["format"] not in {FORMAT, FORMER}:
                raise IntegrityError(
                    f"the watch's memory has format {found['format']}; this one reads {FORMAT}"
                )
            return cls(
                version=found["version"],
                begun=time_of(found["begun"]),
                checked=None if found["checked"] is None else time_of(found["checked"]),
                calibration={
                    step: {
                        name: Dispersion(phi, math.inf if df is None else df)
                        for name, (phi, df) in of.items()
                    }
                    for step, of in found["calibration"].items()
                    if found["format"] == FORMAT
                },
                detectors={
                    name: tuple(-math.inf if x is None else float(x) for x in state)
                    for name, state in found["detectors"].items()
                },
                volumes=tuple(found["volumes"]),
                flags={
                    kind: {subject: Flag(flag[0], time_of(flag[1])) for subject, flag in flags.items()}
                    for kind, flags in found["flags"].items()
                },
            )
        except (zlib.error, ValueError, KeyError, TypeError, IndexError) as exc:
            raise IntegrityError("the watch's memory isn't what was written") from exc
