from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from bundles import logistic_bundle
from lineage_examples import NOON, PSEUDONYMS, attempt_at, new_model

from chalicelib.lineage.memory import MemoryLineage
from chalicelib.lineage.records import (
    Alias,
    Blob,
    Change,
    Examination,
    Model,
    Pointer,
    PolicyCopy,
    Put,
    Target,
    Version,
)
from chalicelib.serving import telemetry
from chalicelib.serving.body import PredictBody
from chalicelib.serving.pointers import Name
from chalicelib.serving.service import Predictor, Resolved
from tiltyard.errors import ArtifactMissing, InvalidRows, NotFound, NotReady
from tiltyard.runtime.bundle import Bundle
from tiltyard.runtime.model import ServedModel

ROWS = [{"a": 1.0, "b": 2.0}, {"a": 20.0, "b": -3.0}]


class Files:
    """Artifacts in memory."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}

    def add(self, bundle: Bundle) -> dict[str, Blob]:
        manifest = bundle.manifest
        for name, entry in manifest["files"].items():
            self.content[entry["sha256"]] = bundle.files[name]
        return {name: Blob(e["sha256"], e["size"]) for name, e in manifest["files"].items()}

    def read(self, sha256: str, *, limit: int) -> bytes:
        if sha256 not in self.content:
            raise ArtifactMissing(f"{sha256} was never uploaded.")
        return self.content[sha256]


class Sent:
    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def send(self, body: str) -> None:
        self.records.append(telemetry.decode(body))

    def write(self, key: str, content: bytes) -> None:
        raise AssertionError("nothing here is too large for the queue")


class Stage:
    """One model with versions, the store that knows them, and a predictor over both."""

    def __init__(self) -> None:
        self.lineage = MemoryLineage(PSEUDONYMS)
        self.files = Files()
        self.sent = Sent()
        self.model: Model = self.lineage.commit(
            self.change(new_model("delays"), Put(Pointer("delays", "airport")))
        )
        self.predictor = Predictor(
            lineage=self.lineage,
            artifacts=self.files,  # type: ignore[arg-type]  # the one method that serving uses
            queue=self.sent,
            spool=self.sent,
            pseudonyms=lambda: PSEUDONYMS,
            interval_s=0.0,
            memory_bytes=10**9,
        )

    def change(self, model: Model, *writes: Put) -> Change:
        return Change(model, attempt_at(), action="test", object="x", before=None, after=None, writes=writes)

    def register(self, number: int, bundle: Bundle, *, stage: str = "candidate") -> Target:
        files = self.files.add(bundle)
        version = Version(
            model="delays",
            number=number,
            digest=bundle.digest,
            stage=stage,  # type: ignore[arg-type]
            files=files,
            registered_at=NOON,
            registered_by="actor",
            examination=Examination(NOON, True, (), 1000) if stage != "validating" else None,
        )
        self.model = self.lineage.commit(self.change(replace(self.model, versions=number), Put(version)))
        return Target(number, bundle.digest, files, 1000)

    def point(self, target: Target) -> None:
        pointer = self.lineage.pointer("delays")
        assert pointer is not None
        self.model = self.lineage.commit(self.change(self.model, Put(replace(pointer, champion=target))))

    def ask(self, resolved: Resolved | None, **parts: Any) -> dict[str, Any]:
        assert resolved is not None
        body = PredictBody(**{"rows": ROWS, **parts})
        return self.predictor.answer(resolved, body, request_id="r-1", now=NOON)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_the_champion_answers_and_the_record_of_it_is_sent(stage):
    bundle = logistic_bundle()
    stage.point(stage.register(1, bundle))

    answer = stage.ask(stage.predictor.resolve(Name("delays")), ids=["x", "y"])

    scores = ServedModel.open(bundle.files).predict(ROWS).scores
    assert (answer["model"], answer["version"], answer["role"]) == ("delays", 1, "champion")
    assert [p["id"] for p in answer["predictions"]] == ["x", "y"]
    assert (
        np.array([p["score"] for p in answer["predictions"]], np.float32).tobytes() == scores[:, 1].tobytes()
    )
    assert [p["value"] for p in answer["predictions"]] == ["yes" if s >= 0.5 else "no" for s in scores[:, 1]]
    assert [p["warnings"] for p in answer["predictions"]] == [[], [{"column": "a", "kind": "out_of_range"}]]
    (record,) = stage.sent.records
    assert (record["ids"], record["digest"], record["role"]) == (["x", "y"], bundle.digest, "champion")


def test_ids_are_made_when_none_are_given(stage):
    stage.point(stage.register(1, logistic_bundle()))

    answer = stage.ask(stage.predictor.resolve(Name("delays")))

    ids = [p["id"] for p in answer["predictions"]]
    assert len(set(ids)) == 2
    assert stage.sent.records[0]["ids"] == ids


def test_subjects_leave_as_pseudonyms_whether_beside_the_rows_or_in_them(stage):
    stage.point(stage.register(1, logistic_bundle(subject=True)))
    resolved = stage.predictor.resolve(Name("delays"))

    stage.ask(resolved, subjects=["jane", None])
    stage.ask(resolved, rows=[{**ROWS[0], "person": "jane"}, {**ROWS[1], "person": None}])

    beside, within = stage.sent.records
    assert beside["subjects"] == within["subjects"] == [PSEUDONYMS.subject("jane"), None]
    assert "person" not in within["columns"]


def test_a_bad_row_refuses_the_request_and_sends_nothing(stage):
    stage.point(stage.register(1, logistic_bundle()))

    with pytest.raises(InvalidRows, match="/rows/1/b: is missing"):
        stage.ask(stage.predictor.resolve(Name("delays")), rows=[ROWS[0], {"a": 1.0}])

    assert stage.sent.records == []


def test_an_alias_and_a_version_answer_in_their_own_role(stage):
    first = stage.register(1, logistic_bundle((1.0, 1.0)))
    stage.register(2, logistic_bundle((2.0, 1.0)))
    alias = Alias("delays", "airport", "pinned", first)
    stage.model = stage.lineage.commit(stage.change(stage.model, Put(alias)))

    pinned = stage.ask(stage.predictor.resolve(Name("delays", "pinned")))
    direct = stage.ask(stage.predictor.resolve_version("delays", 2))

    assert (pinned["version"], pinned["role"]) == (1, "pinned")
    assert (direct["version"], direct["role"]) == (2, "direct")


@pytest.mark.parametrize(
    "resolve",
    [
        lambda p: p.resolve(Name("unknown")),
        lambda p: p.resolve(Name("delays", "unknown")),
        lambda p: p.resolve_version("unknown", 1),
    ],
)
def test_a_name_that_nobody_has_resolves_to_nothing(stage, resolve: Callable[[Predictor], Resolved | None]):
    assert resolve(stage.predictor) is None


def test_a_model_without_a_champion_says_so(stage):
    with pytest.raises(NotFound, match="has no champion version to answer; promote one first"):
        stage.ask(stage.predictor.resolve(Name("delays")))


def test_a_version_that_is_not_there_says_so(stage):
    with pytest.raises(NotFound, match="has no such version"):
        stage.ask(stage.predictor.resolve_version("delays", 9))


@pytest.mark.parametrize("state", ["validating", "rejected", "archived"])
def test_a_version_that_did_not_pass_does_not_answer(stage, state):
    stage.register(1, logistic_bundle(), stage=state)

    with pytest.raises(NotReady, match=f"Version 1 of 'delays' is {state}"):
        stage.ask(stage.predictor.resolve_version("delays", 1))


def test_the_models_policy_goes_with_champion_alias_and_version(stage):
    target = stage.register(1, logistic_bundle())
    copy = PolicyCopy(3, "d" * 64, "{}")
    pointer = replace(stage.lineage.pointer("delays"), champion=target, policy=copy)
    alias = Alias("delays", "airport", "night", target)
    stage.model = stage.lineage.commit(stage.change(stage.model, Put(pointer), Put(alias)))

    resolved = [
        stage.predictor.resolve(Name("delays")),
        stage.predictor.resolve(Name("delays", "night")),
        stage.predictor.resolve_version("delays", 1),
    ]

    assert [found.policy for found in resolved] == [copy] * 3
    assert [found.target for found in resolved] == [target] * 3
