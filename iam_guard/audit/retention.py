"""Dropping what is too old: whole segments, and of them the lines only.

Their leaf hashes and checkpoints stay, a twentieth of the size. So the tree stays whole: later records can be proved as
before, and whoever kept a line elsewhere can still show that it stood here. A record says what was dropped, and is on
the disk and signed before anything goes; lines that are missing without one are a finding. A segment whose hashes are
not those of its lines is left where it is, for without the lines nobody could tell any more what happened to it.

Must not live here: when to do it.
"""

from __future__ import annotations

import json
import logging
import uuid
from datetime import UTC, datetime
from pathlib import Path

from iam_guard.audit.append_file import sync_folder
from iam_guard.audit.own_records import retention_line
from iam_guard.audit.record import Stamp
from iam_guard.audit.segment_reading import SegmentLines, read_hashes, read_lines
from iam_guard.audit.segments import SegmentWriter
from iam_guard.audit.shard import LOCK, Segment, last_line, segments_of, shards_of

logger = logging.getLogger("iam_guard.audit")


def drop_segments(
    trail: Path, writer: SegmentWriter, older_than: datetime, *, now: datetime | None = None
) -> list[Segment]:
    """Drop the lines of every segment whose last record is older than that; say which.

    The writer notes it in its own shard. Of a shard that has not ended, the last segment stays.
    """
    found = [
        (segment, lines)
        for shard in shards_of(trail)
        for segment in _closed(shard)
        if _is_older(segment, older_than) and (lines := _lines_in_order(segment)) is not None
    ]
    if not found:
        return []
    for segment, lines in found:
        stamp = Stamp(now or datetime.now(UTC), str(uuid.uuid4()))
        last = segment.first + len(lines.hashes) - 1
        writer.append([retention_line(stamp, segment.folder.name, segment.first, last), *_said_before(lines, stamp)])
    writer.checkpoint()
    for segment, _ in found:
        segment.lines.unlink()
        sync_folder(segment.folder)
    return [segment for segment, _ in found]


def _said_before(lines: SegmentLines, stamp: Stamp) -> list[bytes]:
    """Say again what the lines that go now say of others that went before."""
    said = []
    for _, facts in lines.own:
        match facts:
            case {"kind": "audit_retention", "dropped": {"shard": str(shard), "first": int(first), "last": int(last)}}:
                said.append(retention_line(stamp, shard, first, last))
    return said


def _closed(shard: Path) -> list[Segment]:
    segments = segments_of(shard)
    there = segments[:-1] if (shard / LOCK).exists() else segments
    return [segment for segment in there if segment.lines.exists()]


def _is_older(segment: Segment, moment: datetime) -> bool:
    try:
        when = datetime.fromisoformat(json.loads(last_line(segment.lines))["eventTime"])
    except (ValueError, KeyError, TypeError):
        return False
    return when < moment


def _lines_in_order(segment: Segment) -> SegmentLines | None:
    """Read a segment; None where its lines are not what its hashes say."""
    lines = read_lines(segment.lines, lambda _: None)
    if lines is None or lines.rest or b"".join(lines.hashes) != read_hashes(segment.hashes):
        logger.error("the audit segment `%s` is not dropped: it is not as it was written", segment.lines)
        return None
    return lines
