"""A local stack: one embedded AWS with the packaged service deployed, and its folder under ``.tiltyard/``.

What is in the folder:

=================  ==========================================================
``stack.json``     the `Record`: process, port, URL, what is deployed
``signing-key.pem``  the key of the stack's own tokens
``state/``         the emulator's state, whole only while ``state.saved`` is there
``clean/``         a copy of ``state/`` as of the last clean stop
``emulator.log``   the log of the emulator and of the functions
=================  ==========================================================
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from tiltyard.errors import InvalidInput, NotFound
from tiltyard.local import deploy, emulator, tokens

Condition = Literal["running", "stopped", "crashed", "absent"]

_NAME = re.compile(r"^[a-z][a-z0-9-]{0,29}$")


@dataclass(slots=True)
class Record:
    """What is known of a stack between two commands. `deployment` is the digest of what is deployed."""

    port: int
    pid: int
    started: str
    deployment: str = ""
    url: str = ""
    outputs: dict[str, str] = field(default_factory=dict)

    @property
    def process(self) -> emulator.Process:
        return emulator.Process(self.pid, self.started)


@dataclass(frozen=True, slots=True)
class Status:
    """`condition` ``crashed`` means: not running, and what it last held wasn't saved."""

    name: str
    condition: Condition
    folder: str
    url: str | None
    endpoint: str | None
    pid: int | None
    clean_stop: str | None
    outputs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Started:
    """What `Stack.up` did.

    `lost_since` is None unless a crash lost what changed: then the time of the
    clean stop that was restored, empty when there had been none.
    """

    url: str
    action: Literal["started", "updated", "unchanged"]
    lost_since: str | None = None


class Stack:
    """The stack `name` under `root`; two stacks share nothing and can run side by side."""

    def __init__(self, root: Path, name: str = "default") -> None:
        if not _NAME.match(name):
            raise InvalidInput(
                f"{name!r} is no name of a stack: small letters, digits and hyphens, at most 30."
            )
        self.name = name
        self.folder = root.resolve() / name
        self.key = self.folder / "signing-key.pem"
        self.log = self.folder / "emulator.log"
        self._record_path = self.folder / "stack.json"
        self._state = self.folder / "state"
        self._clean = self.folder / "clean"
        self._clean_at = self.folder / "clean.at"

    def up(self, package: Path, *, variables: Mapping[str, str]) -> Started:
        """Start what isn't running, deploy what isn't deployed.

        `variables` are set on every function. After a crash the state of the
        last clean stop is restored first. Raises `Unavailable` when the
        emulator doesn't start or CloudFormation fails.
        """
        deploy.check_package(package)
        with self._lock():
            tokens.ensure_key(self.key)
            record = self._read()
            lost_since = None
            is_running = record is not None and record.process.is_alive()
            if record is None or not is_running:
                lost_since = self._make_whole()
                record = self._start(record, is_whole=lost_since is None)
            digest = self._deploy(record, package, variables)
            action: Literal["started", "updated", "unchanged"] = "updated" if is_running else "started"
            if is_running and digest == record.deployment:
                action = "unchanged"
            record.deployment = digest
            self._write(record)
        return Started(record.url, action, lost_since)

    def down(self) -> bool:
        """Stop it and keep its state; False when it wasn't running."""
        with self._lock():
            record = self._read()
            if record is None or not record.process.is_alive():
                return False
            emulator.stop(record.process)
            self._keep_copy()
            shutil.rmtree(self.folder / "tmp", ignore_errors=True)
        return True

    def reset(self) -> None:
        """Delete it, running or not, with all that it held."""
        if not self.folder.exists():
            return
        with self._lock():
            record = self._read()
            if record is not None:
                emulator.stop(record.process, timeout_s=5.0)
            shutil.rmtree(self.folder)

    def status(self) -> Status:
        record = self._read()
        is_running = record is not None and record.process.is_alive()
        condition: Condition = "absent"
        if is_running:
            condition = "running"
        elif self._state.exists():
            condition = "stopped" if emulator.saved_marker(self.folder).exists() else "crashed"
        running = record if is_running else None
        return Status(
            name=self.name,
            condition=condition,
            folder=str(self.folder),
            url=running.url if running else None,
            endpoint=emulator.endpoint(running.port) if running else None,
            pid=running.pid if running else None,
            clean_stop=self._last_clean_stop(),
            outputs=running.outputs if running else {},
        )

    def token(self, *, subject: str, roles: list[str], teams: list[str], ttl_s: int) -> str:
        """A bearer token. Raises `NotFound` before the first `up` and `InvalidInput` for bad claims."""
        if not self.key.exists():
            raise NotFound(f"There is no stack {self.name!r} yet: `tiltyard local up` makes it.")
        return tokens.sign(self.key, stack=self.name, subject=subject, roles=roles, teams=teams, ttl_s=ttl_s)

    def _deploy(self, record: Record, package: Path, variables: Mapping[str, str]) -> str:
        """Deploy unless that very deployment is up; its digest."""
        parameters = {
            "Stage": "local",
            "Issuers": tokens.issuers_setting(self.key, stack=self.name),
            # Receivers that a person tries out run on this machine.
            "WebhookNetworks": "127.0.0.0/8",
            "IngestWindowSeconds": "1",
        }
        digest = deploy.deployment_digest(package, parameters=parameters, variables=variables)
        if digest != record.deployment:
            record.outputs = deploy.deploy(
                package,
                port=record.port,
                stack=f"tiltyard-{self.name}",
                parameters=parameters,
                variables=variables,
            )
            record.url = deploy.api_url(record.port, record.outputs)
        return digest

    def _start(self, last: Record | None, *, is_whole: bool) -> Record:
        """Start the emulator, on the port of the last time if it is free: queue URLs hold the port."""
        port = emulator.free_port(last.port if last else None)
        process = emulator.start(self.folder, port)
        record = Record(port, process.pid, process.started)
        if last and last.port == port and is_whole:
            record.deployment, record.url, record.outputs = last.deployment, last.url, last.outputs
        self._write(record)
        return record

    def _make_whole(self) -> str | None:
        """Make the state one that was saved; after a crash, the time since when everything is lost."""
        if not self._state.exists():
            return None
        if emulator.saved_marker(self.folder).exists():
            self._keep_copy()  # it was stopped by somebody else, a shutdown of the machine perhaps
            return None
        shutil.rmtree(self._state)
        if self._clean.exists():
            _copy_state(self._clean, self._state)
        return self._last_clean_stop() or ""

    def _keep_copy(self) -> None:
        """Copy a saved state, so that a crash of the next run falls back on it."""
        marker = emulator.saved_marker(self.folder)
        if not marker.exists() or self._last_clean_stop() == marker.read_text(encoding="utf-8"):
            return
        partial = self.folder / "clean.partial"
        shutil.rmtree(partial, ignore_errors=True)
        _copy_state(self._state, partial)
        shutil.rmtree(self._clean, ignore_errors=True)
        partial.rename(self._clean)
        shutil.copyfile(marker, self._clean_at)

    def _last_clean_stop(self) -> str | None:
        return self._clean_at.read_text(encoding="utf-8") if self._clean_at.exists() else None

    def _read(self) -> Record | None:
        if not self._record_path.exists():
            return None
        return Record(**json.loads(self._record_path.read_text(encoding="utf-8")))

    def _write(self, record: Record) -> None:
        partial = self._record_path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(record), indent=1), encoding="utf-8")
        partial.rename(self._record_path)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """One command at a time on a stack; the others wait."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self.folder.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _copy_state(source: Path, target: Path) -> None:
    """Copy a state; the functions' zips, named by their digests and never changed, are linked."""

    def copy(source_file: str, target_file: str) -> str:
        if Path(source_file).parent.name == "lambda-blobs":
            os.link(source_file, target_file)
            return target_file
        return str(shutil.copy2(source_file, target_file))

    shutil.copytree(source, target, copy_function=copy)
