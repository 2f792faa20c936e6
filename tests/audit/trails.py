"""Trails for tests: small segments and checkpoints, a key, and helpers to read the files."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from iam_guard.audit.verify.checkpoint import open_checkpoint
from iam_guard.audit.verify.shard import Segment, segments_of, shards_of, whole_lines
from iam_guard.audit.verify.signed_note import KeyRing, SignerKey
from iam_guard.audit.verify.trail_verifier import verify_trail
from iam_guard.audit.verify.verdicts import Verdict
from iam_guard.audit.writer.segment_writer import SegmentLimits, SegmentWriter

KEY = SignerKey("trail.example/audit", bytes(range(32)))
RING = KeyRing([KEY.verifier])
UNTRUSTED_KEY = SignerKey("trail.example/audit", bytes(range(1, 33)))
SMALL = SegmentLimits(checkpoint_records=4, checkpoint_seconds=1000.0, segment_bytes=2500, reserve_bytes=4096)


NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
"""The time of every record that `record` makes."""


def clock_from(start: datetime) -> Callable[[], datetime]:
    """Return a clock that advances by a microsecond per call, since a shard is named after its start."""
    ticks = count()
    return lambda: start + timedelta(microseconds=next(ticks))


moment = clock_from(NOON)


def record(number: int, *, filler: str = "") -> bytes:
    """Return a line like those that the trail receives."""
    members = {
        "eventVersion": "1.11",
        "eventTime": f"{NOON:%Y-%m-%dT%H:%M:%SZ}",
        "eventName": "GetDocument",
        "eventID": f"id-{number}",
        "filler": filler,
        "iamGuard": {"version": "1.0", "kind": "decision", "outcome": "Allowed"},
    }
    return json.dumps(members, separators=(",", ":")).encode() + b"\n"


def writer_in(
    trail: Path, limits: SegmentLimits = SMALL, key: SignerKey = KEY, *, clock: Callable[[], datetime] = moment
) -> SegmentWriter:
    """Return a writer whose shards start at the time of its records, whatever the date."""
    return SegmentWriter(trail, key, service="docs", limits=limits, clock=clock)


def written(trail: Path, count: int = 40, *, is_ended: bool = True, unsigned: int = 0) -> Path:
    """Write a shard of so many records in several segments; `unsigned` of them come after the last checkpoint."""
    writer = writer_in(trail)
    for number in range(count - unsigned):
        writer.append([record(number)])
        writer.commit()
    if not is_ended:
        writer.checkpoint()
    for number in range(count - unsigned, count):
        writer.append([record(number)])
        writer.commit()
    writer.commit()
    if is_ended:
        name = open_checkpoint(writer.checkpoint().encode(), RING).checkpoint.shard
        writer.close()
        return trail / name
    shard = trail / str(writer.shard)
    writer.abandon()
    return shard


def verdicts(trail: Path, ring: KeyRing = RING) -> list[Verdict]:
    """Verify a trail and return the distinct verdicts in order."""
    return list(dict.fromkeys(finding.verdict for finding in verify_trail(trail, ring).findings))


def last_segment(shard: Path) -> Segment:
    return segments_of(shard)[-1]


def lines_of(shard: Path) -> list[bytes]:
    files = (segment.lines for segment in segments_of(shard) if segment.lines.exists())
    return [line for path in files for line in whole_lines(path.read_bytes())]


def only_shard(trail: Path) -> Path:
    [shard] = shards_of(trail)
    return shard
