"""The lineage graph as OpenLineage events (spec 2-0-2): pure.

A version's registration, the run that fitted its model and each of its reigns
are runs of a job each: they read data sets and write one. When they began isn't
known to the graph, so both events of a run carry the time when it was written
there. Names: ``datasets/<digest>``, ``models/<model>/versions/<number>``,
``models/<model>/policies/<number>``, ``models/<model>/champion``, in the
namespace ``tiltyard://<stage>``; digests are the data sets' versions.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chalicelib.governance.lineage import Thing
from chalicelib.lineage.graph import key_of, kind_of
from chalicelib.lineage.records import Edge
from tiltyard.audit.entry import canonical_time

SPEC = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
PRODUCER = "https://github.com/tiltyard/tiltyard"

_FACETS = "https://openlineage.io/spec/facets"
_SCHEMAS = {
    "version": f"{_FACETS}/1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet",
    "documentation": f"{_FACETS}/1-1-0/DocumentationDatasetFacet.json#/$defs/DocumentationDatasetFacet",
    "inputStatistics": f"{_FACETS}/1-0-0/InputStatisticsInputDatasetFacet.json"
    "#/$defs/InputStatisticsInputDatasetFacet",
    "jobType": f"{_FACETS}/2-0-4/JobTypeJobFacet.json#/$defs/JobTypeJobFacet",
    "processing_engine": f"{_FACETS}/1-1-1/ProcessingEngineRunFacet.json#/$defs/ProcessingEngineRunFacet",
}
# Run ids follow from the nodes, so that two exports of one run are one run to whoever collects them.
_RUNS = uuid.uuid5(uuid.NAMESPACE_URL, PRODUCER)

_INPUTS = frozenset({"used", "profiled-on", "reign-of", "under-policy"})

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Job:
    """A run of a job, named after the node that it stands for."""

    node: str
    model: str
    kind: str
    at: datetime
    inputs: tuple[Edge, ...]
    outputs: tuple[str, ...]


def run_events(edges: Iterable[Edge], nodes: Mapping[str, Thing], *, namespace: str) -> list[Event]:
    """START and COMPLETE of every run among the edges, in the order of their times."""
    jobs = sorted(_jobs(edges, nodes), key=lambda job: (job.at, job.node))
    return [
        event
        for job in jobs
        for event in (
            _event(job, nodes, namespace, "START"),
            _event(job, nodes, namespace, "COMPLETE"),
        )
    ]


def run_uuid(node: str) -> str:
    """The UUID (version 5, RFC 9562) of the run that a node stands for."""
    return str(uuid.uuid5(_RUNS, node))


def _jobs(edges: Iterable[Edge], nodes: Mapping[str, Thing]) -> Iterable[_Job]:
    outward, fitted = defaultdict[str, list[Edge]](list), defaultdict[str, list[str]](list)
    known: dict[str, datetime] = {}
    for edge in edges:
        outward[edge.source].append(edge)
        if edge.relation == "produced-by":
            fitted[edge.target].append(edge.source)
        if edge.at is not None:
            for end in (edge.source, *([edge.target] if edge.relation == "produced-by" else [])):
                known[end] = min(edge.at, known.get(end, edge.at))
    for node in sorted(outward.keys() | fitted.keys()):
        model, at = nodes[node].model, nodes[node].at or known.get(node)
        if model is None or at is None:
            continue
        inputs = tuple(edge for edge in outward[node] if edge.relation in _INPUTS)
        match kind_of(node):
            case "run":
                yield _Job(node, model, "training", at, inputs, tuple(fitted[node]))
            case "version":
                yield _Job(node, model, "registration", at, inputs, (node,))
            case "reign":
                yield _Job(node, model, "promotion", at, inputs, (node,))


def _event(job: _Job, nodes: Mapping[str, Thing], namespace: str, kind: str) -> Event:
    event: Event = {
        "eventType": kind,
        "eventTime": canonical_time(job.at),
        "producer": PRODUCER,
        "schemaURL": SPEC,
        "run": {"runId": run_uuid(job.node)},
        "job": {"namespace": namespace, "name": f"{job.model}.{job.kind}"},
    }
    if kind == "START":
        return event
    engine = _engine(nodes[job.node])
    if engine is not None:
        event["run"]["facets"] = {"processing_engine": engine}
    event["job"]["facets"] = {
        "jobType": _facet("jobType", processingType="BATCH", integration="TILTYARD", jobType=job.kind.upper())
    }
    event["inputs"] = [_input(edge, nodes, namespace) for edge in job.inputs]
    event["outputs"] = [_dataset(node, nodes, namespace) for node in job.outputs]
    return event


def _input(edge: Edge, nodes: Mapping[str, Thing], namespace: str) -> dict[str, Any]:
    made = _dataset(edge.target, nodes, namespace)
    if "name" in edge.facts:
        said = _facet("documentation", description=edge.facts["name"])
        made["facets"] = {**made["facets"], "documentation": said}
    if "rows" in edge.facts:
        made["inputFacets"] = {"inputStatistics": _facet("inputStatistics", rowCount=edge.facts["rows"])}
    return made


def _dataset(node: str, nodes: Mapping[str, Thing], namespace: str) -> dict[str, Any]:
    """A node as a data set; of a reign it is the champion that it made."""
    thing, version = nodes[node], key_of(node)
    match thing.kind:
        case "version" if thing.model is not None:
            name = f"models/{thing.model}/versions/{thing.facts.get('version', version)}"
        case "policy" if thing.model is not None:
            name = f"models/{thing.model}/policies/{thing.facts.get('policy', version)}"
        case "reign":
            name, version = f"models/{thing.model}/champion", version.rpartition("/")[2]
        case kind:
            name = f"{kind}s/{version}"
    return {
        "namespace": namespace,
        "name": name,
        "facets": {"version": _facet("version", datasetVersion=version)},
    }


def _engine(thing: Thing) -> dict[str, Any] | None:
    """The framework that fitted the model, where its version is known."""
    name, _, version = str(thing.facts.get("framework") or "").rpartition(" ")
    return _facet("processing_engine", name=name, version=version) if name else None


def _facet(of: str, /, **members: Any) -> dict[str, Any]:
    return {"_producer": PRODUCER, "_schemaURL": _SCHEMAS[of], **members}
