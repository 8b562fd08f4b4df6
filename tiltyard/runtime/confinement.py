"""Run one of our programs over untrusted bytes in a child process that can do next to nothing.

The child starts from nothing (`subprocess`, no fork of this process's state):
an environment of a few fixed names, so without credentials; an empty directory
of its own, removed afterwards, as its working directory; pipes and no other
open file. It imports what it needs, proves that it works, locks itself down
(`lock_down`) and only then reads the bytes. From that moment, told by its first
line, what goes wrong is the bytes' fault; before it, it is ours and raises
`Unavailable`.

This side holds the watch: a wall-clock limit, a limit on output, and at the
end, whatever happened, a SIGKILL to the child's whole process group.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from tiltyard.errors import Unavailable

READY = {"ready": True}

_CHUNK = 1 << 16
_STDERR_TAIL = 2000
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38


@dataclass(frozen=True, slots=True)
class Confines:
    """What a child may use once it has the bytes.

    `memory_bytes` counts beyond what it started with, `wall_s` limits its CPU
    time as well. `start_s` is what it may take to get ready, which is no fault of
    the bytes.
    """

    memory_bytes: int
    wall_s: float = 9.0
    start_s: float = 30.0
    output_bytes: int = 1 << 16


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the child said after it was ready, line by line, and how it ended.

    `exit` is None when it was stopped, for `stopped`: from here, or by the kernel
    when its CPU time was up first. `cpu_s` is the CPU time that it took in all and
    `wall_s` the time since it was ready.
    """

    lines: tuple[dict[str, Any], ...]
    exit: int | None
    stopped: str | None
    wall_s: float
    cpu_s: float


def run(module: str, request: Mapping[str, Any], files: Mapping[str, bytes], confines: Confines) -> Outcome:
    """Run ``python -m module`` with a request and files on its standard input.

    Raises
    ------
    Unavailable
        If the child didn't get ready: its program or its machine is at fault,
        and trying again may help.
    """
    head = {
        **request,
        "files": {name: len(content) for name, content in files.items()},
        "memory_bytes": confines.memory_bytes,
        "cpu_s": confines.wall_s,
    }
    sent = [json.dumps(head).encode() + b"\n", *files.values()]
    with tempfile.TemporaryDirectory(prefix="tiltyard-") as empty:
        os.chmod(empty, 0o500)
        # -P: the working directory is no place to import from. -B: nothing is written beside the code.
        process = subprocess.Popen(
            [sys.executable, "-P", "-B", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=empty,
            env=_environment(empty),
            close_fds=True,
            start_new_session=True,
        )
        watch = _Watch(process, confines)
        try:
            watch.talk(sent)
        finally:
            watch.end()
    return watch.outcome()


def lock_down(*, memory_bytes: int, cpu_s: float) -> None:
    """Give up, in this process and for good, what reading untrusted bytes doesn't need.

    No file can be opened or written, no program started with more rights, no
    more than `memory_bytes` beyond today's address space taken, no more than
    `cpu_s` beyond today's CPU time; and the process dies with its parent. To be
    called after everything is imported and before the bytes are read.
    """
    with contextlib.suppress(AttributeError, OSError):  # elsewhere than on Linux the limits alone must do
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu_limit = int(used.ru_utime + used.ru_stime + cpu_s) + 1
    for limit, soft, hard in (
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_FSIZE, 0, 0),
        # Counts threads as well; for root the kernel doesn't count.
        (resource.RLIMIT_NPROC, 0, 0),
        # Every number below is taken, so nothing can be opened: no file, no socket.
        (resource.RLIMIT_NOFILE, *(2 * (_open_files(),))),
        # A second between the signal that says why and the one that can't be caught.
        (resource.RLIMIT_CPU, cpu_limit, cpu_limit + 1),
        (resource.RLIMIT_AS, *(2 * (address_space() + memory_bytes,))),
    ):
        resource.setrlimit(limit, (soft, hard))


def address_space() -> int:
    """Bytes of address space that this process has reserved."""
    with open("/proc/self/statm", "rb") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()


def _open_files() -> int:
    """One more than the highest open descriptor; the gaps below it are filled."""
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    while (taken := os.open(os.devnull, os.O_RDONLY)) < highest:
        pass
    return taken + 1


def _environment(home: str) -> dict[str, str]:
    environment = {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path and os.path.isabs(path)),
        "HOME": home,
        "TMPDIR": home,
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        # Fewer arenas: the memory that is measured is the model's.
        "MALLOC_ARENA_MAX": "1",
    }
    # Lambda's Python finds its own library this way.
    if "LD_LIBRARY_PATH" in os.environ:
        environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    return environment


@dataclass(slots=True)
class _Watch:
    """The parent's side of one child: feeds it, listens, and stops it."""

    process: subprocess.Popen[bytes]
    confines: Confines
    started: float = field(default_factory=time.monotonic)
    ready_at: float | None = None
    said: bytearray = field(default_factory=bytearray)
    errors: bytearray = field(default_factory=bytearray)
    stopped: str | None = None
    exit: int | None = None
    wall_s: float = 0.0
    cpu_s: float = 0.0

    def talk(self, sent: list[bytes]) -> None:
        """Feed and listen until the child ends its output, or has to be stopped."""
        process = self.process
        assert process.stdin
        assert process.stdout
        assert process.stderr
        waiting = [memoryview(part) for part in sent if part]
        with selectors.DefaultSelector() as selector:
            for stream, events in (
                (process.stdin, selectors.EVENT_WRITE),
                (process.stdout, selectors.EVENT_READ),
                (process.stderr, selectors.EVENT_READ),
            ):
                os.set_blocking(stream.fileno(), False)
                selector.register(stream, events)
            while selector.get_map() and not self.stopped:
                for key, _ in selector.select(timeout=self._patience()):
                    if key.fileobj is process.stdin:
                        is_done = self._write(waiting)
                    else:
                        is_done = self._read(
                            key.fd, self.said if key.fileobj is process.stdout else self.errors
                        )
                    if is_done:
                        selector.unregister(key.fileobj)
                        _close(key.fileobj)  # type: ignore[arg-type]
                if not self.stopped and self._patience() <= 0:
                    self.stopped = "time"

    def end(self) -> None:
        """Stop what is left, down to the last process of the group, and wait for it."""
        if not self.stopped:
            self._await_exit()
        # The leader isn't waited for yet, so its id can't have been given to anyone else.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        _, status, used = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if self.process.returncode == -signal.SIGXCPU:
            self.stopped = "time"
        self.exit = None if self.stopped else self.process.returncode
        self.wall_s = time.monotonic() - (self.started if self.ready_at is None else self.ready_at)
        self.cpu_s = used.ru_utime + used.ru_stime
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                _close(stream)

    def outcome(self) -> Outcome:
        if self.ready_at is None:
            tail = self.errors[-_STDERR_TAIL:].decode(errors="replace").strip()
            raise Unavailable(
                f"The examination's child process didn't get ready "
                f"({self.stopped or f'exit {self.exit}'}): {tail or 'it said nothing'}"
            )
        lines = []
        for line in bytes(self.said).splitlines():
            with contextlib.suppress(ValueError):  # the last line may be cut off
                document = json.loads(line)
                if isinstance(document, dict):
                    lines.append(document)
        return Outcome(tuple(lines[1:]), self.exit, self.stopped, self.wall_s, self.cpu_s)

    def _patience(self) -> float:
        """Seconds until the child has to be stopped."""
        if self.ready_at is None:
            return self.started + self.confines.start_s - time.monotonic()
        return self.ready_at + self.confines.wall_s - time.monotonic()

    def _write(self, waiting: list[memoryview]) -> bool:
        assert self.process.stdin
        try:
            while waiting:
                written = os.write(self.process.stdin.fileno(), waiting[0][:_CHUNK])
                waiting[0] = waiting[0][written:]
                if not waiting[0]:
                    del waiting[0]
        except BlockingIOError:
            return False
        except BrokenPipeError:
            return True
        return True

    def _read(self, descriptor: int, into: bytearray) -> bool:
        try:
            chunk = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return False
        into += chunk
        if self.ready_at is None and into is self.said and b"\n" in into:
            self.ready_at = time.monotonic()
        if len(into) > self.confines.output_bytes:
            self.stopped = "output"
        return not chunk

    def _await_exit(self) -> None:
        """Its output has ended, so its exit is near; it stays a zombie until `end` waits for it."""
        while os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
            if self._patience() <= 0:
                self.stopped = "time"
                return
            time.sleep(0.002)


def _close(stream: IO[bytes]) -> None:
    # A pipe that is broken while it is flushed is closed all the same.
    with contextlib.suppress(BrokenPipeError):
        stream.close()
