"""The records per second of the trail's writer and verifier, compared with a plain append.

Records of 666 bytes are written in batches of 250, as in a busy process; each batch is one commit. CPU time of one
thread, with hashing, the Merkle tree and a checkpoint for every 1,000 records; the rows with *durable* wait for the
disk at each commit, in wall-clock time, because waiting takes no CPU time.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.row import Row
from iam_guard.audit.verify.merkle import leaf_hashes
from iam_guard.audit.verify.proof import proof_problem, prove
from iam_guard.audit.verify.shard import segments_of, shards_of, whole_lines
from iam_guard.audit.verify.signed_note import KeyRing, SignerKey
from iam_guard.audit.verify.trail_verifier import verify_trail
from iam_guard.audit.writer.segment_writer import SegmentWriter

RECORD_BYTES = 666
PORTION = 250
RECORDS = 200_000
DURABLE_RECORDS = 25_000
VERIFIED_RECORDS = 1_000_000
ROUNDS = 3
PEER = "plain append of the same lines"
DURABLE_PEER = "plain append, fdatasync each"
HASHES = "SHA-256 of each line"
TEN_MILLION = 10_000_000


def measure() -> Iterator[Row]:
    """Write and verify a trail; the best of several rounds counts."""
    lines = [_record(number) for number in range(PORTION)]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        key = SignerKey.new("trail.example/audit")
        taken: dict[str, float] = {}
        for number in range(ROUNDS):
            for name, run in _runs(root / str(number), key, lines).items():
                taken[name] = min(run(), taken.get(name, 1e9))
        yield _rate("writer, commits of 250", taken["writer"], PEER, taken[PEER])
        yield _rate("writer, commits of 250", taken["writer"], HASHES, taken[HASHES])
        yield _rate("writer, durable commits of 250, wall clock", taken["durable"], DURABLE_PEER, taken[DURABLE_PEER])
        yield from _verifying(root / "large", key, lines, taken[HASHES])


def _runs(folder: Path, key: SignerKey, lines: list[bytes]) -> dict[str, Callable[[], float]]:
    """Return the alternating subjects: each returns the seconds per record."""
    folder.mkdir()
    return {
        "writer": lambda: _write(folder / "trail", key, lines, RECORDS),
        PEER: lambda: _append(folder / "plain", lines, RECORDS),
        "durable": lambda: _write(folder / "durable", key, lines, DURABLE_RECORDS, durable=True),
        DURABLE_PEER: lambda: _append(folder / "synced", lines, DURABLE_RECORDS, durable=True),
        HASHES: lambda: _hash(lines),
    }


def _verifying(trail: Path, key: SignerKey, lines: list[bytes], hashing: float) -> Iterator[Row]:
    _write(trail, key, lines, VERIFIED_RECORDS)
    ring = KeyRing([key.verifier])
    begun = time.process_time()
    report = verify_trail(trail, ring)
    took = (time.process_time() - begun) / VERIFIED_RECORDS
    assert report.is_ok
    yield _rate("verifying a million records", took, HASHES, hashing)
    yield Row("verifying ten million records, extrapolated", took * TEN_MILLION, "s", took / hashing, HASHES)
    segment = segments_of(shards_of(trail)[0])[3]
    record = json.loads(whole_lines(segment.lines.read_bytes())[7])
    begun = time.process_time()
    proof = prove(trail, record["eventID"], ring)
    finding = time.process_time() - begun
    begun = time.process_time()
    assert proof_problem(proof, ring) is None
    checking = time.process_time() - begun
    yield Row("proving a record, with finding it", finding * 1e3, "ms", finding / hashing, HASHES)
    yield Row("checking a proof", checking * 1e6, "us", checking / hashing, HASHES)


def _record(number: int) -> bytes:
    """Return a line of typical length; the writer adds shard and sequence."""
    made = {"eventVersion": "1.11", "eventID": f"{number:036}", "filler": "", "iamGuard": {"kind": "decision"}}
    made["filler"] = "x" * (RECORD_BYTES - len(json.dumps(made, separators=(",", ":"))) - 1)
    return json.dumps(made, separators=(",", ":")).encode() + b"\n"


def _rate(name: str, seconds: float, peer: str, of_peer: float) -> Row:
    return Row(f"{name}: records a second", 1 / seconds, "1/s", of_peer / seconds, peer)


def _write(trail: Path, key: SignerKey, lines: list[bytes], count: int, *, durable: bool = False) -> float:
    writer = SegmentWriter(trail, key)
    clock = time.perf_counter if durable else time.process_time
    begun = clock()
    for _ in range(count // PORTION):
        writer.append(lines)
        writer.commit(durable)
    writer.close()
    return (clock() - begun) / count


def _append(path: Path, lines: list[bytes], count: int, *, durable: bool = False) -> float:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    clock = time.perf_counter if durable else time.process_time
    begun = clock()
    for _ in range(count // PORTION):
        os.write(file, b"".join(lines))
        if durable:
            os.fdatasync(file)
    taken = (clock() - begun) / count
    os.close(file)
    path.unlink()
    return taken


def _hash(lines: list[bytes]) -> float:
    begun = time.process_time()
    for _ in range(100):
        leaf_hashes(lines)
    return (time.process_time() - begun) / (100 * len(lines))
