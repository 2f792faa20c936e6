"""The writer of a shard: numbered lines into segments, their hashes into a Merkle tree, its roots into checkpoints.

One thread of a process owns a writer and calls only `append`, `commit`, `checkpoint`, `gap`, `declare` and `close`.
Lines wait from `append` to `commit`, which writes all of them with one write and, on request, flushes to the disk: the
more callers share a commit, the cheaper it is for each. `commit` keeps all of them, or raises `OSError` and keeps none;
so the tree contains only what is in the file. Declaring lines that are lost that way is up to the caller (`gap`). Only
a full disk is declared by the writer itself, using a reserve; after that it accepts only `declare` until the reserve
can be allocated again.

Each line states its shard and number: `append` takes lines whose last member is `iamGuard`, and the two members are
inserted before its end. The hash covers the line as stored, including its line break.

Write order: lines, then their hashes, then the checkpoint. So a checkpoint never signs unwritten lines, and a killed
process can be recovered (`recovery`). In a forked child, a writer drops the shard of its parent and starts its own when
it is used.
"""

from __future__ import annotations

import errno
import logging
import math
import os
import socket
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from iam_guard.audit.append_file import DISK_FULL_ERRORS
from iam_guard.audit.record.record import Stamp
from iam_guard.audit.verify.checkpoint import sign_checkpoint
from iam_guard.audit.verify.merkle import Tree, leaf_hashes
from iam_guard.audit.verify.peer_checkpoints import PeerCheckpoints
from iam_guard.audit.verify.shard import Segment, is_line, numbered_lines, shard_id
from iam_guard.audit.verify.signed_note import KeyRing, SignerKey
from iam_guard.audit.verify.trail_events import Gap, end_line, gap_line, segment_line
from iam_guard.audit.writer.disk_reserve import Reserve
from iam_guard.audit.writer.flushing import FlushSchedule
from iam_guard.audit.writer.shard_files import OpenSegment, begin_shard, end_shard
from iam_guard.forking import on_fork

logger = logging.getLogger("iam_guard.audit")


@dataclass(frozen=True, slots=True)
class SegmentLimits:
    """When to sign a checkpoint, flush to the disk, and start the next segment."""

    checkpoint_records: int = 1000
    checkpoint_seconds: float = 1.0
    flush_seconds: float = 1.0
    """Seconds until a line is flushed to the disk for which no request waits; 0 leaves it to the operating system."""
    segment_bytes: int = 64 * 1024 * 1024
    segment_seconds: float = 3600.0
    reserve_bytes: int = 128 * 1024
    """Disk space for the last gap record, its hash and its checkpoint."""


class SegmentWriter:
    """Writes one shard. Not thread-safe."""

    def __init__(
        self,
        trail: Path,
        key: SignerKey,
        *,
        known: KeyRing | None = None,
        service: str = "iam-guard",
        region: str = "us-east-1",
        limits: SegmentLimits = SegmentLimits(),
        clock: Callable[[], datetime] = partial(datetime.now, UTC),
        timer: Callable[[], float] = time.monotonic,
        is_retried: bool = False,
    ) -> None:
        """Prepare to write below the folder `trail`; the shard starts with the first commit.

        `known` are the keys whose checkpoints in other shards are trusted. With `is_retried`, lines of a failed commit
        are submitted again, so a full disk loses no known number of lines.
        """
        self._trail = trail
        self._key = key
        self._service = service
        self._region = region
        self._limits = limits
        self._clock = clock
        self._timer = timer
        self._is_retried = is_retried
        self._known = known or KeyRing([key.verifier])
        self.checkpointed_at: float | None = None
        """Time of the last written checkpoint, by the timer."""
        self._is_closed = False
        self._reset()
        on_fork(self)

    def _reset(self) -> None:
        self._shard: Path | None = None
        self._open: OpenSegment | None = None
        self._lock = -1
        self._tree = Tree()
        self._pending: list[bytes] = []
        self._hashes: list[bytes] = []
        self._notes: list[str] = []
        self._note: str | None = None
        self._signed = 0
        self._unsigned_since: float | None = None
        self._reserve = Reserve(self._limits.reserve_bytes, self._timer)
        self._flush_schedule = FlushSchedule(self._limits.flush_seconds, self._timer)
        self._peers = PeerCheckpoints(self._trail, self._known, self._timer)
        self._leave_reason: str | None = None
        self._retry_at = -math.inf

    # --- public interface ------------------------------------------------------------------------------------------

    @property
    def shard(self) -> str | None:
        """The name of the shard, once it has started."""
        return None if self._shard is None else self._shard.name

    @property
    def size(self) -> int:
        """Number of lines in the shard."""
        return self._tree.size

    def append(self, lines: Sequence[bytes]) -> None:
        """Add lines to the next commit; each is one record with `iamGuard` as its last member, and a line break."""
        if self._is_closed:
            raise OSError(errno.EBADF, "the audit trail is closed")
        if not all(map(is_line, lines)):
            raise ValueError("expected a record on one line with `iamGuard` as its last member")
        self._pending += lines

    def gap(self, gap: Gap) -> None:
        """Add a record to the next commit that declares missing records."""
        self.append([gap_line(self._stamp(), gap)])

    def commit(self, durable: bool = False) -> None:
        """Write all appended lines or none, flush if `durable`, then run due tasks.

        Raises `OSError` if the lines are not stored, or may not be on the disk.
        """
        lines, self._pending = self._pending, []
        if lines or self._open is not None:
            segment = self._current_segment()
            if lines:
                segment = self._write(lines)
            if durable:
                self._sync(segment)
            self._run_due_tasks()

    def due_in(self) -> float | None:
        """Return the seconds until a checkpoint or a flush is due; None if none is."""
        next_due = self._flush_schedule.due_in()
        if self._unsigned_since is not None or self._notes:
            since = self._unsigned_since
            at = self._retry_at if since is None else since + self._limits.checkpoint_seconds
            due = max(0.0, at - self._timer())
            next_due = due if next_due is None else min(due, next_due)
        return next_due

    def checkpoint(self) -> str:
        """Commit, sign everything, flush it, and return the note; raise `OSError` otherwise."""
        self.commit()
        return self._sign_and_flush(self._current_segment())

    def declare(self, line: bytes) -> None:
        """Write a record about the trail itself immediately, signed and flushed; raise `OSError` otherwise.

        Unlike commits, it may use the remaining disk space after the reserve was released.
        """
        self.append([line])
        lines, self._pending = self._pending, []
        self._write_signed(self._writable_segment(lines), lines)

    def last_gap(self, gap: Gap) -> None:
        """Declare missing records before the shard ends, in the reserved space; raise `OSError` if that fails."""
        segment = self._current_segment()
        self._reserve.release_all(segment.segment.folder)
        self.declare(gap_line(self._stamp(), gap))

    def close(self) -> None:
        """End the shard with a last record and a checkpoint; if that fails, the next start recovers the shard."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            if self._open is not None or self._pending:
                self._pending.append(end_line(self._stamp()))
                self._reserve.is_released = False  # what is left of the space is for this line
                self.checkpoint()
                end_shard(self._current_segment().segment.folder)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close all files as they are, like a process that is killed."""
        self._is_closed = True
        self._release()

    # --- lines ---------------------------------------------------------------------------------------------------

    def _write(self, lines: list[bytes]) -> OpenSegment:
        segment = self._current_segment()
        if self._reserve.is_released and not self._reserve.allocate(segment.segment.folder):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # the remaining space is for declarations
        self._reserve.is_released = False
        segment = self._writable_segment(lines)
        numbered = self._numbered(lines)
        try:
            segment.lines.append(b"".join(numbered))
        except OSError as error:
            if error.errno in DISK_FULL_ERRORS:
                self._retry_at = -math.inf  # retry failed checkpoints with the next commit
                self._declare_disk_full(segment, len(lines))
            elif error.errno == errno.EFBIG:
                self._leave_reason = "FileTooLarge"
            raise
        self._flush_schedule.record_write()
        self._extend_tree(numbered)
        return segment

    def _writable_segment(self, lines: list[bytes]) -> OpenSegment:
        """Return the open segment, or the next one if it is unreliable; `lines` then starts with a gap record."""
        segment = self._current_segment()
        if self._leave_reason is None and not segment.lines.is_unchanged():
            self._leave_reason = "SegmentAltered"
        return segment if self._leave_reason is None else self._leave_segment(segment, lines)

    def _write_signed(self, segment: OpenSegment, lines: list[bytes]) -> None:
        """Write lines that may be the last ones: sign and flush them."""
        numbered = self._numbered(lines)
        segment.lines.append(b"".join(numbered))
        self._extend_tree(numbered)
        self._sign_and_flush(segment)

    def _numbered(self, lines: Sequence[bytes]) -> list[bytes]:
        return numbered_lines(lines, self.shard or "", self._tree.size)

    def _extend_tree(self, numbered: Sequence[bytes]) -> None:
        """Add written lines to the tree, and sign at every limit of records."""
        hashes = leaf_hashes(numbered)
        while hashes:
            count = max(1, self._limits.checkpoint_records - (self._tree.size - self._signed))
            part, hashes = hashes[:count], hashes[count:]
            self._tree.extend(part)
            self._hashes += part
            if len(part) == count:
                self._sign_all()
        if self._unsigned_since is None and self._tree.size > self._signed:
            self._unsigned_since = self._timer()

    def _sync(self, segment: OpenSegment) -> None:
        begun = self._timer()
        try:
            segment.lines.sync()
        except OSError:
            self._leave_reason = "SyncFailed"  # the state of the file on the disk is unknown now
            raise
        finally:
            self._flush_schedule.record_flush(self._timer() - begun)

    def _declare_disk_full(self, segment: OpenSegment, lost: int) -> None:
        """Use the reserve to declare that records may be missing from here on."""
        if not self._reserve.is_allocated:
            return
        try:
            self._reserve.release(segment.segment.folder)
            gap = Gap("DiskFull", lost=None if self._is_retried else lost)
            self._write_signed(segment, [gap_line(self._stamp(), gap)])
        except OSError as error:
            logger.error("a gap in the audit trail cannot be declared: %s", error.strerror)

    # --- checkpoints ---------------------------------------------------------------------------------------------

    def _sign_all(self) -> str:
        """Return the checkpoint of everything written, signing it if necessary."""
        if self._note is None or self._signed != self._tree.size:
            self._note = sign_checkpoint(self.shard or "", self._tree.size, self._tree.root(), self._key)
            self._notes.append(self._note)
            self._signed = self._tree.size
            self._unsigned_since = None
        return self._note

    def _sign_and_flush(self, segment: OpenSegment) -> str:
        """Sign everything and flush it to the disk; return the last checkpoint."""
        note = self._sign_all()
        self._write_checkpoints(segment)
        segment.sync()
        return note

    def _write_checkpoints(self, segment: OpenSegment) -> None:
        """Write the signed checkpoints, after the hashes that they cover."""
        if self._notes:
            segment.hashes.append(b"".join(self._hashes))
            self._hashes = []
            segment.checkpoints.append("".join(f"{note}\n" for note in self._notes).encode())
            self._notes = []
            self.checkpointed_at = self._timer()

    def _run_due_tasks(self) -> None:
        """Flush, sign, rotate and reserve space as due; log failures, because the lines are stored already."""
        segment, now = self._current_segment(), self._timer()
        if self._flush_schedule.due_in() == 0.0:
            try:
                self._sync(segment)
            except OSError as error:
                logger.error("the audit trail cannot be flushed to the disk: %s", error.strerror)
        if self._unsigned_since is not None and now - self._unsigned_since >= self._limits.checkpoint_seconds:
            self._sign_all()
        if now < self._retry_at:
            return
        try:
            self._write_checkpoints(segment)
            if self._is_full(segment, now) and not self._is_closed:
                self._sign_and_flush(segment)
                self._open_next_segment(segment)
        except OSError as error:
            logger.error("a checkpoint or a new segment of the audit trail cannot be written: %s", error.strerror)
            self._notes = self._notes[-1:]
            self._retry_at = now + 1.0
        self._reserve.allocate(self._current_segment().segment.folder)

    # --- segments ------------------------------------------------------------------------------------------------

    def _is_full(self, segment: OpenSegment, now: float) -> bool:
        if segment.lines.size >= self._limits.segment_bytes:
            return True
        has_records = self._tree.size - segment.segment.first > 1
        return has_records and now - segment.opened >= self._limits.segment_seconds

    def _leave_segment(self, segment: OpenSegment, lines: list[bytes]) -> OpenSegment:
        """Continue in a new segment because the current one is unreliable; declare that in its first record."""
        reason = self._leave_reason or ""
        logger.error("a segment of the audit trail is abandoned: %s", reason)
        try:
            self._sign_and_flush(segment)
        except OSError as error:
            logger.error("the last checkpoint of the segment cannot be written: %s", error.strerror)
        try:
            entered = self._open_next_segment(segment)
        except FileNotFoundError:  # the folder is gone: the next commit starts another shard
            self._release()
            raise
        self._leave_reason = None
        lines.insert(0, gap_line(self._stamp(), Gap(reason)))
        return entered

    def _open_next_segment(self, segment: OpenSegment) -> OpenSegment:
        peers = self._peers.named(self.shard or "")
        opening = self._numbered([segment_line(self._stamp(), self._tree.state, self._note, peers)])
        following = Segment(segment.segment.folder, self._tree.size)
        self._open = OpenSegment.create(following, opening[0], self._timer())
        segment.close()
        self._flush_schedule.record_flush()  # the previous segment is not flushed any more
        self._hashes, self._notes = [], []
        self._extend_tree(opening)
        return self._open

    def _current_segment(self) -> OpenSegment:
        """Return the open segment; create the shard the first time."""
        while self._open is None:
            start = self._clock()
            name = shard_id(self._service, socket.gethostname(), os.getpid(), start)
            self._shard = self._trail / name
            opening = self._numbered([segment_line(self._stamp(), (), None, self._peers.named(name))])
            try:
                self._lock, self._open = begin_shard(self._trail, name, opening[0], self._timer())
            except FileExistsError:
                time.sleep(0.000_01)  # another writer of this process started in the same microsecond
                continue
            self._extend_tree(opening)
            self._reserve.allocate(self._open.segment.folder)
        return self._open

    def resume(
        self, shard: Path, lock: int, segment: OpenSegment, tree: Tree, *, signed: int, hashes: list[bytes]
    ) -> None:
        """Continue a shard whose process is gone; `hashes` are those missing from its hash file."""
        self._reset()
        self._shard, self._lock, self._open, self._tree = shard, lock, segment, tree
        self._signed, self._hashes = signed, hashes
        self._reserve.is_allocated = True  # releasing it is harmless if it is gone

    def _stamp(self) -> Stamp:
        return Stamp(self._clock(), str(uuid.uuid4()), self._region)

    def begin_in_child(self) -> None:
        """Release the parent's shard: only the parent writes it, and its lock must end with the parent."""
        self._release()

    def _release(self) -> None:
        if self._open is not None:
            self._open.close()
        if self._lock >= 0:
            os.close(self._lock)
        self._reset()
