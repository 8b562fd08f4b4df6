"""The cage around a child process: what it can't do, and that nothing of it is left."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from pathlib import Path

import pytest

from tiltyard.errors import Unavailable
from tiltyard.runtime.confinement import Confines, run

CONFINES = Confines(memory_bytes=256 * 2**20, wall_s=1.0, start_s=20)


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory for temporary files, empty."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def is_running(pid: int) -> bool:
    """A zombie that nobody has waited for yet doesn't count."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_child_has_no_credentials_no_files_no_sockets_and_little_memory(scratch, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    outcome = run("unruly", {"act": "report"}, {}, CONFINES)

    (freedoms,) = outcome.lines
    assert not [name for name in freedoms["environment"] if name.startswith("AWS")]
    assert freedoms["directory"].startswith(str(scratch))
    assert freedoms["opens a file"] == freedoms["writes a file"] == freedoms["opens a socket"] == "OSError"
    assert freedoms["takes memory"] == "MemoryError"
    assert outcome.exit == 0
    assert not list(scratch.iterdir())


@pytest.mark.parametrize(("act", "stopped"), [("spin", "time"), ("sleep", "time"), ("talk", "output")])
def test_child_that_does_not_end_is_stopped(act, stopped, scratch):
    start = time.monotonic()

    outcome = run("unruly", {"act": act}, {"file": bytes(2**20)}, CONFINES)

    assert outcome.stopped == stopped
    assert outcome.exit is None
    assert time.monotonic() - start < 10
    assert not list(scratch.iterdir())


def test_kernel_that_is_first_to_find_the_time_up_says_so_as_well(scratch):
    """Threads use CPU time faster than the clock goes."""
    outcome = run("unruly", {"act": "outrun"}, {}, Confines(memory_bytes=256 * 2**20, wall_s=20))

    assert outcome.stopped == "time"
    assert outcome.exit is None


def test_whole_process_group_is_stopped(scratch):
    outcome = run("unruly", {"act": "grandchild"}, {}, CONFINES)

    grandchild = outcome.lines[0]["grandchild"]
    deadline = time.monotonic() + 5
    while is_running(grandchild) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(grandchild)


def test_crash_is_told_by_its_signal(scratch):
    outcome = run("unruly", {"act": "crash"}, {}, CONFINES)

    assert outcome.exit == -signal.SIGABRT
    assert not list(scratch.iterdir())


def test_large_files_arrive_whole(scratch):
    files = {"a": bytes(20 * 2**20), "b": b"", "c": bytes(7)}

    outcome = run("unruly", {"act": "count"}, files, CONFINES)

    assert outcome.lines == ({"bytes": [20 * 2**20, 0, 7]},)


@pytest.mark.parametrize("act", ["fail to start", "never start"])
def test_child_that_never_gets_ready_is_our_fault(act, scratch):
    with pytest.raises(Unavailable, match=r"no such library|time"):
        run("unruly", {"act": act}, {}, Confines(memory_bytes=2**28, start_s=1.0))

    assert not list(scratch.iterdir())


def test_nothing_stays_open(scratch):
    before = len(os.listdir("/proc/self/fd"))

    for act in ("spin", "crash", "report"):
        run("unruly", {"act": act}, {"file": bytes(2**20)}, Confines(memory_bytes=2**28, wall_s=0.2))

    assert len(os.listdir("/proc/self/fd")) == before
