"""Ids of requests: random UUIDs from a pool, which is filled with 256 of them at once.

The pool belongs to one process, and a forked child starts with an empty one. No id is handed out twice: taking one from
a deque is atomic, with and without the global interpreter lock. Ids of audit records must differ even where Python
learns nothing of a fork, and so have no pool (`audit/trail`).
"""

from __future__ import annotations

import os
from collections import deque
from typing import Final

from iam_guard.forking import on_fork

BLOCK: Final = 256
_LENGTH: Final = 36
_VARIANT: Final = bytes.maketrans(b"0123456789abcdef", b"89ab" * 4)
"""Random hex digit -> one that starts with the bits 10 (RFC 9562)."""


class _Pool:
    """The ids of this process that are not used yet. Safe to share between threads."""

    def __init__(self) -> None:
        self.begin_in_child()
        on_fork(self)

    def begin_in_child(self) -> None:
        """Drop the ids of the parent, which uses them."""
        self.ids: deque[str] = deque()


_pool = _Pool()


def new_request_id() -> str:
    """Return a random UUID (version 4). Raises `OSError` if the system has no randomness."""
    try:
        return _pool.ids.popleft()
    except IndexError:
        ids = _random_ids()
        one = ids.pop()
        _pool.ids.extend(ids)
        return one


def _random_ids() -> list[str]:
    """Return a block of ids: hex digits, of which those at fixed places are replaced."""
    text = bytearray(os.urandom(BLOCK * _LENGTH // 2).hex(), "ascii")
    for dash in (8, 13, 18, 23):
        text[dash::_LENGTH] = b"-" * BLOCK
    text[14::_LENGTH] = b"4" * BLOCK  # the version
    text[19::_LENGTH] = text[19::_LENGTH].translate(_VARIANT)
    joined = text.decode("ascii")
    return [joined[start : start + _LENGTH] for start in range(0, len(joined), _LENGTH)]
