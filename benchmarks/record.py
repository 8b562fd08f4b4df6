"""Record: the transparency log's proofs, forgeries, crashes, cost and delay, and the cost of lineage.

Proofs are held against a naive second implementation, straight from RFC 9162's
definitions. Forgeries are seeded changes of a log's files, proofs and notes.
Writers and the notary run on the embedded AWS (DynamoDB and S3 over HTTP), the
delay from commit to proof on the packaged service there, at the client's side.
Lineage is counted in reads of the table, which is what it costs.
"""

from __future__ import annotations

import itertools
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from benchmarks.record_proofs import KEY, SIGNER, measure_computing, measure_forgeries, measure_proofs
from benchmarks.registry import PSEUDONYMS, START, attempt, client_of
from benchmarks.report import Figure, Report, options
from chalicelib.aws.dynamo import DynamoLineage, DynamoTable
from chalicelib.aws.log import S3Log
from chalicelib.governance.lineage import Question, of_version
from chalicelib.governance.notary import notarise
from chalicelib.lineage import tables
from chalicelib.lineage.log import TableLog
from chalicelib.lineage.memory import MemoryLineage
from chalicelib.lineage.records import Blob, Change, Edge, Model, Pointer, Put, Version
from tiltyard import Client
from tiltyard.errors import NotFound
from tiltyard.local import emulator
from tiltyard.local.checkout import package_folder
from tiltyard.local.stack import Stack


def main() -> None:
    chosen = options(__doc__.partition("\n")[0])
    report = Report("record: proofs, forgeries, writers and delay of the transparency log", chosen)
    measure_proofs(report, up_to=100 if chosen.quick else 300)
    measure_forgeries(report, chosen, times=1_000 if chosen.quick else 10_000)
    measure_computing(report, size=100_000 if chosen.quick else 1_000_000)
    measure_writers(report, writers=20 if chosen.quick else 100)
    measure_lineage(report, fewer=100 if chosen.quick else 1_000)
    measure_delay(report, times=10 if chosen.quick else 100)
    raise SystemExit(report.finish())


class LocalSigner:
    def public_key(self) -> bytes:
        return KEY.public_key

    def sign(self, message: bytes) -> bytes:
        return SIGNER.sign(message)


def measure_writers(report: Report, *, writers: int, each: int = 50) -> None:
    with tempfile.TemporaryDirectory() as folder:
        port = emulator.free_port()
        process = emulator.start(Path(folder), port)
        try:
            url = emulator.endpoint(port)
            client = client_of(url)
            client.create_table(TableName="lineage", **tables.lineage_schema())
            client.get_waiter("table_exists").wait(TableName="lineage", WaiterConfig={"Delay": 1})
            _write_at_once(report, client, _bucket(url), writers=writers, each=each)
        finally:
            emulator.stop(process)


def _bucket(url: str) -> Any:
    s3 = boto3.client(
        "s3",
        endpoint_url=url,
        region_name=emulator.REGION,
        aws_access_key_id=emulator.ACCESS_KEY,
        aws_secret_access_key=emulator.ACCESS_KEY,
        config=Config(s3={"addressing_style": "path"}),
    )
    s3.create_bucket(Bucket="audit")
    return s3


def _write_at_once(report: Report, client: Any, s3: Any, *, writers: int, each: int) -> None:
    puts: Counter[str] = Counter()
    lock, done = threading.Lock(), threading.Event()

    def count(params: dict[str, Any], **_: Any) -> None:
        written = [w["Put"]["Item"] for w in params.get("TransactItems", []) if "Put" in w]
        with lock:
            puts.update(item["kind"]["S"] for item in written)

    client.meta.events.register("provide-client-params.dynamodb.TransactWriteItems", count)
    s3.meta.events.register("before-call.s3.PutObject", lambda **_: puts.update(["file"]))
    lineage, objects = DynamoLineage(client, "lineage", PSEUDONYMS), S3Log(s3, "audit")
    log = TableLog(DynamoTable(client, "lineage"))
    made: list[str] = []

    def write(name: str) -> None:
        for number in range(each):
            model = Model(f"{name}-{number}", "airport", "binary", "ada", START)
            lineage.commit(creation(model))
            with lock:
                made.append(model.name)

    def keep_logging() -> None:
        while not done.is_set():
            notarise(log, objects, LocalSigner(), origin=KEY.name)

    notary = threading.Thread(target=keep_logging)
    threads = [threading.Thread(target=write, args=(f"w{n}",)) for n in range(writers)]
    for thread in [*threads, notary]:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    notary.join()
    notarise(log, objects, LocalSigner(), origin=KEY.name)
    expected = writers * each
    indices = {
        logged.index
        for name in made
        if (logged := lineage.change(name, 1)) is not None and logged.index is not None
    }
    report.add(
        Figure(
            "distinct_indices",
            len(indices) / expected,
            equals=1,
            note=f"{writers} writers x {each} entries, of {expected:,}",
        )
    )
    lost = expected - log.head().size
    report.add(
        Figure(
            "entries_lost_or_doubled", abs(lost), equals=0, note="the log's size less the entries committed"
        )
    )
    own = puts["audit"] + puts["log"] + puts["file"]
    marks = puts["change"] - expected
    report.add(
        Figure(
            "puts_an_entry",
            own / expected,
            at_most=1.1,
            note=f"entries {puts['audit']:,}, head {puts['log']:,}, files {puts['file']:,}; "
            f"beside them {marks:,} changes were marked with their index",
        )
    )


def creation(model: Model) -> Change[Model]:
    return Change(
        model,
        attempt(START),
        "model.create",
        f"model:{model.name}",
        None,
        None,
        writes=(Put(Pointer(model.name, model.team)),),
    )


def measure_lineage(report: Report, *, fewer: int) -> None:
    found = {}
    for versions in (fewer, fewer * 10):
        lineage = MemoryLineage(PSEUDONYMS)
        head = lineage.commit(creation(Model("delays", "airport", "binary", "ada", START)))
        for number in range(1, versions + 1):
            head = lineage.commit(registration(head, number))
        reads: list[int] = []
        for name in ("get", "get_many", "query"):
            setattr(lineage.table, name, counted(getattr(lineage.table, name), reads))
        answer = of_version(lineage, head, 7, Question(), teams=None, now=datetime.now(UTC))
        found[versions] = (len(reads), len(answer.steps))
    (few, hits), (many, _) = found.values()
    report.add(
        Figure(
            "lineage_reads_ratio",
            many / few,
            "x",
            at_most=1,
            note=f"{few} reads for {hits} edges; {fewer:,} and {fewer * 10:,} versions",
        )
    )


def counted(call: Callable[..., Any], reads: list[int]) -> Callable[..., Any]:
    def read(*arguments: Any, **more: Any) -> Any:
        reads.append(1)
        return call(*arguments, **more)

    return read


def registration(head: Model, number: int) -> Change[Model]:
    digest = f"{number:064x}"
    made = Version(head.name, number, digest, "candidate", {"model.onnx": Blob(digest, 1)}, START, "a" * 64)
    node = f"version:{digest}"
    edges = (
        Edge(node, "version-of", f"model:{head.name}", facts={"version": number}),
        Edge(node, "contains", f"blob:{digest}"),
    )
    return Change(
        head, attempt(START), "version.register", node, None, None, writes=(Put(made),), edges=edges
    )


def measure_delay(report: Report, *, times: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder), "record")
        try:
            url = stack.up(package_folder(None), variables={}).url
            token = stack.token(subject="bench", roles=["scientist", "auditor"], teams=["bench"], ttl_s=3600)
            with Client(url, token) as client:
                delays = sorted(delay(client, number) for number in range(times))
        finally:
            stack.reset()
    p99 = delays[min(times - 1, int(0.99 * times))]
    report.add(
        Figure(
            "merge_delay_p99_s",
            p99,
            "s",
            at_most=60,
            note=f"commit to verified proof, {times} changes, p50 {delays[times // 2]:.1f} s",
        )
    )


def delay(client: Client, number: int) -> float:
    client.create_model(f"model-{number}", team="bench", task="binary")
    committed = time.monotonic()
    for _ in itertools.count():
        try:
            client.verify_audit_entry((f"model-{number}", 1))
            break
        except NotFound:
            if time.monotonic() - committed > 120:
                raise
            time.sleep(0.1)
    return time.monotonic() - committed


if __name__ == "__main__":
    main()
