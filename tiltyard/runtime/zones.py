"""Which time zones there are, by name."""

from __future__ import annotations

from functools import cache
from importlib import resources
from zoneinfo import available_timezones


@cache
def known_zones() -> frozenset[str]:
    """The IANA names, read once: a process that is to be locked down asks before it is.

    From the package ``tzdata`` where it is installed, as it is beside the service, else from the system.
    """
    try:
        names = resources.files("tzdata").joinpath("zones").read_text(encoding="ascii").split()
    except (ModuleNotFoundError, FileNotFoundError):
        names = [*available_timezones()]
    return frozenset(names)
