"""A process that ingests batches of 1,000 messages and prints its peak memory in MB (run by `telemetry`).

``python -m benchmarks.ingest_memory ROWS SPOOLED BATCHES``: rows a message, how many of the
messages are spooled, and how many batches. What ingest writes is dropped.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

import app  # what the function's process holds besides
from benchmarks.telemetry import MODEL, NOW, counter, message
from chalicelib.lineage.ledger_items import Hour, LedgerRow, Shard
from chalicelib.monitoring.ingest import Ingest, Message
from chalicelib.serving.telemetry import reference

MESSAGES = 1_000


class Dropped:
    """Counters, ledger, lake and spool of one version; the spool holds 5,000 rows under every name."""

    retention = timedelta(days=400)

    def __init__(self, values: NDArray[np.float64]) -> None:
        self._counter = counter()
        self._values = values
        self.counted = 0

    def of(self, model: str, version: int, digest: str) -> Any:
        return self._counter

    def is_closed(self, hour: Hour) -> bool:
        return False

    def shard(self, hour: Hour, number: int, *, known_on: str | None) -> Shard | None:
        return None

    def add(self, rows: Sequence[LedgerRow], shard: Shard) -> None:
        self.counted += len(rows)

    def write(self, key: str, content: bytes) -> None:
        pass

    def read(self, key: str) -> bytes | None:
        return message(self._values, key).encode()

    def delete(self, key: str) -> None:
        pass


def main(rows: int, spooled: int, batches: int) -> None:
    assert app.app is not None
    values: NDArray[np.float64] = np.random.default_rng(1).normal(size=(20, max(rows, 5_000)))
    ports: Any = Dropped(values)
    ingest = Ingest(ports, ports, ports, ports, now=NOW)
    for batch in range(batches):
        bodies = (
            reference(f"{MODEL}/{batch}-{n}") if n < spooled else message(values[:, :rows], f"{batch}-{n}")
            for n in range(MESSAGES)
        )
        taken = ingest.take([Message(str(n), body) for n, body in enumerate(bodies)])
        assert not taken.failed, next(iter(taken.failed.values()))
    print(ports.counted, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
