"""From a fitted model and held-out rows to a bundle that the service can serve."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tiltyard.contract.signature import Signature, Task
from tiltyard.errors import InvalidInput
from tiltyard.runtime.bundle import MODEL, PARITY, PROFILE, SIGNATURE, Bundle, canonical
from tiltyard.runtime.parity import ParityRule
from tiltyard.training.contract import Categories, Ranges, Roles, infer_signature
from tiltyard.training.convert import Converted, convert
from tiltyard.training.parity import MOST_TOLERANCE, figures, parity_bytes, prove
from tiltyard.training.profile import build_profile
from tiltyard.training.refusals import without_threshold

FEWEST_ROWS = 10
ENOUGH_ROWS = 2000
"""Held-out rows from which on drift can be judged as STATISTICS expects."""

Progress = Callable[[str], None]


def _silent(_: str) -> None:
    """Progress that nobody wants to see."""


def build_bundle(
    model: Any,
    *,
    data: pd.DataFrame,
    target: object,
    task: Task | None = None,
    threshold: float | None = None,
    sensitive: Sequence[str] = (),
    subject: str | None = None,
    time: str | None = None,
    calendar: Sequence[str] = (),
    personal: Sequence[str] = (),
    categories: Categories | None = None,
    ranges: Ranges | None = None,
    nullable: Sequence[str] = (),
    tolerance: float | None = None,
    progress: Progress = _silent,
) -> Bundle:
    """Convert a fitted model, infer its contract, profile held-out rows, and prove parity.

    `data` and `target` are labelled rows that the model was NOT fitted on. They become
    the reference that drift and performance are measured against: scores on training
    rows are overfit, and no later figure could be trusted.

    Parameters
    ----------
    model
        A fitted scikit-learn estimator or Pipeline, an XGBoost or LightGBM estimator of
        their scikit-learn interface, or a ready ONNX model (bytes or a path).
    data
        Held-out rows with the columns that the model was fitted on; more columns may be
        there for a role (a subject, a sensitive attribute, a time).
    target
        Their true labels or values, in the same order, none missing; or the name of a column of `data`.
    task
        ``binary``, ``multiclass`` or ``regression``; found from the model when left out.
    threshold
        Decision threshold on the second class's probability (binary only), default 0.5.
    sensitive, subject, time, calendar, personal
        Columns by role. A subject is an id of a person; with a subject or a personal
        column the bundle holds no one's row.
    categories, ranges
        Column → levels, or (lowest, highest), beyond those in `data` that callers may send without a warning.
    nullable
        Columns that callers may leave missing (null) although no row of `data` does: numbers, and text for
        which the pipeline has a value that stands for missing. Parity is proved on rows without them.
    tolerance
        Share of rows (at most 0.05) whose answer may differ from the estimator's by more than
        1e-4, recorded in the bundle; default 0.001. Steep isotonic calibration may need a wider one.
    progress
        Called with a line of text for each thing that is done.

    Returns
    -------
    Bundle
        The same model and rows give the same digest, in another process too.

    Raises
    ------
    InvalidInput
        If model, rows and options don't fit each other.
    UnconvertibleModel
        If ONNX can't hold the model faithfully; it says what to replace with what.
    ParityFailed
        If the converted model answers differently.
    """
    roles = Roles(tuple(sensitive), subject, time, tuple(calendar), tuple(personal))
    data, outcomes, name = _labelled(data, target)
    _check_options(threshold, tolerance)
    progress(f"converting {_shown(model)} to ONNX")
    ignore = frozenset(set(roles.by_column()) - set(calendar))
    if threshold is not None:
        model = without_threshold(model)
    may_miss = frozenset(nullable)
    converted = convert(model, data, task=task, labels=outcomes, ignore=ignore, nullable=may_miss)
    if threshold is not None and converted.task != "binary":
        raise InvalidInput(f"A {converted.task} model has no threshold; leave threshold= out.")
    if converted.task == "binary" and threshold is None:
        threshold = 0.5
    answers = _outcomes(converted, outcomes)
    progress(f"inferring the contract of {len(converted.types)} columns from {len(data):,} rows")
    signature = infer_signature(
        converted,
        data,
        roles=roles,
        target=name,
        threshold=threshold,
        categories=categories,
        ranges=ranges,
        nullable=may_miss,
    )
    left_out = [str(n) for n in data.columns if str(n) not in {c.name for c in signature.columns}]
    if left_out:
        progress(f"left out, since neither the model nor a role reads them: {', '.join(left_out)}")
    progress("proving parity with the estimator")
    holds_persons = any(c.is_personal for c in signature.columns)
    proof = prove(converted, signature, data, tolerance=tolerance, holds_persons=holds_persons)
    progress(f"profiling {len(data):,} held-out rows")
    profile = build_profile(signature, data, proof.scores, answers)
    bundle = Bundle.seal(
        {
            MODEL: converted.content,
            SIGNATURE: canonical(signature.to_json()),
            PROFILE: canonical(profile),
            PARITY: parity_bytes(proof),
        },
        about={
            "task": converted.task,
            "framework": converted.framework,
            "environment": _environment(),
            "parity": figures(proof),
        },
    )
    progress(f"sealed as {bundle.digest[:12]}")
    return bundle


def _labelled(data: object, target: object) -> tuple[pd.DataFrame, NDArray[Any], str]:
    """The rows without their label, the labels, and the label's name."""
    if not isinstance(data, pd.DataFrame):
        raise InvalidInput(
            f"`data` must be a pandas DataFrame with named columns, not {type(data).__name__}."
        )
    name = "target"
    if isinstance(target, str):
        if target not in data.columns:
            raise InvalidInput(f"`data` has no column {target!r} to be the target.")
        name, target, data = target, data[target], data.drop(columns=target)
    elif isinstance(target, pd.Series):
        name = str(target.name) if target.name is not None else name
    labels = pd.Series(np.asarray(target).ravel() if not isinstance(target, pd.Series) else target)
    if len(labels) != len(data):
        raise InvalidInput(f"`data` has {len(data)} rows and `target` {len(labels)} labels.")
    if len(data) < FEWEST_ROWS:
        raise InvalidInput(
            f"`data` has {len(data)} rows; at least {FEWEST_ROWS} held-out rows are needed, "
            f"{ENOUGH_ROWS} are better."
        )
    missing = int(labels.isna().sum())
    if missing:
        raise InvalidInput(f"{missing} labels of `target` are missing: hand in labelled rows only.")
    return data.reset_index(drop=True), labels.to_numpy(), name


def _check_options(threshold: float | None, tolerance: float | None) -> None:
    if threshold is not None and not 0 <= threshold <= 1:
        raise InvalidInput(f"threshold={threshold} must lie between 0 and 1.")
    if tolerance is not None and not 0 < tolerance <= MOST_TOLERANCE:
        raise InvalidInput(
            f"tolerance={tolerance} must be a share of the rows, above 0 and at most {MOST_TOLERANCE}."
        )


def _outcomes(converted: Converted, labels: NDArray[Any]) -> NDArray[Any]:
    """Class index of each label, or the values of a regression as float64."""
    if converted.task == "regression":
        try:
            values = labels.astype(np.float64)
        except (TypeError, ValueError) as exc:
            raise InvalidInput(
                "The model is a regression and `target` holds values that aren't numbers."
            ) from exc
        if not np.isfinite(values).all():
            raise InvalidInput("`target` holds infinite values.")
        return values
    index = {label: i for i, label in enumerate(converted.labels)}
    unknown = sorted({str(v) for v in labels.tolist() if v not in index})
    if unknown:
        known = ", ".join(map(str, converted.labels))
        raise InvalidInput(
            f"`target` holds {', '.join(unknown[:5])}, which the model doesn't know; it knows {known}."
        )
    return np.array([index[v] for v in labels.tolist()], dtype=np.int64)


def _environment() -> dict[str, str]:
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for package in ("numpy", "onnx", "onnxruntime", "skl2onnx"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _shown(model: object) -> str:
    if isinstance(model, str | os.PathLike):
        return os.path.basename(os.fspath(model)) or "a file"
    return "an ONNX model" if isinstance(model, bytes | bytearray) else type(model).__name__


def summary(bundle: Bundle) -> str:
    """What was registered, in plain text: rows, columns, parity, what drift can be seen."""
    signature, manifest = bundle.signature, bundle.manifest
    profile = json.loads(bundle.files[PROFILE])
    rows = int(profile["rows"])
    parity, rule = manifest["parity"], json.loads(bundle.files[PARITY])["rule"]
    inputs = signature.inputs
    others = [c for c in signature.columns if not c.is_input]
    kinds = [f"{sum(c.type == k for c in inputs)} {k}" for k in sorted({c.type for c in inputs})]
    lines = [
        f"{manifest['framework']['estimator']} ({manifest['framework']['name']} "
        f"{manifest['framework']['version']}), {_task_line(signature)}",
        f"  bundle    {bundle.digest}",
        f"  graph     {len(bundle.files[MODEL]) / 1024:,.0f} KiB of ONNX",
        f"  columns   {len(inputs)} read by the model ({', '.join(kinds)})"
        + "".join(f"; {c.name} ({c.role})" for c in others),
        f"  parity    {parity['rows']:,} rows ({parity['edge_rows']} at the edges, "
        f"{parity['drawn_rows']} drawn): "
        f"largest difference {parity['max_abs_diff']:.2g}, {parity['row_share']:.3%} of them by more than "
        f"{rule['atol']:g}, "
        f"{parity['label_share']:.3%} of the labels differ",
        f"  reference {rows:,} rows, which must be rows that the model was NOT fitted on: every drift and "
        "performance figure is measured against them",
    ]
    lines += [f"  note      {note}" for note in _notes(signature, rows, float(rule["max_row_share"]))]
    return "\n".join(lines)


def _task_line(signature: Signature) -> str:
    if signature.task == "regression":
        return f"regression of {signature.target}"
    shown = ", ".join(signature.classes[:6]) + (", …" if len(signature.classes) > 6 else "")
    decided = "" if signature.threshold is None else f", decided at {signature.threshold:g}"
    return f"{signature.task} {signature.target} ({shown}){decided}"


def _notes(signature: Signature, rows: int, row_share: float) -> list[str]:
    notes = []
    if rows < ENOUGH_ROWS:
        shifts = ", ".join(f"{name} {seen:.2f}" for name, seen in visible_shifts(rows).items())
        notes.append(
            f"with {rows:,} reference rows the smallest shift of a mean that is seen 4 times in 5, "
            f"in standard deviations, is: {shifts}; hand in {ENOUGH_ROWS:,} rows or more to see smaller ones"
        )
    if not any(c.role == "time" for c in signature.columns):
        notes.append("no time= column: drift is shown but pages nobody until production windows calibrate it")
    if any(c.is_personal for c in signature.columns):
        notes.append("holds personal columns: the bundle's rows are drawn column by column, none is anyone's")
    encoded = [c.name for c in signature.inputs if c.is_personal and c.type == "string"]
    if encoded:
        notes.append(
            f"the graph holds every level of {', '.join(encoded)} that its encoder was fitted on: lump "
            "rare ones before training, FeatureStep(lump={…: 30}), so that none points at a person"
        )
    if row_share > ParityRule().max_row_share:
        notes.append(f"the parity rule is widened to {row_share:.1%} of the rows, as asked")
    return notes


def visible_shifts(rows: int) -> dict[str, float]:
    """Smallest mean shift, in standard deviations, that one test of a window sees with power 0.8.

    The window counts for at most a quarter of the reference rows; each scale spends a third of
    one false alert a feature-year, half of it on the mean (STATISTICS section 2).
    """
    normal = NormalDist()
    spread = (1 / rows + 4 / rows) ** 0.5
    return {
        name: (normal.inv_cdf(1 - 1 / (3 * windows) / 2 / 2) + normal.inv_cdf(0.8)) * spread
        for name, windows in (("hour", 8760), ("day", 365), ("week", 52))
    }
