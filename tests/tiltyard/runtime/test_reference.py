"""``reference.json`` is served, so each thing that is wrong with it is found before."""

from __future__ import annotations

import copy

import pytest
from bundles import two_numbers

from tiltyard.errors import InvalidBundle
from tiltyard.runtime.reference import MOST_SCORES, Reference, bare

TABLE = {"edges": [0, 1], "left": [2, 1, 0], "right": [0, 1, 2], "is_left": False}
HONEST = {
    **bare([{"a": 1, "b": 2}]),
    "conformal": {"scores": [0, 0.5]},
    "anomaly": {
        "columns": ["a", "b"],
        "ecod": [TABLE, TABLE],
        "mahalanobis": {"mean": [0, 0], "rows": [[1], [0, 1]]},
        "calibration": {"ecod": [0, 1, 1], "mahalanobis": [0, 2]},
    },
}


def test_an_honest_document_is_read():
    reference = Reference.from_json(HONEST, two_numbers())

    assert reference.conformal == [0, 0.5]
    assert reference.anomaly is not None
    assert reference.anomaly.columns == ("a", "b")
    assert Reference.from_json(bare([{"a": 1, "b": 2}]), two_numbers()).anomaly is None


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("format", 2),
        ("rows", -1),
        ("rows", True),
        ("conformal/scores", [1, 0]),
        ("conformal/scores", ["x"]),
        ("conformal/scores", [True]),
        ("conformal/scores", [float("nan")]),
        ("conformal/scores", [float("inf")]),
        ("conformal/scores", [10**400]),
        ("conformal/scores", [0] * (MOST_SCORES + 1)),
        ("anomaly/columns", ["a", "a"]),
        ("anomaly/columns", ["a", "z"]),
        ("anomaly/columns", []),
        ("anomaly/ecod", [TABLE]),
        ("anomaly/ecod/0", {**TABLE, "edges": [1, 1]}),
        ("anomaly/ecod/0", {**TABLE, "edges": list(range(66)), "left": [0] * 67, "right": [0] * 67}),
        ("anomaly/ecod/0", {**TABLE, "left": [0]}),
        ("anomaly/ecod/0", {**TABLE, "right": [0, 0, -1]}),
        ("anomaly/ecod/0", {**TABLE, "is_left": 1}),
        ("anomaly/mahalanobis", {"mean": [0], "rows": [[1], [0, 1]]}),
        ("anomaly/mahalanobis/rows", [[1], [0]]),
        ("anomaly/calibration/ecod", [2, 1]),
        ("background/rows", []),
        ("background/rows", [1]),
        ("background/rows", [{}] * 101),
        ("background/drawn", "at will"),
        ("background/seed", None),
    ],
)
def test_what_is_wrong_is_told_with_its_place(path, value):
    document = copy.deepcopy(HONEST)
    *parents, key = path.split("/")
    place = document
    for parent in parents:
        place = place[int(parent)] if isinstance(place, list) else place[parent]
    place[int(key) if isinstance(place, list) else key] = value

    with pytest.raises(InvalidBundle) as refused:
        Reference.from_json(document, two_numbers())

    assert refused.value.faults[0].pointer.startswith("/reference/" + path.split("/")[0])


@pytest.mark.parametrize("content", [b"[]", b"{", b"[" * 100_000, b'{"format": 1}'])
def test_what_is_no_document_at_all_is_refused(content):
    with pytest.raises(InvalidBundle):
        Reference.read(content, two_numbers())
