import re

import pytest

from infra.requirements import LOCK, REQUIREMENTS, ROOTS, closure, derive, read_lock

A_LOCK = """\
boto==1 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via
    #   chalice
    #   tiltyard (pyproject.toml)
core==2 ; python_version < '3.12' \\
    --hash=sha256:cc
    # via boto
core==3 ; python_version >= '3.12' \\
    --hash=sha256:dd
    # via boto
other==4 \\
    --hash=sha256:ee
    # via chalice
"""


def test_requirements_are_derived_from_the_lock():
    assert REQUIREMENTS.read_text() == derive(LOCK.read_text())


def test_every_requirement_is_pinned_and_hashed():
    for entry in read_lock(derive(LOCK.read_text()).partition("\n")[2]):
        assert re.match(r"[a-z0-9._-]+==[0-9]", entry.lines[0])
        assert any("--hash=sha256:" in line for line in entry.lines)


@pytest.mark.parametrize("path", [LOCK, REQUIREMENTS])
def test_no_file_names_an_index(path):
    lines = path.read_text().splitlines()

    assert not [line for line in lines if "index" in line or "://" in line]


def test_roots_come_with_what_they_need_and_nothing_else():
    entries = read_lock(A_LOCK)

    assert closure(entries, ["boto"]) == {"boto", "core"}
    assert [entry.name for entry in entries] == ["boto", "core", "core", "other"]


def test_training_libraries_stay_out():
    names = {entry.name for entry in read_lock(REQUIREMENTS.read_text().partition("\n")[2])}

    assert set(ROOTS) <= names
    assert names.isdisjoint({"scikit-learn", "pandas", "onnx", "skl2onnx", "scipy", "chalice", "pip"})


def test_a_lock_without_a_root_is_refused():
    with pytest.raises(LookupError, match="run `make lock`"):
        derive(A_LOCK)
