"""``make demo``: the main job on real flights, on an embedded AWS on this machine.

Trains a model on January 2013, registers and promotes it, registers a second
one and swaps them under traffic. Then February to April pass on the replay clock:
3,000 flights a month are asked for, hours close, drift is judged, alerts are raised,
and a report of it opens in a browser. At last the audit log is verified, and the
champion says where it came from.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
import webbrowser
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import task
from sklearn.pipeline import Pipeline

from tiltyard import Client
from tiltyard.client import Predictions, Version
from tiltyard.errors import InvalidRows, NotFound, TiltyardError
from tiltyard.local.checkout import package_folder, stacks_folder
from tiltyard.local.stack import Stack
from tiltyard.report.drift import features
from tiltyard.report.drift import summary as drift_summary
from tiltyard.report.monitoring import monitoring_page

STACK = "demo"
MODEL = "late-flights"
TEAM = "demo"
BATCH = 1_500
FLIGHTS_A_MONTH = 3_000
LAST_MONTH, LAST_MONTH_OF_A_YEAR = 4, 12
REPORT = Path("drift.html")
SINGLES = 200
CALLERS = 3
BEFORE_S, AFTER_S, PATIENCE_S = 4.0, 4.0, 60.0
# What the parity rule allows between the estimator and its ONNX form.
ATOL = 1e-4


class Counted(httpx.HTTPTransport):
    """Counts what really went over the wire, so that a repeated call can't hide a failed one."""

    def __init__(self) -> None:
        super().__init__(retries=0)
        self.statuses: Counter[str] = Counter()
        self.latencies_ms: list[float] = []
        self._lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        started = time.perf_counter()
        try:
            response = super().handle_request(request)
            response.read()
        except httpx.HTTPError as error:
            self._count(type(error).__name__, started)
            raise
        self._count(str(response.status_code), started)
        return response

    def _count(self, outcome: str, started: float) -> None:
        with self._lock:
            self.statuses[outcome] += 1
            self.latencies_ms.append((time.perf_counter() - started) * 1000)

    @property
    def requests(self) -> int:
        return sum(self.statuses.values())

    @property
    def failed(self) -> int:
        return self.requests - sum(n for status, n in self.statuses.items() if status.startswith("2"))

    def latency(self) -> str:
        p50, p99, slowest = np.percentile(self.latencies_ms, [50, 99, 100])
        # Under 100 requests the 99th percentile is no more than the slowest one.
        tail = f"p99 {p99:,.0f} ms" if self.requests >= 100 else f"slowest {slowest:,.0f} ms"
        return f"p50 {p50:,.0f} ms, {tail}"


@dataclass
class Comparison:
    """Answers against what the estimator says of the same rows."""

    rows: int = 0
    largest: float = 0.0
    beyond: int = 0
    by_version: Counter[int] = field(default_factory=Counter)

    def add(self, score: float, expected: float, version: int) -> None:
        difference = abs(score - expected)
        self.rows += 1
        self.largest = max(self.largest, difference)
        self.beyond += difference > ATOL
        self.by_version[version] += 1

    def __str__(self) -> str:
        return (
            f"{self.rows:,} answers compared with scikit-learn's own: largest difference {self.largest:.1e}, "
            f"{self.beyond} beyond {ATOL:g}"
        )


@dataclass(frozen=True)
class Data:
    """January up to the 24th to learn from, the rest of it held out, and flights of later months."""

    training: pd.DataFrame
    held_out: pd.DataFrame
    later: dict[int, pd.DataFrame]

    @property
    def february(self) -> pd.DataFrame:
        return self.later[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--once", action="store_true", help="use a stack of its own and delete it at the end")
    parser.add_argument("--year", action="store_true", help="replay February to December")
    options = parser.parse_args()
    stack = Stack(stacks_folder(), "demo-once" if options.once else STACK)
    try:
        last_month = LAST_MONTH_OF_A_YEAR if options.year else LAST_MONTH
        run(stack, is_once=options.once, last_month=last_month)
    except TiltyardError as error:
        sys.exit(f"{error.title}: {error}")
    finally:
        if options.once:
            stack.reset()


def run(stack: Stack, *, is_once: bool, last_month: int) -> None:
    begun = time.monotonic()
    if stack.status().condition != "absent":
        say("Deleting what an earlier demonstration left")
        stack.reset()
    with step("Starting an embedded AWS on this machine and deploying the packaged service"):
        url = stack.up(package_folder(None), variables={"TILTYARD_CLOCK": "replay"}).url
    token = stack.token(subject="demo", roles=["scientist", "engineer"], teams=[TEAM], ttl_s=8 * 3600)
    admin = stack.token(subject="replay", roles=["admin"], teams=[], ttl_s=8 * 3600)
    with step("Reading the flights of 2013 and training on January 1 to 24"):
        data = read(last_month)
        first = task.fit(data.training)
    with Client(url, token) as client, Client(url, admin) as clock:
        clock.tick(midnight(2))
        with step("Registering the model with January 25 to 31, which it has not seen"):
            version_1 = register(client, first, data, "100 rounds")
        crown(client, version_1, "the first model")
        with step("Training and registering a second model"):
            second = task.fit(data.training, rounds=200, learning_rate=0.05)
            version_2 = register(client, second, data, "200 smaller steps")
        swap(url, token, client, data, {version_1.version: first, version_2.version: second}, version_2)
        serve(url, token, second, data)
        replay(client, clock, version_2, data)
        watched(client, last_month, is_once=is_once)
        say("Who answered when:")
        for reign in list(client.timeline(MODEL))[:3]:
            print(
                f"    generation {reign.generation}: "
                f"version {reign.version} since {reign.started_at:%Y-%m-%d %H:%M:%S} UTC"
            )
        auditor = stack.token(subject="auditor", roles=["auditor"], teams=[], ttl_s=3600)
        with step("Verifying the audit log, entry by entry, against its signed checkpoint"):
            verify(url, auditor, client.model(MODEL).body["changes"])
        say("Where the champion came from, and what came of it:")
        for line in client.lineage(MODEL).tree(without=("contains", "version-of")).splitlines():
            print(f"    {line}")
    say(f"Done in {time.monotonic() - begun:.0f} s.")
    if not is_once:
        print(next_commands(url))


def read(last_month: int) -> Data:
    table = task.load(months=range(1, last_month + 1))
    january = task.labelled(table[table["month"] == 1])
    later = {
        month: table[table["month"] == month].sample(FLIGHTS_A_MONTH, random_state=month).sort_values("at")
        for month in range(2, last_month + 1)
    }
    return Data(january[january["day"] <= 24], january[january["day"] > 24], later)


def midnight(month: int, day: int = 1) -> datetime:
    """In 2013 (or as 2014 begins), UTC."""
    return datetime(2013 + (month - 1) // 12, (month - 1) % 12 + 1, day, tzinfo=UTC)


def register(client: Client, model: Pipeline, data: Data, description: str) -> Version:
    # A week doesn't hold every airport and every day of a month: the contract is told what else is usual.
    known = data.training[task.FEATURES]
    return client.register(
        MODEL,
        model,
        data=data.held_out[[*task.FEATURES, "at"]],
        target=data.held_out[task.TARGET].astype(int),
        task="binary",
        time="at",
        zone="America/New_York",
        calendar=["month_day", "weekday", "weekend"],
        categories={name: sorted(known[name].unique()) for name in task.CATEGORIES},
        ranges={name: (known[name].min(), known[name].max()) for name in task.NUMBERS},
        nullable=task.MAY_BE_MISSING,
        trained_on={"January 1 to 24": data.training[[*task.FEATURES, task.TARGET]]},
        team=TEAM,
        description=description,
        progress=lambda line: print(f"    {line}"),
    )


def crown(client: Client, version: Version, reason: str) -> None:
    """Promote a version, unless it reigns already: the stack may have been used before."""
    try:
        is_champion = client.champion(MODEL).version == version.version
    except NotFound:
        is_champion = False
    if not is_champion:
        swapped = client.promote(MODEL, version.version, reason=reason)
        say(f"Version {swapped.version} is the champion, generation {swapped.generation}.")


def serve(url: str, token: str, model: Pipeline, data: Data) -> None:
    """Flights of February in batches, then some of them one by one."""
    rows = data.february
    expected = model.predict_proba(rows[task.FEATURES])[:, 1]
    compared, counted = Comparison(), Counted()
    say(f"Serving {len(rows):,} flights of February through the API, {BATCH:,} a request")
    with Client(url, token, transport=counted) as client:
        warned = 0
        started = time.monotonic()
        for start in range(0, len(rows), BATCH):
            part = rows.iloc[start : start + BATCH]
            answers = ask(client, part)
            for answer, wanted in zip(answers, expected[start : start + BATCH], strict=True):
                compared.add(float(answer.score or 0), wanted, answer.version)
                warned += bool(answer.warnings)
            rate = compared.rows / (time.monotonic() - started)
            line = f"    {compared.rows:,} of {len(rows):,} flights, {rate:,.0f} a second"
            progress(line, is_last=compared.rows == len(rows))
        report(counted, compared)
        print(f"    {warned:,} answers carry a warning: unseen, out of range, or odd")
    singles = Counted()
    with Client(url, token, transport=singles) as client:
        for number in range(SINGLES):
            ask(client, rows.iloc[[number]])
            progress(f"    {number + 1} of {SINGLES} flights one by one", is_last=number + 1 == SINGLES)
        print(f"    {singles.requests} requests, {singles.failed} failed; {singles.latency()}")
    explained(url, token, rows.iloc[[int(expected.argmax())]])
    refused(url, token, rows.iloc[[0]])


def replay(client: Client, clock: Client, version: Version, data: Data) -> None:
    """Month by month: ask for the flights, wait until they are counted, and let the weeks pass."""
    say(f"Replaying {len(data.later)} months, {FLIGHTS_A_MONTH:,} flights each, a tick a week")
    for month, rows in data.later.items():
        started = time.monotonic()
        if month > 2:  # February's flights have been asked for
            for start in range(0, len(rows), BATCH):
                ask(client, rows.iloc[start : start + BATCH])
        # What lies on the last evening in New York is the next month's in UTC.
        until = midnight(month + 1) + timedelta(days=1)
        counted(client, version, len(rows), midnight(month), until)
        counted_s, now = time.monotonic() - started, midnight(month)
        while now < midnight(month + 1):
            now = min(now + timedelta(days=7), midnight(month + 1))
            # Hours close 15 minutes after their end.
            clock.tick(now + timedelta(minutes=20))
            progress(
                f"    {now:%Y-%m-%d}: {len(rows):,} flights counted after {counted_s:.1f} s, "
                f"{(now - midnight(month)).days} days passed after {time.monotonic() - started:.1f} s",
                is_last=now == midnight(month + 1),
            )


def counted(client: Client, version: Version, rows: int, start: datetime, end: datetime) -> None:
    """Wait until telemetry has counted these flights, by whichever version they were answered."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = sum(
            window["rows"]
            for number in range(1, version.version + 1)
            for window in client.quality(MODEL, start=start, end=end, version=number).windows
        )
        if found >= rows:
            return
        if time.monotonic() > deadline:
            raise SystemExit(
                f"Only {found:,} of {rows:,} flights were counted; `tiltyard local logs` may say why."
            )
        time.sleep(0.2)


def watched(client: Client, last_month: int, *, is_once: bool) -> None:
    """What the watch found, and the report of it."""
    say("What the watch raised:")
    raised = [*client.alerts(MODEL), *client.alerts(MODEL, state="resolved")]
    for alert in sorted(raised, key=lambda alert: alert.opened_at):
        subjects = ", ".join(sorted(alert.subjects))
        print(
            f"    {alert.opened_at:%Y-%m-%d %H:%M} {alert.severity} {alert.kind}: {subjects} ({alert.state})"
        )
    if not raised:
        print("    nothing")
    start, end = midnight(2), midnight(last_month + 1)
    drift = client.drift(MODEL, start=start, end=end, step="week")
    quality = client.quality(MODEL, start=start, end=end, step="week")
    of = features(drift.body)
    say(drift_summary(of, drift.windows, "week"))
    for feature in of[:8]:
        effect = "–" if feature.effect is None else f"{feature.effect:.2f}"
        print(f"    {feature.name:<40} {feature.state:<14} effect {effect}")
    REPORT.write_text(
        monitoring_page(drift.body, quality.body, written_at=datetime.now(UTC)), encoding="utf-8"
    )
    print(f"    the whole report: {REPORT.resolve()}")
    if not is_once:
        # Without a browser this does nothing.
        webbrowser.open(REPORT.resolve().as_uri())


def explained(url: str, token: str, row: pd.DataFrame) -> None:
    """How sure the model is of one flight, and which columns made the answer."""
    with Client(url, token) as client:
        (answer,) = client.predict(MODEL, row[task.FEATURES], explain=True)
    assert answer.explanation is not None
    shares = answer.explanation["values"]
    most = sorted(shares, key=lambda name: -abs(shares[name]))[:3]
    told = ", ".join(f"{name} {shares[name]:+.2f}" for name in most)
    left = " or ".join("late" if label == "1" else "on time" for label in answer.set or ())
    print(f"    the likeliest to be late: {answer.score:.0%}; at the 90% level it is {left or 'neither'}")
    print(f"    because of {told} (log-odds, of {answer.explanation['base']:+.2f} for a usual flight)")


def ask(client: Client, rows: pd.DataFrame) -> Predictions:
    return client.predict(
        MODEL, rows[task.FEATURES], ids=rows["id"].tolist(), at=rows["at"].dt.to_pydatetime().tolist()
    )


def refused(url: str, token: str, row: pd.DataFrame) -> None:
    """What the contract does with a row that it doesn't allow."""
    with Client(url, token) as client:
        try:
            ask(client, row.assign(distance=None))
        except InvalidRows as error:
            fault = error.faults[0]
            print(f"    a flight without its distance is refused: {fault.pointer} {fault.detail}")


def swap(url: str, token: str, client: Client, data: Data, models: dict[int, Pipeline], to: Version) -> None:
    """Promote while callers call, and hold every answer against the model that it says it is of."""
    rows = data.february.iloc[: 50 * CALLERS]
    expected = {v: m.predict_proba(rows[task.FEATURES])[:, 1] for v, m in models.items()}
    compared, counted, errors = Comparison(), Counted(), list[str]()
    seen, done, lock = threading.Event(), threading.Event(), threading.Lock()

    def call(caller: Client, number: int) -> None:
        while not done.is_set():
            try:
                (answer,) = ask(caller, rows.iloc[[number]])
            except TiltyardError as error:
                with lock:
                    errors.append(str(error))
                continue
            with lock:
                compared.add(float(answer.score or 0), expected[answer.version][number], answer.version)
            if answer.version == to.version:
                seen.set()
            number = (number + CALLERS) % len(rows)

    say(f"Swapping to version {to.version} while {CALLERS} callers ask one flight at a time")
    with Client(url, token, transport=counted) as caller:
        threads = [threading.Thread(target=call, args=(caller, n), daemon=True) for n in range(CALLERS)]
        for thread in threads:
            thread.start()
        time.sleep(BEFORE_S)
        promoted = time.monotonic()
        crown(client, to, "smaller steps, a little better")
        was_seen = seen.wait(PATIENCE_S)
        waited = time.monotonic() - promoted
        time.sleep(AFTER_S)
        done.set()
        for thread in threads:
            thread.join(PATIENCE_S)
    report(counted, compared)
    for error in sorted(set(errors)):
        print(f"    failed: {error}")
    print(
        f"    the new version answered {waited:.1f} s after the promotion was asked for"
        if was_seen
        else f"    the new version gave no answer within {PATIENCE_S:g} s"
    )
    if errors or counted.failed or compared.beyond or not was_seen:
        raise SystemExit("The swap was not clean; `tiltyard local logs` may say why.")


def verify(url: str, token: str, changes: int) -> None:
    """Wait until the model's last change has its place in the log, and check the whole log."""
    deadline = time.monotonic() + PATIENCE_S
    with Client(url, token) as auditor:
        while True:
            try:
                last = auditor.verify_audit_entry((MODEL, changes))
                break
            except NotFound:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)
        found = auditor.verify_audit(auditor.audit_checkpoint().key)
    for check in found.checks:
        print(f"    ok: {check}")
    print(
        f"    {found.size} entries; the last change is {last.entry['action']} by {last.actor}: {last.reason}"
    )


def report(counted: Counted, compared: Comparison) -> None:
    versions = ", ".join(f"version {v}: {n:,}" for v, n in sorted(compared.by_version.items()))
    print(f"    {counted.requests:,} requests, {counted.failed} failed; {counted.latency()}")
    print(f"    answered by {versions}")
    print(f"    {compared}")


def next_commands(url: str) -> str:
    token = f".venv/bin/tiltyard local token --name {STACK} --role scientist --role engineer --team {TEAM}"
    return "\n".join(
        [
            "",
            f"The stack stays up at {url}",
            "Try next:",
            f"  export TILTYARD_URL={url}",
            f"  export TILTYARD_TOKEN=$({token})",
            f"  .venv/bin/tiltyard champion timeline {MODEL}",
            f"  .venv/bin/tiltyard version show {MODEL}/1",
            f"  .venv/bin/tiltyard drift show {MODEL} --from 2013-02-01 --to 2013-05-01 --step week",
            f"  .venv/bin/tiltyard alert list --model {MODEL}",
            f"  .venv/bin/tiltyard audit list --model {MODEL}",
            f"  .venv/bin/tiltyard champion rollback {MODEL} --reason 'trying it out'",
            "  .venv/bin/python examples/quickstart.py",
            f"  .venv/bin/tiltyard local down --name {STACK}",
        ]
    )


@contextmanager
def step(title: str) -> Iterator[None]:
    say(title)
    started = time.monotonic()
    yield
    print(f"    {time.monotonic() - started:.1f} s")


def say(line: str) -> None:
    print(f"\n» {line}", flush=True)


def progress(line: str, *, is_last: bool) -> None:
    """A line that is written over on a terminal; a log gets only its last state."""
    if sys.stdout.isatty():
        print(f"\r{line}", end="\n" if is_last else "", flush=True)
    elif is_last:
        print(line, flush=True)


if __name__ == "__main__":
    main()
