"""The functions' dependencies: installed by the lock, pruned to what runs, compiled, and zipped once.

The zip is kept under a digest of all that decides it, so that a change of the
service's own code doesn't pay for its 130 MB again.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from chalicelib.handlers import assets
from infra.requirements import LOCK, PROJECT, REQUIREMENTS, read_lock

CACHE = PROJECT / "build" / "dependencies"

# Amazon Linux 2023 has glibc 2.34; wheels of this platform need at most 2.28.
PLATFORM = "x86_64-manylinux_2_28"

# Where Lambda unpacks the zip: the file names in tracebacks.
TASK_ROOT = "/var/task"

# Service models of botocore that the functions use; the others are 20 MB.
BOTOCORE_MODELS = frozenset({"dynamodb", "events", "kms", "s3", "sns", "sqs", "sts"})

# Folders that no function imports.
UNUSED = (
    "bin",
    "numpy/_core/include",
    "numpy/_core/lib",
    "numpy/f2py",
    "numpy/_pyinstaller",
    "onnxruntime/backend",
    "onnxruntime/datasets",
    "onnxruntime/quantization",
    "onnxruntime/tools",
    "onnxruntime/transformers",
)
UNUSED_ANYWHERE = ("**/tests", "**/*.pyi", "**/*.pxd", "**/*.h", "**/*.a")

# What installers note down for themselves; it would make equal trees differ.
INSTALLERS_NOTES = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json")

# The earliest time a zip can hold: equal content gives equal zips.
EPOCH = (1980, 1, 1, 0, 0, 0)


def dependencies_zip() -> Path:
    """Path of the zip of all dependencies, built when it isn't there yet."""
    archive = CACHE / f"{_digest()}.zip"
    if archive.exists():
        return archive
    shutil.rmtree(CACHE, ignore_errors=True)
    tree = CACHE / "tree"
    _install(tree)
    _prune(tree)
    _add_onnx_messages(tree)
    _add_swagger_ui(tree)
    compile_bytecode(tree)
    partial = archive.with_suffix(".partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as target:
        add_tree(target, tree)
    partial.rename(archive)
    shutil.rmtree(tree)
    return archive


def _digest() -> str:
    pinned = f"{sys.version_info[:2]} {PLATFORM} {_onnx_version()} {sorted(assets.VENDORED.items())}"
    digest = hashlib.sha256(pinned.encode())
    for path in (REQUIREMENTS, Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _install(tree: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    command = [
        uv,
        "pip",
        "install",
        "--quiet",
        "--python",
        sys.executable,
        "--target",
        tree,
        "--link-mode",
        "copy",
    ]
    command += [
        "--python-platform",
        PLATFORM,
        "--only-binary",
        ":all:",
        "--require-hashes",
        "-r",
        REQUIREMENTS,
    ]
    subprocess.run(command, check=True)


def _prune(tree: Path) -> None:
    doomed = [tree / name for name in UNUSED]
    for pattern in UNUSED_ANYWHERE:
        doomed += tree.glob(pattern)
    doomed += [
        path
        for notes in tree.glob("*.dist-info")
        for path in notes.iterdir()
        if path.name in INSTALLERS_NOTES
    ]
    models = [path for path in (tree / "botocore" / "data").iterdir() if path.is_dir()]
    doomed += [path for path in models if path.name not in BOTOCORE_MODELS]
    for path in doomed:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _onnx_version() -> str:
    """The installed version of onnx, which must be the locked one."""
    installed = importlib.metadata.version("onnx")
    locked = {
        e.lines[0].split(" ")[0] for e in read_lock(LOCK.read_text(encoding="utf-8")) if e.name == "onnx"
    }
    if f"onnx=={installed}" not in locked:
        raise RuntimeError(f"onnx {installed} is installed, {' '.join(locked)} is locked: run `make setup`.")
    return installed


def _add_onnx_messages(tree: Path) -> None:
    """Of onnx only its protobuf messages: the guard reads graphs, and the whole package has 60 MB."""
    spec = importlib.util.find_spec("onnx")
    if spec is None or spec.origin is None:
        raise RuntimeError("onnx is not installed: run `make setup`.")
    package = tree / "onnx"
    package.mkdir()
    (package / "__init__.py").touch()
    shutil.copyfile(Path(spec.origin).with_name("onnx_ml_pb2.py"), package / "onnx_ml_pb2.py")


def _add_swagger_ui(tree: Path) -> None:
    """Of fastapi-swagger only Swagger UI's two files, held against their digests, and its licence."""
    package = tree / assets.VENDOR_PACKAGE
    (package / assets.VENDOR_FOLDER).mkdir(parents=True)
    (package / "__init__.py").touch()
    for name in assets.VENDORED:
        (package / assets.VENDOR_FOLDER / name).write_bytes(assets.asset(name).encode())
    (licence,) = (
        path
        for path in importlib.metadata.files("fastapi-swagger") or ()
        if path.parts[-2:] == ("licenses", "LICENSE")
    )
    shutil.copyfile(Path(licence.locate()), package / "LICENSE")


def compile_bytecode(tree: Path) -> None:
    """Compile a tree for a folder that can't be written to.

    Python never checks these files against their sources, so neither the times
    in a zip nor its unpacking can make them stale.
    """
    for cache in tree.glob("**/__pycache__"):
        shutil.rmtree(cache)
    command = [sys.executable, "-m", "compileall", "-q", "-j", "2", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([*command, "-s", tree, "-p", TASK_ROOT, tree], check=True)


def add_tree(target: zipfile.ZipFile, tree: Path) -> None:
    """Add a folder's files in the order of their names, without times and owners."""
    for path in sorted(path for path in tree.rglob("*") if path.is_file()):
        info = zipfile.ZipInfo(path.relative_to(tree).as_posix(), EPOCH)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = (0o755 if os.access(path, os.X_OK) else 0o644) << 16
        with path.open("rb") as source, target.open(info, "w") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
