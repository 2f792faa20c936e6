"""A file that grows by whole writes, or not at all.

A disk that fills up takes a part of a write. Then the part is cut off again, at once or, where even that fails, before
the next write; so what stands in the file is what was acknowledged, and at most the half write of a process that was
killed.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Errors that say that there is no room, as opposed to no way."""

_DRAFT = ".new"

_sync = getattr(os, "fdatasync", os.fsync)  # not every system has the cheaper one


class AppendFile:
    """A file that one process appends to; it is not closed by the collector of garbage but by `close`."""

    __slots__ = ("_is_torn", "_is_unsynced", "descriptor", "size")

    def __init__(self, path: Path, *, size: int | None = None) -> None:
        """Open a file, creating it for its owner only; `size` cuts off what stands after it."""
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
        """Write all of it; raise `OSError` and leave the file as it was where that cannot be done."""
        self._mend()
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self.descriptor, rest) :]
        except OSError:
            self._is_torn = True
            self._mend()
            raise
        self._is_unsynced = True
        self.size += len(data)

    def sync(self) -> None:
        """Wait until the disk has what was written."""
        if self._is_unsynced:
            _sync(self.descriptor)
            self._is_unsynced = False

    def is_as_left(self) -> bool:
        """Return whether the file still has a name and the size that we gave it."""
        found = os.fstat(self.descriptor)
        return found.st_nlink > 0 and (self._is_torn or found.st_size == self.size)

    def close(self) -> None:
        if self.descriptor >= 0:
            descriptor, self.descriptor = self.descriptor, -1
            os.close(descriptor)

    def _mend(self) -> None:
        if self._is_torn:
            os.ftruncate(self.descriptor, self.size)
            self._is_torn = False


def replace_file(path: Path, content: bytes) -> None:
    """Write a small file, whole or not at all, and wait until the disk has it."""
    draft = path.with_name(f"{path.name}{_DRAFT}")
    try:
        write_synced(draft, content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_synced(path: Path, content: bytes) -> None:
    """Write a file, over what stands in it, and wait until the disk has the content; its name may be lost yet."""
    file = AppendFile(path, size=0)
    try:
        file.append(content)
        file.sync()
    finally:
        file.close()


def sync_folder(path: Path) -> None:
    """Wait until the disk knows the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
