"""Room that is set aside on the disk, so that the last record of a shard finds place when there is no more.

Where the disk is full it is given back, and set aside again as soon as there is room for it. Must not live here: what
the last record says (`segments`).
"""

from __future__ import annotations

import errno
import logging
import math
import os
from collections.abc import Callable
from pathlib import Path

from iam_guard.audit.shard import RESERVE

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
        """Give the room back that was set aside."""
        self.is_there, self.is_spent, self._try_again = False, True, -math.inf
        (shard / RESERVE).unlink(missing_ok=True)


def _make(path: Path, size: int) -> bool:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.write(descriptor, bytes(size)) == size:
                return True
        finally:
            os.close(descriptor)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        logger.warning("no room can be set aside for the last audit record: %s", error.strerror)
        path.unlink(missing_ok=True)
        return False
