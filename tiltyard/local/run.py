"""Run the emulator, and say in a file when it has ended with everything saved.

Whoever asked for the end (`tiltyard local down`, a machine that shuts down),
the file is the proof that the state on disk is whole. The environment variable
named by `MARKER` holds the file's path.
"""

from __future__ import annotations

import logging
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

MARKER = "LOCAL_STACK_SAVED_MARKER"


class _Failures(logging.Handler):
    """Counts errors: the emulator logs a service that it couldn't save, and goes on."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1


def main() -> None:
    from ministack.app import main as serve

    marker = Path(os.environ.pop(MARKER))
    failures = _Failures(logging.ERROR)
    logging.getLogger("persistence").addHandler(failures)
    sys.argv = ["ministack"]
    serve()
    if not failures.count:
        marker.write_text(datetime.now(UTC).isoformat(timespec="seconds"), encoding="utf-8")


if __name__ == "__main__":
    main()
