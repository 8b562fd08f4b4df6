"""What a manifest says of where a model came from: data sets by digest, and the run that fitted it.

``{"datasets": [{"digest", "use": "training" | "held-out", "rows"?, "columns"?, "name"?}],
"run"?: {"id"}}``. It holds no row and no column's name. Names and ids are the caller's own
words, and must name no person: a bundle is kept for good.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

from tiltyard.errors import Fault

Use = Literal["training", "held-out"]

MAX_DATASETS = 20
MAX_COUNT = 2**53 - 1
LONGEST_NAME = 200

_SHA256 = re.compile(r"[0-9a-f]{64}")
_MEMBERS = frozenset({"digest", "use", "rows", "columns", "name"})


def origin_of(datasets: Iterable[Mapping[str, Any]], run: str | None) -> dict[str, Any]:
    """The member ``origin``, each data set once for each use, in an order that follows from them."""
    unique = {(data["use"], data["digest"]): dict(data) for data in datasets}
    made: dict[str, Any] = {"datasets": [unique[key] for key in sorted(unique)]}
    if run is not None:
        made["run"] = {"id": run}
    return made


def faults_of(origin: object, where: str) -> list[Fault]:
    """Everything that is wrong with a manifest's ``origin``, which lies at the pointer `where`."""
    if not isinstance(origin, Mapping) or not set(origin) <= {"datasets", "run"}:
        return [Fault(where, "must be an object of datasets and run")]
    faults: list[Fault] = []
    datasets = origin.get("datasets", [])
    if not isinstance(datasets, list) or len(datasets) > MAX_DATASETS:
        faults.append(Fault(f"{where}/datasets", f"must be a list of at most {MAX_DATASETS} data sets"))
        datasets = []
    seen: set[tuple[object, object]] = set()
    for i, data in enumerate(datasets):
        found = _dataset_faults(data, f"{where}/datasets/{i}")
        faults.extend(found)
        if not found and (data["use"], data["digest"]) in seen:
            faults.append(Fault(f"{where}/datasets/{i}", "is there already for this use"))
        elif not found:
            seen.add((data["use"], data["digest"]))
    if "run" in origin:
        run = origin["run"]
        if not isinstance(run, Mapping) or set(run) != {"id"} or not is_name(run["id"]):
            faults.append(Fault(f"{where}/run", f"must be an object of an id, {_NAME_RULE}"))
    return faults


def is_name(text: object) -> bool:
    return (
        isinstance(text, str) and 1 <= len(text) <= LONGEST_NAME and text.isprintable() and text.strip() != ""
    )


_NAME_RULE = f"a printable text of 1 to {LONGEST_NAME} characters"


def _dataset_faults(data: object, where: str) -> list[Fault]:
    if not isinstance(data, Mapping) or not {"digest", "use"} <= set(data) <= _MEMBERS:
        return [
            Fault(where, "must be an object of digest and use, and of rows, columns and name where known")
        ]
    faults = []
    if not isinstance(data["digest"], str) or not _SHA256.fullmatch(data["digest"]):
        faults.append(Fault(f"{where}/digest", "must be 64 lower-case hexadecimal digits"))
    if data["use"] not in get_args(Use):
        faults.append(Fault(f"{where}/use", f"must be one of {', '.join(get_args(Use))}"))
    for name in ("rows", "columns"):
        count = data.get(name, 0)
        if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= MAX_COUNT:
            faults.append(Fault(f"{where}/{name}", f"must be a whole number from 0 to {MAX_COUNT}"))
    if "name" in data and not is_name(data["name"]):
        faults.append(Fault(f"{where}/name", f"must be {_NAME_RULE}"))
    return faults
