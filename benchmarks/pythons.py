"""The time of a small decision on the oldest and the newest other Python of this machine, beside the present one.

The decisions of `decision`, without the peers. Each interpreter measures in processes of its own that alternate, and
uses the packages of this one: deciding needs only pure Python.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import cachetools

from benchmarks.clock import CALIBRATION, calibrate, least
from benchmarks.decision import OURS, QUESTIONS
from benchmarks.ours import built, compiled
from benchmarks.row import Row, Skipped
from benchmarks.servers import ROOT
from benchmarks.world import few

ROUNDS = 3
OLDEST, NEWEST = 11, 20
"""The minor versions of Python 3 that are tried."""

Times = Mapping[str, Mapping[str, float]]
"""Kind of decision -> call -> seconds."""


def measure() -> Iterator[Row]:
    """Measure each kind of outcome, with the request built."""
    here = sys.version_info.minor
    commands = {minor: path for minor in range(OLDEST, NEWEST) if (path := shutil.which(f"python3.{minor}"))}
    usable = [minor for minor, path in commands.items() if minor != here and _times(path)]
    if not usable:
        raise Skipped("no other Python that can import iam_guard was found")
    others = dict.fromkeys((usable[0], usable[-1]))
    measured = {minor: commands[minor] for minor in others} | {here: sys.executable}
    rounds = [{minor: _times(path) for minor, path in measured.items()} for _ in range(ROUNDS)]
    for kind in QUESTIONS:
        for minor in others:
            ours = min(times[minor][kind][OURS] for times in rounds)
            peers = {
                _named(here): min(times[here][kind][OURS] for times in rounds),
                CALIBRATION: min(times[minor][kind][CALIBRATION] for times in rounds),
            }
            for peer, seconds in peers.items():
                yield Row(f"{kind}, {OURS}, {_named(minor)}", ours * 1e6, "us", ours / seconds, peer)


def _named(minor: int) -> str:
    return f"CPython 3.{minor}"


def _times(python: str) -> Times:
    """Return the times that an interpreter measures; none if it can't import what it needs."""
    packages = Path(cachetools.__file__).parent.parent
    done = subprocess.run(
        [python, "-m", "benchmarks.pythons"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{packages}"},
        capture_output=True,
        check=False,
    )
    times: Times = json.loads(done.stdout) if done.returncode == 0 else {}
    return times


def main() -> None:
    """Measure in this process, and print the times as JSON."""
    authorizer = compiled(few(), 15)
    times = {
        kind: least({OURS: built(authorizer, question, outcome), CALIBRATION: calibrate})
        for kind, (question, outcome) in QUESTIONS.items()
    }
    print(json.dumps(times))


if __name__ == "__main__":
    main()
