"""The checkpoints of the other shards that the first line of a segment lists.

A shard's own files can't prove that the shard existed. So each new segment lists the other shards with their last
checkpoints, and verification (`shard_claims`) finds one that is missing, shorter or different. Hiding that would need
the removal of every shard that lists it, and of those that list these.

Listed are the newest shards and those still being written, at most once every `PAUSE` seconds, because a busy writer
starts a segment each second. The data under a checkpoint is synced before the checkpoint is listed, so that a power
failure never leaves a shard shorter than listed. A shard is listed without its checkpoint if that is signed by an
unknown key or can't be synced.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from iam_guard.audit.verify.checkpoint import Checkpoint, split_notes
from iam_guard.audit.verify.segment_reader import check_checkpoint
from iam_guard.audit.verify.shard import LOCK, Segment, read_segment_start, segments_of, shards_of
from iam_guard.audit.verify.signed_note import KeyRing

logger = logging.getLogger("iam_guard.audit")

MAX_NEWEST, MAX_LIVE = 16, 64
PAUSE = 60.0
_TAIL = 16 * 1024
"""Bytes to read at the end of a checkpoint file; enough for the last checkpoints."""


@dataclass(frozen=True, slots=True)
class PeerCheckpoint:
    """An existing shard, and its last checkpoint with a valid signature."""

    name: str
    checkpoint: Checkpoint | None = None


@dataclass(slots=True)
class PeerCheckpoints:
    """Lists the shards of a trail for a writer, at most once every `PAUSE` seconds."""

    trail: Path
    ring: KeyRing
    timer: Callable[[], float]
    _not_before: float = -math.inf

    def named(self, own: str) -> Sequence[PeerCheckpoint]:
        """Return the other shards; none if they were listed less than `PAUSE` seconds ago, or can't be read."""
        if self.timer() < self._not_before:
            return ()
        self._not_before = self.timer() + PAUSE
        try:
            return [_peer_checkpoint(shard, self.ring) for shard in _selected_peers(self.trail, own)]
        except OSError as error:
            logger.error("audit writer could not list the other shards: %s", error.strerror)
            return ()


def durable_checkpoint(shard: Path, ring: KeyRing) -> tuple[bytes, Checkpoint] | None:
    """Return the last trusted checkpoint of a shard, with its note, after syncing the data that it signs.

    An ended shard is not synced again: its writer did that at the end.
    """
    for segment in reversed(segments_of(shard)):
        for note in _last_notes(segment):
            checkpoint = check_checkpoint(note, shard.name, ring)
            if isinstance(checkpoint, Checkpoint):
                if (shard / LOCK).exists():
                    _sync(segment)
                return note, checkpoint
    return None


def _selected_peers(trail: Path, own: str) -> list[Path]:
    """Return the newest shards, and the older ones that are still being written."""
    peers = [shard for shard in shards_of(trail) if shard.name != own]
    peers.sort(key=lambda shard: shard.name.rpartition("-")[2], reverse=True)
    live = [shard for shard in peers[MAX_NEWEST:] if (shard / LOCK).exists()]
    return peers[:MAX_NEWEST] + live[:MAX_LIVE]


def _peer_checkpoint(shard: Path, ring: KeyRing) -> PeerCheckpoint:
    try:
        found = durable_checkpoint(shard, ring)
    except OSError as error:
        logger.warning("audit writer could not sync the last checkpoint of shard `%s`: %s", shard, error.strerror)
        found = None
    return PeerCheckpoint(shard.name, None if found is None else found[1])


def _last_notes(segment: Segment) -> list[bytes]:
    """Return the last complete notes of a segment, latest first, then the note in its first line."""
    try:
        with segment.checkpoints.open("rb") as file:
            begin = file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            content = file.read()
    except FileNotFoundError:
        begin, content = 0, b""
    notes = [place.note for place in split_notes(content) if not place.torn][1 if begin else 0 :]
    opening = read_segment_start(segment)
    return [*reversed(notes), *([] if opening is None or not opening.previous else [opening.previous])]


def _sync(segment: Segment) -> None:
    for path in (segment.lines, segment.hashes, segment.checkpoints):
        if path.exists():
            with path.open("rb") as file:
                os.fsync(file.fileno())
