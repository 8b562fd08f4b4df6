"""Names, preconditions and what of a version may be used."""

from __future__ import annotations

from dataclasses import replace

import pytest
from bundles import logistic_bundle
from lineage_examples import NOON, new_model, version_of

from chalicelib.lineage.records import Blob, Examination
from chalicelib.registry import rules
from chalicelib.registry.rules import Precondition
from tiltyard.errors import InvalidBundle, InvalidInput, NotReady, PreconditionFailed


@pytest.mark.parametrize("name", ["a", "blue-green", "a" + "0" * 62])
def test_good_alias_names(name):
    rules.check_alias_name(name)


@pytest.mark.parametrize("name", ["", "A", "1a", "a_b", "-a", "a" * 64, "a\n", "champion", "challenger"])
def test_bad_alias_names(name):
    with pytest.raises(InvalidInput):
        rules.check_alias_name(name)


@pytest.mark.parametrize(
    ("revisions", "stored", "holds"),
    [
        (None, 3, True),
        (None, None, False),
        (frozenset({3}), 3, True),
        (frozenset({2, 3}), 3, True),
        (frozenset({2}), 3, False),
        (frozenset(), 3, False),
        (frozenset({3}), None, False),
    ],
)
def test_precondition(revisions, stored, holds):
    if holds:
        Precondition(revisions).check(stored, what="it")
    else:
        with pytest.raises(PreconditionFailed):
            Precondition(revisions).check(stored, what="it")


@pytest.mark.parametrize("stage", ["candidate", "challenger", "champion", "retired"])
def test_examined_version_can_be_used(stage):
    examination = Examination(NOON, accepted=True, memory_bytes=5)
    version = replace(version_of(new_model(), 3, stage=stage), examination=examination)

    target = rules.usable(version)

    assert (target.version, target.digest, target.memory_bytes) == (3, version.digest, 5)
    assert target.files == version.files


@pytest.mark.parametrize(
    ("stage", "why"), [("validating", "examined"), ("rejected", "reasons"), ("archived", "archived")]
)
def test_other_versions_cannot(stage, why):
    examination = Examination(NOON, accepted=stage == "archived")
    version = replace(version_of(new_model(), 3, stage=stage), examination=examination)

    with pytest.raises(NotReady, match=why):
        rules.usable(version)


def test_manifest_bytes_are_the_bundles_own():
    bundle = logistic_bundle()

    assert rules.manifest_bytes(bundle.manifest, new_model()) == bundle.files["manifest.json"]


def test_manifest_of_another_task_is_refused():
    with pytest.raises(InvalidBundle, match="regression model"):
        rules.manifest_bytes(logistic_bundle().manifest, replace(new_model(), task="regression"))


def test_upload_faults_tell_missing_from_differing():
    files = {"a": Blob("0" * 64, 1), "b": Blob("1" * 64, 2), "c": Blob("2" * 64, 3)}

    missing, differing = rules.upload_faults(files, {"a": 1, "b": None, "c": 4})

    assert [fault.pointer for fault in missing] == ["/manifest/files/b"]
    assert [fault.pointer for fault in differing] == ["/manifest/files/c/size"]
