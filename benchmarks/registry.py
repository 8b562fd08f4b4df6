"""Registry: calls and CPU of get-by-alias and promotion, and fifty promotions at once.

CPU is that of the calling thread against a stub of DynamoDB in another process,
which answers every read with the same bytes: what is compared is Tiltyard's
read (call and decoding into records) with the bare boto3 call, and nothing of a
database is in either. Calls are counted by botocore's own events and races are run
on the embedded AWS over HTTP.

Nothing here is random, so the seed changes nothing. The peer's figures are quoted,
not measured by this benchmark: MLflow on SQLite needs 9 SQL statements for
get-by-alias and 14 to set an alias, which is the nearest that it has to a promotion.
"""

from __future__ import annotations

import json
import multiprocessing
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import boto3

from benchmarks.report import Figure, Report, best_cpu_us, options
from chalicelib.aws.attributes import to_attributes
from chalicelib.aws.dynamo import DynamoLineage
from chalicelib.lineage import items, tables
from chalicelib.lineage.pseudonyms import KeyedPseudonyms
from chalicelib.lineage.records import (
    Alias,
    Append,
    Attempt,
    Blob,
    Change,
    Edge,
    Model,
    Pointer,
    Put,
    Reign,
    Target,
    Version,
)
from tiltyard.errors import LostRace
from tiltyard.local import emulator

TABLE = "lineage"
FILES = ("model.onnx", "signature.json", "profile.json", "parity.json", "manifest.json")
START = datetime(2026, 1, 1, tzinfo=UTC)
CALLERS = 50
PSEUDONYMS = KeyedPseudonyms(bytes(32))
ACTOR = PSEUDONYMS.actor("engineer")


def target(number: int) -> Target:
    """A version as its pointer holds it, with digests of real length."""
    files = {name: Blob(f"{number:032x}{place:032x}", 100_000 + place) for place, name in enumerate(FILES)}
    return Target(number, f"{number:064x}", files, memory_bytes=3_000_000)


def version(number: int) -> Version:
    held = target(number)
    return Version("delays", number, held.digest, "candidate", held.files, START, ACTOR)


def attempt(at: datetime) -> Attempt:
    return Attempt(ACTOR, "engineer", "engineer", at, request_id="benchmark")


def promotion(head: Model, pointer: Pointer, chosen: Version, *, reason: str) -> Change:
    """All that a promotion writes: pointer, version, reign, edge, audit entry, texts."""
    generation = pointer.revision + 1
    started_at = START + timedelta(seconds=generation)
    reign = Reign(
        head.name,
        started_at,
        generation,
        chosen.number,
        chosen.digest,
        ACTOR,
        PSEUDONYMS.commitment(reason),
        "promote",
    )
    return Change(
        head,
        attempt(started_at),
        action="version.promote",
        object=chosen.digest,
        before=None if pointer.champion is None else pointer.champion.digest,
        after=chosen.digest,
        writes=(
            Put(replace(pointer, champion=target(chosen.number), started_at=started_at)),
            Put(replace(chosen, stage="champion")),
            Append(reign),
        ),
        edges=(Edge(f"reign:{head.name}/{generation}", "of", f"version:{chosen.digest}"),),
        reason=reason,
    )


def client_of(url: str) -> Any:
    return boto3.client(
        "dynamodb",
        endpoint_url=url,
        region_name=emulator.REGION,
        aws_access_key_id=emulator.ACCESS_KEY,
        aws_secret_access_key=emulator.ACCESS_KEY,
    )


def answer_forever(port: Connection, answers: dict[str, bytes]) -> None:
    """A stub of DynamoDB: the answer to a request is chosen by its operation and sort key."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Headers and body are two writes; without this the second waits for an acknowledgement.
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            wanted = (
                "batch" if "RequestItems" in request else request.get("Key", {}).get("sk", {}).get("S", "")
            )
            content = answers.get(wanted, b"{}")
            self.send_response(200)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Thousands of requests are no news."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    port.send(server.server_port)
    server.serve_forever()


@contextmanager
def stub(answers: dict[str, bytes]) -> Iterator[str]:
    """The URL of a stub in a process of its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=answer_forever, args=(there, answers), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        process.terminate()
        process.join()


@contextmanager
def embedded_aws() -> Iterator[Any]:
    """A client of the embedded AWS with an empty lineage table."""
    with tempfile.TemporaryDirectory() as folder:
        port = emulator.free_port()
        process = emulator.start(Path(folder), port)
        try:
            client = client_of(emulator.endpoint(port))
            client.create_table(TableName=TABLE, **tables.lineage_schema())
            client.get_waiter("table_exists").wait(TableName=TABLE, WaiterConfig={"Delay": 1})
            yield client
        finally:
            emulator.stop(process)


def measure_cpu(report: Report, *, number: int) -> None:
    pointer = Pointer("delays", "airport", target(1), START, revision=1)
    alias = Alias("delays", "airport", "nightly", target(1), revision=1)
    pointed, aliased = to_attributes(items.pointer_item(pointer)), to_attributes(items.alias_item(alias))
    answers = {
        "POINTER": json.dumps({"Item": pointed}).encode(),
        "batch": json.dumps({"Responses": {TABLE: [pointed, aliased]}, "UnprocessedKeys": {}}).encode(),
    }
    head = Model("delays", "airport", "binary", "engineer", START, revision=1, changes=1, versions=1)
    change = promotion(head, pointer, replace(version(1), revision=1), reason="it is better")
    with stub(answers) as url:
        client = client_of(url)
        lineage = DynamoLineage(client, TABLE, PSEUDONYMS)
        key = {"pk": {"S": "MODEL#delays"}, "sk": {"S": "POINTER"}}
        # Each read has an equal bare one: the same request through the same client.
        both: Any = {
            TABLE: {"Keys": [key, {"pk": key["pk"], "sk": {"S": "ALIAS#nightly"}}], "ConsistentRead": True}
        }
        if lineage.pointer("delays") != pointer or lineage.led_alias("delays", "nightly") != (pointer, alias):
            raise SystemExit("the stub's answers aren't read as what was put there")
        reads = best_cpu_us(
            {
                "bare": lambda: client.get_item(TableName=TABLE, Key=key, ConsistentRead=True),
                "pointer": lambda: lineage.pointer("delays"),
                "bare alias": lambda: client.batch_get_item(RequestItems=both),
                "alias": lambda: lineage.led_alias("delays", "nightly"),
            },
            number=number,
        )
        writes = best_cpu_us(
            {
                "bare": bare_transaction(client, change),
                "commit": lambda: lineage.commit(change),
            },
            number=max(1, number // 4),
        )
    for name, bare, ours in (("champion", "bare", "pointer"), ("alias", "bare alias", "alias")):
        report.add(
            Figure(
                f"{name}_read_cpu_ratio",
                reads[ours] / reads[bare],
                "x",
                at_most=1.15,
                note=f"{reads[ours]:.0f} us; bare request {reads[bare]:.0f} us; best of 5 x {number}",
            )
        )
    report.add(
        Figure(
            "promote_cpu_ratio",
            writes["commit"] / writes["bare"],
            "x",
            note=f"{writes['commit']:.0f} us; the same bare request {writes['bare']:.0f} us; not judged",
        )
    )


class Recorded:
    """Stands in for a client to keep the request that a commit makes."""

    def transact_write_items(self, **request: Any) -> None:
        self.request = request


def bare_transaction(client: Any, change: Change) -> Any:
    """The request of the same commit, made beforehand and sent by boto3 alone."""
    recorded: Any = Recorded()
    DynamoLineage(recorded, TABLE, PSEUDONYMS).commit(change)
    request = recorded.request
    return lambda: client.transact_write_items(**request)


def measure_calls_and_races(report: Report, *, generations: int) -> None:
    with embedded_aws() as client:
        calls: Counter[str] = Counter()
        lineage = DynamoLineage(client, TABLE, PSEUDONYMS)
        head = lineage.commit(
            Change(
                Model("delays", "airport", "binary", "engineer", START, versions=2),
                attempt(START),
                action="model.create",
                object="delays",
                before=None,
                after=None,
                writes=(Put(Pointer("delays", "airport")), Put(version(1)), Put(version(2))),
            )
        )
        lineage.commit(
            Change(
                head,
                attempt(START),
                action="alias.set",
                object="nightly",
                before=None,
                after=None,
                writes=(Put(Alias("delays", "airport", "nightly", target(1))),),
            )
        )
        change = next_promotion(lineage, 1, reason="the first")
        client.meta.events.register("before-call.dynamodb.*", lambda model, **_: calls.update([model.name]))
        add_calls(report, calls, lineage, change)
        races = Counter(race(lineage) for _ in range(generations))
        reigns = timeline(lineage)
    winners = races[(1, CALLERS - 1)]
    report.add(
        Figure(
            "generations_with_one_winner",
            winners / generations,
            at_least=1,
            note=f"{generations} generations, {CALLERS} callers at once; every loser gets LostRace",
        )
    )
    report.add(
        Figure(
            "timeline_gaps",
            sum(later - earlier != 1 for earlier, later in pairwise(reigns))
            + abs(len(reigns) - generations - 1),
            equals=0,
            note="generations missing or double in the timeline afterwards",
        )
    )


def add_calls(report: Report, calls: Counter[str], lineage: DynamoLineage, change: Change) -> None:
    for name, call, expected, peer in (
        ("champion_read_calls", lambda: lineage.pointer("delays"), "GetItem", {"MLflow's SQL": 9}),
        (
            "alias_read_calls",
            lambda: lineage.led_alias("delays", "nightly"),
            "BatchGetItem",
            {"MLflow's SQL": 9},
        ),
        ("promote_calls", lambda: lineage.commit(change), "TransactWriteItems", {"MLflow's SQL": 14}),
    ):
        calls.clear()
        call()
        if set(calls) != {expected}:
            raise SystemExit(f"{name}: expected {expected} alone, saw {dict(calls)}")
        report.add(Figure(name, calls.total(), equals=1, peers=peer, note=expected))


def next_promotion(lineage: DynamoLineage, number: int, *, reason: str) -> Change:
    head, pointer = lineage.model("delays"), lineage.pointer("delays")
    chosen = lineage.version("delays", number)
    if head is None or pointer is None or chosen is None:
        raise SystemExit("the embedded AWS lost the model")
    return promotion(head, pointer, chosen, reason=reason)


def race(lineage: DynamoLineage) -> tuple[int, int]:
    """Fifty callers promote at once from the same state: how many won, how many lost by `LostRace`."""
    change = next_promotion(lineage, 1, reason="race")
    outcomes: Counter[str] = Counter()
    together, lock = threading.Barrier(CALLERS), threading.Lock()

    def promote() -> None:
        together.wait()
        try:
            lineage.commit(change)
            outcome = "won"
        except LostRace:
            outcome = "lost"
        with lock:
            outcomes[outcome] += 1

    threads = [threading.Thread(target=promote) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes["won"], outcomes["lost"]


def timeline(lineage: DynamoLineage) -> list[int]:
    """Generations in the order of their reigns."""
    found: list[int] = []
    cursor = None
    while True:
        page = lineage.reigns("delays", limit=200, cursor=cursor)
        found.extend(reign.generation for reign in page.items)
        cursor = page.next
        if cursor is None:
            return found[::-1]


def main() -> int:
    chosen = options(__doc__ or "")
    report = Report("registry", chosen)
    measure_calls_and_races(report, generations=5 if chosen.quick else 100)
    measure_cpu(report, number=300 if chosen.quick else 2000)
    return report.finish()


if __name__ == "__main__":
    raise SystemExit(main())
