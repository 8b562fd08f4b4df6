"""Peers as processes: an environment of their own, a loopback port, and the CPU time that they spend."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
PROJECT = Path(__file__).resolve().parent.parent
PEERS = PROJECT / "build" / "peers"
START_TIMEOUT_S = 90.0
REQUEST_TIMEOUT_S = 30.0
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class PeerFailed(Exception):
    """A peer's environment couldn't be made, or its process didn't answer."""


def environment(name: str) -> Path:
    """The interpreter of ``build/peers/NAME``, installed anew when ``benchmarks/peers/NAME.txt`` changed."""
    requirements = PROJECT / "benchmarks" / "peers" / f"{name}.txt"
    folder = PEERS / name
    python = folder / "bin" / "python"
    stamp = folder / "requirements.txt"
    wanted = requirements.read_text(encoding="utf-8")
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    uv = [str(Path(sys.executable).with_name("uv"))]
    run([*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
    run([*uv, "pip", "install", "--quiet", "--python", str(python), "--requirement", str(requirements)])
    stamp.write_text(wanted, encoding="utf-8")
    return python


def run(command: Sequence[str], timeout_s: float = 600.0) -> None:
    """Run to the end; raises `PeerFailed` with the end of its errors."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s)
    if done.returncode:
        raise PeerFailed(f"{' '.join(command)}: {done.stderr[-800:]}")


@dataclass(frozen=True)
class Server:
    """A running peer. `first_answer_s` is from the process's start to its first answer."""

    port: int
    root: int
    first_answer_s: float

    def post(self, connection: http.client.HTTPConnection, path: str, body: bytes) -> bytes:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise PeerFailed(f"{path}: {response.status} {content[:300]!r}")
        return content

    def cpu_us(self, path: str, body: bytes, *, number: int, rounds: int = 5) -> float:
        """CPU microseconds that the server's processes spend on a request, best of `rounds`."""
        best = float("inf")
        connection = http.client.HTTPConnection(HOST, self.port, timeout=REQUEST_TIMEOUT_S)
        for _ in range(number // 5 + 1):
            self.post(connection, path, body)
        for _ in range(rounds):
            before = cpu_s(self.root)
            for _ in range(number):
                self.post(connection, path, body)
            best = min(best, (cpu_s(self.root) - before) / number * 1e6)
        connection.close()
        return best

    @property
    def memory_mb(self) -> float:
        return sum(int(fields[21]) for _, fields in _tree(self.root)) * _PAGE / 2**20


@contextmanager
def serving(
    command: Sequence[str], port: int, *, path: str, body: bytes, variables: Mapping[str, str]
) -> Iterator[Server]:
    """Start a peer in a session of its own, wait for its first answer, and end it afterwards."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    quiet = {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "", "DO_NOT_TRACK": "true"}
    log = PEERS / f"{port}.log"
    PEERS.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=PEERS,
            env=inherited | quiet | dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield _answering(process, port, path, body, started, log)
        finally:
            _end(process)
    log.unlink(missing_ok=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def cpu_s(root: int) -> float:
    """CPU seconds (user and system) that a process and its living descendants have spent."""
    return sum(int(fields[11]) + int(fields[12]) for _, fields in _tree(root)) / _TICKS


def _tree(root: int) -> list[tuple[int, list[str]]]:
    """A process and its living descendants: id, and the fields of stat after the name (the state is first).

    By parents, not by process group: some servers give each worker a group of its own.
    """
    children: dict[int, list[int]] = {}
    stats: dict[int, list[str]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text(encoding="ascii", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        fields = stat.rpartition(")")[2].split()
        stats[int(entry.name)] = fields
        children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        waiting += children.get(pid, [])
        if pid in stats and stats[pid][0] != "Z":
            found.append((pid, stats[pid]))
    return found


def _answering(
    process: subprocess.Popen[bytes], port: int, path: str, body: bytes, started: float, log: Path
) -> Server:
    refused: Exception | None = None
    while time.monotonic() - started < START_TIMEOUT_S and process.poll() is None:
        server = Server(port, process.pid, 0.0)
        connection = http.client.HTTPConnection(HOST, port, timeout=REQUEST_TIMEOUT_S)
        try:
            server.post(connection, path, body)
        except (OSError, http.client.HTTPException, PeerFailed) as exc:
            refused = exc  # not up yet, or up and not ready
            time.sleep(0.05)
            continue
        finally:
            connection.close()
        return Server(port, process.pid, time.monotonic() - started)
    raise PeerFailed(f"{command_of(process)}: {refused}; {log.read_text(errors='replace')[-800:]}")


def command_of(process: subprocess.Popen[bytes]) -> str:
    return " ".join(map(str, process.args if isinstance(process.args, list) else [process.args]))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it and every descendant that it had: workers that lose their parent would stay."""
    members = [(pid, fields[19]) for pid, fields in _tree(process.pid)]
    for sign in (signal.SIGTERM, signal.SIGKILL):
        for pid, started in members:
            if _is_alive(pid, started):
                os.kill(pid, sign)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and any(_is_alive(*member) for member in members):
            process.poll()
            time.sleep(0.05)
    process.wait(timeout=5)


def _is_alive(pid: int, started: str) -> bool:
    """Whether the process that started then still runs: ids are used again."""
    return any(found == pid and fields[19] == started for found, fields in _tree(pid))
