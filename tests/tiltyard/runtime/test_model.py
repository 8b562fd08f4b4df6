from __future__ import annotations

import numpy as np
import pytest
from bundles import linear, logistic, logistic_bundle, signature_of, two_numbers

from tiltyard.contract.signature import Column
from tiltyard.errors import IntegrityError, InvalidBundle
from tiltyard.runtime.bundle import MODEL, Bundle, check_manifest
from tiltyard.runtime.identifiers import uuid7s
from tiltyard.runtime.model import ServedModel, open_session
from tiltyard.runtime.parity import ParityRule, compare


def test_every_batch_size_answers_in_the_same_bits():
    served = ServedModel.open(logistic_bundle().files)
    rng = np.random.default_rng(0)
    rows = [{"a": float(a), "b": float(b)} for a, b in rng.normal(size=(500, 2)).astype(np.float32)]

    whole = served.predict(rows).scores

    for size in (1, 3, 8, 9, 50):
        parts = [served.predict(rows[i : i + size]).scores for i in range(0, len(rows), size)]
        assert np.concatenate(parts).tobytes() == whole.tobytes()


def test_the_decision_is_taken_at_the_threshold_of_the_signature():
    signature = signature_of([Column("a", "number")], threshold=0.9, classes=("stay", "go"))
    served = ServedModel(signature, open_session(logistic([1.0])))

    answers = served.predict([{"a": 2.0}, {"a": 3.0}])

    assert answers.values == ["stay", "go"]


def test_a_regression_answers_with_its_value():
    signature = signature_of([Column("a", "number")], task="regression", classes=(), threshold=None)

    answers = ServedModel(signature, open_session(linear([2.0], 1.0))).predict([{"a": 3.0}])

    assert answers.values == [7.0]


def test_a_graph_that_does_not_fit_its_signature_is_refused():
    signature = signature_of([Column("a", "number")])

    with pytest.raises(InvalidBundle, match=r"/model.onnx/input/numbers.*\(n, 1\)"):
        ServedModel(signature, open_session(logistic([1.0, 2.0])))


def test_bytes_that_are_no_graph_are_refused():
    with pytest.raises(InvalidBundle, match="ONNX Runtime refuses the graph"):
        open_session(b"\x08\x01nothing")


def test_a_bundle_names_the_file_that_was_changed():
    bundle = logistic_bundle()
    changed = Bundle({**bundle.files, MODEL: bundle.files[MODEL] + b"\0"})

    bundle.verify()
    with pytest.raises(IntegrityError, match=r"model\.onnx"):
        changed.verify()


def test_the_same_parts_have_the_same_digest_and_others_another():
    assert logistic_bundle((1.0, 2.0)).digest == logistic_bundle((1.0, 2.0)).digest
    assert logistic_bundle((1.0, 2.0)).digest != logistic_bundle((1.0, 3.0)).digest


def test_a_manifest_is_refused_with_every_place_that_is_wrong():
    manifest = logistic_bundle().manifest
    manifest["format"] = 9
    manifest["files"][MODEL] = {"sha256": "ABC", "size": 0}

    with pytest.raises(InvalidBundle) as refused:
        check_manifest(manifest)

    assert [f.pointer for f in refused.value.faults] == [
        "/manifest/format",
        "/manifest/files/model.onnx/sha256",
        "/manifest/files/model.onnx/size",
    ]


def test_parity_counts_rows_labels_and_what_is_no_number():
    expected = np.column_stack([np.full(1000, 0.4), np.full(1000, 0.6)])
    actual = expected.copy()
    actual[0] = [0.6, 0.4]
    actual[1] = [0.4, np.nan]

    report = compare(expected, actual, task="binary", threshold=0.5, rule=ParityRule())

    assert not report.passed
    assert report.row_share == report.label_share == 0.002
    assert len(report.reasons) == 3


def test_a_regression_is_compared_in_its_own_spread():
    expected = np.linspace(0, 1e6, 1000).reshape(-1, 1)
    near, far = expected + 1.0, expected + 100.0

    assert compare(expected, near, task="regression", threshold=None, rule=ParityRule()).passed
    assert not compare(expected, far, task="regression", threshold=None, rule=ParityRule()).passed


def test_ids_are_version_7_sort_by_time_and_never_repeat():
    earlier, later = uuid7s(1000, unix_ms=1_700_000_000_000), uuid7s(1000, unix_ms=1_700_000_000_001)

    assert all(i[14] == "7" and i[19] in "89ab" and len(i) == 36 for i in earlier)
    assert max(earlier) < min(later)
    assert len({*earlier, *later}) == 2000


def test_two_numbers_is_a_contract_that_reads_its_own_json():
    signature = two_numbers(subject=True)

    assert type(signature).from_json(signature.to_json()) == signature
