"""What the first line of a segment says of the other shards of its trail: that they are there, and how far they are.

A shard proves itself, and nothing proves that there was one. So whoever opens a segment names the others, each with its
last checkpoint. Where one is not there any more, or is shorter than was said or another, verifying finds that by what
the others say (`shard_claims`); to hide it, all that were opened since would have to go as well.

Named are the shards that began last and such as are still written. That is enough: who removes a shard has to remove
those that name it, and then those that name these. A writer names them once in `PAUSE` seconds at most, for a busy one
opens a segment each second. What a checkpoint signs is on the disk before it is named: the power may go at any time,
and a shard must never be found shorter for that. A shard whose checkpoint is of an unknown key, or does not get to the
disk, is named without it.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from iam_guard.audit.verify.checkpoint import Checkpoint, notes_of
from iam_guard.audit.verify.segment_reader import judge
from iam_guard.audit.verify.shard import LOCK, Segment, read_opening, segments_of, shards_of
from iam_guard.audit.verify.signed_note import KeyRing

logger = logging.getLogger("iam_guard.audit")

NEWEST, MAX_LIVE = 16, 64
PAUSE = 60.0
_TAIL = 16 * 1024
"""Bytes at the end of a file of checkpoints, in which the last ones stand."""


@dataclass(frozen=True, slots=True)
class PeerCheckpoint:
    """A shard that is there, and the last checkpoint of it that is believed."""

    name: str
    checkpoint: Checkpoint | None = None


class PeerCheckpoints:
    """Names the shards of a trail for a writer, not too often."""

    def __init__(self, trail: Path, ring: KeyRing, timer: Callable[[], float]) -> None:
        self._trail = trail
        self._ring = ring
        self._timer = timer
        self._not_before = -math.inf

    def named(self, own: str) -> Sequence[PeerCheckpoint]:
        """Name the shards besides our own; none where that was done a moment ago, or cannot be done."""
        if self._timer() < self._not_before:
            return ()
        self._not_before = self._timer() + PAUSE
        try:
            return [_named(shard, self._ring) for shard in _chosen(self._trail, own)]
        except OSError as error:
            logger.error("the other shards of the audit trail cannot be named: %s", error.strerror)
            return ()


def durable_checkpoint(shard: Path, ring: KeyRing) -> tuple[bytes, Checkpoint] | None:
    """Return the last believed checkpoint of a shard, with its note, once the disk has what it signs.

    A shard that has ended was synced by whoever ended it.
    """
    for segment in reversed(segments_of(shard)):
        for note in _last_notes(segment):
            checkpoint = judge(note, shard.name, ring)
            if isinstance(checkpoint, Checkpoint):
                if (shard / LOCK).exists():
                    _sync(segment)
                return note, checkpoint
    return None


def _chosen(trail: Path, own: str) -> list[Path]:
    """Choose the newest shards, and of the older ones those that are still written."""
    there = [shard for shard in shards_of(trail) if shard.name != own] if trail.is_dir() else []
    there.sort(key=lambda shard: shard.name.rpartition("-")[2], reverse=True)
    live = [shard for shard in there[NEWEST:] if (shard / LOCK).exists()]
    return there[:NEWEST] + live[:MAX_LIVE]


def _named(shard: Path, ring: KeyRing) -> PeerCheckpoint:
    try:
        found = durable_checkpoint(shard, ring)
    except OSError as error:
        logger.warning("the last checkpoint of the audit shard `%s` cannot be relied on: %s", shard, error.strerror)
        found = None
    return PeerCheckpoint(shard.name, None if found is None else found[1])


def _last_notes(segment: Segment) -> list[bytes]:
    """Return the last whole notes of a segment, the latest first, and the one that it opens with."""
    try:
        with segment.checkpoints.open("rb") as file:
            begin = file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            content = file.read()
    except FileNotFoundError:
        begin, content = 0, b""
    notes = [place.note for place in notes_of(content) if not place.torn][1 if begin else 0 :]
    opening = read_opening(segment)
    return [*reversed(notes), *([] if opening is None or not opening.previous else [opening.previous])]


def _sync(segment: Segment) -> None:
    for path in (segment.lines, segment.hashes, segment.checkpoints):
        if path.exists():
            with path.open("rb") as file:
                os.fsync(file.fileno())
