"""What every benchmark prints: a machine line, a table, one JSON line, and an exit code.

A benchmark adds its figures with their limits and ends with
``raise SystemExit(report.finish())``. A figure whose limit isn't kept makes the
exit code 1. A figure that can't be decided (`--quick` has too few repetitions)
is added with the value None: it is shown, not judged, and null in the JSON.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Options:
    """`quick` fits in 5 minutes on 2 cores; `seed` seeds every generator."""

    quick: bool
    seed: int


def options(description: str) -> Options:
    """Read ``--quick`` and ``--seed`` from the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--quick", action="store_true", help="fewer repetitions, at most 5 minutes on 2 cores"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of every generator (default 1)")
    found = parser.parse_args()
    return Options(quick=found.quick, seed=found.seed)


@dataclass(frozen=True)
class Figure:
    """One measured value; `at_most`, `at_least` and `equals` are its limits (None: not judged)."""

    name: str
    value: float | None
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None
    equals: float | None = None
    peers: Mapping[str, float] = field(default_factory=dict)
    note: str = ""

    @property
    def is_met(self) -> bool:
        if self.value is None:
            return True
        return (
            (self.at_most is None or self.value <= self.at_most)
            and (self.at_least is None or self.value >= self.at_least)
            and (self.equals is None or self.value == self.equals)
        )

    @property
    def limit(self) -> str:
        limits = (("<= ", self.at_most), (">= ", self.at_least), ("= ", self.equals))
        return " and ".join(sign + _number(bound) for sign, bound in limits if bound is not None)

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "undecided"
        if not self.limit:
            return ""
        return "met" if self.is_met else "MISSED"


class Report:
    """The figures of one benchmark, in the order in which they were added."""

    def __init__(self, title: str, options: Options) -> None:
        self._title = title
        self._options = options
        self._figures: list[Figure] = []
        self._started = time.perf_counter()

    def add(self, figure: Figure) -> None:
        self._figures.append(figure)

    def finish(self) -> int:
        """Print everything; the exit code is 0 when every judged figure is met, else 1."""
        is_met = all(figure.is_met for figure in self._figures)
        print(f"# {self._title}")
        print(machine())
        mode = "quick" if self._options.quick else "full"
        print(f"{mode} run, seed {self._options.seed}, {time.perf_counter() - self._started:.0f} s\n")
        print(table(self._figures))
        print()
        print(json.dumps({"figures": {f.name: f.value for f in self._figures}, "met": is_met}))
        return 0 if is_met else 1


def table(figures: list[Figure]) -> str:
    """The figures as a Markdown table, its columns aligned."""
    rows = [("figure", "value", "limit", "verdict", "peers", "note")]
    for figure in figures:
        value = "-" if figure.value is None else f"{_number(figure.value)} {figure.unit}".rstrip()
        peers = ", ".join(f"{name} {_number(of)}" for name, of in figure.peers.items())
        rows.append((figure.name, value, figure.limit, figure.verdict, peers, figure.note))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def machine() -> str:
    """The machine and the Python that the figures are from, in one line."""
    return (
        f"machine: {_processor()}, {os.cpu_count()} logical cores, {platform.system()} {platform.machine()}, "
        f"{platform.python_implementation()} {platform.python_version()}"
    )


def best_cpu_us(
    candidates: Mapping[str, Callable[[], object]], *, number: int, rounds: int = 5
) -> dict[str, float]:
    """CPU microseconds a call on this thread, best of `rounds`, the candidates taking turns.

    Taking turns lets a slow phase of the machine fall on all of them, so their
    ratios hold where their absolute values don't.
    """
    best = dict.fromkeys(candidates, float("inf"))
    for function in candidates.values():
        function()
    for _ in range(rounds):
        for name, function in candidates.items():
            gc.collect()
            started = time.thread_time()
            for _ in range(number):
                function()
            best[name] = min(best[name], (time.thread_time() - started) / number * 1e6)
    return best


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except FileNotFoundError:
        pass  # not Linux: the standard library's answer has to do
    return platform.processor() or "unknown processor"


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 1000 else f"{value:.3g}"
