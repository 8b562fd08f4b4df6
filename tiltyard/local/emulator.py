"""One embedded AWS (ministack) as a process of its own, which outlives the command that starts it.

It listens on loopback only. Its state is in memory while it runs and is
written when it is stopped by SIGTERM; a process that dies otherwise loses what
changed since it started, which is why `Stack` keeps a copy of the last clean
stop. In a stack's folder, `state/` is the state, `state.saved` says that it is
whole, `tmp/` holds what only the running process needs.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tiltyard.errors import Unavailable
from tiltyard.local.run import MARKER

HOST = "127.0.0.1"
REGION = "us-east-1"
ACCESS_KEY = "test"  # the emulator's root; it answers on loopback alone
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Process:
    """A process by its id and start time: ids are used again, the pair isn't."""

    pid: int
    started: str

    def is_alive(self) -> bool:
        # A child that ended stays in the process table until somebody asks for its status.
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)
        return start_time(self.pid) == self.started


def start_time(pid: int) -> str | None:
    """When a process started, in the system's own words; None when there is no such (living) process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return None
    else:
        # The name in parentheses may hold anything; state is the first field after it, start time the 20th.
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    listed = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return listed.stdout.strip() or None


def saved_marker(folder: Path) -> Path:
    return folder / "state.saved"


def endpoint(port: int) -> str:
    return f"http://{HOST}:{port}"


def free_port(preferred: int | None = None) -> int:
    """`preferred` when nothing listens there, else any free port."""
    for port in (preferred or 0, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Unavailable("No port is free on loopback.")


def start(folder: Path, port: int) -> Process:
    """Start an emulator whose state is in `folder`, and wait until it answers.

    Raises `Unavailable` when it ends or doesn't answer in time; the end of its
    log is in the message.
    """
    state, scratch = folder / "state", folder / "tmp"
    shutil.rmtree(scratch, ignore_errors=True)
    for path in (state, scratch):
        path.mkdir(parents=True, exist_ok=True)
    saved_marker(folder).unlink(missing_ok=True)
    with (folder / "emulator.log").open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "tiltyard.local.run"],
            cwd=scratch,
            env=_environment(state, scratch, port) | {MARKER: str(saved_marker(folder))},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    started = start_time(child.pid)
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and child.poll() is None and started is not None:
        if is_ready(port):
            # Whoever started it needn't stay to reap it.
            child.returncode = 0
            return Process(child.pid, started)
        time.sleep(0.1)
    if child.poll() is None:
        child.kill()
        child.wait()
    raise Unavailable(f"The embedded AWS didn't start on port {port}: {_last_lines(folder / 'emulator.log')}")


def is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"{endpoint(port)}/_ministack/ready", timeout=2) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def stop(process: Process, *, timeout_s: float = STOP_TIMEOUT_S) -> None:
    """Ask it to save and end, and wait for that; it is killed when it takes longer than `timeout_s`."""
    if process.is_alive():
        os.kill(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + timeout_s
    while process.is_alive():
        if time.monotonic() > deadline:
            os.kill(process.pid, signal.SIGKILL)
        time.sleep(0.05)


def _environment(state: Path, scratch: Path, port: int) -> dict[str, str]:
    """Nothing of the caller's environment but what a program needs to run: no AWS settings reach it."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL") if name in os.environ}
    return inherited | {
        "AUTH": "true",
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": ACCESS_KEY,
        "BIND_HOST": HOST,
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_ENABLED": "0",
        "LOG_LEVEL": "INFO",
        "MINISTACK_HOST": HOST,
        "MINISTACK_REGION": REGION,
        "PERSIST_STATE": "1",
        "PYTHONUNBUFFERED": "1",
        "S3_DATA_DIR": str(state / "s3"),
        "S3_PERSIST": "1",
        "SFTP_ENABLED": "0",
        "STATE_DIR": str(state),
        "TMPDIR": str(scratch),
    }


def _last_lines(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-5:]
    return " | ".join(lines) or f"its log {log} is empty."
