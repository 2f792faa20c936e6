"""Disk space that is reserved so that essential records can be written to a full disk.

Each open shard reserves space for its last records; the trail reserves space for the records of retention, whose
deletions free more. On a full disk half of a shard's space is released, for the record that says so, and reserved again
as soon as possible. The other half is for the record with the number of lost records, if the process ends meanwhile.
The space is filled with random bytes, because a compressing file system stores zeros in no space.
"""

from __future__ import annotations

import errno
import logging
import math
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from iam_guard.audit.append_file import DISK_FULL_ERRORS
from iam_guard.audit.verify.shard import RESERVE

logger = logging.getLogger("iam_guard.audit")

RETRY_DELAY = 0.1
"""Seconds between two attempts to reserve space on a full disk."""


class Reserve:
    """The reserve of the open shard."""

    def __init__(self, size: int, timer: Callable[[], float]) -> None:
        self._size = size
        self._timer = timer
        self._retry_at = -math.inf
        self.is_allocated = False
        self.is_released = False
        """Whether it was released because the disk was full, and nothing was written since."""

    def allocate(self, shard: Path) -> bool:
        """Reserve the space if possible, with a pause between attempts; return whether it is reserved."""
        now = self._timer()
        if not self.is_allocated and now >= self._retry_at:
            self._retry_at = now + RETRY_DELAY
            self.is_allocated = _allocate(shard / RESERVE, self._size)
        return self.is_allocated

    def release(self, shard: Path) -> None:
        """Release half of the space."""
        self.is_allocated, self.is_released, self._retry_at = False, True, -math.inf
        _shrink(shard / RESERVE, self._size // 2)

    def release_all(self, shard: Path) -> None:
        """Release all of the space, for the last records of a shard."""
        self.is_allocated, self._retry_at = False, math.inf
        (shard / RESERVE).unlink(missing_ok=True)


def _shrink(path: Path, size: int) -> None:
    with suppress(OSError):
        if path.stat().st_size > size:
            os.truncate(path, size)


def _allocate(path: Path, size: int) -> bool:
    """Reserve space in a file; if that fails, the file keeps half of it that it has already."""
    kept = path.stat().st_size if path.exists() else 0
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _fill(descriptor, size)
        finally:
            os.close(descriptor)
    except OSError as error:
        logger.warning("disk space cannot be reserved for the last audit record: %s", error.strerror)
        if kept:
            _shrink(path, min(kept, size // 2))
        else:
            path.unlink(missing_ok=True)
        return False
    return True


def _fill(descriptor: int, size: int) -> None:
    if os.pwrite(descriptor, os.urandom(size), 0) != size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


LOCK_FILE_RESERVE_BYTES = 128 * 1024
"""Space for a new shard with its first lines, and for the retention records that a segment contained."""


class LockFileReserve:
    """Space reserved inside the retention lock file, for the process that has the lock."""

    def __init__(self, descriptor: int) -> None:
        """Reserve the space, if possible and not done."""
        self._descriptor = descriptor
        self.allocate()

    def allocate(self) -> None:
        """Reserve the space again, if possible."""
        try:
            if os.fstat(self._descriptor).st_size < LOCK_FILE_RESERVE_BYTES:
                _fill(self._descriptor, LOCK_FILE_RESERVE_BYTES)
        except OSError as error:
            logger.warning("disk space cannot be reserved for dropping old audit segments: %s", error.strerror)
            os.ftruncate(self._descriptor, 0)

    def run_with_space(self, write: Callable[[], object]) -> None:
        """Run `write`; if the disk is full, release the reserved space and run it again."""
        try:
            write()
        except OSError as error:
            if error.errno not in DISK_FULL_ERRORS:
                raise
            os.ftruncate(self._descriptor, 0)
            write()
