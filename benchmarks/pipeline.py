"""What a request pays for its record in a trail at 10,000 decisions a second: microseconds, median and the slowest 1 %.

One thread notes at an even pace, on the clock on the wall, so that what the writer's thread takes away from it counts.
The peers are the same pace without audit, and with a line that is made at once and forgotten. Must not live here: how
many records the writer takes (`trail`), making the line (`audit`).
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.audit import ALLOW, FACTS, Forgetful
from benchmarks.row import Row
from iam_guard.audit.pipeline import Pipeline
from iam_guard.audit.scribe import TrailPlace
from iam_guard.audit.signed_note import KeyRing, SignerKey
from iam_guard.audit.sinks import Sink
from iam_guard.audit.trail import Trail

PACE = 1e-4
DECISIONS = 20_000
ROUNDS = 3
SHARES = {"median": 0.5, "99th percentile": 0.99}
PEER, WITHOUT = "the line made at once and forgotten", "without audit"


def measure() -> Iterator[Row]:
    """Pace all of them in turn; the best of several rounds counts."""
    best: dict[tuple[str, str], float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            for name, taken in _round(Path(folder, str(number))).items():
                for share, value in taken.items():
                    best[name, share] = min(value, best.get((name, share), 1.0))
    for share in SHARES:
        ours = best["trail", share]
        yield Row(f"noting an Allow that reads, {share}", ours * 1e6, "us", ours / best[PEER, share], PEER)
        yield Row(f"noting an Allow that reads, {share}", ours * 1e6, "us", ours / best[WITHOUT, share], WITHOUT)


def _round(folder: Path) -> dict[str, dict[str, float]]:
    key = SignerKey.new("trail.example/audit")
    pipeline = Pipeline(TrailPlace(folder, key, KeyRing([key.verifier])))
    taken = {WITHOUT: _paced(_noting(None)), PEER: _paced(_noting(Forgetful())), "trail": _paced(_noting(pipeline))}
    pipeline.close()
    usage = pipeline.usage()
    assert (usage.dropped, usage.refused) == (0, 0)
    return taken


def _noting(sink: Sink | Pipeline | None) -> Callable[[], None]:
    trail = Trail(sink)
    return lambda: trail.note(ALLOW, FACTS, started=time.perf_counter())


def _paced(act: Callable[[], None]) -> dict[str, float]:
    """Act at the pace, and give how long it took."""
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
