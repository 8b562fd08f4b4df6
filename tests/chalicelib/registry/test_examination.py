"""The examiner: what it lets in, what it refuses and why, and that it survives both."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from graphs import (
    HOSTILE,
    ROWS,
    SECRET,
    WEIGHTS,
    bundle_of,
    linear,
    linear_answers,
    model_of,
    parity_document,
    signature_of,
)
from onnx import TensorProto, helper, numpy_helper

from chalicelib.lineage.memory import MemoryLineage
from chalicelib.lineage.pseudonyms import KeyedPseudonyms
from chalicelib.lineage.records import Attempt, Blob, Change, Model, Put, Version
from chalicelib.registry import examination
from chalicelib.registry.examination import examine, message, parse_message, sweep
from chalicelib.registry.trials import Finding, TrialLimits
from tiltyard.errors import (
    ArtifactMissing,
    IntegrityError,
    LostRace,
    MalformedRequest,
    NotFound,
    PayloadTooLarge,
    Unavailable,
)
from tiltyard.runtime.bundle import MANIFEST, MODEL, PROFILE, sha256
from tiltyard.runtime.guard import reserialise

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PSEUDONYMS = KeyedPseudonyms(bytes(32))
LIMITS = TrialLimits(session_memory_bytes=1024 * 2**20, batch_rows=500)


@dataclass
class MemoryArtifacts:
    """Bytes by the digest under which somebody claims to have uploaded them."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    downloads: list[str] = field(default_factory=list)

    def size(self, sha256: str) -> int | None:
        return len(self.blobs[sha256]) if sha256 in self.blobs else None

    def read(self, sha256: str, *, limit: int) -> bytes:
        self.downloads.append(sha256)
        if sha256 not in self.blobs:
            raise ArtifactMissing(sha256)
        if len(self.blobs[sha256]) > limit:
            raise PayloadTooLarge(sha256)
        if hashlib.sha256(self.blobs[sha256]).hexdigest() != sha256:
            raise IntegrityError(f"{sha256} holds other bytes")
        return self.blobs[sha256]


@dataclass
class MemoryQueue:
    sent: list[str] = field(default_factory=list)

    def send(self, body: str) -> None:
        self.sent.append(body)


@dataclass
class Service:
    """A registry with an examiner, as far as the examiner needs one."""

    lineage: MemoryLineage = field(default_factory=lambda: MemoryLineage(PSEUDONYMS))
    artifacts: MemoryArtifacts = field(default_factory=MemoryArtifacts)
    queue: MemoryQueue = field(default_factory=MemoryQueue)

    def register(
        self, files: Mapping[str, bytes], *, at: datetime = NOON, task: str = "regression"
    ) -> Version:
        """Commit a version of ``flights`` with these files, as a registration would."""
        blobs = {name: Blob(sha256(content), len(content)) for name, content in files.items()}
        self.artifacts.blobs |= {blob.sha256: files[name] for name, blob in blobs.items()}
        head = self.lineage.model("flights") or Model("flights", "team", task, "owner", created_at=at)  # type: ignore[arg-type]
        number = head.versions + 1
        version = Version(
            "flights",
            number,
            blobs[MANIFEST].sha256,
            "validating",
            blobs,
            registered_at=at,
            registered_by="ada",
        )
        self.lineage.commit(
            Change(
                model=replace(head, versions=number),
                attempt=attempt(at),
                action="version.register",
                object=version.digest,
                before=None,
                after=None,
                writes=(Put(version),),
            )
        )
        return version

    def examine(self, version: Version, **more: object) -> Version:
        options = {"limits": LIMITS, **more}
        return examine(
            version.model,
            version.number,
            lineage=self.lineage,
            artifacts=self.artifacts,  # type: ignore[arg-type]
            pseudonyms=PSEUDONYMS,
            attempt=attempt(NOON + timedelta(minutes=1)),
            **options,  # type: ignore[arg-type]
        )

    def sweep(self, at: datetime) -> examination.Sweep:
        return sweep(lineage=self.lineage, queue=self.queue, pseudonyms=PSEUDONYMS, attempt=attempt(at))


def attempt(at: datetime) -> Attempt:
    return examination.attempt(PSEUDONYMS, at=at, request_id="request-1")


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory for temporary files, empty."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def children() -> list[str]:
    return [
        line
        for task in os.listdir("/proc/self/task")
        for line in Path(f"/proc/self/task/{task}/children").read_text().split()
    ]


def trial_never(files: Mapping[str, bytes], limits: TrialLimits) -> Finding:
    raise AssertionError("must not be tried")


def passing(memory_bytes: int = 1) -> examination.Trial:
    return lambda files, limits: Finding((), memory_bytes, "regression")


def test_honest_bundle_becomes_a_candidate_with_its_measured_size(service, scratch):
    version = service.register(bundle_of())

    examined = service.examine(version)

    assert examined == service.lineage.version("flights", 1)
    assert examined.examination is not None
    assert examined.examination.reasons == ()
    assert examined.stage == "candidate"
    assert examined.examination.accepted
    assert 0 < examined.examination.memory_bytes < 200 * 2**20
    assert not list(scratch.iterdir())
    assert not children()


def test_change_is_the_systems_and_is_audited(service):
    version = service.register(bundle_of())

    service.examine(version, trial=passing())

    pending = [item for item in service.lineage.table.dump() if item["kind"] == "audit"]
    audited = [str(item) for item in pending if "version.accept" in str(item)]
    assert len(audited) == 1
    assert PSEUDONYMS.actor("system:examiner") in audited[0]
    assert service.lineage.model("flights").changes == 2


# The others differ from these in the guard's rule alone, and have its own test.
THREATS = [
    "external data",
    "external data in an attribute",
    "endless loop",
    "nested functions",
    "ORT format",
    "contrib domain",
    "unknown domain",
    "giant initialiser",
    "ConstantOfShape of 1 TiB",
    "Tile by 2**38",
    "truncated",
    "noise",
]


@pytest.mark.parametrize("name", THREATS)
def test_hostile_graph_is_rejected_in_time_and_leaves_nothing(name, service, scratch):
    make, rule = HOSTILE[name]
    (scratch / "secret.bin").write_bytes(SECRET.tobytes())
    version = service.register(bundle_of(make()))
    start = time.monotonic()

    examined = service.examine(version)

    assert time.monotonic() - start < 10
    assert examined.stage == "rejected"
    assert any(rule in reason for reason in examined.examination.reasons)
    assert [path.name for path in scratch.iterdir()] == ["secret.bin"]
    assert not children()


def test_examiner_is_alive_after_a_hostile_graph(service):
    service.examine(service.register(bundle_of(HOSTILE["nested functions"][0]())))

    examined = service.examine(service.register(bundle_of()))

    assert examined.stage == "candidate"


def _doubled_columns() -> dict[str, bytes]:
    """A graph over three columns under a signature of two."""
    graph = model_of(
        [helper.make_node("MatMul", ["numbers", "w"], ["value"])],
        initializers=[numpy_helper.from_array(np.ones((3, 1), dtype=np.float32), "w")],
        inputs=[helper.make_tensor_value_info("numbers", TensorProto.FLOAT, [None, 3])],
    )
    return bundle_of(reserialise(graph.SerializeToString()))


def _mixes_rows() -> dict[str, bytes]:
    """Right for the batch as it stands, but each answer depends on the whole batch."""
    graph = model_of(
        [
            helper.make_node("MatMul", ["numbers", "w"], ["h"]),
            helper.make_node("ReduceMean", ["h"], ["mean"], axes=[0], keepdims=1),
            helper.make_node("Add", ["h", "mean"], ["value"]),
        ],
        initializers=[numpy_helper.from_array(WEIGHTS, "w")],
    )
    expected = np.array(linear_answers())
    expected += expected.mean()
    return bundle_of(
        reserialise(graph.SerializeToString()), parity=parity_document(expected=expected.tolist())
    )


def _outgrows_memory() -> dict[str, bytes]:
    """Harmless on one row; n rows make n x n x 64 floats."""
    graph = model_of(
        [
            helper.make_node("MatMul", ["numbers", "w"], ["h"]),
            helper.make_node("Transpose", ["h"], ["across"]),
            helper.make_node("MatMul", ["h", "across"], ["square"]),
            helper.make_node("Unsqueeze", ["square", "last"], ["cube"]),
            helper.make_node("Mul", ["cube", "many"], ["large"]),
            helper.make_node("ReduceSum", ["large", "both"], ["sum"], keepdims=0),
            helper.make_node("Unsqueeze", ["sum", "one"], ["column"]),
            helper.make_node("Add", ["h", "column"], ["value"]),
        ],
        initializers=[
            numpy_helper.from_array(WEIGHTS, "w"),
            numpy_helper.from_array(np.zeros((1, 1, 64), dtype=np.float32), "many"),
            numpy_helper.from_array(np.array([2], dtype=np.int64), "last"),
            numpy_helper.from_array(np.array([1], dtype=np.int64), "one"),
            numpy_helper.from_array(np.array([1, 2], dtype=np.int64), "both"),
        ],
    )
    return bundle_of(reserialise(graph.SerializeToString()))


def _parity(**changes: object) -> dict[str, bytes]:
    return bundle_of(parity={**parity_document(), **changes})


WRONG = {
    "bytes that are not canonical": (lambda: bundle_of(linear().SerializeToString()), "canonical"),
    "a signature of another width": (_doubled_columns, "/model.onnx/input/numbers"),
    "a signature of another task": (
        lambda: bundle_of(signature=signature_of("binary")),
        "/parity/expected",
    ),
    "parity rows that don't match": (
        lambda: _parity(expected=[[value[0] + 1] for value in linear_answers()]),
        "rows differ",
    ),
    "parity rows that break the contract": (lambda: _parity(rows=[{"a": 1.0}] * len(ROWS)), "/rows/0"),
    "answers that depend on other rows": (_mixes_rows, "alone and in a batch"),
}


@pytest.mark.parametrize("name", WRONG)
def test_bundle_that_does_not_hold_together_is_rejected(name, service, scratch):
    make, reason = WRONG[name]

    examined = service.examine(service.register(make()))

    assert examined.stage == "rejected"
    assert any(reason in told for told in examined.examination.reasons), examined.examination.reasons
    assert not list(scratch.iterdir())


def test_graph_that_outgrows_memory_at_a_full_batch_is_rejected(service):
    limits = TrialLimits(session_memory_bytes=512 * 2**20, batch_rows=5_000)

    examined = service.examine(service.register(_outgrows_memory()), limits=limits)

    assert examined.stage == "rejected"
    assert not children()


def test_model_that_does_not_fit_twice_is_rejected(service):
    version = service.register(bundle_of(), task="regression")
    limits = replace(LIMITS, session_memory_bytes=64 * 2**20)
    found = passing(memory_bytes=33 * 2**20)

    def trial(files: Mapping[str, bytes], limits: TrialLimits) -> Finding:
        from chalicelib.registry.trials import check_memory

        finding = found(files, limits)
        return replace(finding, reasons=check_memory(finding.memory_bytes, limits))

    examined = service.examine(version, limits=limits, trial=trial)

    assert examined.stage == "rejected"
    assert "at most half of a predictor's 64 MiB" in examined.examination.reasons[0]
    assert examined.examination.memory_bytes == 33 * 2**20


def test_task_of_another_kind_than_the_models_is_rejected(service):
    version = service.register(bundle_of(), task="binary")

    examined = service.examine(version, trial=passing())

    assert examined.examination.reasons == ("/manifest/task: says regression, the model is a binary model",)


def test_oversized_upload_is_refused_without_a_download(service):
    version = service.register(bundle_of())
    service.artifacts.blobs[version.files[MODEL].sha256] = bytes(65 * 2**20)

    examined = service.examine(version, trial=trial_never)

    assert examined.stage == "rejected"
    assert "the manifest says" in examined.examination.reasons[0]
    assert service.artifacts.downloads == []


def test_size_above_the_limit_is_refused_though_the_manifest_says_so(service):
    files = bundle_of()
    version = service.register(files)
    too_large = {**version.files, MODEL: Blob(version.files[MODEL].sha256, 65 * 2**20)}

    reasons = examination.check_files(replace(version, files=too_large))

    assert len(reasons) == 1
    assert "at most 67,108,864 are allowed" in reasons[0]


def test_upload_of_other_bytes_is_rejected(service):
    version = service.register(bundle_of())
    blob = version.files[MODEL]
    service.artifacts.blobs[blob.sha256] = bytes(blob.size)

    examined = service.examine(version, trial=trial_never)

    assert examined.stage == "rejected"
    assert "other bytes" in examined.examination.reasons[0]


def test_upload_that_is_gone_is_rejected(service):
    version = service.register(bundle_of())
    del service.artifacts.blobs[version.files[PROFILE].sha256]

    examined = service.examine(version, trial=trial_never)

    assert examined.examination.reasons == ("/profile.json: was never uploaded",)


def test_manifest_of_another_digest_is_rejected(service):
    version = service.register(bundle_of())

    reasons = examination.check_files(replace(version, digest="0" * 64))

    assert reasons == ("/manifest: is not the manifest that the version's digest stands for",)


def test_second_message_changes_nothing(service):
    version = service.register(bundle_of())
    first = service.examine(version, trial=passing())
    before = service.lineage.table.dump()

    second = service.examine(version, trial=trial_never)

    assert second == first
    assert service.lineage.table.dump() == before


def test_one_of_two_examiners_concludes(service):
    version = service.register(bundle_of())

    def slow(files: Mapping[str, bytes], limits: TrialLimits) -> Finding:
        service.examine(version, trial=passing(memory_bytes=5))
        return Finding(("too slow",))

    examined = service.examine(version, trial=slow)

    assert examined.stage == "candidate"
    assert examined.examination.memory_bytes == 5
    assert service.lineage.model("flights").changes == 2


def test_change_of_the_model_meanwhile_is_no_obstacle(service):
    version = service.register(bundle_of())

    def beside(files: Mapping[str, bytes], limits: TrialLimits) -> Finding:
        service.register(bundle_of(parity=parity_document(rows=ROWS[:3])))
        return Finding((), 1, "regression")

    examined = service.examine(version, trial=beside)

    assert examined.stage == "candidate"
    assert service.lineage.version("flights", 2).stage == "validating"


@pytest.mark.parametrize("error", [Unavailable("S3 is away"), ConnectionError("reset")])
def test_what_is_wrong_with_the_world_is_raised_and_changes_nothing(error, service, monkeypatch):
    version = service.register(bundle_of())
    before = service.lineage.table.dump()

    def fail(sha256: str) -> int:
        raise error

    monkeypatch.setattr(service.artifacts, "size", fail)

    with pytest.raises(type(error)):
        service.examine(version, trial=trial_never)
    assert service.lineage.table.dump() == before


def test_version_that_does_not_exist_is_not_found(service):
    with pytest.raises(NotFound, match="no version 7"):
        service.examine(replace(service.register(bundle_of()), number=7))


def test_long_reasons_are_cut_to_what_an_item_holds(service):
    version = service.register(bundle_of())

    examined = service.examine(version, trial=lambda files, limits: Finding(("x" * 9_000,) * 99))

    assert len(examined.examination.reasons) == examination.MOST_REASONS
    assert max(map(len, examined.examination.reasons)) == examination.MOST_REASON_CHARACTERS


def test_sweep_sends_again_what_is_validating_and_rejects_what_waited_an_hour(service):
    old = service.register(bundle_of(), at=NOON)
    new = service.register(bundle_of(parity=parity_document(rows=ROWS[:4])), at=NOON + timedelta(minutes=50))
    done = service.register(bundle_of(parity=parity_document(rows=ROWS[:5])), at=NOON)
    service.examine(done, trial=passing())

    swept = service.sweep(NOON + timedelta(minutes=61))

    assert swept == examination.Sweep(resent=1, rejected=1)
    assert service.queue.sent == [message("flights", new.number)]
    rejected = service.lineage.version("flights", old.number)
    assert rejected.stage == "rejected"
    assert "within 60 minutes" in rejected.examination.reasons[0]
    assert service.sweep(NOON + timedelta(minutes=62)) == examination.Sweep(resent=1, rejected=0)


def test_sweep_gives_a_retried_version_its_hour(service):
    version = service.register(bundle_of(), at=NOON)
    service.sweep(NOON + timedelta(hours=2))
    rejected = service.lineage.version("flights", version.number)
    assert rejected.stage == "rejected"
    retried = replace(rejected, stage="validating", examination=None, retried_at=NOON + timedelta(hours=3))
    head = service.lineage.model("flights")
    service.lineage.commit(
        Change(head, attempt(NOON), "version.retry", "x", None, None, writes=(Put(retried),))
    )

    soon = service.sweep(NOON + timedelta(hours=3, minutes=59))
    late = service.sweep(NOON + timedelta(hours=4, minutes=1))

    assert soon == examination.Sweep(resent=1, rejected=0)
    assert late == examination.Sweep(resent=0, rejected=1)


def test_sweep_goes_on_after_a_lost_race(service, monkeypatch):
    service.register(bundle_of(), at=NOON)
    service.register(bundle_of(parity=parity_document(rows=ROWS[:4])), at=NOON + timedelta(minutes=50))

    def lose(change: Change) -> Model:
        raise LostRace("always")

    monkeypatch.setattr(service.lineage, "commit", lose)

    assert service.sweep(NOON + timedelta(minutes=61)) == examination.Sweep(resent=1, rejected=0)


def test_message_comes_back_as_it_was():
    assert parse_message(message("flights", 3)) == ("flights", 3)


@pytest.mark.parametrize(
    "body", ["", "[]", "{}", '{"model": 1, "version": 2}', '{"model": "m", "version": true}']
)
def test_other_messages_are_malformed(body):
    with pytest.raises(MalformedRequest):
        parse_message(body)
