"""The time and memory to load all policies, each in a separate process.

CPU time, and the increase of the process's peak resident memory. Ours are read from a file with one document per
line; a peer gets the same rules in its own language. Statements are compiled on first use, so ours has two figures:
a start, and a start with a request for every statement, which compiles all. Memory per principal is in `memory`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from moto.iam.aws_managed_policies import aws_managed_policies_data

from benchmarks.peers.table import installed
from benchmarks.row import Row
from benchmarks.world import MAX_OF_TYPICAL, documents, typical

ROOT = Path(__file__).resolve().parent.parent
RUNS = 2
OURS = {
    "read, compiled": "compile",
    "read, compiled, every statement decided": "compile and ask",
    "read, linted, compiled": "check and compile",
}
PEER = "json.loads"


def measure() -> Iterator[Row]:
    """Compare our own policies with every peer, and AWS's with parsing them as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "policies.jsonl")
        _write(path, documents(typical(), MAX_OF_TYPICAL))
        yield from _rows("10,000 policies of 3 statements", path, [peer.name for peer in installed()])
        managed = [load["Document"] for load in json.loads(aws_managed_policies_data).values()]
        _write(path, managed[:1000])
        yield from _rows("1,000 managed policies of AWS", path, [])


def _write(path: Path, policies: Iterable[object]) -> None:
    path.write_text("".join(json.dumps(policy) + "\n" for policy in policies), encoding="utf-8")


def _rows(what: str, path: Path, peers: list[str]) -> Iterator[Row]:
    """Compare all our ways with JSON, and the first, a start, with the peers too."""
    plain = {PEER: _least(PEER, path)}
    theirs = {name: _least(name, path) for name in peers}
    for name, way in OURS.items():
        ours = _least(way, path)
        beside = plain | theirs if way == "compile" else plain
        for unit, shown in (("s", name), ("MiB", f"{name}, memory")):
            for peer, taken in beside.items():
                yield Row(f"{what}: {shown}", ours[unit], unit, ours[unit] / taken[unit], peer)


def _least(way: str, path: Path) -> Mapping[str, float]:
    runs = [_run(way, path) for _ in range(RUNS)]
    return {unit: min(run[unit] for run in runs) for unit in runs[0]}


def _run(way: str, path: Path) -> dict[str, float]:
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.load_child", way, str(path)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found
