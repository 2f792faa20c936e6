"""The files of an open shard: the three of its segment, and the lock.

The lock is the operating system's (`flock`), so it ends with its process. Shards and segments are created under another
name and renamed when complete, so no reader sees a partial one.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack, closing
from pathlib import Path

from iam_guard.audit.append_file import AppendFile, append_synced, sync_folder
from iam_guard.audit.verify.shard import CHECKPOINTS, HASHES, LOCK, RESERVE, UNFINISHED, Segment


class OpenSegment:
    """The three files of a segment, open for appending."""

    __slots__ = ("checkpoints", "hashes", "lines", "opened", "segment")

    def __init__(self, segment: Segment, opened: float) -> None:
        """Open the files of an existing segment; `opened` is the time that its age is measured from."""
        self.segment = segment
        self.opened = opened
        with ExitStack() as opened_files:  # closes them if the next one cannot be opened
            self.lines = opened_files.enter_context(closing(AppendFile(segment.lines)))
            self.hashes = opened_files.enter_context(closing(AppendFile(segment.hashes)))
            self.checkpoints = opened_files.enter_context(closing(AppendFile(segment.checkpoints)))
            opened_files.pop_all()

    @classmethod
    def create(cls, segment: Segment, opening: bytes, opened: float) -> OpenSegment:
        """Create a segment that starts with this line."""
        draft = segment.lines.with_name(segment.lines.name + UNFINISHED)
        try:
            append_synced(draft, opening, size=0)
            os.link(draft, segment.lines)  # never replaces an existing segment
        finally:
            draft.unlink(missing_ok=True)
        created = cls(segment, opened)
        sync_folder(segment.folder)
        return created

    def sync(self) -> None:
        """Flush all three, the lines first, because the others describe them."""
        for file in (self.lines, self.hashes, self.checkpoints):
            file.sync()

    def close(self) -> None:
        for file in (self.lines, self.hashes, self.checkpoints):
            file.close()


def lock_shard(shard: Path) -> int | None:
    """Lock a shard; return the descriptor, or None if another process has the lock or the shard has ended."""
    path = shard / LOCK
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.exists() and os.path.samestat(path.stat(), os.fstat(descriptor)):
            return descriptor
    except BlockingIOError:
        pass
    os.close(descriptor)
    return None


def begin_shard(trail: Path, name: str, opening: bytes, opened: float) -> tuple[int, OpenSegment]:
    """Create a shard with its lock and first segment. Raises `FileExistsError` if the name exists."""
    draft, shard = trail / f"{name}{UNFINISHED}", trail / name
    draft.mkdir(mode=0o700, parents=True)
    lock = os.open(draft / LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        OpenSegment.create(Segment(draft, 0), opening, opened).close()
        for ending in (HASHES, CHECKPOINTS):
            Segment(draft, 0).path(ending).touch(0o600)
        if shard.exists():
            raise FileExistsError(shard)
        draft.rename(shard)
        sync_folder(trail)
        return lock, OpenSegment(Segment(shard, 0), opened)
    except OSError:
        remove_draft(draft)
        os.close(lock)
        raise


def remove_draft(draft: Path) -> None:
    """Remove a shard that was never completed; it contains no records."""
    if draft.exists():
        for path in draft.iterdir():
            path.unlink(missing_ok=True)
        draft.rmdir()


def end_shard(shard: Path) -> None:
    """Mark a shard as ended."""
    (shard / RESERVE).unlink(missing_ok=True)
    (shard / LOCK).unlink(missing_ok=True)
    sync_folder(shard)
