"""CPU time of one prediction: Tiltyard's handler beside bare JSON + ONNX Runtime and other servers.

Measured of the handler: Chalice's routing, the access check, the contract check,
the model, the answer's JSON and the telemetry record, in this process, called
with an API Gateway event. Not measured: the queue call (dropped) and the log
line (one write to stderr). The policy switches off what no peer does (how sure an
answer is, what is odd about its row); figures named ``judged`` have all of it. There
is no HTTP server, so FastAPI is called without one as well (an ASGI scope); its
figure over HTTP stands beside.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy and scikit-learn load

import joblib
import numpy as np
import orjson
from fastapi import FastAPI

from benchmarks import in_process, processes
from benchmarks.peers import fastapi_server
from benchmarks.report import Figure, Options, Report, best_cpu_us, options
from benchmarks.workload import CLASSES, THRESHOLD, Workload, request_body, workload
from chalicelib import bootstrap
from chalicelib.lineage.records import PolicyCopy
from tiltyard.runtime.bundle import MODEL, canonical, sha256
from tiltyard.runtime.model import open_session
from tiltyard.runtime.parity import ParityRule, compare

SIZES = (1, 1000)
NOT_JUDGED = canonical({"format": 1, "uncertainty": False, "anomaly": False, "humility": []}).decode()
"""The policy under which the service does what its peers do: check, answer, record."""
HANDLER, JSON_ORT, ORJSON_ORT = "tiltyard", "JSON + ONNX Runtime", "orjson + ONNX Runtime"
FASTAPI, FASTAPI_BARE = "FastAPI + ONNX Runtime", "FastAPI + ONNX Runtime, unchecked"
_KEYS = {
    JSON_ORT: "json_ort",
    ORJSON_ORT: "orjson_ort",
    FASTAPI: "fastapi",
    FASTAPI_BARE: "fastapi_unchecked",
}
LIMIT = {1: 3.0, 1000: 1.5}
JUDGED_LIMIT = {1: 5.0, 1000: 1.5}

Call = Callable[[], Any]


def main() -> None:
    chosen = options(__doc__.partition("\n")[0])
    report = Report("serving: CPU time of a prediction", chosen)
    work = workload(chosen.seed, train=5_000 if chosen.quick else 20_000)
    number = {1: 1_000, 1000: 5} if chosen.quick else {1: 5_000, 1000: 30}
    policy = PolicyCopy(1, sha256(NOT_JUDGED.encode()), NOT_JUDGED)
    with bootstrap.replaced(in_process.Offline(work.bundle, policy)):
        _check_answers(report, work)
        for size in SIZES:
            _compare(report, work, size, number[size])
    with bootstrap.replaced(in_process.Offline(work.bundle)):
        for size in SIZES:
            _compare_judged(report, work, size, number[size])
    _peers(report, work, chosen)
    raise SystemExit(report.finish())


def _check_answers(report: Report, work: Workload) -> None:
    """The handler's answers against the estimator's own, in parts of several sizes."""
    rows = work.rows(len(work.frame))
    scores: list[float] = []
    for size in (1, 7, 8, 9, 500, len(rows)):
        part = rows[len(scores) : len(scores) + size]
        scores += [found["score"] for found in in_process.answered(request_body(part))]
    positive = np.array(scores)
    found = compare(
        work.truth(len(scores)),
        np.column_stack([1 - positive, positive]),
        task="binary",
        threshold=THRESHOLD,
        rule=(rule := ParityRule()),
    )
    note = f"{found.rows} rows, largest difference {found.max_abs_diff:.1e}"
    report.add(Figure("parity_row_share", found.row_share, at_most=rule.max_row_share, note=note))
    report.add(Figure("parity_label_share", found.label_share, at_most=rule.max_label_share))


def _compare(report: Report, work: Workload, size: int, number: int) -> None:
    body = request_body(work.rows(size))
    asgi = _Asgi(_fastapi(work))
    calls: dict[str, Call] = {
        HANDLER: in_process.prediction(body),
        JSON_ORT: _plain(work, body, json.loads, lambda answer: json.dumps(answer).encode()),
        ORJSON_ORT: _plain(work, body, orjson.loads, orjson.dumps),
        FASTAPI: asgi.call(fastapi_server.CHECKED, body),
        FASTAPI_BARE: asgi.call(fastapi_server.BARE, body),
    }
    _expect_equal(calls)
    limits = {JSON_ORT: LIMIT[size], ORJSON_ORT: None, FASTAPI: 1.0, FASTAPI_BARE: None}
    notes = {
        JSON_ORT: "CPU; the two take turns, call by call",
        FASTAPI: "both without an HTTP server, both check the body",
    }
    for peer, limit in limits.items():
        spent = _in_turn_us({HANDLER: calls[HANDLER], peer: calls[peer]}, number=number)
        report.add(
            Figure(
                f"{size}_row_to_{_KEYS[peer]}",
                spent[HANDLER] / spent[peer],
                "x",
                at_most=limit,
                peers={f"{name} us": us for name, us in spent.items()},
                note=notes.get(peer, ""),
            )
        )
    blocks = best_cpu_us(calls, number=number)
    asgi.close()
    report.add(
        Figure(
            f"{size}_row_to_json_ort_in_blocks",
            blocks[HANDLER] / blocks[JSON_ORT],
            "x",
            peers={f"{name} us": us for name, us in blocks.items()},
            note=f"each {number} times in a row: a small loop then stays in the processor's nearest cache",
        )
    )


def _compare_judged(report: Report, work: Workload, size: int, number: int) -> None:
    """The same under the default policy: sets, anomalies and humility rules for every row."""
    body = request_body(work.rows(size))
    calls: dict[str, Call] = {
        HANDLER: in_process.prediction(body),
        JSON_ORT: _plain(work, body, json.loads, lambda answer: json.dumps(answer).encode()),
    }
    found = in_process.answered(body)
    if not all("set" in answer for answer in found):
        raise RuntimeError("the service didn't judge its answers")
    spent = _in_turn_us(calls, number=number)
    flagged = sum(answer["action"] == "flag" for answer in found)
    report.add(
        Figure(
            f"{size}_row_judged_to_json_ort",
            spent[HANDLER] / spent[JSON_ORT],
            "x",
            at_most=JUDGED_LIMIT[size],
            peers={f"{name} us": us for name, us in spent.items()},
            note=f"with uncertainty, anomalies and humility rules; {flagged} of {size} rows flagged",
        )
    )


def _in_turn_us(calls: Mapping[str, Call], *, number: int, rounds: int = 5) -> dict[str, float]:
    """CPU microseconds a call, best of `rounds`; after each call of one comes a call of the other.

    Each then finds the processor's caches as the other left them, as a request in
    production finds them as other work left them. The clock's own cost is taken off.
    """
    best = dict.fromkeys(calls, float("inf"))
    clock = time.thread_time_ns
    for _ in range(rounds):
        spent = dict.fromkeys(calls, 0)
        idle = 0
        gc.collect()
        for _ in range(number):
            for name, call in calls.items():
                started = clock()
                call()
                spent[name] += clock() - started
            started = clock()
            idle += clock() - started
        for name, total in spent.items():
            best[name] = min(best[name], (total - idle) / number / 1000)
    return best


def _plain(work: Workload, body: bytes, loads: Callable[[bytes], Any], dumps: Callable[[Any], bytes]) -> Call:
    """The least that answers: parse, two matrices, one run, write."""
    session = open_session(work.bundle.files[MODEL])
    features = work.signature.features
    numbers, strings = list(features.numbers), list(features.strings)

    def answer() -> bytes:
        rows = loads(body)["rows"]
        feed = {
            "numbers": np.array([[row[name] for name in numbers] for row in rows], dtype=np.float32),
            "strings": np.array([[row[name] for name in strings] for row in rows], dtype=object),
        }
        scores = session.run(["probabilities"], feed)[0][:, 1].tolist()
        negative, positive = CLASSES
        return dumps(
            {
                "predictions": [
                    {"value": positive if score >= THRESHOLD else negative, "score": score}
                    for score in scores
                ]
            }
        )

    return answer


def _fastapi(work: Workload) -> FastAPI:
    features = work.signature.features
    return fastapi_server.create(work.bundle.files[MODEL], list(features.numbers), list(features.strings))


class _Asgi:
    """Calls an ASGI app without a server, on a loop that is stepped by hand: no time goes to its start."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)

    def call(self, path: str, body: bytes) -> Call:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "scheme": "http",
            "query_string": b"",
            "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        request = {"type": "http.request", "body": body, "more_body": False}

        def answer() -> bytes:
            sent: list[Any] = []

            async def receive() -> dict[str, Any]:
                return request

            async def send(message: Any) -> None:
                sent.append(message)

            coroutine = self._app(dict(scope), receive, send)
            try:
                coroutine.send(None)
            except StopIteration:
                return bytes(sent[1]["body"])
            coroutine.close()
            raise RuntimeError("FastAPI waited for something: it can't be called without a loop")

        return answer

    def close(self) -> None:
        self._loop.close()


def _expect_equal(calls: Mapping[str, Call]) -> None:
    """All of them answer in the same scores, or the comparison means nothing."""
    found = {}
    for name, call in calls.items():
        answer = call()
        content = answer["body"] if isinstance(answer, dict) else answer
        found[name] = [prediction["score"] for prediction in json.loads(content)["predictions"]]
    for name, scores in found.items():
        if not np.allclose(scores, found[HANDLER], rtol=0, atol=1e-7):
            raise RuntimeError(f"{name} answers otherwise than the handler")


def _peers(report: Report, work: Workload, chosen: Options) -> None:
    """Servers in processes of their own, over HTTP; the slow ones only in a full run."""
    number = {1: 200, 1000: 10} if chosen.quick else {1: 1_000, 1000: 40}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "model.onnx").write_bytes(work.bundle.files[MODEL])
        features = work.signature.features
        columns = {"numbers": features.numbers, "strings": features.strings}
        (folder / "columns.json").write_text(json.dumps(columns), encoding="utf-8")
        joblib.dump(work.estimator, folder / "model.joblib")
        port = processes.free_port()
        arguments = [str(folder / "model.onnx"), str(folder / "columns.json"), str(port)]
        command = [sys.executable, str(_peer("fastapi_server.py")), *arguments]
        _measure(report, work, "fastapi_http", command, port, fastapi_server.CHECKED, "rows", number, {})
        if chosen.quick:
            for name in ("mlflow_http", "bentoml_http"):
                for size in SIZES:
                    report.add(Figure(f"{name}_{size}", None, "us", note="full run only"))
            return
        number = {1: 100, 1000: 20}
        _mlflow(report, work, folder, number)
        _bentoml(report, work, folder, number)


def _mlflow(report: Report, work: Workload, folder: Path, number: Mapping[int, int]) -> None:
    python = processes.environment("mlflow")
    saved = folder / "mlflow"
    processes.run([str(python), str(_peer("mlflow_save.py")), str(folder / "model.joblib"), str(saved)])
    port = processes.free_port()
    command = [str(python), "-m", "mlflow", "models", "serve", "--model-uri", str(saved)]
    command += ["--env-manager", "local", "--host", processes.HOST, "--port", str(port)]
    variables = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
    }
    _measure(
        report, work, "mlflow_http", command, port, "/invocations", "dataframe_records", number, variables
    )


def _bentoml(report: Report, work: Workload, folder: Path, number: Mapping[int, int]) -> None:
    python = processes.environment("bentoml")
    port = processes.free_port()
    command = [str(python), "-m", "bentoml", "serve", "bentoml_service:Gradient", "--host", processes.HOST]
    command += ["--port", str(port), "--working-dir", str(_peer(""))]
    variables = {
        "PEER_MODEL": str(folder / "model.joblib"),
        "BENTOML_DO_NOT_TRACK": "True",
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
    }
    _measure(report, work, "bentoml_http", command, port, "/predict", "rows", number, variables)


def _measure(
    report: Report,
    work: Workload,
    name: str,
    command: Sequence[str],
    port: int,
    path: str,
    key: str,
    number: Mapping[int, int],
    variables: Mapping[str, str],
) -> None:
    bodies = {size: json.dumps({key: work.rows(size)}).encode() for size in SIZES}
    with processes.serving(command, port, path=path, body=bodies[1], variables=variables) as server:
        for size, body in bodies.items():
            spent = server.cpu_us(path, body, number=number[size])
            note = f"CPU of its processes a request over HTTP, {size} row{'s' * (size > 1)}"
            if size == 1:
                note += f"; first answer {server.first_answer_s:.1f} s, {server.memory_mb:.0f} MB"
            report.add(Figure(f"{name}_{size}", spent, "us", note=note))


def _peer(name: str) -> Path:
    return Path(__file__).resolve().parent / "peers" / name


if __name__ == "__main__":
    main()
