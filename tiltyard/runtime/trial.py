"""What a bundle has to show before it may serve: the program of a confined child process.

Two trials, each in a process of its own so that the second one's memory is the
model's alone:

``read``
    the documents are canonical and say the same, the graph passes the guard and
    is its own canonical form;
``serve``
    it loads, fits the signature, gives the estimator's answers to the parity
    rows, answers a row the same alone and among others, and bears a full batch.

The child reads a JSON line and the files' bytes from its standard input and
writes JSON lines: it is ready, the step that it takes, then ``accepted`` or
``refused``. Every import is made before it locks itself down, after which it
can open nothing.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable, Mapping
from typing import IO, Any

import numpy as np

from tiltyard.contract.features import FeatureSpec
from tiltyard.contract.signature import Column, Signature
from tiltyard.errors import Fault, InvalidBundle, TiltyardError
from tiltyard.runtime import documents, guard, parity
from tiltyard.runtime.bundle import MODEL, PARITY, PROFILE, REFERENCE, SIGNATURE, Bundle, canonical
from tiltyard.runtime.confinement import READY, lock_down
from tiltyard.runtime.model import ServedModel
from tiltyard.runtime.reference import bare
from tiltyard.runtime.zones import known_zones

# ``value = Identity(numbers)``, float32 (n, 1), in canonical form.
_IDENTITY = bytes.fromhex(
    "0808120874696c74796172643a530a1a0a076e756d62657273120576616c756522084964656e7469747912056d6f64656c"
    "5a170a076e756d62657273120c0a0a080112060a000a02080162150a0576616c7565120c0a0a080112060a000a020801"
    "42040a00100f"
)

# A row that is asked alone must get the answer that it gets among others.
_ALONE = 16
_MOST_FAULTS = 20
_LEVEL = 0.05
_SAME = parity.ParityRule(max_row_share=0.0, max_label_share=1.0)

Say = Callable[[str], None]


def read(files: Mapping[str, bytes], say: Say) -> dict[str, Any]:
    """The ``read`` trial.

    Raises
    ------
    InvalidBundle
        With a fault for each thing that is wrong.
    """
    say("read the documents")
    signature = documents.check(files)
    say("inspect the graph")
    summary = guard.inspect(files[MODEL])
    if guard.reserialise(files[MODEL]) != files[MODEL]:
        raise InvalidBundle(
            "The graph is not in its canonical form.",
            faults=[Fault("/model.onnx/canonical", "hand in the bytes that guard.reserialise gives")],
        )
    return {"task": signature.task, "nodes": summary.nodes, "tree_nodes": summary.tree_nodes}


def serve(files: Mapping[str, bytes], say: Say, *, batch_rows: int, resident: Resident) -> dict[str, Any]:
    """The ``serve`` trial, with a full batch of `batch_rows` rows at its end.

    `resident` measures this process's memory; what it grew by is the model's.

    Raises
    ------
    TiltyardError
        Saying why the model can't serve.
    """
    examples = documents.read_parity(files[PARITY])
    before = resident.bytes()
    say("load the graph")
    model = ServedModel.open(files)
    say("answer the parity rows")
    batch = model.reader.read(examples.rows)
    scores = model.score(batch)
    task, threshold = model.signature.task, model.signature.threshold
    report = parity.compare(examples.expected, scores, task=task, threshold=threshold, rule=examples.rule)
    _expect_parity(report, "the answers to the parity rows")
    say("answer single rows")
    alone = np.concatenate([model.score(model.reader.read([row])) for row in examples.rows[:_ALONE]])
    same = parity.compare(scores[:_ALONE], alone, task=task, threshold=threshold, rule=_SAME)
    _expect_parity(same, "a row's answers alone and in a batch")
    say(f"answer {batch_rows:,} rows")
    full = [examples.rows[i % len(examples.rows)] for i in range(batch_rows)]
    answers = model.predict(full)
    if answers.scores.shape != (batch_rows, scores.shape[1]):
        raise InvalidBundle(f"A batch of {batch_rows:,} rows got {len(answers.scores):,} answers.")
    say("judge the answers")
    model.assurance.findings(answers.numbers, _LEVEL)
    model.assurance.findings(model.predict(examples.rows[:1]).numbers, _LEVEL)
    return {"memory_bytes": max(resident.bytes() - before, len(files[MODEL])), "parity": report.to_json()}


def _expect_parity(report: parity.ParityReport, what: str) -> None:
    if not report.passed:
        raise InvalidBundle(
            "The graph doesn't answer as it should.",
            faults=[Fault("/parity", f"{what}: {reason}") for reason in report.reasons],
        )


class Resident:
    """This process's resident memory. The file is opened once: later nothing can be."""

    def __init__(self) -> None:
        self._statm = os.open("/proc/self/statm", os.O_RDONLY)

    def bytes(self) -> int:
        return int(os.pread(self._statm, 200, 0).split()[1]) * resource.getpagesize()


def main() -> None:
    output = sys.stdout.buffer
    request = json.loads(sys.stdin.buffer.readline())
    resident = Resident()
    _warm_up(resident)
    known_zones()
    lock_down(
        memory_bytes=int(request["memory_bytes"]) + 2 * sum(request["files"].values()),
        cpu_s=float(request["cpu_s"]),
    )
    _tell(output, READY)
    said = _verdict(request, resident, lambda step: _tell(output, {"step": step}))
    _tell(output, said)
    # Tearing down a session of untrusted making is one more thing that could hang.
    os._exit(0)


def _verdict(request: Mapping[str, Any], resident: Resident, say: Say) -> dict[str, Any]:
    try:
        files = {name: sys.stdin.buffer.read(size) for name, size in request["files"].items()}
        if request["trial"] == "read":
            return {"accepted": read(files, say)}
        return {"accepted": serve(files, say, batch_rows=request["batch_rows"], resident=resident)}
    except TiltyardError as exc:
        return {
            "refused": [f.to_json() for f in exc.faults[:_MOST_FAULTS]] or [Fault("", exc.detail).to_json()]
        }
    except MemoryError:
        return {"refused": [Fault("/model.onnx", "needs more memory than it may have").to_json()]}
    except Exception as exc:
        # ONNX Runtime's errors share no base class, and over untrusted bytes every error is theirs.
        return {"refused": [Fault("", f"{type(exc).__name__}: {str(exc)[:500]}").to_json()]}


def _tell(output: IO[bytes], document: Mapping[str, Any]) -> None:
    output.write(json.dumps(document).encode() + b"\n")
    output.flush()


def _warm_up(resident: Resident) -> None:
    """Take every path once with a bundle of our own.

    What is imported late is there then, and a machine that doesn't work shows
    it before the untrusted bytes could be blamed.
    """
    signature = Signature(
        task="regression", columns=(Column("x", "number"),), features=FeatureSpec(numbers=("x",))
    )
    examples: dict[str, Any] = {
        "format": documents.PARITY_FORMAT,
        "rule": parity.ParityRule().to_json(),
        "rows": [{"x": 1.5}],
        "expected": [[1.5]],
    }
    profile = {
        "format": documents.PROFILE_FORMAT,
        "rows": 1,
        "columns": {
            "x": {"kind": "number", "edges": [1, 2], "counts": [1], "missing": 0, "below": 0, "above": 0}
        },
        "score": {},
    }
    parts = {
        MODEL: _IDENTITY,
        SIGNATURE: canonical(signature.to_json()),
        PROFILE: canonical(profile),
        REFERENCE: canonical(bare(examples["rows"])),
        PARITY: canonical(examples),
    }
    bundle = Bundle.seal(parts, about={"task": "regression"})
    read(bundle.files, _silent)
    serve(bundle.files, _silent, batch_rows=2, resident=resident)


def _silent(step: str) -> None:
    """Nobody listens yet."""


if __name__ == "__main__":
    main()
