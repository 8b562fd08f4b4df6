"""`requirements.txt` of the functions' zip, derived from `requirements.lock` (``make lock``).

The lock holds what every extra and group needs; the functions need a part of
it. The lock's own ``# via`` lines say who asked for what, so the part is the
closure of `ROOTS` under them, entries unchanged, hashes included.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
LOCK = PROJECT / "requirements.lock"
REQUIREMENTS = PROJECT / "requirements.txt"

# Chalice itself is missing on purpose: its packager puts the two files of its
# runtime into the zip, and its other dependencies serve its command line.
ROOTS = (
    "aws-lambda-powertools",
    "boto3",
    "cryptography",
    "numpy",
    "onnxruntime",
    "orjson",
    "protobuf",
    "pydantic",
    "pyjwt",
    "rfc8785",
    "tzdata",
)

# In the lock because something else asks for an extra (`botocore[crt]`).
UNASKED_EXTRAS = frozenset({"awscrt"})

HEADER = "# The functions' zip. Derived from requirements.lock by `make lock`: don't edit.\n"

_NAME = re.compile(r"^[a-z0-9][a-z0-9._-]*")


@dataclass(slots=True)
class Entry:
    """One locked distribution: its lines (comments left out) and who asked for it."""

    name: str
    lines: list[str] = field(default_factory=list)
    via: set[str] = field(default_factory=set)


def read_lock(text: str) -> list[Entry]:
    """Entries in the lock's order; a name with two markers has two."""
    entries: list[Entry] = []
    for line in text.splitlines():
        if match := _NAME.match(line):
            entries.append(Entry(match[0], [line]))
        elif line.lstrip().startswith("#"):
            asked_by = line.lstrip().removeprefix("#").removeprefix(" via").strip()
            if asked_by:
                entries[-1].via.add(asked_by.split(" ")[0])
        else:
            entries[-1].lines.append(line)
    return entries


def closure(entries: Iterable[Entry], roots: Iterable[str]) -> frozenset[str]:
    """Names of `roots` and of all they need."""
    wanted = set(roots)
    entries = [entry for entry in entries if entry.name not in UNASKED_EXTRAS]
    while found := {entry.name for entry in entries if entry.via & wanted} - wanted:
        wanted |= found
    return frozenset(wanted)


def derive(lock: str) -> str:
    """The text of ``requirements.txt`` for the text of ``requirements.lock``."""
    entries = read_lock(lock)
    missing = set(ROOTS) - {entry.name for entry in entries}
    if missing:
        raise LookupError(f"requirements.lock lacks {', '.join(sorted(missing))}: run `make lock`.")
    wanted = closure(entries, ROOTS)
    return HEADER + "".join("\n".join(entry.lines) + "\n" for entry in entries if entry.name in wanted)


def main() -> None:
    REQUIREMENTS.write_text(derive(LOCK.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
