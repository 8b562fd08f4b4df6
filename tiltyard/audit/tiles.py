"""A log as files: C2SP tlog-tiles (https://c2sp.org/tlog-tiles), tiles of height 8.

A tile holds up to 256 hashes of one row of the tree: tile (level, index) those of
the nodes ``(8 * level, index * 256 + 0…255)``. Full tiles never change. The tile
at the right edge of each row is partial, and its width is part of its path, so a
file once written never changes either. Entry bundles hold the entries themselves
in the same groups of 256.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence

from tiltyard.audit import merkle
from tiltyard.audit.merkle import HASH_BYTES
from tiltyard.errors import IntegrityError

HEIGHT = 8
WIDTH = 1 << HEIGHT
"""Hashes of a full tile, and entries of a full bundle."""
MAX_LEVEL = 63
MAX_ENTRY_BYTES = 0xFFFF

Read = Callable[[str], bytes | None]
"""The bytes at a path, None when there are none."""

_LENGTH = struct.Struct(">H")
_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9]\d?)/(?P<index>(?:x\d{3}/)*\d{3})(?:\.p/(?P<width>[1-9]\d{0,2}))?"
)


def tile_path(level: int, index: int, width: int = WIDTH) -> str:
    """``tile/<level>/<index>``, with ``.p/<width>`` when partial: ``tile/0/x001/067.p/5``.

    Raises `IntegrityError` for a level, index or width that no log has.
    """
    if not 0 <= level <= MAX_LEVEL:
        raise IntegrityError(f"tiles have levels 0 to {MAX_LEVEL}, not {level}")
    return _path(str(level), index, width)


def entries_path(index: int, width: int = WIDTH) -> str:
    """``tile/entries/<index>``, with ``.p/<width>`` when partial."""
    return _path("entries", index, width)


def parse_path(path: str) -> tuple[int | None, int, int]:
    """Level (None: a bundle of entries), index and width of a path.

    Raises `IntegrityError` unless it is the path of a tile or bundle.
    """
    found = _PATH.fullmatch(path)
    if found is None:
        raise IntegrityError(f"{path!r} is no path of a tile")
    level = None if found["level"] == "entries" else int(found["level"])
    index = int(found["index"].replace("x", "").replace("/", ""))
    width = int(found["width"] or WIDTH)
    if path != (entries_path(index, width) if level is None else tile_path(level, index, width)):
        raise IntegrityError(f"{path!r} is no path of a tile")
    return level, index, width


def encode_entries(entries: Sequence[bytes]) -> bytes:
    """Each entry behind its length in two bytes, big-endian.

    Raises `IntegrityError` for an entry above 65,535 bytes.
    """
    for entry in entries:
        if len(entry) > MAX_ENTRY_BYTES:
            raise IntegrityError(f"an entry of {len(entry)} bytes doesn't fit a bundle")
    return b"".join(_LENGTH.pack(len(entry)) + entry for entry in entries)


def decode_entries(bundle: bytes) -> list[bytes]:
    """The entries of a bundle.

    Raises `IntegrityError` when it ends within one or holds more than 256.
    """
    entries, at = [], 0
    while at < len(bundle):
        body = at + _LENGTH.size
        if body > len(bundle):
            raise IntegrityError("a bundle of entries ends within a length")
        (length,) = _LENGTH.unpack_from(bundle, at)
        at = body + length
        if at > len(bundle):
            raise IntegrityError("a bundle of entries ends within an entry")
        entries.append(bundle[body:at])
    if len(entries) > WIDTH:
        raise IntegrityError(f"a bundle holds {len(entries)} entries, more than {WIDTH}")
    return entries


class Tiles:
    """A log of `size` entries, read from its tiles; each is read once.

    Raises
    ------
    IntegrityError
        From every method, when a tile is missing or has another length than its
        place in the log asks for.
    """

    def __init__(self, read: Read, size: int) -> None:
        if size < 0:
            raise IntegrityError(f"a log can't have {size} entries")
        self.size = size
        self._read = read
        self._tiles: dict[tuple[int, int], bytes] = {}

    @property
    def reads(self) -> int:
        """How many tiles were read."""
        return len(self._tiles)

    def leaf_hash(self, index: int) -> bytes:
        """The hash of entry `index`."""
        if not 0 <= index < self.size:
            raise IntegrityError(f"a log of {self.size} entries has no entry {index}")
        return self.node(0, index)

    def node(self, level: int, index: int) -> bytes:
        """The root of the perfect subtree over the 2^level entries from ``index * 2^level`` on."""
        if level < 0 or index < 0 or (index + 1) << level > self.size:
            raise IntegrityError(f"a log of {self.size} entries has no node {index} at level {level}")
        row, height = divmod(level, HEIGHT)
        place, first = divmod(index << height, WIDTH)
        hashes = self._hashes(row, place)
        wanted = hashes[first * HASH_BYTES : (first + (1 << height)) * HASH_BYTES]
        return merkle.root(wanted[at : at + HASH_BYTES] for at in range(0, len(wanted), HASH_BYTES))

    def inclusion_proof(self, index: int) -> list[bytes]:
        return merkle.inclusion_proof(index, self.size, self.node)

    def consistency_proof(self, old_size: int) -> list[bytes]:
        """The proof that this log begins with the one of `old_size` entries."""
        return merkle.consistency_proof(old_size, self.size, self.node)

    def root(self, size: int | None = None) -> bytes:
        """The root of the log, or of its first `size` entries."""
        return merkle.range_root(0, self.size if size is None else size, self.node)

    def _hashes(self, row: int, place: int) -> bytes:
        found = self._tiles.get((row, place))
        if found is None:
            width = min(WIDTH, (self.size >> HEIGHT * row) - place * WIDTH)
            found = self._tiles[row, place] = read_tile(self._read, row, place, width)
        return found


def grown(size: int, leaf_hashes: Sequence[bytes], read: Read) -> dict[str, bytes]:
    """The tiles to write when `leaf_hashes` are appended to a log of `size` entries, by path.

    Those that become full, and the partial one at the right edge of each row
    that grew. `read` gives the old partial tiles.

    Raises `IntegrityError` when one of those is missing or too short.
    """
    tiles: dict[str, bytes] = {}
    fresh, row, before = list(leaf_hashes), 0, size
    while fresh:
        place, width = divmod(before, WIDTH)
        held = read_tile(read, row, place, width) if width else b""
        hashes = [*_split(held), *fresh]
        above: list[bytes] = []
        for start in range(0, len(hashes), WIDTH):
            part = hashes[start : start + WIDTH]
            tiles[tile_path(row, place + start // WIDTH, len(part))] = b"".join(part)
            if len(part) == WIDTH:
                above.append(merkle.root(part))
        fresh, row, before = above, row + 1, before >> HEIGHT
    return tiles


def grown_entries(size: int, entries: Sequence[bytes], read: Read) -> dict[str, bytes]:
    """The bundles to write when `entries` are appended to a log of `size` entries, by path.

    Raises `IntegrityError` when the old partial bundle is missing or too short.
    """
    place, width = divmod(size, WIDTH)
    held = bundle_entries(read, place, width) if width else []
    gathered = [*held, *entries]
    bundles = {}
    for start in range(0, len(gathered) if entries else 0, WIDTH):
        part = gathered[start : start + WIDTH]
        bundles[entries_path(place + start // WIDTH, len(part))] = encode_entries(part)
    return bundles


def bundle_entries(read: Read, index: int, width: int) -> list[bytes]:
    """The first `width` entries of bundle `index`; the full bundle does where the partial one is gone.

    Raises `IntegrityError` when neither is there or there are fewer.
    """
    path = entries_path(index, width)
    bundle = read(path)
    if bundle is None and width < WIDTH:
        bundle = read(entries_path(index))
        entries = None if bundle is None else decode_entries(bundle)[:width]
    else:
        entries = None if bundle is None else decode_entries(bundle)
    if entries is None:
        raise IntegrityError(f"the log has no {path}")
    if len(entries) != width:
        raise IntegrityError(f"{path} holds {len(entries)} entries in place of {width}")
    return entries


def read_tile(read: Read, row: int, place: int, width: int) -> bytes:
    """The first `width` hashes of a tile; the full tile does where the partial one is gone.

    Raises `IntegrityError` when neither is there or it has another length.
    """
    path = tile_path(row, place, width)
    tile = read(path)
    if tile is None and width < WIDTH:
        tile = read(tile_path(row, place))
        if tile is not None and len(tile) == WIDTH * HASH_BYTES:
            tile = tile[: width * HASH_BYTES]
    if tile is None:
        raise IntegrityError(f"the log has no {path}")
    if len(tile) != width * HASH_BYTES:
        raise IntegrityError(f"{path} has {len(tile)} bytes in place of {width * HASH_BYTES}")
    return tile


def _split(tile: bytes) -> list[bytes]:
    return [tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)]


def _path(kind: str, index: int, width: int) -> str:
    if index < 0 or not 1 <= width <= WIDTH:
        raise IntegrityError(f"a log has no tile {index} of width {width}")
    digits = str(index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    name = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    return f"tile/{kind}/{name}" + ("" if width == WIDTH else f".p/{width}")
