"""Where a trail lies: a folder for each shard, and in it three files for each segment.

    trail/
      docs-web1-4711-20261125T031000.123456Z/   a shard: what one process wrote
        000000000000.jsonl                      a segment: records, one a line, each a leaf of the shard's tree
        000000000000.hashes                     their leaf hashes, 32 bytes each
        000000000000.checkpoints                signed notes, each with an empty line after it
        000000000000.retained                   of a segment whose lines are dropped: those that say what was before
        000000084211.jsonl  …                   the next one; a segment is named by the sequence of its first line
        lock                                    held by the process that writes; gone once the shard has ended
        reserve                                 room for the last record when the disk is full

The lines of a shard's segments, one after the other, are the leaves of its tree; the number of a line in the shard is
its sequence. Everything that looks at a trail uses the names here.
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

LINES, HASHES, CHECKPOINTS = ".jsonl", ".hashes", ".checkpoints"
RETAINED = ".retained"
"""Beside what was dropped: the lines in it that say what was dropped before, as they stood there (`retention`)."""
LOCK = "lock"
RESERVE = "reserve"
UNFINISHED = ".new"
"""End of the name of a shard that is just being made."""

COLUMNS_FOLDER = ".columns"
"""Beside the shards: the copies of closed segments that questions are put to (`query`)."""

OWN_KIND = b'"kind":"audit_'
"""What is in every line that the trail writes about itself, and in no other: quotes inside a string are escaped."""

LINE_END = b"}}\n"
"""How a line ends: with `iamGuard`, the last member of the record."""

_DIGITS = 12
_SEGMENT = re.compile(rf"[0-9]{{{_DIGITS}}}", re.ASCII)
_SHARD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*", re.ASCII)
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+", re.ASCII)
_PLACE = re.compile(rb',"shard":"([A-Za-z0-9._-]+)","sequence":([0-9]+)}}\n\Z')


def shard_id(service: str, host: str, pid: int, start: datetime) -> str:
    """Name what one process writes."""
    moment = start.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    return f"{_fit(service)}-{_fit(host)}-{pid}-{moment}"


def _fit(name: str) -> str:
    return _UNFIT.sub("_", name)[:60].lstrip(".-") or "_"


@dataclass(frozen=True, slots=True)
class Segment:
    """The files of one segment, whether they are there or not."""

    folder: Path
    first: int

    @property
    def name(self) -> str:
        return f"{self.first:0{_DIGITS}}"

    def path(self, ending: str) -> Path:
        return self.folder / f"{self.name}{ending}"

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
        return self.path(RETAINED)


def shards_of(trail: Path) -> list[Path]:
    """List the shards of a trail by name; of one that is just being made nobody knows yet."""
    found = (path for path in trail.iterdir() if not path.name.endswith(UNFINISHED))
    return sorted(path for path in found if _SHARD.fullmatch(path.name) and path.is_dir())


def segments_of(shard: Path) -> list[Segment]:
    """List the segments of which there is any file, in the order of their lines.

    A listing may miss a file that is made meanwhile and have one that is made after it. So there are two: up to the
    last of the first, the second misses nothing.
    """
    before = _names(shard)
    names = before | {name for name in _names(shard) if name < max(before, default="")}
    return [Segment(shard, int(name)) for name in sorted(names)]


def _names(shard: Path) -> set[str]:
    files = (path for path in shard.iterdir() if path.suffix in (LINES, HASHES, CHECKPOINTS))
    return {path.stem for path in files if _SEGMENT.fullmatch(path.stem)}


def is_line(line: bytes) -> bool:
    """Return whether this is one record on one line, with `iamGuard` as its last member."""
    return line[-3:] == LINE_END and line.find(b"\n") == len(line) - 1 and len(line) <= MAX_LINE


def numbered_lines(lines: Iterable[bytes], shard: str, first: int) -> list[bytes]:
    """Put shard and sequence into each line, at the end of `iamGuard`; `first` is the sequence of the first of them."""
    middle = b',"shard":"%b","sequence":' % shard.encode("ascii")
    return [b"%b%b%d}}\n" % (line[:-3], middle, number) for number, line in enumerate(lines, first)]


def place_of(line: bytes) -> tuple[str, int] | None:
    """Return shard and sequence that a line says of itself."""
    found = _PLACE.search(line)
    return None if found is None else (found[1].decode("ascii"), int(found[2]))


def own_facts(line: bytes) -> dict[str, Any] | None:
    """Return `iamGuard` of a line that the trail wrote about itself; None for any other line."""
    if OWN_KIND not in line:
        return None
    try:
        facts = json.loads(line)["iamGuard"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return facts if isinstance(facts, dict) and str(facts.get("kind", "")).startswith("audit_") else None


@dataclass(frozen=True, slots=True)
class Opening:
    """What the first line of a segment says about all before it."""

    tree: Tree
    previous: bytes
    """The checkpoint of exactly that tree, as a note; empty in the first segment of a shard."""


def opening_facts(segment: Segment) -> dict[str, Any] | None:
    """Return `iamGuard` of the first line of a segment, as it stands there; None where it opens none."""
    try:
        with segment.lines.open("rb") as file:
            facts = own_facts(file.readline(1024 * 1024))
    except FileNotFoundError:
        return None
    return facts if facts is not None and facts.get("kind") == "audit_segment" else None


def read_opening(segment: Segment) -> Opening | None:
    """Read the first line of a segment; None where it is not there or says nothing that can be gone on from."""
    facts = opening_facts(segment)
    if facts is None:
        return None
    try:
        tree = Tree(segment.first, [bytes.fromhex(fact) for fact in facts["state"]])
        previous = facts["previous"]
        return Opening(tree, b"" if previous is None else previous.encode())
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def is_ended(shard: Path) -> bool:
    """Return whether the last line of a shard is its end."""
    segments = segments_of(shard)
    line = last_line(segments[-1].lines) if segments else b""
    facts = own_facts(line)
    return facts is not None and facts["kind"] == "audit_end"


def last_line(path: Path) -> bytes:
    """Return the last line of a file; empty where there is none, or it is torn."""
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
    """Take lines apart, each with its line break; what comes after the last break is left out."""
    return [line + b"\n" for line in content.split(b"\n")[:-1]]
