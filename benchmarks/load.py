"""How long it takes, and how much memory, until all policies are there to decide with; each in a process of its own.

CPU time, and by how much the peak of the process's resident memory rises. Ours are read from a file of one document a
line; a peer gets the same rules in its own form. Statements are compiled when first asked, so ours has two figures:
what a start costs, and what it costs with one question to every statement, by which all that was put off is done. Must
not live here: memory per principal (`memory`).
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
    "read, compiled, every statement asked": "compile and ask",
    "read, checked for what is unwise, compiled": "check and compile",
}
PEER = "json.loads"


def measure() -> Iterator[Row]:
    """Measure our own policies beside every peer, and those of AWS beside reading them as JSON."""
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
    """Measure all our ways beside JSON, and the first, which is what a start costs, beside the peers too."""
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
