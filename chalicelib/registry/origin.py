"""Where a version came from, as edges and nodes of the lineage graph: pure, from its manifest.

What a manifest says of its origin is the word of whoever registered it, so it
stands on the edges of that registration (`Edge.facts`), where nobody else's
registration of the same data or the same bundle can change it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib.lineage.records import Blob, Edge, Model, Node, Version
from tiltyard.runtime.bundle import MODEL, canonical, sha256

Facts = dict[str, str | int | None]

LONGEST_FACT = 200


def run_id(model: str, manifest: Mapping[str, Any]) -> str | None:
    """The node of the run that fitted the model, or None where nothing is said of how it came about.

    It is named by its content: the model it belongs to and either the caller's
    own id of the run, or all that went into it and the model file that came out.
    So the same run has the same node, and runs of different models never meet.
    """
    origin = manifest.get("origin", {})
    trained_on = [data for data in origin.get("datasets", ()) if data["use"] == "training"]
    if "run" in origin:
        content = {"model": model, "id": origin["run"]["id"]}
    elif trained_on:
        content = {
            "model": model,
            "framework": manifest.get("framework"),
            "environment": manifest.get("environment"),
            "datasets": [data["digest"] for data in trained_on],
            "file": manifest["files"][MODEL]["sha256"],
        }
    else:
        return None
    return f"run:{sha256(canonical(content))}"


def edges_of(version: Version, manifest: Mapping[str, Any]) -> tuple[Edge, ...]:
    """Every edge of a registration: at most 28, for a manifest names 20 data sets at most."""
    node, run = f"version:{version.digest}", run_id(version.model, manifest)
    edges = [
        Edge(
            node,
            "version-of",
            f"model:{version.model}",
            facts={"version": version.number, "task": str(manifest["task"]), **_estimator(manifest)},
        ),
        *(
            Edge(node, "contains", f"blob:{blob.sha256}", facts={"file": name})
            for blob, name in _named(version.files).items()
        ),
    ]
    if run is not None:
        edges.append(Edge(node, "produced-by", run))
    for data in manifest.get("origin", {}).get("datasets", ()):
        target = f"dataset:{data['digest']}"
        facts: Facts = {name: data[name] for name in ("name", "rows", "columns") if name in data}
        if data["use"] == "held-out":
            edges.append(Edge(node, "profiled-on", target, facts=facts))
        elif run is not None:
            edges.append(Edge(run, "used", target, facts=facts))
    return tuple(edges)


def run_node(version: Version, model: Model, manifest: Mapping[str, Any]) -> Node | None:
    run = run_id(version.model, manifest)
    if run is None:
        return None
    facts, said = _estimator(manifest), manifest.get("origin", {}).get("run", {}).get("id")
    label = said or facts.get("estimator") or f"run {run[4:16]}"
    if said is not None:
        facts["id"] = said
    return Node(run, "run", str(label), version.registered_at, model=model.name, team=model.team, facts=facts)


def _named(files: Mapping[str, Blob]) -> dict[Blob, str]:
    """Every blob once, with the first of its names."""
    return {files[name]: name for name in reversed(list(files))}


def _estimator(manifest: Mapping[str, Any]) -> Facts:
    """Estimator and framework, as far as the manifest names them; nobody checked that part of it."""
    framework = manifest.get("framework")
    if not isinstance(framework, Mapping):
        return {}
    said = {key: framework.get(key) for key in ("estimator", "name", "version")}
    given = {key: text[:LONGEST_FACT] for key, text in said.items() if isinstance(text, str) and text}
    facts: Facts = {}
    if "estimator" in given:
        facts["estimator"] = given["estimator"]
    if "name" in given:
        facts["framework"] = " ".join(given[key] for key in ("name", "version") if key in given)
    return facts
