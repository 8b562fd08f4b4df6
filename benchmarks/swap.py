"""Swaps under steady load: the packaged service on an embedded AWS, through HTTP.

Five versions with different, known answers take turns as champion while callers
keep asking. (With two, a container that is a swap behind would seem to be ahead.)
A swap counts once an answer of the new version is seen; an answer is mixed when
its score isn't, bit for bit, that of the version that it names.
First at a pointer interval of .1 s (1,000 swaps), then at the shipped 2 s (50).
At last the predictor's processes are stopped (SIGSTOP) for 60 s across a swap:
their next answer must be the new version's.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy and scikit-learn load

import httpx
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from benchmarks.report import Figure, Report, options
from tiltyard import Client
from tiltyard.local.checkout import package_folder
from tiltyard.local.stack import Stack

MODEL, TEAM = "swap", "bench"
ROW = {"height": 0.25, "width": -0.5}
VERSIONS = 5
CALLERS = 2
PAUSE_S = 0.05
"""Between a caller's calls; each container is called far more often than every 5 s."""
SWAP_PAUSE_S = 0.25
"""From the sight of one swap to the next: back to back, the promotions themselves would be the load."""
SEEN_WITHIN_S = 10.0
PHASE_LIMIT_S = 1200.0
STOPPED_S = 60.0
FAST_INTERVAL_S = 0.1
PROGRESS_S = 10.0
FEWEST_FOR_P99 = 1000
"""Answers; of fewer than that the p99 is one of the ten slowest, and a matter of chance."""


@dataclass(frozen=True)
class Answer:
    started: float
    ended: float
    version: int | None
    score: float | None
    failure: str | None = None


class Load:
    """Callers that ask for one row, again and again, until they are stopped."""

    def __init__(self, url: str, token: str) -> None:
        self.answers: list[Answer] = []
        self._url = f"{url}/v1/models/{MODEL}/predict"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._done = threading.Event()
        self._came = threading.Condition()
        self._threads = [threading.Thread(target=self._call) for _ in range(CALLERS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(60)

    def wait_for(self, version: int, *, after: int) -> bool:
        """Whether an answer of `version` came, counted from the `after`-th on, within `SEEN_WITHIN_S`."""
        deadline = time.monotonic() + SEEN_WITHIN_S
        with self._came:
            while True:
                if any(answer.version == version for answer in self.answers[after:]):
                    return True
                after = len(self.answers)
                if not self._came.wait(deadline - time.monotonic()):
                    return False

    def _call(self) -> None:
        with httpx.Client(headers=self._headers, timeout=30.0) as http:
            while not self._done.is_set():
                answer = ask(http, self._url)
                with self._came:
                    self.answers.append(answer)
                    self._came.notify_all()
                self._done.wait(PAUSE_S)


def ask(http: httpx.Client, url: str) -> Answer:
    started = time.monotonic()
    try:
        response = http.post(url, json={"rows": [ROW]})
        ended = time.monotonic()
        if response.status_code != 200:
            return Answer(started, ended, None, None, f"{response.status_code}: {response.text[:200]}")
        found = response.json()
        return Answer(started, ended, found["version"], found["predictions"][0]["score"])
    except (httpx.HTTPError, ValueError, LookupError) as exc:
        return Answer(started, time.monotonic(), None, None, f"{type(exc).__name__}: {exc}")


def main() -> None:
    chosen = options(__doc__.partition("\n")[0])
    report = Report("swap: 1,000 swaps under steady load", chosen)
    package = package_folder(None)
    with stack() as live:
        _say("deploying at a pointer interval of .1 s")
        live.up(package, variables={"TILTYARD_POINTER_INTERVAL_S": str(FAST_INTERVAL_S)})
        scores = register(live, chosen.seed)
        swaps, steady_s = (40, 20.0) if chosen.quick else (1000, 60.0)
        measure(report, live, scores, "fast", swaps=swaps, wanted=1000, steady_s=steady_s)
        _say("deploying at the shipped pointer interval of 2 s")
        live.up(package, variables={})
        warm_up(live)
        swaps, steady_s = (8, 10.0) if chosen.quick else (50, 60.0)
        measure(report, live, scores, "shipped", swaps=swaps, wanted=50, steady_s=steady_s)
        stopped(report, live, scores)
    raise SystemExit(report.finish())


@contextmanager
def stack() -> Iterator[Stack]:
    """A stack of its own, deleted at the end."""
    with tempfile.TemporaryDirectory() as folder:
        own = Stack(Path(folder), "swap")
        try:
            yield own
        finally:
            own.reset()


def token(live: Stack) -> str:
    roles = ["caller", "scientist", "engineer"]
    return live.token(subject="bench", roles=roles, teams=[TEAM], ttl_s=86_400)


def client(live: Stack) -> Client:
    return Client(url(live), token(live))


def url(live: Stack) -> str:
    found = live.status().url
    assert found is not None
    return found


def register(live: Stack, seed: int) -> dict[int, float]:
    """Register the versions; the score of `ROW` by version, in the very bits of the service.

    Raises `RuntimeError` when a score isn't the estimator's own, or two are the same.
    """
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"height": rng.normal(size=800), "width": rng.normal(size=800)})
    scores = {}
    with client(live) as engineer, httpx.Client(headers={"Authorization": f"Bearer {token(live)}"}) as http:
        for angle in np.linspace(0, np.pi, VERSIONS, endpoint=False):
            labels = (np.cos(angle) * frame["height"] + np.sin(angle) * frame["width"] > 0).astype(int)
            model = LogisticRegression().fit(frame[:400], labels[:400])
            registered = engineer.register(
                MODEL, model, data=frame[400:], target=labels[400:], team=TEAM, progress=None
            )
            engineer.promote(MODEL, registered.version, reason="to see its answer")
            found = eventually(http, live, registered.version)
            own = float(model.predict_proba(pd.DataFrame([ROW]))[0, 1])
            if found.score is None or abs(found.score - own) > 1e-4:
                raise RuntimeError(f"version {registered.version} answers {found}, its estimator {own}")
            scores[registered.version] = found.score
    if len(set(scores.values())) != VERSIONS:
        raise RuntimeError(f"the versions can't be told apart: {scores}")
    return scores


def eventually(http: httpx.Client, live: Stack, version: int) -> Answer:
    deadline = time.monotonic() + 30
    while True:
        found = ask(http, f"{url(live)}/v1/models/{MODEL}/predict")
        if found.version == version or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def warm_up(live: Stack) -> None:
    """A few answers of the functions that were deployed anew; the first ones are cold starts."""
    with Load(url(live), token(live)):
        time.sleep(5)


def measure(
    report: Report,
    live: Stack,
    scores: Mapping[int, float],
    name: str,
    *,
    swaps: int,
    wanted: int,
    steady_s: float,
) -> None:
    """Steady load, `swaps` swaps under it, steady load again."""
    versions = itertools.cycle(sorted(scores))
    first = next(versions)
    waits, unseen = [], 0
    with client(live) as engineer, Load(url(live), token(live)) as load:
        if engineer.champion(MODEL).version != first:
            engineer.promote(MODEL, first, reason="where the benchmark begins")
        load.wait_for(first, after=0)
        _say(f"{name}: steady load for {steady_s / 2:.0f} s, then {swaps} swaps")
        time.sleep(2)  # the callers' first calls start functions
        marks = [len(load.answers)]
        time.sleep(steady_s / 2)
        marks.append(len(load.answers))
        deadline = time.monotonic() + PHASE_LIMIT_S
        said = time.monotonic()
        for version in itertools.islice(versions, swaps):
            if time.monotonic() > deadline:
                break
            before, started = len(load.answers), time.monotonic()
            engineer.promote(MODEL, version, reason="the benchmark's next swap")
            if load.wait_for(version, after=before):
                waits.append(time.monotonic() - started)
            else:
                unseen += 1
            if time.monotonic() - said > PROGRESS_S:
                said = time.monotonic()
                _say(f"{name}: {len(waits)} of {swaps} swaps seen, {unseen} unseen")
            time.sleep(SWAP_PAUSE_S)
        marks.append(len(load.answers))
        time.sleep(steady_s / 2)
    steady = load.answers[marks[0] : marks[1]] + load.answers[marks[2] :]
    during = load.answers[marks[1] : marks[2]]
    _add(report, name, load.answers, scores, waits=waits, unseen=unseen, wanted=wanted, swaps=swaps)
    _add_latency(report, name, steady, during)


def _add(
    report: Report,
    name: str,
    answers: list[Answer],
    scores: Mapping[int, float],
    *,
    waits: list[float],
    unseen: int,
    wanted: int,
    swaps: int,
) -> None:
    failures = [answer.failure for answer in answers if answer.failure]
    mixed = [a for a in answers if a.failure is None and scores.get(a.version or 0) != a.score]
    is_whole = swaps == wanted
    typical = sorted(waits)[len(waits) // 2] if waits else 0.0
    note = f"{len(waits)} of {swaps} tried, {wanted} in a full run; half seen within {typical:.2f} s"
    report.add(
        Figure(f"{name}_swaps", len(waits) if is_whole else None, at_least=wanted, note=note),
    )
    report.add(Figure(f"{name}_swaps_unseen", unseen, equals=0))
    first = f"; the first: {failures[0]}" if failures else ""
    report.add(Figure(f"{name}_failed", len(failures), equals=0, note=f"of {len(answers)} answers{first}"))
    report.add(Figure(f"{name}_mixed", len(mixed), equals=0))


def _add_latency(report: Report, name: str, steady: list[Answer], during: list[Answer]) -> None:
    still, swapping = _p99_ms(steady), _p99_ms(during)
    is_decided = min(len(steady), len(during)) >= FEWEST_FOR_P99
    ratio = swapping / still
    report.add(
        Figure(
            f"{name}_p99_ratio",
            ratio if is_decided else None,
            "x",
            at_most=2.0,
            peers={"steady p99 ms": still, "swapping p99 ms": swapping},
            note=f"{ratio:.2f} x over {len(steady)} steady and {len(during)} swapping answers",
        )
    )


def _p99_ms(answers: list[Answer]) -> float:
    return float(np.quantile([answer.ended - answer.started for answer in answers], 0.99)) * 1000


def stopped(report: Report, live: Stack, scores: Mapping[int, float]) -> None:
    """Stop the predictor's processes, swap, wait, let them go on, and see who answers."""
    name = "stopped_answers_with_new_version"
    with client(live) as engineer, httpx.Client(headers={"Authorization": f"Bearer {token(live)}"}) as http:
        old = engineer.champion(MODEL).version
        eventually(http, live, old)
        new = next(version for version in scores if version != old)
        processes = predictors(live)
        if not processes:
            report.add(Figure(name, None, note="no process of the predictor was found"))
            return
        try:
            for pid in processes:
                os.kill(pid, signal.SIGSTOP)
            engineer.promote(MODEL, new, reason="while the predictor stands still")
            _say(f"stopped: {len(processes)} processes stand still for {STOPPED_S:.0f} s")
            time.sleep(STOPPED_S)
        finally:
            for pid in processes:
                os.kill(pid, signal.SIGCONT)
        found = ask(http, f"{url(live)}/v1/models/{MODEL}/predict")
    # With a process more than were stopped, it may be that one which answered.
    is_same = set(predictors(live)) == set(processes)
    is_new = found.version == new and found.score == scores[new]
    took_s = found.ended - found.started
    note = f"{len(processes)} stopped for {STOPPED_S:.0f} s; {took_s:.2f} s to the answer"
    if not is_same:
        report.add(Figure(name, None, note="the emulator put other processes in their place"))
        return
    report.add(Figure(name, int(is_new), equals=1, note=note + (f"; {found}" if not is_new else "")))


def predictors(live: Stack) -> list[int]:
    """Processes of the predictor under this stack's own emulator."""
    status = live.status()
    wanted = f"AWS_LAMBDA_FUNCTION_NAME={status.outputs['PredictorName']}".encode()
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (parent := _parent(entry)) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [status.pid or 0]
    while waiting:
        for pid in children.get(waiting.pop(), []):
            waiting.append(pid)
            if wanted in _environment(pid):
                found.append(pid)
    return found


def _say(progress: str) -> None:
    """On stderr, as it happens: a full run takes some twelve minutes, most of them for 1,000 swaps."""
    print(f"swap: {progress}", file=sys.stderr, flush=True)


def _parent(process: Path) -> int | None:
    try:
        return int((process / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []


if __name__ == "__main__":
    main()
