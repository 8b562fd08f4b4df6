"""A log in a folder, and every way in which somebody might change it."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tiltyard.audit.checkpoint import Checkpoint, VerifierKey, sign
from tiltyard.audit.entry import Entry
from tiltyard.audit.merkle import Frontier, leaf_hash
from tiltyard.audit.tiles import (
    decode_entries,
    encode_entries,
    entries_path,
    grown,
    grown_entries,
    tile_path,
)

SIGNER = Ed25519PrivateKey.from_private_bytes(b"a" * 32)
KEY = VerifierKey("tiltyard.test.audit", SIGNER.public_key().public_bytes_raw())
START = datetime(2026, 3, 1, tzinfo=UTC)


def entry(number, change=None, model=None, action="version.register"):
    return Entry(
        id=f"0190-{number:08d}",
        time=START + timedelta(seconds=number),
        model=model or f"model-{number % 3}",
        change=change or number // 3 + 1,
        actor="a" * 64,
        role="scientist",
        action=action,
        object=f"version:{number}",
        before=None,
        after=None,
        reason=None,
        request_id=f"request-{number}",
    ).to_bytes()


def note_of(entries, *, signer=SIGNER, key=KEY):
    frontier = Frontier()
    for content in entries:
        frontier.append(leaf_hash(content))
    return sign(Checkpoint(key.name, frontier.size, frontier.root()), key, signer.sign)


def files_of(entries, *, step=37):
    """The log's files, as a notary leaves them that came every `step` entries."""
    files: dict[str, bytes] = {"key": f"{KEY}\n".encode()}
    for start in range(0, len(entries), step):
        part = entries[start : start + step]
        files |= grown(start, [leaf_hash(content) for content in part], files.get)
        files |= grown_entries(start, part, files.get)
        note = note_of(entries[: start + len(part)]).encode()
        files[f"checkpoints/{start + len(part):012d}"] = files["checkpoint"] = note
    return files


def save(files, folder: Path):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def load(folder: Path):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Tamperer:
    """Random changes of a log's files, seeded; each one leaves a log that isn't the one that was signed."""

    def __init__(self, entries, seed):
        self.entries = entries
        self.files = files_of(entries)
        self.random = random.Random(seed)
        self.used = self._used()

    def _used(self):
        """The files that the log of today is read from (older partial ones are left-overs)."""
        size = len(self.entries)
        places = range(-(-size // 256))
        widths = [min(256, size - 256 * place) for place in places]
        bundles = [entries_path(place, width) for place, width in zip(places, widths, strict=True)]
        tiles = [tile_path(0, place, width) for place, width in zip(places, widths, strict=True)]
        above = [tile_path(1, 0, size // 256)] if size >= 256 else []
        notes = [name for name in self.files if name.startswith("checkpoint")]
        return {"bundle": bundles, "tile": tiles + above, "note": notes}

    def changed(self):
        """A changed copy of the files, and what was done."""
        how = self.random.choice(
            ["bit in entries", "bit in tiles", "bit in a checkpoint", "cut", "gone", "swapped", "left out"]
        )
        files = dict(self.files)
        if how in {"swapped", "left out"}:
            name = self.random.choice(self.used["bundle"])
            held = decode_entries(files[name])
            first, second = self.random.sample(range(len(held)), 2)
            if how == "swapped":
                held[first], held[second] = held[second], held[first]
            else:
                del held[first]
            files[name] = encode_entries(held)
            return files, f"{how}: {name}"
        kind = {"bit in entries": "bundle", "bit in tiles": "tile", "bit in a checkpoint": "note"}.get(how)
        name = self.random.choice(self.used[kind or self.random.choice(["bundle", "tile"])])
        if how == "gone":
            del files[name]
        elif how == "cut":
            files[name] = files[name][: self.random.randrange(len(files[name]))]
        else:
            files[name] = flipped(self.random, files[name])
        return files, f"{how}: {name}"


def flipped(generator, content):
    bit = generator.randrange(8 * len(content))
    place = bit // 8
    return content[:place] + bytes([content[place] ^ 1 << bit % 8]) + content[place + 1 :]
