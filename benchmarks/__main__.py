"""``make bench``: every benchmark in turn, and their tables in benchmarks/RESULTS.md.

Full runs of some (``make bench ARGS="swap registry"``) replace their own parts of that file.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

NAMES = (
    "serving",
    "cold_start",
    "swap",
    "registry",
    "record",
    "telemetry",
    "drift",
    "anomaly",
    "explanations",
)
FOLDER = Path(__file__).resolve().parent


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all when left out")
    parser.add_argument("--quick", action="store_true", help="each at most 5 minutes; figures may stay open")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    unknown = sorted(set(chosen.names) - set(NAMES))
    if unknown:
        parser.error(f"there is no benchmark {', '.join(unknown)}")
    names = chosen.names or NAMES
    failed = []
    for name in names:
        output, code = _run(name, quick=chosen.quick, seed=chosen.seed)
        if code:
            failed.append(name)
        if not chosen.quick:
            _keep(name, output)
    if failed:
        print(f"short of their figures: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


def _keep(name: str, output: str) -> None:
    """Put a benchmark's report into RESULTS.md, in the place of its last one."""
    results = FOLDER / "RESULTS.md"
    text = results.read_text(encoding="utf-8") if results.exists() else ""
    # A report's title begins with its benchmark's name.
    parts = {re.split(r"\W", part)[0]: f"## {part.strip()}\n" for part in text.split("\n## ")[1:]}
    parts[name] = output.strip() + "\n"
    ordered = [parts[known] for known in NAMES if known in parts]
    results.write_text("\n".join(["# What `make bench` measured last\n", *ordered]), encoding="utf-8")


def _run(name: str, *, quick: bool, seed: int) -> tuple[str, int]:
    """Run one benchmark, showing its lines as they come; its report for RESULTS.md, and its exit code."""
    command = [
        sys.executable,
        "-m",
        f"benchmarks.{name}",
        "--seed",
        str(seed),
        *(["--quick"] if quick else []),
    ]
    lines = []
    with subprocess.Popen(command, cwd=FOLDER.parent, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode and not lines:
        lines.append(f"# {name}\n\nended with {process.returncode} and measured nothing\n")
    # Titles one level down, under the file's own.
    return "".join(f"#{line}" if line.startswith("# ") else line for line in lines), process.returncode


if __name__ == "__main__":
    raise SystemExit(main())
