"""The file layout of a trail: a folder for each shard, with three files for each segment.

    trail/
      docs-web1-4711-20261125T031000.123456Z/   a shard: the records of one process
        000000000000.jsonl                      a segment: records, one a line, each a leaf of the shard's tree
        000000000000.hashes                     their leaf hashes, 32 bytes each
        000000000000.checkpoints                signed notes, each followed by an empty line
        000000000000.retained                   of a dropped segment: its lines that record earlier drops
        000000084211.jsonl  …                   the next segment, named by the sequence of its first line
        lock                                    locked by the writing process; removed when the shard ends
        reserve                                 disk space for the last record when the disk is full

The lines of a shard's segments, in order, are the leaves of its tree; the index of a line in the shard is its sequence.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from iam_guard.audit.record.redaction import MAX_LINE
from iam_guard.audit.verify.merkle import Tree
from iam_guard.errors import InvalidInput

LINES, HASHES, CHECKPOINTS = ".jsonl", ".hashes", ".checkpoints"
LOCK = "lock"
RESERVE = "reserve"
UNFINISHED = ".new"
"""Suffix of a shard folder that is being created."""

COLUMNS_FOLDER = ".columns"
"""Folder next to the shards: columnar copies of closed segments (`query`)."""

TRAIL_EVENT_MARK = b'"kind":"audit_'
"""Occurs in every trail event (the trail's own records) and in no other line: quotes inside a string are escaped."""

LINE_END = b"}}\n"
"""The end of every line: `iamGuard` is the last member of the record."""

_DIGITS = 12
_SEGMENT = re.compile(rf"[0-9]{{{_DIGITS}}}", re.ASCII)
_SHARD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*", re.ASCII)
_DISALLOWED = re.compile(r"[^A-Za-z0-9._-]+", re.ASCII)
_PLACE = re.compile(rb',"shard":"([A-Za-z0-9._-]+)","sequence":([0-9]+)}}\n\Z')


def shard_id(service: str, host: str, pid: int, start: datetime) -> str:
    """Return the name of the shard of one process."""
    moment = start.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    return f"{_sanitize(service)}-{_sanitize(host)}-{pid}-{moment}"


def _sanitize(name: str) -> str:
    return _DISALLOWED.sub("_", name)[:60].lstrip(".-") or "_"


@dataclass(frozen=True, slots=True)
class Segment:
    """The paths of one segment's files, which may not exist."""

    folder: Path
    first: int

    @property
    def name(self) -> str:
        return f"{self.first:0{_DIGITS}}"

    def path(self, suffix: str) -> Path:
        return self.folder / f"{self.name}{suffix}"

    @property
    def lines(self) -> Path:
        return self.path(LINES)

    @property
    def hashes(self) -> Path:
        return self.path(HASHES)

    @property
    def checkpoints(self) -> Path:
        return self.path(CHECKPOINTS)

    @property
    def retained(self) -> Path:
        return self.path(".retained")


def shards_of(trail: Path) -> list[Path]:
    """List the shards of a trail by name, without those being created; none if the folder doesn't exist."""
    if not trail.is_dir():
        return []
    finished = (path for path in trail.iterdir() if not path.name.endswith(UNFINISHED))
    return sorted(path for path in finished if _SHARD.fullmatch(path.name) and path.is_dir())


def require_shards(trail: Path) -> list[Path]:
    """List the shards of a trail. Raises `InvalidInput` for a folder without segments, such as the one around it."""
    shards = shards_of(trail)
    if not any(map(segments_of, shards)):
        raise InvalidInput("expected the folder of an audit trail, found no shard", place=str(trail))
    return shards


def segments_of(shard: Path) -> list[Segment]:
    """List the segments that have at least one file, in the order of their lines.

    A directory listing may miss a file that is created meanwhile and include one created later. So the folder is listed
    twice: up to the last segment of the first listing, the second is complete.
    """
    before = _names(shard)
    names = before | {name for name in _names(shard) if name < max(before, default="")}
    return [Segment(shard, int(name)) for name in sorted(names)]


def present_segments(shard: Path) -> tuple[list[Segment], list[Segment]]:
    """List the closed segments and the one that may still be written, without those whose lines were dropped."""
    segments = segments_of(shard)
    closed = len(segments) - 1 if (shard / LOCK).exists() else len(segments)
    present = [
        [segment for segment in part if segment.lines.exists()] for part in (segments[:closed], segments[closed:])
    ]
    return present[0], present[1]


def _names(shard: Path) -> set[str]:
    files = (path for path in shard.iterdir() if path.suffix in (LINES, HASHES, CHECKPOINTS))
    return {path.stem for path in files if _SEGMENT.fullmatch(path.stem)}


def is_line(line: bytes) -> bool:
    """Return whether this is one record on one line, with `iamGuard` as its last member, at most `MAX_LINE` long."""
    return line[-3:] == LINE_END and line.find(b"\n") == len(line) - 1 and len(line) <= MAX_LINE


def numbered_lines(lines: Iterable[bytes], shard: str, first: int) -> list[bytes]:
    """Append shard and sequence to `iamGuard` in each line; `first` is the sequence of the first line."""
    middle = b',"shard":"%b","sequence":' % shard.encode("ascii")
    return [b"%b%b%d}}\n" % (line[:-3], middle, number) for number, line in enumerate(lines, first)]


def shard_and_sequence(line: bytes) -> tuple[str, int] | None:
    """Return the shard and sequence at the end of a line; None if it has none."""
    match = _PLACE.search(line)
    return None if match is None else (match[1].decode("ascii"), int(match[2]))


def member_in(line: bytes, name: str) -> object:
    """Return a member of the record in a line; None if it has none, or the line is malformed."""
    try:
        member: object = json.loads(line)[name]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return member


def time_in(line: bytes) -> str:
    """Return the `eventTime` of a line; empty if it has none."""
    time = member_in(line, "eventTime")
    return time if isinstance(time, str) else ""


def trail_event_facts(line: bytes) -> dict[str, Any] | None:
    """Return `iamGuard` of a trail event; None for any other line."""
    if TRAIL_EVENT_MARK not in line:
        return None
    facts = member_in(line, "iamGuard")
    return facts if isinstance(facts, dict) and str(facts.get("kind", "")).startswith("audit_") else None


@dataclass(frozen=True, slots=True)
class SegmentStart:
    """The tree before a segment, from the segment's first line."""

    tree: Tree
    previous: bytes
    """The checkpoint of exactly that tree, as a note; empty in the first segment of a shard."""


def segment_start_facts(segment: Segment) -> dict[str, Any] | None:
    """Return `iamGuard` of the first line of a segment; None if that is not a segment record."""
    try:
        with segment.lines.open("rb") as file:
            facts = trail_event_facts(file.readline(1024 * 1024))
    except FileNotFoundError:
        return None
    return facts if facts is not None and facts.get("kind") == "audit_segment" else None


def read_segment_start(segment: Segment) -> SegmentStart | None:
    """Parse the first line of a segment; None if it is missing or malformed."""
    facts = segment_start_facts(segment)
    if facts is None:
        return None
    try:
        tree = Tree(segment.first, [bytes.fromhex(root) for root in facts["state"]])
        previous = facts["previous"]
        return SegmentStart(tree, b"" if previous is None else previous.encode())
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def is_ended(shard: Path) -> bool:
    """Return whether the last line of a shard is its end record."""
    segments = segments_of(shard)
    line = last_line(segments[-1].lines) if segments else b""
    facts = trail_event_facts(line)
    return facts is not None and facts["kind"] == "audit_end"


def last_line(path: Path) -> bytes:
    """Return the last line of a file; empty if there is none, or it is incomplete."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 128 * 1024))
            tail = file.read()
    except FileNotFoundError:
        return b""
    if not tail.endswith(b"\n"):
        return b""
    return tail[tail.rfind(b"\n", 0, -1) + 1 :]


def whole_lines(content: bytes) -> list[bytes]:
    """Split into lines, each with its line break, without the incomplete last line."""
    return [line + b"\n" for line in content.split(b"\n")[:-1]]
