"""Tiltyard: the serverless control plane for models in production.

``from tiltyard import Client`` is where a user begins. The client is imported
on first use, because the service's functions import this package as well and
have no use for an HTTP client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tiltyard.client import Client

__all__ = ["Client"]


def __getattr__(name: str) -> object:
    if name == "Client":
        from tiltyard.client import Client

        return Client
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
