"""Telemetry: what counting a row costs, ingest's memory, and rows a second on the embedded AWS.

Costs are of 20 numbers a row, counted as ingest counts: rows of one version and hour
together, as many as a transaction holds. The rate is wall clock on the packaged service, from
the first message until the ledger has counted every row: messages put into the queue as the
predictor encodes them; unjudged beside, rows that `POST …/predict` answers at the same time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy and scikit-learn load

import boto3
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from benchmarks.report import Figure, Report, best_cpu_us, options
from chalicelib.lineage.ledger import ROWS_AT_ONCE
from chalicelib.monitoring.counting import Counter
from chalicelib.monitoring.rows import rows_of
from chalicelib.serving.telemetry import Asked, decode, encode, record
from tiltyard import Client
from tiltyard.contract.features import FeatureSpec
from tiltyard.contract.signature import Column, Signature
from tiltyard.local import emulator
from tiltyard.local.checkout import package_folder
from tiltyard.local.stack import Stack
from tiltyard.stats.binning import Binner
from tiltyard.stats.layout import Layout
from tiltyard.training.profile import build_profile

MODEL = "telemetry"
NOW = datetime(2026, 2, 1, 6, 30, tzinfo=UTC)
NAMES = tuple(f"n{i:02d}" for i in range(20))
SIGNATURE = Signature(
    "binary",
    tuple(Column(name, "number", minimum=-6.0, maximum=6.0) for name in NAMES),
    FeatureSpec(NAMES),
    classes=("no", "yes"),
    threshold=0.5,
)
CALLERS = 2
ROWS_A_REQUEST = 500
RATE_LIMIT_S = 600.0
PROJECT = Path(__file__).resolve().parent.parent

Floats = NDArray[np.float64]


def main() -> None:
    chosen = options(__doc__.partition("\n")[0])
    report = Report("telemetry: counting, memory and rate of ingest", chosen)
    measure_costs(report, np.random.default_rng(chosen.seed))
    measure_memory(report, batches=2 if chosen.quick else 5)
    measure_rate(report, chosen.seed, rows=10_000 if chosen.quick else 50_000)
    raise SystemExit(report.finish())


def counter(seed: int = 1) -> Counter:
    """Of a version with 20 numbers and both distances."""
    values = np.random.default_rng(seed).normal(size=(5_000, len(NAMES)))
    frame = pd.DataFrame(values, columns=list(NAMES))
    scores = np.full((len(frame), 2), 0.5, dtype=np.float32)
    return Counter(SIGNATURE, build_profile(SIGNATURE, frame, scores, np.arange(len(frame)) % 2))


def message(values: Floats, name: str, *, digest: str = "0" * 64, at: datetime = NOW) -> str:
    """What the predictor queues for a request of these rows, float64 of shape (20, n)."""
    n = values.shape[1]
    answers: Any = SimpleNamespace(
        columns={column: of.tolist() for column, of in zip(NAMES, values, strict=True)},
        scores=np.full((n, 2), 0.5, dtype=np.float32),
    )
    judged: Any = SimpleNamespace(warnings={}, decisions={})
    return encode(
        record(
            model=MODEL,
            version=1,
            digest=digest,
            role="champion",
            signature=SIGNATURE,
            asked=Asked([f"{name}-{i}" for i in range(n)]),
            answers=answers,
            judged=judged,
            policy=None,
            request_id=name,
            received_at=at,
        )
    )


def measure_costs(report: Report, generator: np.random.Generator) -> None:
    of = counter()
    rows = [
        rows_of(decode(message(values[:, None], f"r{i}")))[0]
        for i, values in enumerate(generator.normal(size=(ROWS_AT_ONCE, len(NAMES))))
    ]
    columns = {name: of.profile["columns"][name] for name in NAMES}
    binner = Binner(Layout.of({"columns": columns, "score": {"edges": []}}, ()))
    singles = {name: [row.columns[name] for row in rows] for name in NAMES}
    batch = dict(zip(NAMES, generator.normal(size=(len(NAMES), 1000)), strict=True))
    none = {n: np.zeros((n, 1)) for n in (1, ROWS_AT_ONCE, 1000)}
    alone = {name: values[:1] for name, values in singles.items()}
    spent = best_cpu_us(
        {
            "singles": lambda: binner.count(singles, none[ROWS_AT_ONCE]),
            "batch": lambda: binner.count(batch, none[1000]),
            "rows": lambda: of.count(rows),
            "alone": lambda: binner.count(alone, none[1]),
            "row alone": lambda: of.count(rows[:1]),
        },
        number=100,
    )
    together = f"{ROWS_AT_ONCE} records of one row, counted together as ingest does"
    report.add(
        Figure("single_row_record_us", spent["singles"] / ROWS_AT_ONCE, "us", at_most=3.5, note=together)
    )
    report.add(
        Figure(
            "row_in_a_batch_us", spent["batch"] / 1000, "us", at_most=0.6, note="1,000 rows, arrays of floats"
        )
    )
    report.add(
        Figure(
            "row_with_distances_us",
            spent["rows"] / ROWS_AT_ONCE,
            "us",
            at_most=40,
            note=f"{together}: both distances, scores, answers and events as well",
        )
    )
    report.add(
        Figure("record_all_alone_us", spent["alone"], "us", note="a count of one row, its summary made")
    )
    report.add(Figure("record_all_alone_with_distances_us", spent["row alone"], "us", note="the same"))


def measure_memory(report: Report, *, batches: int) -> None:
    kinds = {
        "ingest_peak_mb": (30, 0, "30 rows a message: 8.5 MB, and an event holds 6"),
        "ingest_peak_of_spooled_mb": (1, 50, "50 of them spooled, of 5,000 rows each"),
    }
    for name, (rows, spooled, note) in kinds.items():
        command = [sys.executable, "-m", "benchmarks.ingest_memory", *map(str, (rows, spooled, batches))]
        done = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True)
        counted, peak = done.stdout.split()
        told = f"{batches} batches of 1,000 messages, {int(counted):,} rows; {note}"
        report.add(Figure(name, float(peak), "MB", at_most=512, note=told))


def measure_rate(report: Report, seed: int, *, rows: int) -> None:
    """Through `predict`, which starts as many processes of ingest as it takes, then into the queue."""
    generator = np.random.default_rng(seed)
    with stack() as live:
        url = live.up(package_folder(None), variables={}).url
        roles = ["caller", "viewer", "scientist", "engineer"]
        token = live.token(subject="bench", roles=roles, teams=["bench"], ttl_s=86_400)
        with Client(url, token) as client:
            digest = register(client, generator)
            parts = [frame(generator, ROWS_A_REQUEST) for _ in range(rows // ROWS_A_REQUEST)]
            client.predict(MODEL, parts[0])  # starts the functions
            counted_of(client, at_least=ROWS_A_REQUEST)

            def ask(part: pd.DataFrame) -> None:
                with Client(url, token) as caller:
                    caller.predict(MODEL, part)

            now = datetime.now(UTC)
            bodies = [
                message(part.to_numpy().T, f"queued-{n}", digest=digest, at=now)
                for n, part in enumerate(parts)
            ]
            queue, place = telemetry_queue(url)

            def put(body: str) -> None:
                queue.send_message(QueueUrl=place, MessageBody=body)

            for name, send, items, least in (
                ("rows_a_second_with_their_answers", ask, parts, None),
                ("rows_a_second", put, bodies, 1_000),
            ):
                _add_rate(report, client, name, send, items, rows=rows, at_least=least)


def _add_rate(
    report: Report,
    client: Client,
    name: str,
    send: Callable[[Any], None],
    items: Sequence[Any],
    *,
    rows: int,
    at_least: float | None,
) -> None:
    before = counted_of(client, at_least=0)
    started = time.monotonic()
    with ThreadPoolExecutor(CALLERS) as callers:
        list(callers.map(send, items))
    sent = time.monotonic() - started
    found = counted_of(client, at_least=before + rows) - before
    spent = time.monotonic() - started
    told = f"{rows:,} rows, {ROWS_A_REQUEST} a message, sent in {sent:.1f} s, counted after {spent:.1f} s"
    report.add(Figure(name, found / spent, at_least=at_least, note=told))
    report.add(Figure(f"{name}_lost_or_doubled", abs(rows - found), equals=0))


def telemetry_queue(url: str) -> tuple[Any, str]:
    """A client of the stack's queues, and the telemetry queue's address."""
    sqs = boto3.client(
        "sqs",
        endpoint_url=emulator.endpoint(urlsplit(url).port or 0),
        region_name=emulator.REGION,
        aws_access_key_id=emulator.ACCESS_KEY,
        aws_secret_access_key=emulator.ACCESS_KEY,
    )
    # CloudFormation names a queue by its resource.
    (place,) = [found for found in sqs.list_queues()["QueueUrls"] if "-TelemetryQueue-" in found]
    return sqs, place


@contextmanager
def stack() -> Iterator[Stack]:
    """A stack of its own, deleted at the end."""
    with tempfile.TemporaryDirectory() as folder:
        own = Stack(Path(folder), "telemetry")
        try:
            yield own
        finally:
            own.reset()


def register(client: Client, generator: np.random.Generator) -> str:
    """A champion; its bundle's digest."""
    held = frame(generator, 2_000)
    labels = (held["n00"] + generator.normal(size=len(held)) > 0).astype(int)
    model = LogisticRegression().fit(held[:1_000], labels[:1_000])
    made = client.register(
        MODEL, model, data=held[1_000:], target=labels[1_000:], team="bench", progress=None
    )
    client.promote(MODEL, 1, reason="to be asked")
    return str(made.digest)


def frame(generator: np.random.Generator, rows: int) -> pd.DataFrame:
    return pd.DataFrame(generator.normal(size=(rows, len(NAMES))), columns=list(NAMES))


def counted_of(client: Client, *, at_least: int) -> int:
    """The rows that the ledger has counted, once they are so many, or no more come."""
    deadline = time.monotonic() + RATE_LIMIT_S
    while True:
        found = sum(int(window["rows"]) for window in client.quality(MODEL, step="day").windows)
        if found >= at_least or time.monotonic() > deadline:
            return found
        time.sleep(0.25)


if __name__ == "__main__":
    main()
