"""Proofs and forgeries of the benchmark `record`: what needs no store."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.registry import START
from benchmarks.report import Figure, Options, Report, best_cpu_us
from tiltyard.audit import copy, merkle, tiles
from tiltyard.audit.checkpoint import Checkpoint, VerifierKey, open_note, sign
from tiltyard.audit.entry import Entry
from tiltyard.audit.verification import verify
from tiltyard.errors import IntegrityError

SIGNER = Ed25519PrivateKey.from_private_bytes(b"b" * 32)
KEY = VerifierKey("tiltyard.benchmark.audit", SIGNER.public_key().public_bytes_raw())
KNOWN_LEAVES = (
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
)
KNOWN_ROOTS = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


class Naive:
    """The tree of RFC 9162, section 2.1, by its definitions."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.leaves = leaves
        self._hashes: dict[tuple[int, int], bytes] = {}

    def hash(self, start: int, end: int) -> bytes:
        if (start, end) not in self._hashes:
            if end - start == 1:
                return self.leaves[start]
            middle = start + self.split(end - start)
            both = self.hash(start, middle) + self.hash(middle, end)
            self._hashes[start, end] = hashlib.sha256(b"\1" + both).digest()
        return self._hashes[start, end]

    def path(self, index: int, start: int, end: int) -> list[bytes]:
        if end - start == 1:
            return []
        middle = start + self.split(end - start)
        if index < middle:
            return [*self.path(index, start, middle), self.hash(middle, end)]
        return [*self.path(index, middle, end), self.hash(start, middle)]

    def proof(self, old: int, start: int, end: int, is_whole: bool = True) -> list[bytes]:
        if start + old == end:
            return [] if is_whole else [self.hash(start, end)]
        middle = start + self.split(end - start)
        if start + old <= middle:
            return [*self.proof(old, start, middle, is_whole), self.hash(middle, end)]
        return [*self.proof(start + old - middle, middle, end, False), self.hash(start, middle)]

    def node(self, level: int, index: int) -> bytes:
        return self.hash(index << level, (index + 1) << level)

    @staticmethod
    def split(size: int) -> int:
        power = 1
        while power * 2 < size:
            power *= 2
        return power


def measure_proofs(report: Report, *, up_to: int) -> None:
    known = [merkle.leaf_hash(bytes.fromhex(leaf)) for leaf in KNOWN_LEAVES]
    right = sum(merkle.root(known[:size]).hex() == root for size, root in enumerate(KNOWN_ROOTS))
    report.add(Figure("known_roots", right, equals=9, note="the 8-leaf test tree of RFC 6962, sizes 0 to 8"))
    naive, wrong, proofs = Naive([merkle.leaf_hash(b"%d" % n) for n in range(up_to)]), 0, 0
    for size in range(1, up_to + 1):
        whole = naive.hash(0, size)
        for index in range(size):
            path = merkle.inclusion_proof(index, size, naive.node)
            wrong += path != naive.path(index, 0, size)
            merkle.verify_inclusion(naive.leaves[index], index, size, path, whole)
            proof = merkle.consistency_proof(index + 1, size, naive.node)
            wrong += proof != naive.proof(index + 1, 0, size)
            merkle.verify_consistency(index + 1, size, naive.hash(0, index + 1), whole, proof)
            proofs += 2
    report.add(
        Figure(
            "proofs_unlike_naive",
            wrong,
            equals=0,
            note=f"{proofs:,} proofs, every index and pair of sizes up to {up_to}",
        )
    )


def entry(number: int) -> bytes:
    return Entry(
        id=f"0190-{number:08d}",
        time=START + timedelta(seconds=number),
        model=f"model-{number % 3}",
        change=number // 3 + 1,
        actor="a" * 64,
        role="engineer",
        action="version.register",
        object=f"version:{number}",
        before=None,
        after=None,
        reason=None,
        request_id=f"request-{number}",
    ).to_bytes()


class Files(copy.Folder):
    """A log's files in memory, read as a folder's are."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = files

    def older_notes(self) -> Iterator[str]:
        return iter(())

    def _read(self, path: str) -> bytes | None:
        return self._files.get(path)


def measure_forgeries(report: Report, chosen: Options, *, times: int) -> None:
    generator, entries = random.Random(chosen.seed), [entry(number) for number in range(600)]
    leaves = [merkle.leaf_hash(content) for content in entries]
    files = tiles.grown(0, leaves, {}.get) | tiles.grown_entries(0, entries, {}.get)
    note = sign(Checkpoint(KEY.name, 600, merkle.root(leaves)), KEY, SIGNER.sign)
    files["checkpoint"] = note.encode()
    verify(Files(files), KEY)
    log = tiles.Tiles(files.get, 600)
    accepted: Counter[str] = Counter()
    for number in range(times):
        kind = ("log", "proof", "checkpoint")[number % 3]
        try:
            if kind == "log":
                verify(Files(forged(generator, files)), KEY)
            elif kind == "checkpoint":
                open_note(flipped(generator, note.encode()).decode(), KEY)
            else:
                forged_proof(generator, log, leaves)
        except (IntegrityError, UnicodeDecodeError):
            continue
        accepted[kind] += 1
    report.add(
        Figure(
            "forgeries_accepted",
            accepted.total(),
            equals=0,
            note=f"{times:,} changes of log, proof and checkpoint",
        )
    )


def forged(generator: random.Random, files: dict[str, bytes]) -> dict[str, bytes]:
    """One change of one file: a bit, its end, two entries in each other's place, or all of it."""
    changed, name = dict(files), generator.choice(sorted(files))
    how = generator.choice(("bit", "cut", "gone", "swapped"))
    if how == "swapped":
        name = generator.choice([path for path in sorted(files) if "entries" in path])
        held = tiles.decode_entries(files[name])
        first, second = generator.sample(range(len(held)), 2)
        held[first], held[second] = held[second], held[first]
        changed[name] = tiles.encode_entries(held)
    elif how == "gone":
        del changed[name]
        if name == "checkpoint":
            changed[name] = b""
    elif how == "cut":
        changed[name] = files[name][: generator.randrange(len(files[name]))]
    else:
        changed[name] = flipped(generator, files[name])
    return changed


def forged_proof(generator: random.Random, log: tiles.Tiles, leaves: list[bytes]) -> None:
    index, root = generator.randrange(log.size), log.root()
    proof = log.inclusion_proof(index)
    place = generator.randrange(len(proof) + 2)
    leaf = leaves[index]
    if place == len(proof):
        leaf = flipped(generator, leaf)
    elif place > len(proof):
        index = (index + generator.randrange(1, log.size)) % log.size
    else:
        proof[place] = flipped(generator, proof[place])
    merkle.verify_inclusion(leaf, index, log.size, proof, root)


def flipped(generator: random.Random, content: bytes) -> bytes:
    bit = generator.randrange(8 * len(content))
    place = bit // 8
    return content[:place] + bytes([content[place] ^ 1 << bit % 8]) + content[place + 1 :]


def measure_computing(report: Report, *, size: int) -> None:
    leaf = merkle.leaf_hash(b"entry")

    def appended() -> merkle.Frontier:
        frontier = merkle.Frontier()
        for _ in range(size):
            frontier.append(leaf)
        return frontier

    cost = best_cpu_us({"append": appended}, number=1)["append"] / size
    report.add(Figure("append_us", cost, "us", at_most=5, note=f"an entry, {size:,} in memory, best of 5"))
    reads = 0
    for index in (0, 1, 123_456, 999_935, 999_999):
        log = tiles.Tiles(lambda path: bytes(32 * tiles.parse_path(path)[2]), 1_000_000)
        log.inclusion_proof(index)
        reads = max(reads, log.reads)
    report.add(
        Figure("tiles_a_proof", reads, at_most=6, note="read for an inclusion proof in 1,000,000 entries")
    )
