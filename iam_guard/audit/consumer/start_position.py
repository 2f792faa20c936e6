"""The start position of a consumer in a shard: the earliest line, the latest, a sequence, or a time.

Dropped segments are skipped; a signed record must declare the drop, or the trail is damaged.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import Literal

from iam_guard.audit.record.record import event_time
from iam_guard.audit.verify.merkle import HASH_BYTES
from iam_guard.audit.verify.shard import Segment, segments_of, shard_and_sequence, time_in
from iam_guard.audit.verify.shard_check import ShardCheck
from iam_guard.audit.verify.signed_note import KeyRing
from iam_guard.audit.verify.verdicts import Verdict
from iam_guard.errors import InvalidInput, TrailDamaged

Start = Literal["earliest", "latest"] | int | datetime

_TAIL = 256 * 1024


def moment(text: str, *, place: str = "--since") -> datetime:
    """Parse a time, by default in UTC; raise `InvalidInput` for a malformed one."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput("expected a time such as `2026-11-25T04:00:00Z`", place=place) from None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def parse_start(text: str, *, place: str) -> Start:
    """Parse `earliest`, `latest` or a time; raise `InvalidInput` for anything else."""
    match text:
        case "earliest" | "latest":
            return text
    return moment(text, place=place)


def start_in(shard: Path, start: Start) -> int:
    """Return the sequence to start at; raise `InvalidInput` for an invalid start."""
    match start:
        case "earliest":
            return next((segment.first for segment in segments_of(shard) if segment.lines.exists()), lines_of(shard))
        case "latest":
            return lines_of(shard)
        case datetime():
            if start.tzinfo is None:
                raise InvalidInput("expected a time with a time zone", place="start")
            return _first_since(shard, event_time(start.astimezone(UTC)))
        case int() if start >= 0 and start is not True and start is not False:
            return start
    raise InvalidInput("expected `earliest`, `latest`, a sequence or a time", place="start")


def lines_of(shard: Path) -> int:
    """Return the number of lines of a shard, dropped ones included."""
    for segment in reversed(segments_of(shard)):
        if segment.lines.exists():
            with segment.lines.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
                tail = file.read()
            tail = tail[: tail.rfind(b"\n") + 1]
            place = shard_and_sequence(tail[tail.rfind(b"\n", 0, -1) + 1 :])
            return segment.first if place is None else place[1] + 1
        if segment.hashes.exists():
            return segment.first + segment.hashes.stat().st_size // HASH_BYTES
    return 0


def refuse_undeclared_drops(shards: Sequence[Path], ring: KeyRing) -> None:
    """Raise `TrailDamaged` if leading segments of a shard have no lines and no signed record declares the drop."""
    dropped = [
        (shard, segment)
        for shard in shards
        for segment in takewhile(lambda segment: not segment.lines.exists(), segments_of(shard))
    ]
    if not dropped:
        return
    declared: set[tuple[str, int]] = set()
    for shard in shards:
        check = ShardCheck(shard, ring)
        check.run()
        declared.update(check.declared_drops)
    for shard, segment in dropped:
        if (shard.name, segment.first) not in declared:
            place = f"{shard.name}/{segment.lines.name}"
            detail = "the lines of the segment are missing, and no record declares it"
            raise TrailDamaged(detail, verdict=Verdict.MISSING.value, place=place)


def _first_since(shard: Path, time: str) -> int:
    """Return the sequence of the first line at or after a time in `eventTime`'s format, to the second."""
    segments = [segment for segment in segments_of(shard) if segment.lines.exists()]
    later = 0
    while later < len(segments) and time_in(_first_line(segments[later])) < time:
        later += 1
    for segment in segments[max(0, later - 1) :]:
        with segment.lines.open("rb") as file:
            for sequence, line in enumerate(file, segment.first):
                if line.endswith(b"\n") and time_in(line) >= time:
                    return sequence
    return lines_of(shard)


def _first_line(segment: Segment) -> bytes:
    with segment.lines.open("rb") as file:
        return file.readline(_TAIL * 4)
