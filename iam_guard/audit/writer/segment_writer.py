"""The writer of a shard: numbered lines into segments, their hashes into a Merkle tree, its roots into checkpoints.

One thread of a process owns a writer and calls nothing but `append`, `commit`, `checkpoint`, `gap`, `declare` and
`close`. Lines wait from `append` to `commit`, which writes all of them with one write and, where asked to, waits for
the disk: the more callers wait for the same commit, the cheaper it is for each. Either all of them are kept, or
`commit` raises `OSError` and keeps none; so the tree is only told of what stands in the file. What is lost that way is
the caller's to declare (`gap`). Only that the disk is full the writer says itself, for which it has a reserve; then it
takes nothing more until there is room for the reserve again, but what is declared (`declare`).

A line says which shard it stands in and as which number: `append` takes lines whose last member is `iamGuard`, as all
of ours are, and the two members are put before their end. What is hashed is the line as it stands in the file, its line
break included.

Order on the disk: lines, then their hashes, then the checkpoint. So a checkpoint never signs what is not written, and
what is there after a kill can be gone on from (`recovery`). In a child that was forked off, a writer forgets the shard
of its parent, and begins one of its own when it is used.
"""

from __future__ import annotations

import errno
import logging
import math
import os
import socket
import time
import uuid
import weakref
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from iam_guard.audit.append_file import NO_ROOM
from iam_guard.audit.record.record import Stamp
from iam_guard.audit.verify.checkpoint import sign_checkpoint
from iam_guard.audit.verify.merkle import Tree, leaf_hashes
from iam_guard.audit.verify.peer_checkpoints import PeerCheckpoints
from iam_guard.audit.verify.shard import Segment, is_line, numbered_lines, shard_id
from iam_guard.audit.verify.signed_note import KeyRing, SignerKey
from iam_guard.audit.verify.trail_events import Gap, end_line, gap_line, segment_line
from iam_guard.audit.writer.disk_reserve import Reserve
from iam_guard.audit.writer.flushing import Flushing
from iam_guard.audit.writer.segment_limits import SegmentLimits
from iam_guard.audit.writer.shard_files import OpenSegment, begin_shard, end_shard

logger = logging.getLogger("iam_guard.audit")


def _now() -> datetime:
    return datetime.now(UTC)


class SegmentWriter:
    """Writes one shard. Not to be used from two threads at once."""

    def __init__(
        self,
        trail: Path,
        key: SignerKey,
        *,
        known: KeyRing | None = None,
        service: str = "iam-guard",
        region: str = "us-east-1",
        limits: SegmentLimits = SegmentLimits(),
        clock: Callable[[], datetime] = _now,
        timer: Callable[[], float] = time.monotonic,
        is_retried: bool = False,
    ) -> None:
        """Get ready to write below the folder `trail`; the shard begins with the first commit.

        `known` are the keys whose checkpoints in other shards are believed. `is_retried` says that lines of a failed
        commit come again: then a full disk is no number of lost lines.
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
        self.checkpointed: float | None = None
        """When, by the timer, a checkpoint was last written."""
        self._is_closed = False
        self._forget()
        _WRITERS.add(self)

    def _forget(self) -> None:
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
        self._flushing = Flushing(self._limits.flush_seconds, self._timer)
        self._others = PeerCheckpoints(self._trail, self._known, self._timer)
        self._leave_for: str | None = None
        self._try_again = -math.inf

    # --- the door ------------------------------------------------------------------------------------------------

    @property
    def shard(self) -> str | None:
        """The shard's name, once it has begun."""
        return None if self._shard is None else self._shard.name

    @property
    def size(self) -> int:
        """How many lines the shard has."""
        return self._tree.size

    def append(self, lines: Sequence[bytes]) -> None:
        """Add lines to the next commit; each is one record with `iamGuard` as its last member, and a line break."""
        if self._is_closed:
            raise OSError(errno.EBADF, "the audit trail is closed")
        for line in lines:
            if not is_line(line):
                raise ValueError("expected a record on one line, with iamGuard as its last member")
        self._pending += lines

    def gap(self, gap: Gap) -> None:
        """Add a record to the next commit that declares that others are not here."""
        self.append([gap_line(self._stamp(), gap)])

    def commit(self, durable: bool = False) -> None:
        """Write what was appended, all of it or nothing, and wait for the disk if `durable`; then see what is due.

        Raises `OSError` when the lines are not kept, or not known to be on the disk.
        """
        lines, self._pending = self._pending, []
        if lines or self._open is not None:
            segment = self._begun()
            if lines:
                segment = self._write(lines)
            if durable:
                self._sync(segment)
            self._do_what_is_due()

    def due_in(self) -> float | None:
        """Return the seconds until a checkpoint or a sync is due; None when none is."""
        found = self._flushing.due_in()
        if self._unsigned_since is not None or self._notes:
            since = self._unsigned_since
            at = self._try_again if since is None else since + self._limits.checkpoint_seconds
            due = max(0.0, at - self._timer())
            found = due if found is None else min(due, found)
        return found

    def checkpoint(self) -> str:
        """Commit, sign all there is, wait until the disk has it, and give the note; raise `OSError` otherwise."""
        self.commit()
        segment = self._begun()
        note = self._sign_all()
        self._put(segment)
        segment.sync()
        return note

    def declare(self, line: bytes) -> None:
        """Write a record of the trail about itself at once, signed and on the disk; raise `OSError` otherwise.

        It may take what room is left when the reserve is spent, which commits leave alone.
        """
        self.append([line])
        lines, self._pending = self._pending, []
        self._say(self._fit_to_write(lines), lines)

    def close(self) -> None:
        """End the shard with a last record and a checkpoint; where that fails, the next start recovers the shard."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            if self._open is not None or self._pending:
                self._pending.append(end_line(self._stamp()))
                self.checkpoint()
                end_shard(self._begun().segment.folder)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of all files as they are, as a process does that is killed."""
        self._is_closed = True
        self._let_go()

    # --- lines ---------------------------------------------------------------------------------------------------

    def _write(self, lines: list[bytes]) -> OpenSegment:
        segment = self._begun()
        if self._reserve.is_spent and not self._reserve.make(segment.segment.folder):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # what room is left is for what must be said
        self._reserve.is_spent = False
        segment = self._fit_to_write(lines)
        numbered = self._numbered(lines)
        try:
            segment.lines.append(b"".join(numbered))
        except OSError as error:
            if error.errno in NO_ROOM:
                self._try_again = -math.inf  # what could not be written either is tried with the next that is
                self._declare_full(segment, len(lines))
            elif error.errno == errno.EFBIG:
                self._leave_for = "FileTooLarge"
            raise
        self._flushing.written()
        self._grow(numbered)
        return segment

    def _fit_to_write(self, lines: list[bytes]) -> OpenSegment:
        """Return the open segment; where that is not to be relied on, the next one, and `lines` begin by saying so."""
        segment = self._begun()
        if self._leave_for is None and not segment.lines.is_as_left():
            self._leave_for = "SegmentAltered"
        return segment if self._leave_for is None else self._leave(segment, lines)

    def _say(self, segment: OpenSegment, lines: list[bytes]) -> None:
        """Write lines that may be the last word: sign them, and wait for the disk."""
        numbered = self._numbered(lines)
        segment.lines.append(b"".join(numbered))
        self._grow(numbered)
        self._sign_all()
        self._put(segment)
        segment.sync()

    def _numbered(self, lines: Sequence[bytes]) -> list[bytes]:
        return numbered_lines(lines, self.shard or "", self._tree.size)

    def _grow(self, numbered: Sequence[bytes]) -> None:
        """Tell the tree of lines that are written, and sign whenever enough have come."""
        hashes = leaf_hashes(numbered)
        while hashes:
            room = max(1, self._limits.checkpoint_records - (self._tree.size - self._signed))
            part, hashes = hashes[:room], hashes[room:]
            self._tree.extend(part)
            self._hashes += part
            if len(part) == room:
                self._sign_all()
        if self._unsigned_since is None and self._tree.size > self._signed:
            self._unsigned_since = self._timer()

    def _sync(self, segment: OpenSegment) -> None:
        begun = self._timer()
        try:
            segment.lines.sync()
        except OSError:
            self._leave_for = "SyncFailed"  # what the disk has of this file nobody can know any more
            raise
        finally:
            self._flushing.done(self._timer() - begun)

    def _declare_full(self, segment: OpenSegment, lost: int) -> None:
        """Use the reserve to say that from here on records may be missing."""
        if not self._reserve.is_there:
            return
        try:
            self._reserve.spend(segment.segment.folder)
            gap = Gap("DiskFull", lost=None if self._is_retried else lost)
            self._say(segment, [gap_line(self._stamp(), gap)])
        except OSError as error:
            logger.error("the gap in the audit trail cannot be declared: %s", error.strerror)

    # --- checkpoints ---------------------------------------------------------------------------------------------

    def _sign_all(self) -> str:
        """Return the checkpoint of all that is written, signing it if it is not."""
        if self._note is None or self._signed != self._tree.size:
            self._note = sign_checkpoint(self.shard or "", self._tree.size, self._tree.root(), self._key)
            self._notes.append(self._note)
            self._signed = self._tree.size
            self._unsigned_since = None
        return self._note

    def _put(self, segment: OpenSegment) -> None:
        """Write the checkpoints that are signed and, before them, the hashes that they are about."""
        if self._notes:
            segment.hashes.append(b"".join(self._hashes))
            self._hashes = []
            segment.checkpoints.append("".join(f"{note}\n" for note in self._notes).encode())
            self._notes = []
            self.checkpointed = self._timer()

    def _do_what_is_due(self) -> None:
        """Flush, sign, rotate, set room aside; a failure is logged, for the lines are kept all the same."""
        segment, now = self._begun(), self._timer()
        if self._flushing.due_in() == 0.0:
            try:
                self._sync(segment)
            except OSError as error:
                logger.error("the audit trail does not get to the disk: %s", error.strerror)
        if self._unsigned_since is not None and now - self._unsigned_since >= self._limits.checkpoint_seconds:
            self._sign_all()
        if now < self._try_again:
            return
        try:
            self._put(segment)
            if self._is_full(segment, now) and not self._is_closed:
                self._rotate()
        except OSError as error:
            logger.error("a checkpoint or a new segment of the audit trail cannot be written: %s", error.strerror)
            self._notes = self._notes[-1:]
            self._try_again = now + 1.0
        self._reserve.make(self._begun().segment.folder)

    # --- segments ------------------------------------------------------------------------------------------------

    def _is_full(self, segment: OpenSegment, now: float) -> bool:
        if segment.lines.size >= self._limits.segment_bytes:
            return True
        has_records = self._tree.size - segment.segment.first > 1
        return has_records and now - segment.opened >= self._limits.segment_seconds

    def _rotate(self) -> None:
        segment = self._begun()
        self._sign_all()
        self._put(segment)
        segment.sync()
        self._enter_next(segment)

    def _leave(self, segment: OpenSegment, lines: list[bytes]) -> OpenSegment:
        """Go on in a new segment, because the present one is not to be relied on; say so in its first record."""
        reason = self._leave_for or ""
        logger.error("a segment of the audit trail is left: %s", reason)
        self._sign_all()
        try:
            self._put(segment)
            segment.sync()
        except OSError as error:
            logger.error("the last checkpoint of the segment cannot be written: %s", error.strerror)
        try:
            entered = self._enter_next(segment)
        except FileNotFoundError:  # the whole folder is gone: the next commit begins another shard
            self._let_go()
            raise
        self._leave_for = None
        lines.insert(0, gap_line(self._stamp(), Gap(reason)))
        return entered

    def _enter_next(self, segment: OpenSegment) -> OpenSegment:
        others = self._others.named(self.shard or "")
        opening = self._numbered([segment_line(self._stamp(), self._tree.state, self._note, others)])
        following = Segment(segment.segment.folder, self._tree.size)
        self._open = OpenSegment.create(following, opening[0], self._timer())
        segment.close()
        self._flushing.done()  # what is left unsynced is left for good
        self._hashes, self._notes = [], []
        self._grow(opening)
        return self._open

    def _begun(self) -> OpenSegment:
        """Return the open segment; the first time, make the shard."""
        while self._open is None:
            start = self._clock()
            name = shard_id(self._service, socket.gethostname(), os.getpid(), start)
            self._shard = self._trail / name
            opening = self._numbered([segment_line(self._stamp(), (), None, self._others.named(name))])
            try:
                self._lock, self._open = begin_shard(self._trail, name, opening[0], self._timer())
            except FileExistsError:
                time.sleep(0.000_01)  # another of this process began in the same microsecond
                continue
            self._grow(opening)
            self._reserve.make(self._open.segment.folder)
        return self._open

    def resume(
        self, shard: Path, lock: int, segment: OpenSegment, tree: Tree, *, signed: int, hashes: list[bytes]
    ) -> None:
        """Go on in a shard whose process is gone; `hashes` are those that its file of hashes lacks."""
        self._forget()
        self._shard, self._lock, self._open, self._tree = shard, lock, segment, tree
        self._signed, self._hashes = signed, hashes
        self._reserve.is_there = True  # whether or not it is still there: releasing it does no harm

    def _stamp(self) -> Stamp:
        return Stamp(self._clock(), str(uuid.uuid4()), self._region)

    def _let_go(self) -> None:
        if self._open is not None:
            self._open.close()
        if self._lock >= 0:
            os.close(self._lock)
        self._forget()


_WRITERS: weakref.WeakSet[SegmentWriter] = weakref.WeakSet()


def _let_go_in_child() -> None:
    """Let go of the shards of the parent: they are its alone, and its locks must end with it."""
    for writer in list(_WRITERS):
        writer._let_go()


os.register_at_fork(after_in_child=_let_go_in_child)
