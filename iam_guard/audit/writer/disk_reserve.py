"""Room that is set aside on the disk, so that what must be said finds place when there is no more.

Each shard that is written has a reserve for its last record; the trail has room for saying what retention drops, which
gives more back. Where the disk is full it is given back, and set aside again as soon as there is room for it. It is
filled with noise, for of zeros a file system that compresses keeps nothing.
"""

from __future__ import annotations

import errno
import logging
import math
import os
from collections.abc import Callable
from pathlib import Path

from iam_guard.audit.append_file import NO_ROOM
from iam_guard.audit.verify.shard import RESERVE

logger = logging.getLogger("iam_guard.audit")

PAUSE = 0.1
"""Seconds between two attempts to set room aside on a full disk."""


class Reserve:
    """The reserve of the shard that is being written."""

    def __init__(self, size: int, timer: Callable[[], float]) -> None:
        self._size = size
        self._timer = timer
        self._try_again = -math.inf
        self.is_there = False
        self.is_spent = False
        """Whether it was given back because the disk was full, and nothing was written since."""

    def make(self, shard: Path) -> bool:
        """Set room aside, if there is; not looked for at every commit. False where there is none."""
        now = self._timer()
        if not self.is_there and now >= self._try_again:
            self._try_again = now + PAUSE
            self.is_there = _make(shard / RESERVE, self._size)
        return self.is_there

    def spend(self, shard: Path) -> None:
        """Return the room back that was set aside."""
        self.is_there, self.is_spent, self._try_again = False, True, -math.inf
        (shard / RESERVE).unlink(missing_ok=True)


def _make(path: Path, size: int) -> bool:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _fill(descriptor, size)
        finally:
            os.close(descriptor)
    except OSError as error:
        logger.warning("no room can be set aside for the last audit record: %s", error.strerror)
        path.unlink(missing_ok=True)
        return False
    return True


def _fill(descriptor: int, size: int) -> None:
    if os.pwrite(descriptor, os.urandom(size), 0) != size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


LENT = 128 * 1024
"""Room for a new shard with its first lines, and for what a segment says of earlier ones."""


class LentRoom:
    """Room in a file that is open, which whoever has its lock lends to what must be said."""

    def __init__(self, descriptor: int) -> None:
        """Set it aside, if there is room and it is not."""
        self._descriptor = descriptor
        self.make()

    def make(self) -> None:
        """Set it aside again, if there is room."""
        try:
            if os.fstat(self._descriptor).st_size < LENT:
                _fill(self._descriptor, LENT)
        except OSError as error:
            logger.warning("no room can be set aside for dropping old audit segments: %s", error.strerror)
            os.ftruncate(self._descriptor, 0)

    def lend(self, act: Callable[[], object]) -> None:
        """Do something; where there is no room for it, give back what was set aside and do it once more."""
        try:
            act()
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            os.ftruncate(self._descriptor, 0)
            act()
