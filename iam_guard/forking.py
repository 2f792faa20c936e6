"""Fork safety: locks that are free in a forked child, and state that a child must not inherit.

The child has a copy of the memory and of the forking thread only. A lock that another thread holds at that instant
would stay locked in the child, and the data it guards may be inconsistent. So the forking thread acquires every
`fork_safe_lock` first, and releases them in parent and child. Such a lock is held briefly, never during store or
network calls. State of the parent alone (connections, threads, requests in flight) is dropped in the child by its
owner's `begin_in_child`.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterable
from typing import Any, Final, Protocol, TypeVar

T = TypeVar("T")

_LOCK_SECONDS: Final = 1.0
"""Maximum seconds to wait for a lock, so that a thread that holds one and waits for another can't block a fork."""


class ForkSafe(Protocol):
    """An object with state that belongs to one process."""

    def begin_in_child(self) -> None:
        """Drop the parent's state. Only the forking thread exists, and other locks may be held forever."""


_locks: weakref.WeakSet[Any] = weakref.WeakSet()
_owners: weakref.WeakSet[ForkSafe] = weakref.WeakSet()
_acquired: dict[int, list[Any]] = {}
"""Forking thread -> the locks that it acquired before the fork."""


def fork_safe_lock() -> threading.Lock:
    """Return a lock that is free in a forked child, with the data it guards consistent."""
    lock = threading.Lock()
    _locks.add(lock)
    return lock


def lock_at_fork(lock: Any) -> None:
    """Hold a reentrant lock of another library during forks.

    Reentrant because finalizers that run first in the child acquire it to return what the parent's threads borrowed.
    """
    _locks.add(lock)


def on_fork(owner: ForkSafe) -> None:
    """Call the owner's `begin_in_child` in every child forked while the owner exists."""
    _owners.add(owner)


def weak_snapshot(objects: Iterable[T]) -> list[T]:
    """Return the objects of a weak set or mapping, which other threads may change meanwhile."""
    while True:
        try:
            return list(objects)
        except RuntimeError:  # changed size during iteration
            continue


def _acquire_all() -> None:
    _acquired[threading.get_ident()] = [lock for lock in weak_snapshot(_locks) if lock.acquire(timeout=_LOCK_SECONDS)]


def _release_all() -> None:
    for lock in _acquired.pop(threading.get_ident(), ()):
        lock.release()


def _begin_in_child() -> None:
    _release_all()
    for owner in list(_owners):
        owner.begin_in_child()


os.register_at_fork(before=_acquire_all, after_in_parent=_release_all, after_in_child=_begin_in_child)
