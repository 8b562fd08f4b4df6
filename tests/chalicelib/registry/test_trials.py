"""The trials behind the guard: graphs that it would never let through, and how a trial's end is judged."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import tempfile
import time

import numpy as np
import pytest
from graphs import (
    SECRET,
    bundle_of,
    constant_of_giant_shape,
    endless_loop,
    external_data,
    nested_functions,
    ort_format,
)

from chalicelib.registry.trials import PROGRAM, TrialLimits, check_memory, judge
from tiltyard.errors import Unavailable
from tiltyard.runtime.confinement import Confines, Outcome, run
from tiltyard.runtime.model import open_session

LIMITS = TrialLimits(session_memory_bytes=1024 * 2**20)
CONFINES = Confines(memory_bytes=1024 * 2**20, wall_s=1.5)


def serve(graph: bytes) -> Outcome:
    """The ``serve`` trial alone, without the guard before it."""
    return run(PROGRAM, {"trial": "serve", "batch_rows": 100}, bundle_of(graph), CONFINES)


@pytest.mark.parametrize("link", [shutil.copy, os.link], ids=["beside", "hard link"])
def test_external_data_is_out_of_the_childs_reach(link, tmp_path, monkeypatch):
    """Even from a working directory that holds the very file: nothing can be opened any more."""
    secret, cage = tmp_path / "secret", tmp_path / "cage"
    secret.write_bytes(SECRET.tobytes())
    monkeypatch.setattr(tempfile, "mkdtemp", lambda *_: str(cage))
    cage.mkdir()
    link(secret, cage / "secret.bin")
    with contextlib.chdir(cage):
        unguarded = open_session(external_data()).run(None, {"numbers": np.eye(2, dtype=np.float32)})

    outcome = serve(external_data())

    # ONNX Runtime does read it where it can, so the cage is what keeps it away here.
    np.testing.assert_array_equal(unguarded[0], SECRET.max(axis=1, keepdims=True))
    (reason,) = judge(outcome, LIMITS)
    assert f"SystemError : {errno.EMFILE}" in reason
    assert not cage.exists()


@pytest.mark.parametrize("make", [endless_loop, nested_functions])
def test_graph_that_never_ends_is_stopped(make):
    start = time.monotonic()

    outcome = serve(make())

    assert outcome.stopped == "time"
    assert time.monotonic() - start < 10
    (reason,) = judge(outcome, LIMITS)
    assert "takes too long to" in reason


@pytest.mark.parametrize("make", [constant_of_giant_shape, ort_format])
def test_graph_that_onnx_runtime_refuses_is_refused(make):
    outcome = serve(make())

    assert judge(outcome, LIMITS)


def ended(*lines: object, code: int | None = 0, stopped: str | None = None, cpu_s: float = 5) -> Outcome:
    return Outcome(({"step": "load the graph"}, *lines), code, stopped, wall_s=5.0, cpu_s=cpu_s)


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (ended({"refused": [{"pointer": "/a", "detail": "is bad"}]}), "/a: is bad"),
        (ended({"refused": [{"pointer": "", "detail": "is bad"}]}), "is bad"),
        (ended(code=-signal.SIGSEGV), "brought its process down (SIGSEGV) when it was to load the graph"),
        (ended(code=-signal.SIGBUS), "SIGBUS"),
        (ended(code=1), "exit 1"),
        (ended(code=None, stopped="time"), "takes too long to load the graph"),
        (ended(code=None, stopped="output"), "stopped for its output"),
    ],
)
def test_end_of_the_models_own_making_is_a_reason(outcome, reason):
    (told,) = judge(outcome, LIMITS)

    assert reason in told


@pytest.mark.parametrize(
    "outcome",
    [ended(code=-signal.SIGKILL), ended(code=None, stopped="time", cpu_s=0.5)],
    ids=["killed", "starved"],
)
def test_end_of_the_machines_making_is_raised(outcome):
    with pytest.raises(Unavailable):
        judge(outcome, LIMITS)


def test_accepted_is_no_reason():
    assert judge(ended({"accepted": {}}), LIMITS) == ()


def test_model_must_fit_twice():
    half = LIMITS.session_memory_bytes // 2

    assert check_memory(half, LIMITS) == ()
    assert "at most half" in check_memory(half + 1, LIMITS)[0]
