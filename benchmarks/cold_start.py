"""Cold start of the packaged service: from a process's start to its first prediction.

The zip of ``make package``, unpacked, beside two functions of the least code that
fetch their model with one boto3 client: by ONNX Runtime and numpy, out of the
same zip, and by joblib and scikit-learn. All have compiled bytecode and the same
loopback endpoint for DynamoDB, S3 and SQS. Run in a fresh interpreter, and under
AWS's Runtime Interface Emulator (INIT and the first invocation). Wall clock,
taking turns, the median of the rounds.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import site
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy and scikit-learn load

import joblib

from benchmarks import aws_stub, in_process
from benchmarks.processes import HOST, PROJECT, free_port
from benchmarks.report import Figure, Report, options
from benchmarks.workload import Workload, request_body, workload
from chalicelib.aws.attributes import to_attributes
from chalicelib.lineage.items import pointer_item
from tiltyard.runtime.bundle import MODEL

sys.path.insert(0, str(PROJECT / "tests"))  # the emulator's command is the tests' own

from runtime_emulator import BARE_PYTHON, bare_environment, binary, link_runtime_client

TILTYARD, ONNX, SKLEARN = "tiltyard", "onnxruntime + numpy + boto3", "joblib + scikit-learn + boto3"
LIMIT_TO_ONNX, LIMIT_TO_SKLEARN = 1.5, 0.4
TIMEOUT_S = 60.0

ONE_EVENT = (
    "import importlib, json, sys\n"
    "module, name, event = sys.argv[1:]\n"
    "handler = getattr(importlib.import_module(module), name)\n"
    "print(json.dumps(handler(json.loads(event), None)), flush=True)\n"
)


@dataclass(frozen=True)
class Candidate:
    """What is started: the handler ``module.name``, where its imports come from, its environment."""

    module: str
    name: str
    path: str
    variables: Mapping[str, str]

    @property
    def folder(self) -> str:
        """Where it runs: the current folder comes first in an import."""
        return self.path.partition(os.pathsep)[0]


def main() -> None:
    chosen = options(__doc__.partition("\n")[0])
    report = Report("cold_start: from a process's start to its first prediction", chosen)
    work = workload(chosen.seed, train=5_000)
    rounds = 5 if chosen.quick else 15
    body = request_body(work.rows(1))
    event = json.dumps(in_process.event(body))
    with tempfile.TemporaryDirectory() as scratch:
        task = _unpacked(Path(scratch) / "task")
        objects, item, variables = _world(work)
        with aws_stub.answering(objects, item) as endpoint:
            candidates = _candidates(task, variables | {"AWS_ENDPOINT_URL": endpoint})
            _compile(candidates[SKLEARN], event)
            fresh = {name: _fresh_s(candidate, event) for name, candidate in candidates.items()}
            _expect_equal({name: answer for name, (_, answer) in fresh.items()})
            times = {name: [] for name in candidates}
            for _ in range(rounds):
                for name, candidate in candidates.items():
                    times[name].append(_fresh_s(candidate, event)[0])
            _add(report, "fresh_process", times, rounds)
            runtime = link_runtime_client(Path(scratch) / "runtime")
            times = {name: [] for name in candidates}
            for _ in range(rounds):
                for name, candidate in candidates.items():
                    times[name].append(_emulated_s(candidate, runtime, event))
            _add(report, "emulator", times, rounds)
    raise SystemExit(report.finish())


def _add(report: Report, name: str, times: Mapping[str, list[float]], rounds: int) -> None:
    ms = {candidate: statistics.median(found) * 1000 for candidate, found in times.items()}
    peers = {f"{candidate} ms": ms[candidate] for candidate in (ONNX, SKLEARN)}
    note = f"median of {rounds}, fastest {min(times[TILTYARD]) * 1000:.0f} ms"
    report.add(Figure(name, ms[TILTYARD], "ms", peers=peers, note=note))
    report.add(Figure(f"{name}_to_onnx", ms[TILTYARD] / ms[ONNX], "x", at_most=LIMIT_TO_ONNX))
    report.add(Figure(f"{name}_to_sklearn", ms[TILTYARD] / ms[SKLEARN], "x", at_most=LIMIT_TO_SKLEARN))


def _unpacked(task: Path) -> Path:
    archive = PROJECT / "build" / "package" / "deployment.zip"
    if not archive.is_file():
        raise SystemExit("build/package has no deployment.zip: run `make package` first")
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(task)
    return task


def _world(work: Workload) -> tuple[dict[str, bytes], dict[str, Any], dict[str, str]]:
    """S3's objects, the pointer as DynamoDB has it, and the environment that names both."""
    pickled = io.BytesIO()
    joblib.dump(work.estimator, pickled)
    store = in_process.OneModel(work.bundle)
    pointer = store.pointer(in_process.MODEL)
    assert pointer is not None
    assert pointer.champion is not None
    objects = {blob.sha256: work.bundle.files[name] for name, blob in pointer.champion.files.items()}
    objects["model.joblib"] = pickled.getvalue()
    columns = {"numbers": work.signature.features.numbers, "strings": work.signature.features.strings}
    names = "LINEAGE_TABLE LEDGER_TABLE ARTIFACTS_BUCKET LAKE_BUCKET INCOMING_BUCKET AUDIT_BUCKET "
    names += "PEPPER_KEY_ID TELEMETRY_KEY_ID"
    variables = {f"TILTYARD_{name}": name.lower().replace("_", "-") for name in names.split()}
    queues = ("TILTYARD_TELEMETRY_QUEUE_URL", "TILTYARD_EXAMINATION_QUEUE_URL")
    variables |= dict.fromkeys(queues, "https://sqs.us-east-1.amazonaws.com/123456789012/queue")
    variables |= {
        "TILTYARD_STAGE": "local",
        "TILTYARD_ISSUERS": "[]",
        "PEER_BUCKET": "artifacts-bucket",
        "PEER_ONNX": hashlib.sha256(work.bundle.files[MODEL]).hexdigest(),
        "PEER_JOBLIB": "model.joblib",
        "PEER_COLUMNS": json.dumps(columns),
        "OMP_NUM_THREADS": "1",
    }
    return objects, to_attributes(pointer_item(pointer)), variables


def _candidates(task: Path, variables: Mapping[str, str]) -> dict[str, Candidate]:
    peers = str(PROJECT / "benchmarks" / "peers")
    own = os.pathsep.join((str(task), peers))
    development = os.pathsep.join((*site.getsitepackages(), peers))
    return {
        TILTYARD: Candidate("app", "app", str(task), variables),
        ONNX: Candidate("cold_onnx", "handler", own, variables),
        SKLEARN: Candidate("cold_sklearn", "handler", development, variables),
    }


def _environment(candidate: Candidate, *more: Path) -> dict[str, str]:
    environment = bare_environment(Path(candidate.folder), candidate.variables)
    environment["PYTHONPATH"] = os.pathsep.join((candidate.path, *map(str, more)))
    return environment


def _compile(candidate: Candidate, event: str) -> None:
    """Run it once with leave to write bytecode: an installer may have left that to the first import."""
    environment = _environment(candidate)
    del environment["PYTHONDONTWRITEBYTECODE"]
    command = [*BARE_PYTHON, "-c", ONE_EVENT, candidate.module, candidate.name, event]
    subprocess.run(command, cwd=candidate.folder, env=environment, capture_output=True, check=True)


def _fresh_s(candidate: Candidate, event: str) -> tuple[float, dict[str, Any]]:
    """Seconds from the start of an interpreter until its first answer is written, and the answer."""
    started = time.perf_counter()
    with subprocess.Popen(
        [*BARE_PYTHON, "-c", ONE_EVENT, candidate.module, candidate.name, event],
        cwd=candidate.folder,
        env=_environment(candidate),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        elapsed = time.perf_counter() - started
        errors = process.stderr.read()
    if process.returncode:
        raise RuntimeError(f"{candidate.module} ended with {process.returncode}: {errors[-800:]}")
    answer: dict[str, Any] = json.loads(line)
    return elapsed, answer


def _emulated_s(candidate: Candidate, runtime: Path, event: str) -> float:
    """Seconds of a first invocation under the emulator, which starts the function's process for it."""
    ports = [free_port(), free_port()]
    command = [str(binary()), "--runtime-interface-emulator-address", f"{HOST}:{ports[0]}"]
    command += ["--runtime-api-address", f"{HOST}:{ports[1]}", *BARE_PYTHON, "-m", "awslambdaric"]
    process = subprocess.Popen(
        [*command, f"{candidate.module}.{candidate.name}"],
        cwd=candidate.folder,
        env=_environment(candidate, runtime),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(ports[0], process)
        url = f"http://{HOST}:{ports[0]}/2015-03-31/functions/function/invocations"
        started = time.perf_counter()
        with urllib.request.urlopen(
            urllib.request.Request(url, data=event.encode()), timeout=TIMEOUT_S
        ) as answer:
            found = json.load(answer)
        elapsed = time.perf_counter() - started
    finally:
        process.terminate()
        process.wait(timeout=30)
    if found.get("statusCode") != 200:
        raise RuntimeError(f"{candidate.module} answered {found} under the emulator")
    return elapsed


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError("the Runtime Interface Emulator didn't start")


def _expect_equal(answers: Mapping[str, dict[str, Any]]) -> None:
    scores = {name: json.loads(answer["body"])["predictions"][0]["score"] for name, answer in answers.items()}
    if max(scores.values()) - min(scores.values()) > 1e-4:
        raise RuntimeError(f"the answers differ: {scores}")


if __name__ == "__main__":
    main()
