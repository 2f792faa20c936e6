"""The cost of a trail's record for a request: CPU time for each, and latency at 10,000 decisions per second.

*Mean* is CPU time of the recording thread, in bursts of a hundred with pauses for the writer thread. *Median* and
*99th percentile* are wall-clock times of one thread that records at an even pace, so that the writer thread's effect on
it counts; and so does other work of the machine. All alternate in several rounds, and of each the best round counts.
The cost without audit, OpenTelemetry metrics, is subtracted from the mean and is a peer of the others; further peers
are a line that is serialized at once and discarded, and logging libraries (`audit_peers`).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.audit import ALLOW, FACTS, REQUEST, Forgetful
from benchmarks.audit_peers import PEERS
from benchmarks.clock import undisturbed
from benchmarks.row import Row
from iam_guard.audit.sinks import Sink
from iam_guard.audit.trail import Trail
from iam_guard.audit.verify.signed_note import KeyRing, SignerKey
from iam_guard.audit.writer.pipeline import Pipeline
from iam_guard.audit.writer.trail_writer import TrailConfig
from iam_guard.model.decision import Decision

PACE = 1e-4
DECISIONS = 10_000
ROUNDS = 5
BURSTS, BURST, BREAK = 40, 100, 0.02
MEAN = "mean"
SHARES = {"median": 0.5, "99th percentile": 0.99}
FORGOTTEN, WITHOUT = "the line made at once and forgotten", "without audit"
CHANGE = replace(ALLOW, request=replace(REQUEST, action="docs:PutDocument"))
NOTED = {"an Allow that reads": ALLOW, "an Allow that changes": CHANGE}

Figures = dict[tuple[str, str], float]
"""Subject and figure -> seconds."""


def measure() -> Iterator[Row]:
    """Measure all of them in turn; the best of several rounds counts."""
    best: Figures = {}
    with tempfile.TemporaryDirectory() as folder, undisturbed():
        for number in range(ROUNDS):
            for name, value in _round(Path(folder, str(number))).items():
                best[name] = min(value, best.get(name, 1.0))
    for what in NOTED:
        for figure in (MEAN, *SHARES):
            ours = best[what, figure]
            without = best[WITHOUT, figure]
            if figure == MEAN:
                ours -= without
            for peer in (FORGOTTEN, *([] if figure == MEAN else [WITHOUT]), *PEERS):
                other = best[peer, figure] - (without if figure == MEAN and peer == FORGOTTEN else 0.0)
                yield Row(f"noting {what}, {figure}", ours * 1e6, "us", ours / other, peer)


def _round(folder: Path) -> Figures:
    folder.mkdir()
    taken: Figures = {}
    for name, opened in _noters(folder).items():
        with opened() as act:
            act()
            taken[name, MEAN] = _mean(act)
            for figure, value in _paced(act).items():
                taken[name, figure] = value
    return taken


def _noters(folder: Path) -> dict[str, Callable[[], object]]:
    """Return the alternating subjects: each opens its sink and returns the call that records one decision."""
    ours = {what: lambda what=what: _trail(folder / what, NOTED[what]) for what in NOTED}
    peers = {name: lambda name=name: _peer(name, folder / f"{len(name)}.log") for name in PEERS}
    return {WITHOUT: lambda: _at_once(None), FORGOTTEN: lambda: _at_once(Forgetful()), **ours, **peers}


@contextmanager
def _trail(folder: Path, decision: Decision) -> Iterator[Callable[[], None]]:
    key = SignerKey.new("trail.example/audit")
    pipeline = Pipeline(TrailConfig(folder, key, KeyRing([key.verifier])))
    yield _noting(pipeline, decision)
    pipeline.close()
    usage = pipeline.usage()
    assert (usage.dropped, usage.refused) == (0, 0)


@contextmanager
def _at_once(sink: Sink | None) -> Iterator[Callable[[], None]]:
    yield _noting(sink, ALLOW)


@contextmanager
def _peer(name: str, path: Path) -> Iterator[Callable[[], None]]:
    with ExitStack() as opened:
        note = opened.enter_context(PEERS[name](path))
        yield lambda: note(ALLOW, FACTS)
    assert path.stat().st_size > BURSTS * BURST


def _noting(sink: Sink | Pipeline | None, decision: Decision) -> Callable[[], None]:
    trail = Trail(sink)
    return lambda: trail.record_decision(decision, FACTS, started=time.perf_counter())


def _mean(act: Callable[[], None]) -> float:
    """Make the calls in bursts, and return the CPU time of this thread per call, the minimum of the bursts."""
    least = 1.0
    for _ in range(BURSTS):
        begun = time.thread_time()
        for _ in range(BURST):
            act()
        least = min(least, (time.thread_time() - begun) / BURST)
        time.sleep(BREAK)
    return least


def _paced(act: Callable[[], None]) -> dict[str, float]:
    """Make the calls at the pace, and return their times."""
    taken = []
    due = time.perf_counter()
    for _ in range(DECISIONS):
        due += PACE
        while (rest := due - time.perf_counter()) > 0:
            time.sleep(rest / 2)
        begun = time.perf_counter()
        act()
        taken.append(time.perf_counter() - begun)
    taken.sort()
    return {name: taken[int(DECISIONS * share)] for name, share in SHARES.items()}
