"""Registration from Python: conversion, contract, reference profile, parity.

scikit-learn, pandas and skl2onnx live in this package alone; importing it loads
none of them, importing one of its modules or names does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tiltyard.training.bundle import build_bundle, summary

__all__ = ["build_bundle", "summary"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from tiltyard.training import bundle
    except ModuleNotFoundError as exc:
        raise ModuleNotFoundError(
            f"{exc.name} is needed to register models: pip install 'tiltyard[training]'", name=exc.name
        ) from exc
    return getattr(bundle, name)
