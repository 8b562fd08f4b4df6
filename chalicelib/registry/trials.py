"""A bundle's two trials, and what their ends mean.

The examiner itself parses nothing that was uploaded: it hands the bytes to
confined child processes (`tiltyard.runtime.trial`) and judges what they report.
In the service the code folder is read-only, ``/tmp`` holds nothing but the
child's empty working directory, and the child has no credentials to lose.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tiltyard.errors import Unavailable
from tiltyard.runtime.confinement import Confines, Outcome, run

PROGRAM = "tiltyard.runtime.trial"

# A child that used less of the time than this was kept waiting by its machine.
_BUSY_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class TrialLimits:
    """What a bundle may use while it is examined.

    `session_memory_bytes` is what a predictor has for its sessions: a model must
    fit in twice, since during a swap the old one is still answering. `total_s`
    is for both trials together, without the time that the children take to
    start. `batch_rows` is the largest request that a predictor answers.
    """

    session_memory_bytes: int
    read_memory_bytes: int = 768 * 2**20
    total_s: float = 6.5
    batch_rows: int = 5_000


@dataclass(frozen=True, slots=True)
class Finding:
    """What the trials found: no reasons, or why the version is refused."""

    reasons: tuple[str, ...]
    memory_bytes: int = 0
    task: str = ""


Runner = Callable[[str, Mapping[str, Any], Mapping[str, bytes], Confines], Outcome]


def hold(files: Mapping[str, bytes], limits: TrialLimits, *, runner: Runner = run) -> Finding:
    """Put a bundle's files through both trials.

    Raises
    ------
    Unavailable
        If the machine, not the model, is at fault.
    """
    # The second trial's process starts afresh, so that its memory is the model's alone.
    first = runner(
        PROGRAM, {"trial": "read"}, files, Confines(limits.read_memory_bytes, wall_s=limits.total_s)
    )
    reasons = judge(first, limits)
    if reasons:
        return Finding(reasons)
    left_s = max(limits.total_s - first.wall_s, 1.0)
    request = {"trial": "serve", "batch_rows": limits.batch_rows}
    second = runner(PROGRAM, request, files, Confines(limits.session_memory_bytes, wall_s=left_s))
    reasons = judge(second, limits)
    if reasons:
        return Finding(reasons)
    memory_bytes = int(second.lines[-1]["accepted"]["memory_bytes"])
    return Finding(check_memory(memory_bytes, limits), memory_bytes, str(first.lines[-1]["accepted"]["task"]))


def judge(outcome: Outcome, limits: TrialLimits) -> tuple[str, ...]:
    """The reasons to refuse that an outcome gives; none when the trial was passed.

    Raises
    ------
    Unavailable
        If the child was stopped by what isn't the model's doing.
    """
    last = outcome.lines[-1] if outcome.lines else {}
    if "accepted" in last:
        return ()
    if "refused" in last:
        return tuple(
            f"{fault['pointer']}: {fault['detail']}" if fault["pointer"] else str(fault["detail"])
            for fault in last["refused"]
        )
    step = str(last.get("step", "read its files"))
    if outcome.stopped == "time":
        if outcome.cpu_s < _BUSY_SHARE * outcome.wall_s:
            raise Unavailable(
                f"A trial got {outcome.cpu_s:.1f} s of CPU in {outcome.wall_s:.1f} s: the machine is busy."
            )
        return (
            f"/model.onnx: takes too long to {step}; the examination has {limits.total_s:g} s for all of it",
        )
    if outcome.stopped is not None:
        return (f"/model.onnx: was stopped for its {outcome.stopped} when it was to {step}",)
    if outcome.exit == -signal.SIGKILL:
        # Not from here, and the limits kill with other signals: the machine ran out of memory.
        raise Unavailable(f"A trial was killed from outside when it was to {step}.")
    how = signal.Signals(-outcome.exit).name if outcome.exit and outcome.exit < 0 else f"exit {outcome.exit}"
    return (f"/model.onnx: brought its process down ({how}) when it was to {step}",)


def check_memory(memory_bytes: int, limits: TrialLimits) -> tuple[str, ...]:
    """Two sessions of this size must fit: the one that answers and the one that replaces it."""
    if 2 * memory_bytes <= limits.session_memory_bytes:
        return ()
    return (
        f"/model.onnx: fills {memory_bytes / 2**20:,.0f} MiB of memory once it is loaded; "
        f"at most half of a predictor's {limits.session_memory_bytes / 2**20:,.0f} MiB is allowed",
    )
