"""The record of the packaged service: what is committed is logged, provable, and shown as a lineage."""

from __future__ import annotations

import time

import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

from tiltyard.audit import copy
from tiltyard.audit.verification import verify
from tiltyard.client.audit import ApiLog
from tiltyard.errors import IntegrityError, NotFound

WITHIN_S = 60.0


def logged(auditor, entry):
    """The entry, once the notary has given it its place."""
    deadline = time.monotonic() + WITHIN_S
    while True:
        try:
            return auditor.verify_audit_entry(entry)
        except NotFound:
            if time.monotonic() > deadline:
                pytest.fail(f"{entry} isn't logged after {WITHIN_S:g} s")
            time.sleep(0.5)


def test_a_promotion_is_logged_proved_copied_and_shown_with_its_origin(live, tmp_path):
    pandas = pytest.importorskip("pandas")
    values, target = make_classification(600, 4, random_state=0)
    frame = pandas.DataFrame(values, columns=["a", "b", "c", "d"])
    model = LogisticRegression().fit(frame[:300], target[:300])

    with live.client("scientist", "engineer") as client:
        version = client.register(
            "recorded",
            model,
            data=frame[300:],
            target=target[300:],
            trained_on={"the first half": frame[:300]},
            team="demo",
            progress=None,
        )
        client.promote("recorded", version.version, reason="the first")
        changes = client.model("recorded").body["changes"]
        tree = client.lineage("recorded").tree(without=("contains", "version-of"))
    with live.client("auditor") as auditor:
        last = logged(auditor, ("recorded", changes))
        key = auditor.audit_checkpoint().key
        found = auditor.verify_audit(key)
        assert found.scopes["recorded"] == changes
        copy.write(ApiLog(auditor), key, tmp_path)

    assert (last.entry["action"], last.reason) == ("champion.promote", "the first")
    assert "was fitted on the first half (300 rows)" in tree
    assert "reigned:" in tree
    assert verify(copy.Folder(tmp_path), key).size >= found.size
    bundle = next((tmp_path / "tile" / "entries").rglob("*.p/*"))
    bundle.write_bytes(bundle.read_bytes().replace(b"champion.promote", b"champion.demoted"))
    with pytest.raises(IntegrityError, match="its hash isn't the one that was logged there"):
        verify(copy.Folder(tmp_path), key)
