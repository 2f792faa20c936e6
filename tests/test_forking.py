"""Locks and weak sets during a fork, while other threads create objects."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from iam_guard import forking
from iam_guard.store.database import sqlite
from iam_guard.store.database.engine import make_engine


class _Growing(weakref.WeakSet[Any]):
    """A set to which another thread adds an object during the first iteration."""

    is_first = True

    def __iter__(self) -> Iterator[Any]:
        if self.is_first:
            self.is_first = False
            raise RuntimeError("Set changed size during iteration")
        return super().__iter__()


def test_fork_acquires_locks_while_more_are_created(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forking, "_locks", _Growing())
    lock = forking.fork_safe_lock()
    forking._acquire_all()
    assert lock.locked()
    forking._release_all()
    assert not lock.locked()


def test_fork_keeps_locks_of_another_forking_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of one thread's fork releases no lock that another thread acquired for its own fork."""
    monkeypatch.setattr(forking, "_locks", weakref.WeakSet())
    lock = forking.fork_safe_lock()
    forking._acquire_all()
    sqlite._before_fork()
    with ThreadPoolExecutor(1) as thread:
        thread.submit(sqlite._after_fork_in_parent).result()
        thread.submit(forking._release_all).result()
    assert lock.locked()
    assert sqlite._connecting.locked()
    sqlite._after_fork_in_parent()
    forking._release_all()
    assert not lock.locked()
    assert not sqlite._connecting.locked()


def test_fork_waits_for_connections_of_replaced_pools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection taken during one fork belongs to the replaced pool, and the next fork waits for it."""
    monkeypatch.setattr(sqlite, "_files", weakref.WeakKeyDictionary())
    monkeypatch.setattr(sqlite, "_replaced", weakref.WeakSet())
    engine = make_engine(f"sqlite:///{tmp_path}/store.db")
    pool = engine.pool
    sqlite._before_fork()
    sqlite._after_fork_in_parent()
    with closing(pool.connect()):
        assert sqlite._is_used()
    assert not sqlite._is_used()
    engine.dispose()
