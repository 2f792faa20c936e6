"""What has to hold when a process forks: one place for locks and for state that a child must not inherit.

The child has a copy of the memory and of the forking thread, and of no other thread. A lock that another thread holds
at that instant would stay locked in the child for ever, and what it guards may be half changed. So the forking thread
acquires every `fork_safe_lock` first, and releases them on both sides. Such a lock is held for a moment only, and never
while the store or the network is waited for. State that belongs to the parent alone (connections, threads, requests in
flight) is dropped in the child by `begin_in_child` of its owner.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterable
from typing import Any, Final, Protocol, TypeVar

T = TypeVar("T")

_LOCK_SECONDS: Final = 1.0
"""Seconds to wait for a lock; a thread that holds one and waits for another must not keep the process from forking."""


class ForkSafe(Protocol):
    """An object with state that belongs to one process."""

    def begin_in_child(self) -> None:
        """Drop what belongs to the parent. Only the forking thread exists, and no lock is to be relied on."""


_locks: weakref.WeakSet[Any] = weakref.WeakSet()
_owners: weakref.WeakSet[ForkSafe] = weakref.WeakSet()
_acquired: dict[int, list[Any]] = {}
"""A thread that forks -> the locks that it has acquired for that."""


def fork_safe_lock() -> threading.Lock:
    """Return a lock that is free in a forked child, with what it guards in one piece."""
    lock = threading.Lock()
    _locks.add(lock)
    return lock


def hold_at_fork(lock: Any) -> None:
    """Have a reentrant lock of another library held across a fork.

    What the threads of the parent had borrowed is given back in the child by finalizers, before anything else runs.
    """
    _locks.add(lock)


def on_fork(owner: ForkSafe) -> None:
    """Call `begin_in_child` of the owner in every process that is forked from now on, for as long as it lives."""
    _owners.add(owner)


def copied(objects: Iterable[T]) -> list[T]:
    """Return the objects of a weak set or mapping, to which other threads may add meanwhile."""
    while True:
        try:
            return list(objects)
        except RuntimeError:  # it changed its size
            continue


def _acquire_all() -> None:
    _acquired[threading.get_ident()] = [lock for lock in copied(_locks) if lock.acquire(timeout=_LOCK_SECONDS)]


def _release_all() -> None:
    for lock in _acquired.pop(threading.get_ident(), ()):
        lock.release()


def _begin_in_child() -> None:
    _release_all()
    for owner in list(_owners):
        owner.begin_in_child()


os.register_at_fork(before=_acquire_all, after_in_parent=_release_all, after_in_child=_begin_in_child)
