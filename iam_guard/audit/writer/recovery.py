"""What a start does about processes that did not end their shard: killed, or cut off by the power.

A shard with a lock file that nobody holds has no writer any more and has not ended. Its last segment is read from its
first line on. A torn last line is cut off, as are half a checkpoint and half a hash; hashes that are missing are made
from the lines. Then the tree goes on: a gap is declared, which says that what the process had not written yet is not
here, and the shard ends with a checkpoint. A checkpoint that was signed stays true.

Lines that no checkpoint covered are taken as they are found, and the gap says how many; only checkpoints of keys that
are known count. When the lines do not bear them (the power went, and the disk had the later checkpoint but not the
earlier line; or somebody changed something), nothing of the shard is touched, for it is evidence now, and a signature
over it would contradict one that was given. That gap is declared in the shard of whoever found it (`declare`).

Several processes may recover at once, each shard is locked by one.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

from iam_guard.audit.verify.checkpoint import SignedCheckpoint, notes_of, open_checkpoint
from iam_guard.audit.verify.merkle import Tree, leaf_hashes
from iam_guard.audit.verify.shard import (
    LOCK,
    UNFINISHED,
    Segment,
    is_ended,
    read_opening,
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

_OLD_DRAFT = 3600.0


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was found about one shard."""

    shard: str
    cut_bytes: int = 0
    is_continued: bool = True
    """False where the lines do not bear the checkpoints, so that nothing could be added."""


def recover(trail: Path, key: SignerKey, ring: KeyRing, *, region: str = "us-east-1") -> list[Recovered]:
    """End every shard whose process is gone; say what was found. The ring knows the keys that signed before."""
    if not trail.is_dir():
        return []
    _remove_old_drafts(trail)
    found = []
    for shard in shards_of(trail):
        lock = lock_shard(shard)
        if lock is None:
            continue
        try:
            found += _recover_shard(shard, lock, SegmentWriter(trail, key, region=region), ring)
        except OSError as error:
            logger.error("the shard `%s` of the audit trail cannot be recovered: %s", shard.name, error.strerror)
        finally:
            os.close(lock)
    return found


def declare(trail: Path, writer: SegmentWriter, found: list[Recovered]) -> None:
    """Declare in a writer's own shard, durably, what could not be declared in the shards that were found."""
    damaged = [each.shard for each in found if not each.is_continued]
    for shard in damaged:
        writer.gap(Gap("ShardDamaged", about=shard))
    writer.commit(durable=bool(damaged))
    for shard in damaged:
        end_shard(trail / shard)


def _recover_shard(shard: Path, lock: int, writer: SegmentWriter, ring: KeyRing) -> list[Recovered]:
    try:
        state = _read_state(shard, ring)
    except InvalidInput as error:
        logger.error("a checkpoint of the audit shard `%s` cannot be read: %s", shard.name, error)
        state = None
    if state is None:
        logger.error("the lines of the audit shard `%s` do not bear its checkpoints; it is left as it is", shard.name)
        return [Recovered(shard.name, is_continued=False)]
    try:
        _cut(state)
        segment = OpenSegment(state.segment, time.monotonic())
        writer.resume(shard, os.dup(lock), segment, state.tree, signed=state.signed, hashes=state.missing_hashes)
        if is_ended(shard):  # killed after its last record: nothing is missing but perhaps the signature
            writer.checkpoint()
            end_shard(shard)
            return []
        unsigned = state.tree.size - state.signed
        writer.gap(Gap("ProcessEnded", cut_bytes=state.cut_bytes, unsigned=unsigned))
        writer.close()
    finally:
        writer.abandon()
    return [Recovered(shard.name, state.cut_bytes)]


@dataclass(frozen=True, slots=True)
class _State:
    """How a shard was left."""

    segment: Segment
    tree: Tree
    signed: int
    line_bytes: int
    cut_bytes: int
    hash_bytes: int
    """Of its file of hashes, as much as is right."""
    missing_hashes: list[bytes]
    checkpoint_bytes: int


def _read_state(shard: Path, ring: KeyRing) -> _State | None:
    """Read the last segment; None where its lines do not bear what was signed."""
    segments = segments_of(shard)
    opening = read_opening(segments[-1]) if segments else None
    if opening is None or not _bears(opening.tree, opening.previous, shard.name, ring):
        return None
    segment = segments[-1]
    content = segment.lines.read_bytes()
    line_bytes = content.rfind(b"\n") + 1
    hashes = leaf_hashes(whole_lines(content))
    checkpoints, checkpoint_bytes = _checkpoints(segment, ring)
    tree, signed = opening.tree, opening.tree.size
    for checkpoint in checkpoints:
        wanted = checkpoint.checkpoint.size - segment.first
        if checkpoint.trust is Trust.UNKNOWN_KEY:
            continue
        if checkpoint.trust is Trust.BAD_SIGNATURE or checkpoint.checkpoint.shard != shard.name:
            return None
        if not tree.size - segment.first <= wanted <= len(hashes):
            return None
        tree.extend(hashes[tree.size - segment.first : wanted])
        if tree.size != checkpoint.checkpoint.size or tree.root() != checkpoint.checkpoint.root:
            return None
        signed = tree.size
    tree.extend(hashes[tree.size - segment.first :])
    stored = segment.hashes.read_bytes() if segment.hashes.exists() else b""
    known = len(stored) // 32
    if known > len(hashes) or b"".join(hashes[:known]) != stored[: known * 32]:
        return None
    cut = len(content) - line_bytes
    return _State(segment, tree, signed, line_bytes, cut, known * 32, hashes[known:], checkpoint_bytes)


def _bears(tree: Tree, previous: bytes, shard: str, ring: KeyRing) -> bool:
    """Return whether the beginning of a segment is what the checkpoint in it says."""
    if not previous:
        return tree.size == 0
    try:
        signed = open_checkpoint(previous, ring)
    except InvalidInput:
        return False
    found = signed.checkpoint
    said = (found.shard, found.size, found.root)
    return signed.trust is Trust.GOOD and said == (shard, tree.size, tree.root())


def _checkpoints(segment: Segment, ring: KeyRing) -> tuple[list[SignedCheckpoint], int]:
    """Read the checkpoints of a segment, and how many bytes of the file are whole notes."""
    content = segment.checkpoints.read_bytes() if segment.checkpoints.exists() else b""
    found: list[SignedCheckpoint] = []
    for place in notes_of(content):
        if place.torn:
            return found, place.begin
        found.append(open_checkpoint(place.note, ring))
    return found, len(content)


def _cut(state: _State) -> None:
    """Cut off what is half written."""
    wanted = {
        state.segment.lines: state.line_bytes,
        state.segment.hashes: state.hash_bytes,
        state.segment.checkpoints: state.checkpoint_bytes,
    }
    for path, size in wanted.items():
        if path.exists():
            os.truncate(path, size)


def _remove_old_drafts(trail: Path) -> None:
    """Remove what nobody finishes any more; a draft is also gone once its process has given it its name."""
    for draft in trail.glob(f"*{UNFINISHED}"):
        try:
            if time.time() - draft.stat().st_mtime > _OLD_DRAFT and _is_free(draft):
                remove_draft(draft)
        except FileNotFoundError:
            continue
        except OSError as error:
            logger.warning("an audit shard that was never finished cannot be removed: %s", error.strerror)


def _is_free(draft: Path) -> bool:
    try:
        descriptor = os.open(draft / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
