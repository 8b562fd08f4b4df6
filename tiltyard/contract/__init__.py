"""The contract of a model: its signature, its feature step, and how rows are held against them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tiltyard.contract.step import FeatureStep

__all__ = ["FeatureStep"]


def __getattr__(name: str) -> object:
    # The prediction path imports this package and never needs the transformer.
    if name == "FeatureStep":
        from tiltyard.contract.step import FeatureStep

        return FeatureStep
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
