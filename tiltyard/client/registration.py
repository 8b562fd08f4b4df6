"""From a fitted model to a candidate: upload what isn't there, register, wait for the examiner."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Unpack
from urllib.parse import quote

from tiltyard.client.records import Version
from tiltyard.client.transport import Transport, encode
from tiltyard.errors import Fault, InvalidInput, NotReady, Unavailable
from tiltyard.runtime.bundle import MEDIA_TYPES, PARTS, Bundle
from tiltyard.runtime.identifiers import NAME
from tiltyard.training.options import Options

Progress = Callable[[str], None]

UPLOAD_ATTEMPTS = 4
FIRST_POLL_S = 0.2
LONGEST_POLL_S = 2.0
PATIENCE_S = 300.0


def to_stderr(line: str) -> None:
    """The default way to show progress."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def silent(line: str) -> None:
    """Shows nothing."""


def check_name(name: str) -> None:
    """Refuse a name that the service would, before a model is converted for it."""
    if not NAME.fullmatch(name):
        raise InvalidInput(
            f"{name!r} can't name a model: use lower-case letters, digits and hyphens, "
            "beginning with a letter, at most 63 of them."
        )


@dataclass(frozen=True, slots=True)
class Registration:
    """One bundle on its way into one model."""

    http: Transport
    model: str
    bundle: Bundle
    progress: Progress
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic

    def upload(self) -> None:
        """Upload the parts that the service doesn't hold yet.

        A file is named by its SHA-256, so a second upload of the same bytes
        changes nothing and a broken one is simply begun again.
        """
        files: Mapping[str, Any] = self.bundle.manifest["files"]
        for name in PARTS:
            content = self.bundle.files[name]
            asked = encode({**files[name], "media_type": MEDIA_TYPES[name]})
            self._upload(name, content, asked)

    def _upload(self, name: str, content: bytes, asked: bytes) -> None:
        said = ""
        for attempt in range(1, UPLOAD_ATTEMPTS + 1):
            answer = self.http.post("/v1/artifacts", asked, is_repeatable=True).body
            if answer["present"]:
                self.progress(f"{name}: {_size(len(content))}, already there")
                return
            to = answer["upload"]
            self.progress(f"{name}: uploading {_size(len(content))}")
            response = self.http.upload(to["method"], to["url"], content, to["headers"])
            if response.is_success:
                return
            # Storage answers in XML; a signature that ran out is mended by a new one.
            said = f"{response.status_code} {response.text[:200]}"
            if response.status_code in {400, 413}:
                break
            self.sleep(min(2.0, 0.2 * 2**attempt))
        raise Unavailable(f"{name} could not be uploaded: the storage answered {said}.")

    def register(self, *, description: str) -> Version:
        body: dict[str, Any] = {"manifest": self.bundle.manifest}
        if description:
            body["description"] = description
        answer = self.http.write("POST", f"{model_path(self.model)}/versions", body)
        version = Version.of(answer.body)
        if answer.status == 200:
            self.progress(f"{self.model}/{version.version} is this very bundle already: {version.stage}")
        return version

    def wait(self, number: int, *, timeout_s: float = PATIENCE_S) -> Version:
        return wait_for(
            self.http,
            self.model,
            number,
            progress=self.progress,
            timeout_s=timeout_s,
            sleep=self.sleep,
            monotonic=self.monotonic,
        )


def wait_for(
    http: Transport,
    model: str,
    number: int,
    *,
    progress: Progress,
    timeout_s: float,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> Version:
    """Wait until the examiner has decided.

    Raises
    ------
    NotReady
        With the reasons if it rejected the version, or if it hasn't decided within `timeout_s`.
    """
    end = monotonic() + timeout_s
    pause = FIRST_POLL_S
    shown = False
    while True:
        version = Version.of(http.get(f"{model_path(model)}/versions/{number}").body)
        if version.stage == "rejected":
            raise NotReady(
                f"Version {number} of {model!r} was rejected by its examination.",
                faults=[Fault("", reason) for reason in version.reasons],
            )
        if version.stage != "validating":
            progress(f"{model}/{number}: {version.stage}")
            return version
        if monotonic() >= end:
            raise NotReady(
                f"Version {number} of {model!r} is still being examined after {timeout_s:g} s; "
                "the examination goes on: read the version again later."
            )
        if not shown:
            progress(f"{model}/{number}: being examined")
            shown = True
        sleep(pause)
        pause = min(LONGEST_POLL_S, pause * 1.5)


def build(
    model: object, *, data: Any, target: object, progress: Progress, **options: Unpack[Options]
) -> Bundle:
    """Convert, profile and prove parity, which needs the extra ``training``."""
    try:
        from tiltyard.training.bundle import build_bundle, summary
    except ImportError as exc:
        raise InvalidInput(
            f"Registering a model needs {exc.name or 'more packages'}: pip install 'tiltyard[training]'."
        ) from exc
    bundle = build_bundle(model, data=data, target=target, progress=progress, **options)
    for line in summary(bundle).splitlines():
        progress(line)
    return bundle


def model_path(name: str) -> str:
    return f"/v1/models/{quote(name, safe='@')}"


def _size(count: int) -> str:
    return f"{count / 1024:,.0f} kB" if count >= 1024 else f"{count} bytes"
