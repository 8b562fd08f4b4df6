"""A log in a folder, laid out as in the audit bucket: an exported copy, or a plain sync of the bucket."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tiltyard.audit import merkle
from tiltyard.audit.checkpoint import VerifierKey, open_note
from tiltyard.audit.tiles import (
    WIDTH,
    bundle_entries,
    grown,
    grown_entries,
    read_tile,
)
from tiltyard.audit.verification import Progress, Source
from tiltyard.errors import IntegrityError, NotFound

KEY, LATEST, CHECKPOINTS = "key", "checkpoint", "checkpoints"


class Folder:
    """A `Source` that reads a folder and nothing else."""

    def __init__(self, path: Path) -> None:
        if not (path / LATEST).is_file():
            raise NotFound(f"{path} holds no copy of a log: it has no file {LATEST!r}.")
        self._path = path

    def key(self) -> VerifierKey | None:
        """The key that was copied along. It proves nothing by itself."""
        content = self._read(KEY)
        return None if content is None else VerifierKey.parse(_text(content, KEY))

    def note(self) -> str:
        content = self._read(LATEST)
        if content is None:
            raise IntegrityError("the copy's checkpoint is gone")
        return _text(content, LATEST)

    def older_notes(self) -> Iterator[str]:
        for file in sorted((self._path / CHECKPOINTS).glob("*")):
            yield _text(file.read_bytes(), f"{CHECKPOINTS}/{file.name}")

    def entries(self, size: int) -> Iterator[tuple[bytes, bytes]]:
        for bundle in range(-(-size // WIDTH)):
            width = min(WIDTH, size - bundle * WIDTH)
            try:
                held = bundle_entries(self._read, bundle, width)
            except IntegrityError as exc:
                raise IntegrityError(f"entries {bundle * WIDTH} and on: {exc.detail}") from exc
            tile = self.tile(0, bundle, width)
            for place, entry in enumerate(held):
                yield entry, tile[place * merkle.HASH_BYTES : (place + 1) * merkle.HASH_BYTES]

    def tile(self, level: int, index: int, width: int) -> bytes:
        try:
            return read_tile(self._read, level, index, width)
        except IntegrityError as exc:
            raise IntegrityError(f"entries {index * WIDTH ** (level + 1)} and on: {exc.detail}") from exc

    def _read(self, path: str) -> bytes | None:
        file = self._path / path
        return file.read_bytes() if file.is_file() else None


def write(
    source: Source, key: VerifierKey, path: Path, *, progress: Progress = lambda read, size: None
) -> int:
    """Copy a log into a folder, and return its size; what is there already is written over.

    The checkpoint comes last: a copy that was broken off has none, or still its
    old one. Raises `IntegrityError` when the checkpoint isn't signed by `key`.
    """
    note = source.note()
    size = open_note(note, key).size
    entries, done = source.entries(size), 0

    def read(name: str) -> bytes | None:
        file = path / name
        return file.read_bytes() if file.is_file() else None

    while part := [content for content, _ in islice(entries, WIDTH)]:
        files = grown(done, [merkle.leaf_hash(content) for content in part], read)
        for name, content in (files | grown_entries(done, part, read)).items():
            _put(path / name, content)
        done += len(part)
        progress(done, size)
    for older in [*source.older_notes(), note]:
        _put(path / CHECKPOINTS / f"{open_note(older, key).size:012d}", older.encode())
    _put(path / KEY, f"{key}\n".encode())
    _put(path / LATEST, note.encode())
    return size


def _put(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(file.name + ".partial")
    partial.write_bytes(content)
    partial.replace(file)


def _text(content: bytes, name: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as exc:
        raise IntegrityError(f"{name} isn't text") from exc
