"""Where a stack's package comes from: a folder that the user names, or the checkout of this code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tiltyard.errors import InvalidInput, Unavailable


def checkout() -> Path | None:
    """The project's folder when this code runs from a checkout (an editable install), else None."""
    project = Path(__file__).resolve().parents[2]
    return project if (project / "infra" / "package.py").exists() and (project / "app.py").exists() else None


def stacks_folder() -> Path:
    """Where stacks are kept: ``.tiltyard/`` of the checkout, of the current folder without one."""
    return (checkout() or Path.cwd()) / ".tiltyard"


def package_folder(named: Path | None) -> Path:
    """The package to deploy: `named`, or the checkout's own, built when it isn't up to date.

    Raises `InvalidInput` from a bare wheel, which holds the library and not
    the service, and `Unavailable` when the build fails.
    """
    if named is not None:
        return named.resolve()
    project = checkout()
    if project is None:
        raise InvalidInput(
            "The service isn't in this wheel: run this in a checkout of Tiltyard, "
            "or give `--package DIR`, an output of `make package` there."
        )
    done = subprocess.run(
        [sys.executable, "-m", "infra.package"], cwd=project, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Unavailable(f"`make package` failed:\n{done.stdout}{done.stderr}")
    return project / "build" / "package"
