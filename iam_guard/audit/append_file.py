"""An append-only file in which each write succeeds completely or not at all.

A full disk may accept only part of a write. The part is truncated at once, or, if that fails too, before the next
write. So the file contains the acknowledged writes, and at most one partial write of a process that was killed.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

DISK_FULL_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Errors that mean a full disk or an exhausted quota."""

_DRAFT = ".new"

_sync = getattr(os, "fdatasync", os.fsync)  # not available on every system


class AppendFile:
    """Append to a file from one process. Call `close` explicitly: garbage collection does not close the file."""

    __slots__ = ("_is_torn", "_is_unsynced", "descriptor", "size")

    def __init__(self, path: Path, *, size: int | None = None) -> None:
        """Open the file, creating it with mode 0600; `size` truncates it first."""
        self.descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if size is not None:
                os.ftruncate(self.descriptor, size)
            self.size = os.fstat(self.descriptor).st_size
        except OSError:
            os.close(self.descriptor)
            raise
        self._is_torn = False
        self._is_unsynced = True

    def append(self, data: bytes) -> None:
        """Write all of the data; on failure, raise `OSError` and leave the file unchanged."""
        self._truncate_torn_write()
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self.descriptor, rest) :]
        except OSError:
            self._is_torn = True
            self._truncate_torn_write()
            raise
        self._is_unsynced = True
        self.size += len(data)

    def sync(self) -> None:
        """Flush the written data to the disk."""
        if self._is_unsynced:
            _sync(self.descriptor)
            self._is_unsynced = False

    def is_unchanged(self) -> bool:
        """Return whether the file still has a name and the size of the last write."""
        status = os.fstat(self.descriptor)
        return status.st_nlink > 0 and (self._is_torn or status.st_size == self.size)

    def close(self) -> None:
        if self.descriptor >= 0:
            descriptor, self.descriptor = self.descriptor, -1
            os.close(descriptor)

    def _truncate_torn_write(self) -> None:
        if self._is_torn:
            os.ftruncate(self.descriptor, self.size)
            self._is_torn = False


def replace_file(path: Path, content: bytes) -> None:
    """Replace a small file atomically and flush it to the disk."""
    draft = path.with_name(f"{path.name}{_DRAFT}")
    try:
        append_synced(draft, content, size=0)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)


def append_synced(path: Path, content: bytes, *, size: int | None = None) -> None:
    """Append to a file, truncated to `size` first, and flush it; the directory entry is not flushed (`sync_folder`)."""
    file = AppendFile(path, size=size)
    try:
        file.append(content)
        file.sync()
    finally:
        file.close()


def sync_folder(path: Path) -> None:
    """Flush the directory entries of a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
