import hashlib
import zipfile

import pytest

from infra.dependencies import add_tree, compile_bytecode
from infra.package import PackageTooLarge, check_size, inputs_digest, unpacked_bytes


def archive_of(tree, path):
    with zipfile.ZipFile(path, "w") as archive:
        add_tree(archive, tree)
    return path


def test_equal_trees_give_equal_archives(tmp_path):
    digests = set()
    for name in ("first", "second"):
        tree = tmp_path / name
        (tree / "package").mkdir(parents=True)
        (tree / "package" / "module.py").write_text("answer = 42\n")
        compile_bytecode(tree)
        archive = archive_of(tree, tmp_path / f"{name}.zip")
        digests.add(hashlib.sha256(archive.read_bytes()).hexdigest())

    assert len(digests) == 1


def test_bytecode_is_never_checked_against_its_source(tmp_path):
    (tmp_path / "module.py").write_text("answer = 42\n")

    compile_bytecode(tmp_path)

    (compiled,) = (tmp_path / "__pycache__").iterdir()
    flags = int.from_bytes(compiled.read_bytes()[4:8], "little")
    assert flags == 0b01  # hash-based, unchecked (PEP 552)


def test_too_large_an_archive_is_refused_and_its_parts_named(tmp_path):
    tree = tmp_path / "tree"
    (tree / "small").mkdir(parents=True)
    (tree / "large").mkdir()
    (tree / "small" / "file").write_bytes(b"0" * 10)
    (tree / "large" / "file").write_bytes(b"0" * 1000)
    archive = archive_of(tree, tmp_path / "deployment.zip")

    check_size(archive, limit=1010)
    with pytest.raises(PackageTooLarge, match="large 0 MB, small 0 MB"):
        check_size(archive, limit=1009)
    assert unpacked_bytes(archive) == 1010


def test_the_digest_of_inputs_follows_their_bytes(tmp_path):
    for name in ("chalicelib", "tiltyard", "infra", ".chalice"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    for name in ("app.py", "requirements.txt"):
        (tmp_path / name).write_text(name)
    before = inputs_digest(tmp_path)
    (tmp_path / "chalicelib" / "__pycache__").mkdir()
    (tmp_path / "chalicelib" / "__pycache__" / "file.pyc").write_text("bytecode")
    (tmp_path / "tiltyard" / "cli").mkdir()
    (tmp_path / "tiltyard" / "cli" / "file").write_text("stays out of the zip")

    unchanged = inputs_digest(tmp_path)
    (tmp_path / "chalicelib" / "file").write_text("changed")

    assert unchanged == before
    assert inputs_digest(tmp_path) != before
