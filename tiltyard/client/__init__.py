"""The client: register models, predict, and decide who answers, from Python."""

from __future__ import annotations

from tiltyard.client.client import Client
from tiltyard.client.records import (
    Alias,
    Contract,
    Me,
    Model,
    Policy,
    Prediction,
    Predictions,
    Reign,
    Swap,
    Version,
)

__all__ = [
    "Alias",
    "Client",
    "Contract",
    "Me",
    "Model",
    "Policy",
    "Prediction",
    "Predictions",
    "Reign",
    "Swap",
    "Version",
]
