"""A child program that misbehaves as it is told to, for the tests of `tiltyard.runtime.confinement`."""

from __future__ import annotations

import json
import os
import resource
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tiltyard.runtime.confinement import READY, lock_down


def tell(document: object) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def attempt(act: Callable[[], object]) -> str:
    try:
        act()
    except Exception as exc:
        return type(exc).__name__
    return "done"


def spin() -> None:
    while True:
        pass


def talk() -> None:
    while True:
        sys.stdout.write("x" * 4096)


def report_freedoms() -> None:
    tell(
        {
            "environment": sorted(os.environ),
            "directory": DIRECTORY,
            "opens a file": attempt(lambda: Path("/proc/self/environ").read_bytes()),
            "writes a file": attempt(lambda: Path("left-behind").write_text("x")),
            "opens a socket": attempt(socket.socket),
            "takes memory": attempt(lambda: bytearray(2**30)),
        }
    )


def count() -> None:
    tell({"bytes": [len(sys.stdin.buffer.read(size)) for size in REQUEST["files"].values()]})


def leave_a_grandchild() -> None:
    tell({"grandchild": GRANDCHILD})
    spin()


def outrun() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (1, hard))
    spin()


ACTS: dict[str, Callable[[], object]] = {
    "spin": spin,
    "outrun": outrun,
    "sleep": lambda: time.sleep(60),
    "talk": talk,
    "report": report_freedoms,
    "grandchild": leave_a_grandchild,
    "crash": os.abort,
    "count": lambda: tell(
        {"bytes": [len(sys.stdin.buffer.read(size)) for size in REQUEST["files"].values()]}
    ),
}

DIRECTORY = os.getcwd()
GRANDCHILD = 0

if __name__ == "__main__":
    REQUEST = json.loads(sys.stdin.buffer.readline())
    if REQUEST["act"] == "fail to start":
        sys.exit("no such library")
    if REQUEST["act"] == "never start":
        spin()
    if REQUEST["act"] == "grandchild" and (GRANDCHILD := os.fork()) == 0:
        time.sleep(60)
        os._exit(0)
    lock_down(memory_bytes=REQUEST["memory_bytes"], cpu_s=REQUEST["cpu_s"])
    tell(READY)
    ACTS[REQUEST["act"]]()
