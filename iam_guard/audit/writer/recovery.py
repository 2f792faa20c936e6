"""Recover shards whose process was killed or lost power before it ended them.

A shard with an unlocked lock file has no writer and has not ended. Its last segment is read from the start. A partial
last line, checkpoint or hash is truncated; missing hashes are computed from the lines. Then the tree continues: a gap
record declares that unwritten records are missing, and the shard ends with a checkpoint. Signed checkpoints stay valid.

Lines that no checkpoint covers are accepted as found, and the gap record counts them; only checkpoints by known keys
count. If the lines do not match the checkpoints (a power failure kept a later checkpoint but lost an earlier line, or
the files were altered), the shard is evidence and stays unchanged: a new signature would contradict an existing one.
The recovering process declares that gap in its own shard (`declare`).

Several processes may recover at once; each shard is locked by one of them.
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

from iam_guard.audit.verify.checkpoint import SignedCheckpoint, open_checkpoint, split_notes
from iam_guard.audit.verify.merkle import Tree, leaf_hashes
from iam_guard.audit.verify.segment_reader import is_signed_start
from iam_guard.audit.verify.shard import (
    LOCK,
    UNFINISHED,
    Segment,
    is_ended,
    read_segment_start,
    segments_of,
    shards_of,
    whole_lines,
)
from iam_guard.audit.verify.signed_note import KeyRing, SignerKey, Trust
from iam_guard.audit.verify.trail_events import Gap
from iam_guard.audit.writer.segment_writer import SegmentWriter
from iam_guard.audit.writer.shard_files import OpenSegment, end_shard, lock_shard, remove_draft
from iam_guard.errors import InvalidInput

logger = logging.getLogger("iam_guard.audit")

MAX_DRAFT_AGE = 3600.0


@dataclass(frozen=True, slots=True)
class Recovered:
    """The result for one shard."""

    shard: str
    is_continued: bool = True
    """False if the lines do not match the checkpoints, so that nothing could be added."""


def recover_trail(trail: Path, key: SignerKey, known_keys: KeyRing, *, region: str = "us-east-1") -> list[Recovered]:
    """End every shard whose process is gone and return the results; `known_keys` has the keys that may have signed."""
    _remove_old_drafts(trail)
    found = []
    for shard in shards_of(trail):
        lock = lock_shard(shard)
        if lock is None:
            continue
        try:
            found += _recover_shard(shard, lock, SegmentWriter(trail, key, region=region), known_keys)
        except OSError as error:
            logger.error("the shard `%s` of the audit trail cannot be recovered: %s", shard.name, error.strerror)
        finally:
            os.close(lock)
    return found


def declare_damage(trail: Path, writer: SegmentWriter, found: list[Recovered]) -> None:
    """Declare durably, in the writer's own shard, the damaged shards to which nothing could be added."""
    damaged = [result.shard for result in found if not result.is_continued]
    for shard in damaged:
        writer.gap(Gap("ShardDamaged", about=shard))
    writer.commit(durable=bool(damaged))
    for shard in damaged:
        end_shard(trail / shard)


def _recover_shard(shard: Path, lock: int, writer: SegmentWriter, known_keys: KeyRing) -> list[Recovered]:
    try:
        state = _read_state(shard, known_keys)
    except InvalidInput as error:
        logger.error("a checkpoint of the audit shard `%s` cannot be parsed: %s", shard.name, error)
        state = None
    if state is None:
        logger.error("the lines of the audit shard `%s` do not match its checkpoints; it is left unchanged", shard.name)
        return [Recovered(shard.name, is_continued=False)]
    try:
        _truncate_partial_writes(state)
        segment = OpenSegment(state.segment, time.monotonic())
        writer.resume(shard, os.dup(lock), segment, state.tree, signed=state.signed, hashes=state.missing_hashes)
        if is_ended(shard):  # killed after its last record: only the signature may be missing
            writer.checkpoint()
            end_shard(shard)
            return []
        unsigned = state.tree.size - state.signed
        writer.gap(Gap("ProcessEnded", cut_bytes=state.cut_bytes, unsigned=unsigned))
        writer.close()
    finally:
        writer.abandon()
    return [Recovered(shard.name)]


@dataclass(frozen=True, slots=True)
class _State:
    """The files of a shard as they were found."""

    segment: Segment
    tree: Tree
    signed: int
    line_bytes: int
    cut_bytes: int
    hash_bytes: int
    """Valid length of the hash file."""
    missing_hashes: list[bytes]
    checkpoint_bytes: int


def _read_state(shard: Path, known_keys: KeyRing) -> _State | None:
    """Read the last segment; return None if its lines do not match what was signed."""
    segments = segments_of(shard)
    opening = read_segment_start(segments[-1]) if segments else None
    if opening is None or not is_signed_start(opening, shard.name, known_keys):
        return None
    segment = segments[-1]
    content = segment.lines.read_bytes()
    line_bytes = content.rfind(b"\n") + 1
    hashes = leaf_hashes(whole_lines(content))
    checkpoints, checkpoint_bytes = _checkpoints(segment, known_keys)
    tree, signed = opening.tree, opening.tree.size
    for checkpoint in checkpoints:
        line_count = checkpoint.checkpoint.size - segment.first
        if checkpoint.trust is Trust.UNKNOWN_KEY:
            continue
        if checkpoint.trust is Trust.BAD_SIGNATURE or checkpoint.checkpoint.shard != shard.name:
            return None
        if not tree.size - segment.first <= line_count <= len(hashes):
            return None
        tree.extend(hashes[tree.size - segment.first : line_count])
        if tree.size != checkpoint.checkpoint.size or tree.root() != checkpoint.checkpoint.root:
            return None
        signed = tree.size
    tree.extend(hashes[tree.size - segment.first :])
    stored = segment.hashes.read_bytes() if segment.hashes.exists() else b""
    stored_count = len(stored) // 32
    if stored_count > len(hashes) or b"".join(hashes[:stored_count]) != stored[: stored_count * 32]:
        return None
    cut = len(content) - line_bytes
    hash_bytes, missing_hashes = stored_count * 32, hashes[stored_count:]
    return _State(segment, tree, signed, line_bytes, cut, hash_bytes, missing_hashes, checkpoint_bytes)


def _checkpoints(segment: Segment, known_keys: KeyRing) -> tuple[list[SignedCheckpoint], int]:
    """Read the checkpoints of a segment, and the length of the complete notes in its file."""
    content = segment.checkpoints.read_bytes() if segment.checkpoints.exists() else b""
    checkpoints: list[SignedCheckpoint] = []
    for place in split_notes(content):
        if place.torn:
            return checkpoints, place.begin
        checkpoints.append(open_checkpoint(place.note, known_keys))
    return checkpoints, len(content)


def _truncate_partial_writes(state: _State) -> None:
    sizes = {
        state.segment.lines: state.line_bytes,
        state.segment.hashes: state.hash_bytes,
        state.segment.checkpoints: state.checkpoint_bytes,
    }
    for path, size in sizes.items():
        if path.exists():
            os.truncate(path, size)


def _remove_old_drafts(trail: Path) -> None:
    """Remove abandoned drafts of shards; a draft also disappears when its process renames it."""
    for draft in trail.glob(f"*{UNFINISHED}"):
        try:
            if time.time() - draft.stat().st_mtime > MAX_DRAFT_AGE and _is_free(draft):
                remove_draft(draft)
        except FileNotFoundError:
            continue
        except OSError as error:
            logger.warning("the draft of an audit shard cannot be removed: %s", error.strerror)


def _is_free(draft: Path) -> bool:
    """Return whether no process creates the shard; it may be killed before it makes the lock."""
    if not (draft / LOCK).exists():
        return True
    lock = lock_shard(draft)
    if lock is not None:
        os.close(lock)
    return lock is not None
