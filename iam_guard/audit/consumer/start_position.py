"""Where a consumer starts in a shard: at its earliest line, after its last one, at a sequence, at a moment.

What is dropped on purpose is no line to start at; that it was dropped must stand in the trail, signed, or the trail is
damaged.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from iam_guard.audit.record.record import event_time
from iam_guard.audit.verify.merkle import HASH_BYTES
from iam_guard.audit.verify.shard import Segment, place_of, segments_of
from iam_guard.audit.verify.shard_check import ShardCheck
from iam_guard.audit.verify.signed_note import KeyRing
from iam_guard.audit.verify.verdicts import Verdict
from iam_guard.errors import InvalidInput, TrailDamaged

Start = Literal["earliest", "latest"] | int | datetime

_TAIL = 256 * 1024


def moment(text: str, *, place: str = "--since") -> datetime:
    """Read a time; one without a zone is UTC. Raises `InvalidInput`."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput("expected a time such as `2026-11-25T04:00:00Z`", place=place) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def start_in(shard: Path, start: Start) -> int:
    """Return the sequence to start at."""
    match start:
        case "earliest":
            return next((segment.first for segment in segments_of(shard) if segment.lines.exists()), lines_of(shard))
        case "latest":
            return lines_of(shard)
        case datetime():
            if start.tzinfo is None:
                raise InvalidInput("expected a time with its zone", place="start")
            return _first_since(shard, event_time(start.astimezone(UTC)))
        case int() if start >= 0 and start is not True and start is not False:
            return start
    raise InvalidInput("expected `earliest`, `latest`, a sequence or a time", place="start")


def lines_of(shard: Path) -> int:
    """Return how many lines a shard has, those before its first segment that is left included."""
    for segment in reversed(segments_of(shard)):
        if segment.lines.exists():
            with segment.lines.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
                tail = file.read()
            tail = tail[: tail.rfind(b"\n") + 1]
            place = place_of(tail[tail.rfind(b"\n", 0, -1) + 1 :])
            return segment.first if place is None else place[1] + 1
        if segment.hashes.exists():
            return segment.first + segment.hashes.stat().st_size // HASH_BYTES
    return 0


def refuse_undeclared_drops(shards: Sequence[Path], ring: KeyRing) -> None:
    """Raise `TrailDamaged` where the first segments of a shard are not there, and nothing signed says why."""
    gone = [(shard, segment) for shard in shards for segment in _leading_drops(shard)]
    if not gone:
        return
    claims: set[tuple[str, int]] = set()
    for shard in shards:
        check = ShardCheck(shard, ring, None, lambda _: None)
        check.run()
        claims.update(check.claims)
    for shard, segment in gone:
        if (shard.name, segment.first) not in claims:
            place = f"{shard.name}/{segment.lines.name}"
            detail = "the lines of the segment are not there, and nothing says why"
            raise TrailDamaged(detail, verdict=Verdict.MISSING.value, place=place)


def _leading_drops(shard: Path) -> list[Segment]:
    found = []
    for segment in segments_of(shard):
        if segment.lines.exists():
            break
        found.append(segment)
    return found


def _first_since(shard: Path, moment: str) -> int:
    """Return the first line that is not before a moment, to the second as records have it."""
    there = [each for each in segments_of(shard) if each.lines.exists()]
    later = 0
    while later < len(there) and _time_of(_first_line(there[later])) < moment:
        later += 1
    for segment in there[max(0, later - 1) :]:
        with segment.lines.open("rb") as file:
            for number, line in enumerate(file, segment.first):
                if line.endswith(b"\n") and _time_of(line) >= moment:
                    return number
    return lines_of(shard)


def _first_line(segment: Segment) -> bytes:
    with segment.lines.open("rb") as file:
        return file.readline(_TAIL * 4)


def _time_of(line: bytes) -> str:
    try:
        moment = json.loads(line)["eventTime"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return moment if isinstance(moment, str) else ""
