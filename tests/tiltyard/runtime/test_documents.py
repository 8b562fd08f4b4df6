"""A bundle's documents: each thing that is wrong is told with its place."""

from __future__ import annotations

from typing import Any

import pytest
from graphs import ROWS, bundle_of, linear_answers, parity_document, profile, signature_of

from tiltyard.errors import InvalidBundle
from tiltyard.runtime.bundle import MANIFEST, MODEL, PARITY, PROFILE, REFERENCE, SIGNATURE, canonical
from tiltyard.runtime.documents import check, read_parity
from tiltyard.runtime.reference import bare


def pointers(files: dict[str, bytes]) -> set[str]:
    with pytest.raises(InvalidBundle) as refusal:
        check(files)
    return {fault.pointer for fault in refusal.value.faults}


def of_profile(**changes: Any) -> dict[str, bytes]:
    return bundle_of(parts={PROFILE: canonical({**profile(), **changes})})


def of_column(**changes: Any) -> dict[str, bytes]:
    column = {**profile()["columns"]["a"], **changes}
    return of_profile(columns={"a": column})


def of_together(**changes: Any) -> dict[str, bytes]:
    return of_profile(together={**TOGETHER, **changes})


NUMBER = {"kind": "number", "edges": [0, 1], "counts": [9], "missing": 0, "below": 0, "above": 0}
TOGETHER = {
    "columns": ["a", "b"], "fill": [1, 2], "mean": [1, 2], "scale": [1, 2], "variances": [1.5, 0],
    "axes": [[0.6, 0.8], [0.8, -0.6]], "kept": 1, "reconstruction": NUMBER, "mahalanobis": NUMBER,
}  # fmt: skip


def of_parity(**changes: Any) -> dict[str, bytes]:
    return bundle_of(parity={**parity_document(), **changes})


def test_honest_bundle_gives_its_signature():
    assert check(bundle_of()) == signature_of()


def test_columns_together_are_taken_where_they_hold_together():
    assert check(of_together()) == signature_of()


def test_parity_rows_come_with_the_estimators_answers():
    examples = read_parity(canonical(parity_document()))

    assert list(examples.rows) == ROWS
    assert examples.expected.tolist() == linear_answers()


@pytest.mark.parametrize("name", [SIGNATURE, PROFILE, REFERENCE, PARITY, MANIFEST])
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\xff", id="no UTF-8"),
        pytest.param(b"{", id="cut off"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"1", id="a number"),
        pytest.param(b"[" * 100_000, id="a bomb"),
        pytest.param(b'{"format":NaN}', id="NaN"),
        pytest.param(b'{"format": 1}', id="a space"),
        pytest.param(b'{"a":1,"a":1}', id="a key twice"),
        pytest.param(b'{"a":"\\ud800"}', id="half a surrogate"),
        pytest.param(b'{"a":' + b"9" * 5_000 + b"}", id="a number of 5,000 digits"),
    ],
)
def test_what_is_no_canonical_json_object_is_refused(name, content):
    files = bundle_of() | {name: content} if name == MANIFEST else bundle_of(parts={name: content})

    assert pointers(files) == {f"/{name.removesuffix('.json')}"}


@pytest.mark.parametrize(
    ("files", "pointer"),
    [
        (of_profile(format=2), "/profile/format"),
        (of_profile(rows=0), "/profile/rows"),
        (of_profile(together=None), "/profile/together"),
        (of_together(columns=["a"]), "/profile/together/columns"),
        (of_together(columns=["a", "a"]), "/profile/together/columns"),
        (of_together(columns=["a", "z"]), "/profile/together/columns"),
        (of_together(columns=["a", ["b"]]), "/profile/together/columns"),
        (of_together(fill=[1]), "/profile/together/fill"),
        (of_together(mean=["1", 2]), "/profile/together/mean"),
        (of_together(scale=[1, 0]), "/profile/together/scale"),
        (of_together(variances=[1, -1]), "/profile/together/variances"),
        (of_together(axes=[[1, 0]]), "/profile/together/axes"),
        (of_together(axes=[[1, 0], [0]]), "/profile/together/axes"),
        (of_together(axes=[[1, 0], [0, 1e300]]), "/profile/together/axes"),
        (of_together(kept=0), "/profile/together/kept"),
        (of_together(kept=2), "/profile/together/kept"),
        (of_together(kept=True), "/profile/together/kept"),
        (of_together(mahalanobis=None), "/profile/together/mahalanobis/kind"),
        (of_together(reconstruction={**NUMBER, "edges": [1, 0]}), "/profile/together/reconstruction/edges"),
        (of_profile(rows=True), "/profile/rows"),
        (of_profile(columns=[]), "/profile/columns"),
        (of_profile(score=None), "/profile/score"),
        (of_profile(columns={"z/z": {}}), "/profile/columns/z~1z"),
        (of_column(kind="text"), "/profile/columns/a/kind"),
        (of_column(counts=[-1]), "/profile/columns/a/counts"),
        (of_column(counts=[1.5]), "/profile/columns/a/counts"),
        (of_column(counts=[1, 2, 3]), "/profile/columns/a/counts"),
        (of_column(missing=None), "/profile/columns/a/missing"),
        (of_column(edges=[2, 1]), "/profile/columns/a/edges"),
        (of_column(edges=["x"]), "/profile/columns/a/edges"),
        (of_column(kind="category", other=0, levels=["x"], counts=[1, 2]), "/profile/columns/a/counts"),
        (of_column(kind="category", other=0, levels=[1], counts=[1]), "/profile/columns/a/levels"),
        (of_parity(format=2), "/parity/format"),
        (of_parity(rule={"atol": 1}), "/parity/rule"),
        (of_parity(rule=parity_document(atol=1.0)["rule"]), "/parity/rule/atol"),
        (of_parity(rule=parity_document(max_label_share=1.0)["rule"]), "/parity/rule/max_label_share"),
        (of_parity(rows=[], expected=[]), "/parity/rows"),
        (of_parity(rows=ROWS * 13, expected=linear_answers() * 13), "/parity/rows"),
        (of_parity(rows=["a"] * 20), "/parity/rows"),
        (of_parity(expected=linear_answers()[1:]), "/parity/expected"),
        (of_parity(expected=[[True]] * 20), "/parity/expected"),
        (of_parity(expected=[[1.0]] * 19 + [[]]), "/parity/expected"),
        (of_parity(expected=[[0.5, 0.5]] * 20), "/parity/expected"),
        (bundle_of(parts={SIGNATURE: b"{}"}), "/signature/format"),
        ({**bundle_of(), MODEL: b"other"}, "/manifest/files"),
        (
            {**bundle_of(), MANIFEST: canonical({"format": 1, "task": "binary", "files": {}})},
            "/manifest/files",
        ),
    ],
)
def test_each_fault_is_told_with_its_place(files, pointer):
    assert pointers(files) == {pointer}


def test_tasks_of_manifest_and_signature_must_agree():
    files = bundle_of()
    manifest = files[MANIFEST].replace(b'"regression"', b'"multiclass"')

    assert pointers({**files, MANIFEST: manifest}) == {"/manifest/task"}


def test_background_rows_are_ones_that_a_caller_may_send():
    files = bundle_of(parts={REFERENCE: canonical(bare([{"a": 1.0, "b": "x"}]))})

    assert pointers(files) == {"/reference/background/rows/0/b"}
