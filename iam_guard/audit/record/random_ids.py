"""Random UUIDs for requests and records, from a pool: one call of the system makes 256 of them.

The pool belongs to one process. A forked child starts with an empty one, and where the interpreter did not run the
fork, as with uWSGI, the child sees that the process id is another. No id is handed out twice: taking one from a deque
is atomic, with and without the global interpreter lock.
"""

from __future__ import annotations

import os
from collections import deque
from os import getpid
from struct import Struct
from typing import Final

from iam_guard.forking import on_fork

BLOCK: Final = 256
"""Ids that are made at once, of 16 random bytes each."""
_RANDOM_BITS: Final = int("ffffffffffff0fff3fffffffffffffff" * BLOCK, 16)
_VERSION_AND_VARIANT: Final = int("00000000000040008000000000000000" * BLOCK, 16)
"""The version 4 and the variant's bits 10 of each id (RFC 9562)."""
_GROUPS: Final = Struct("8s4s4s4s12s")


class _Pool:
    """The ids of this process that are not used yet. Safe to share between threads and across forks."""

    def __init__(self) -> None:
        self.begin_in_child()
        on_fork(self)

    def begin_in_child(self) -> None:
        """Drop the ids of the parent, which uses them."""
        self.ids: deque[str] = deque()
        self.process = getpid()  # last: from here on, other threads use the ids


_pool = _Pool()


def new_id() -> str:
    """Return a random UUID (version 4)."""
    try:
        if _pool.process == getpid():
            return _pool.ids.popleft()
    except IndexError:
        pass
    return _refill()


def _refill() -> str:
    """Fill the pool, and return one more id; raises `OSError` if the system has no randomness."""
    if _pool.process != getpid():
        _pool.begin_in_child()
    ids = _random_ids()
    one = ids.pop()
    _pool.ids.extend(ids)
    return one


def _random_ids() -> list[str]:
    bits = int.from_bytes(os.urandom(16 * BLOCK), "big") & _RANDOM_BITS | _VERSION_AND_VARIANT
    digits = bits.to_bytes(16 * BLOCK, "big").hex().encode()
    return b"\n".join(map(b"-".join, _GROUPS.iter_unpack(digits))).decode().split("\n")
