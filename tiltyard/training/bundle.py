"""From a fitted model and held-out rows to a bundle that the service can serve."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from statistics import NormalDist
from typing import Any, Unpack

import pandas as pd

from tiltyard.contract.signature import Signature
from tiltyard.errors import InvalidInput
from tiltyard.runtime.bundle import MODEL, PARITY, PROFILE, REFERENCE, SIGNATURE, Bundle, canonical
from tiltyard.runtime.parity import ParityRule
from tiltyard.runtime.policy import ANOMALY_LEVEL
from tiltyard.runtime.reference import told_columns
from tiltyard.stats.budget import MAX_OVERDISPERSION
from tiltyard.stats.seasons import LENGTHS
from tiltyard.training.by_hand import read_contract
from tiltyard.training.contract import Roles, infer_signature
from tiltyard.training.convert import Converted, convert
from tiltyard.training.datasets import origin
from tiltyard.training.labels import ENOUGH_ROWS, Labelled, labelled, outcomes
from tiltyard.training.options import Chosen, Options
from tiltyard.training.parity import Proof, figures, parity_bytes, prove
from tiltyard.training.profile import build_profile
from tiltyard.training.reference import build_reference, rows_to_tell
from tiltyard.training.refusals import without_threshold

Progress = Callable[[str], None]


def _silent(_: str) -> None:
    """Progress that nobody wants to see."""


def build_bundle(
    model: Any,
    *,
    data: pd.DataFrame,
    target: object,
    progress: Progress = _silent,
    **options: Unpack[Options],
) -> Bundle:
    """Convert a fitted model, infer its contract, profile held-out rows, and prove parity.

    `data` and `target` are labelled rows that the model was NOT fitted on. They become
    the reference that drift and performance are measured against: scores on training
    rows are overfit, and no later figure could be trusted.

    Parameters
    ----------
    model
        A fitted scikit-learn estimator or Pipeline, an XGBoost, LightGBM or CatBoost estimator
        of their scikit-learn interface, or a ready ONNX model (bytes or a path).
    data
        Held-out rows with the columns that the model was fitted on; more columns may be
        there for a role (a subject, a sensitive attribute, a time).
    target
        Their true labels or values, in the same order, none missing; or the name of a column of `data`.
    progress
        Called with a line of text for each thing that is done.
    options
        What else is said of the model: `Options` describes each.

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
    chosen = Chosen(**options)
    rows = labelled(data, target)
    progress(f"converting {_shown(model)} to ONNX")
    contract = None if chosen.contract is None else read_contract(chosen.contract)
    converted = _converted(model, rows, chosen, contract)
    truth = outcomes(rows.labels, task=converted.task, labels=converted.labels, names=converted.classes)
    signature = contract or _inferred(converted, rows, chosen, progress)
    read = {column.name for column in signature.columns}
    left_out = [str(name) for name in rows.data.columns if str(name) not in read]
    if left_out:
        progress(f"left out, since neither the model nor a role reads them: {', '.join(left_out)}")
    progress("proving parity with the estimator")
    holds_persons = any(column.is_personal for column in signature.columns)
    proof = prove(converted, signature, rows.data, tolerance=chosen.tolerance, holds_persons=holds_persons)
    progress(f"profiling {len(rows.data):,} held-out rows")
    zone = _zone(signature, rows.data, chosen)
    files = {
        MODEL: converted.content,
        SIGNATURE: canonical(signature.to_json()),
        PROFILE: canonical(build_profile(signature, rows.data, proof.scores, truth, zone=zone)),
        REFERENCE: canonical(build_reference(signature, rows.data, proof.scores, truth)),
        PARITY: parity_bytes(proof),
    }
    came_from = origin(rows, chosen.trained_on, chosen.run, progress)
    bundle = Bundle.seal(files, about={**_about(converted, proof), "origin": came_from})
    progress(f"sealed as {bundle.digest[:12]}")
    return bundle


def _zone(signature: Signature, data: pd.DataFrame, chosen: Chosen) -> str:
    """The zone that is named, else the time column's own where it has one by name, else UTC."""
    time = next((column.name for column in signature.columns if column.role == "time"), None)
    if chosen.zone is not None:
        if time is None:
            raise InvalidInput("zone= says how a time column is to be read; name one with time=.")
        return chosen.zone
    own = None if time is None else getattr(data[time].dtype, "tz", None)
    return getattr(own, "key", None) or getattr(own, "zone", None) or "UTC"


def _about(converted: Converted, proof: Proof) -> dict[str, Any]:
    """What the manifest says besides the files."""
    return {
        "task": converted.task,
        "framework": converted.framework,
        "environment": _environment(),
        "parity": figures(proof),
    }


def _converted(model: Any, rows: Labelled, chosen: Chosen, contract: Signature | None) -> Converted:
    roles = _roles(chosen)
    if chosen.threshold is not None:
        model = without_threshold(model)
    converted = convert(
        model,
        rows.data,
        task=chosen.task,
        labels=rows.labels,
        ignore=frozenset(set(roles.by_column()) - set(chosen.calendar)),
        nullable=frozenset(chosen.nullable),
        classes=chosen.classes,
        contract=contract,
        output=chosen.output,
    )
    if chosen.threshold is not None and converted.task != "binary":
        raise InvalidInput(f"A {converted.task} model has no threshold; leave threshold= out.")
    return converted


def _inferred(converted: Converted, rows: Labelled, chosen: Chosen, progress: Progress) -> Signature:
    progress(f"inferring the contract of {len(converted.types)} columns from {len(rows.data):,} rows")
    threshold = chosen.threshold
    if converted.task == "binary" and threshold is None:
        threshold = 0.5
    return infer_signature(
        converted,
        rows.data,
        roles=_roles(chosen),
        target=rows.name,
        threshold=threshold,
        categories=chosen.categories,
        ranges=chosen.ranges,
        nullable=frozenset(chosen.nullable),
    )


def _roles(chosen: Chosen) -> Roles:
    return Roles(
        sensitive=tuple(chosen.sensitive),
        subject=chosen.subject,
        time=chosen.time,
        calendar=tuple(chosen.calendar),
        personal=tuple(chosen.personal),
    )


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
    notes = [
        *_notes(signature, rows, float(rule["max_row_share"])),
        *_time_notes(signature, profile.get("seasons")),
    ]
    lines += [f"  note      {note}" for note in notes]
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
    needed = rows_to_tell(ANOMALY_LEVEL)
    if rows < needed and told_columns(signature):
        notes.append(
            f"with {rows:,} reference rows no row is told to be extreme or an odd combination at the usual "
            f"level of {ANOMALY_LEVEL:g}: that takes {needed:,}"
        )
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


def _time_notes(signature: Signature, seasons: Mapping[str, Any] | None) -> list[str]:
    """By which windows drift is tested from the start, and which columns never are."""
    if not any(column.role == "time" for column in signature.columns):
        return ["no time= column: drift is shown but pages nobody until production windows calibrate it"]
    parts: Mapping[str, Any] = {} if seasons is None else seasons["columns"]
    known = [scale for scale in LENGTHS if any(scale in part for part in parts.values())]
    notes = []
    if len(known) < len(LENGTHS):
        later = " or ".join(scale for scale in LENGTHS if scale not in known)
        notes.append(
            f"drift by {later} pages nobody before 8 windows of production have calibrated it: the held-out "
            "rows' own times fill fewer"
        )
    wild = [
        name for name, part in parts.items()
        if known and all(_is_wild(part[scale]) for scale in known)
    ]  # fmt: skip
    if wild:
        notes.append(
            "too different from one window to the next to be tested for drift (it is shown, and named when "
            f"strong): {', '.join(wild)}"
        )
    return notes


def _is_wild(spread: Mapping[str, Any]) -> bool:
    best = spread["plain"] if spread["seasonal"] is None else spread["seasonal"]
    return bool(min(spread["plain"][0], best[0]) > MAX_OVERDISPERSION)


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
