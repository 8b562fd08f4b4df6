"""``make package``: build/package/ with `template.json` and `deployment.zip`.

`chalice package` of a pruned copy of the project, merged with `template.yaml`
and completed by `infra.assemble`; the zip gets the dependencies and compiled
bytecode. Equal inputs give equal bytes, and aren't built twice.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from infra.assemble import assemble, load_template
from infra.dependencies import add_tree, compile_bytecode, dependencies_zip
from infra.requirements import PROJECT

BUILD = PROJECT / "build"
OUTPUT = BUILD / "package"
TEMPLATE = "template.json"
ARCHIVE = "deployment.zip"
INPUTS = "inputs.sha256"

LIMIT_BYTES = 220_000_000  # Lambda allows 250 MB (262,144,000 bytes) unpacked

SERVICE = ("app.py", "chalicelib", ".chalice")
# What of the library isn't the service's: users install it, functions don't.
CLIENT_SIDE = ("training", "cli", "local", "client", "client.py")
INPUT_PATHS = ("app.py", "chalicelib", "tiltyard", "requirements.txt", "infra", ".chalice")


class PackageTooLarge(Exception):
    """The unpacked zip is larger than `LIMIT_BYTES`."""


def package(project: Path = PROJECT, output: Path = OUTPUT) -> bool:
    """Build `output` from `project`; False when it was there already, unchanged."""
    digest = inputs_digest(project)
    stamp = output / INPUTS
    if stamp.exists() and stamp.read_text(encoding="utf-8") == digest and (output / ARCHIVE).exists():
        return False
    stage = BUILD / "stage"
    partial = output.with_name(f"{output.name}.partial")
    for folder in (stage, partial):
        shutil.rmtree(folder, ignore_errors=True)
    _copy_service(project, stage)
    _chalice_package(stage, partial)
    _write_template(partial)
    _write_archive(partial)
    (partial / INPUTS).write_text(digest, encoding="utf-8")
    shutil.rmtree(output, ignore_errors=True)
    partial.rename(output)
    shutil.rmtree(stage)
    return True


def inputs_digest(project: Path) -> str:
    """SHA-256 over the names and bytes of all that decides the package, and the Python that builds it."""
    digest = hashlib.sha256(f"{sys.version_info[:2]}".encode())
    for path in _inputs(project):
        content = path.read_bytes()
        digest.update(f"\0{path.relative_to(project).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _inputs(project: Path) -> Iterator[Path]:
    for name in INPUT_PATHS:
        root = project / name
        paths = sorted(root.rglob("*")) if root.is_dir() else [root]
        for path in paths:
            parts = path.relative_to(project).parts
            is_packaged = not (parts[0] == "tiltyard" and parts[1:2] and parts[1] in CLIENT_SIDE)
            if path.is_file() and is_packaged and not {"__pycache__", "deployments"} & set(parts):
                yield path


def _copy_service(project: Path, stage: Path) -> None:
    """The project as Chalice shall see it: without bytecode, client side and requirements (added later)."""
    ignore = shutil.ignore_patterns("__pycache__", "deployments", "venv")
    stage.mkdir(parents=True)
    for name in SERVICE:
        if (project / name).is_dir():
            shutil.copytree(project / name, stage / name, ignore=ignore)
        else:
            shutil.copyfile(project / name, stage / name)
    shutil.copytree(project / "tiltyard", stage / "vendor" / "tiltyard", ignore=ignore)
    for name in CLIENT_SIDE:
        path = stage / "vendor" / "tiltyard" / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _chalice_package(stage: Path, output: Path) -> None:
    merged = stage / "merge.json"
    merged.write_text(json.dumps(load_template(PROJECT / "infra" / "template.yaml")), encoding="utf-8")
    environment = os.environ | {
        "AWS_DEFAULT_REGION": os.environ.get("AWS_DEFAULT_REGION", "us-east-1"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(stage / "vendor"),
    }
    command = [sys.executable, "-c", "from chalice.cli import main; main()", "package"]
    command += ["--stage", "prod", "--merge-template", str(merged), str(output)]
    done = subprocess.run(command, cwd=stage, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"`chalice package` failed:\n{done.stdout}{done.stderr}")


def _write_template(output: Path) -> None:
    source = output / "sam.json"
    template = assemble(json.loads(source.read_text(encoding="utf-8")))
    (output / TEMPLATE).write_text(json.dumps(template, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    source.unlink()


def _write_archive(output: Path) -> None:
    """Chalice's zip again: dependencies first, then the service, compiled."""
    archive = output / ARCHIVE
    tree = output / "service"
    with zipfile.ZipFile(archive) as source:
        source.extractall(tree)
    compile_bytecode(tree)
    shutil.copyfile(dependencies_zip(), archive)
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED, compresslevel=6) as target:
        add_tree(target, tree)
    shutil.rmtree(tree)
    check_size(archive)


def unpacked_bytes(archive: Path) -> int:
    with zipfile.ZipFile(archive) as source:
        return sum(info.file_size for info in source.infolist())


def check_size(archive: Path, limit: int = LIMIT_BYTES) -> None:
    """Raises `PackageTooLarge`, naming the largest parts."""
    size = unpacked_bytes(archive)
    if size <= limit:
        return
    parts: dict[str, int] = {}
    with zipfile.ZipFile(archive) as source:
        for info in source.infolist():
            name = info.filename.split("/")[0]
            parts[name] = parts.get(name, 0) + info.file_size
    largest = sorted(parts.items(), key=lambda part: -part[1])[:5]
    named = ", ".join(f"{name} {part / 1e6:.0f} MB" for name, part in largest)
    raise PackageTooLarge(
        f"{archive.name} has {size / 1e6:.0f} MB unpacked, {limit / 1e6:.0f} are allowed: {named}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m infra.package", description=__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    output = parser.parse_args().output.resolve()
    built = package(output=output)
    size = unpacked_bytes(output / ARCHIVE) / 1e6
    name = output.relative_to(PROJECT) if output.is_relative_to(PROJECT) else output
    print(f"{name}: {'built' if built else 'up to date'}, {size:.0f} MB unpacked (220 allowed).")
    if sys.version_info < (3, 12):
        print(
            "Good for `tiltyard local`. For an AWS account package with Python 3.12 or newer: "
            "Lambda's 3.11 is too old (glibc 2.26) for ONNX Runtime's wheels."
        )


if __name__ == "__main__":
    main()
