"""SQLite's connections: how they are opened and prepared, and what becomes of them when the process forks.

SQLite in memory lives in one connection, for a second one would open a second, empty database. The pool holds exactly
that connection and lends it to one thread at a time, so the pool is the lock. (`StaticPool` hands one connection to all
threads at once, which mixes their transactions; a shared-cache URI answers `SQLITE_LOCKED` at once instead of waiting.)
An SQLite file is in WAL mode, so that readers and the one writer don't wait for each other, and is written with
`synchronous=FULL`: a revocation that was acknowledged survives a power cut, and policies are written seldom. What keeps
a reader waiting all the same (another process that holds the file exclusively, or recovers it) does so for the store's
timeout. A file system that hangs, as NFS may, has no limit that a process could set.

No connection to a file may cross a fork: SQLite keeps in memory which locks a process has, and a child has none of its
parent's. So they are closed before, and none is opened until the fork is over; each side opens its own. The one
connection to a store in memory does cross, together with the data: the thread that forks borrows it, so that no other
thread is in the middle of something, and the child puts it into a pool of its own.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from contextlib import suppress
from typing import Any, Final

from sqlalchemy import URL, Engine, Pool, PoolProxiedConnection, QueuePool, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.util.queue import Empty

from iam_guard.forking import copied, hold_at_fork
from iam_guard.store.time_limits import BUSY_SECONDS

_RETRY_SECONDS: Final = 0.02
_FORK_SECONDS: Final = 0.5
"""Seconds for which a fork waits for the transactions of other threads; callers that connect meanwhile wait as long."""


def sqlite_engine(url: URL, timeout: float, execution_options: dict[str, Any]) -> Engine:
    """Make the engine for a file, or for a new database in memory."""
    if url.database in (None, "", ":memory:"):
        return _memory_engine(url, execution_options)
    arguments = {"timeout": timeout}
    engine = create_engine(
        url,
        hide_parameters=True,
        connect_args=arguments,
        poolclass=_FilePool,
        pool_timeout=timeout,
        execution_options=execution_options,
    )
    event.listen(engine, "do_connect", _connect_to_file)
    event.listen(engine, "connect", _prepare_file)
    _files.add(engine)
    return engine


def _memory_engine(url: URL, execution_options: dict[str, Any]) -> Engine:
    engine = create_engine(
        url,
        hide_parameters=True,
        connect_args={"check_same_thread": False},
        poolclass=ForkSafePool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=BUSY_SECONDS,
        execution_options=execution_options,
    )
    memory = _Memory()
    event.listen(engine, "do_connect", memory.connect)
    event.listen(engine, "connect", _prepare)
    _memories[engine] = memory
    return engine


class ForkSafePool(QueuePool):
    """A pool that takes connections back in a forked child, from threads that are not there."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        hold_at_fork(self._pool.mutex)  # type: ignore[attr-defined]


class _FilePool(ForkSafePool):
    """A pool that still counts what threads have borrowed when its idle connections are closed."""

    def close_idle(self) -> None:
        """Close the connections that no thread has; unlike `dispose`, leave the count of the others as it is."""
        while self.checkedin():
            with suppress(Empty):
                self._pool.get(False).close()
                self._dec_overflow()


class _Memory:
    """The one connection that a database in memory has."""

    def __init__(self) -> None:
        self._is_open = False
        self.inherited: Any = None

    def connect(self, dialect: Any, _: object, arguments: list[Any], options: dict[str, Any]) -> Any:
        """Open the database, once; in a forked process, return what its parent has opened."""
        inherited, self.inherited = self.inherited, None
        if inherited is None:
            if self._is_open:
                raise sqlite3.ProgrammingError("it was in memory, and is closed")
            inherited = dialect.connect(*arguments, **options)
        self._is_open = True
        return inherited


def _connect_to_file(dialect: Any, _: object, arguments: list[Any], options: dict[str, Any]) -> Any:
    _waiting.append(threading.get_ident())
    with _connecting:
        _waiting.pop()
        return dialect.connect(*arguments, **options)


def _prepare(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # the driver's own idea of when a transaction begins is off: see `engine`
    connection.execute("PRAGMA foreign_keys=ON")


def _prepare_file(connection: sqlite3.Connection, _: object) -> None:
    _prepare(connection, _)
    _turn_to_wal(connection)
    connection.execute("PRAGMA synchronous=FULL")


def _turn_to_wal(connection: sqlite3.Connection) -> None:
    """Choose WAL; for this one statement SQLite does not wait by itself while another process makes the file."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_SECONDS)


# --- forking ---------------------------------------------------------------------------------------------------------

_files: weakref.WeakSet[Engine] = weakref.WeakSet()
_memories: weakref.WeakKeyDictionary[Engine, _Memory] = weakref.WeakKeyDictionary()
_connecting = threading.Lock()
"""Held while a connection to a file is opened, and while the process forks."""
_replaced: weakref.WeakSet[Pool] = weakref.WeakSet()
"""Pools of engines before a fork, of which threads may still have a connection, or wait for one."""
_held: set[int] = set()
"""The threads that fork and hold it."""
_waiting: list[int] = []
"""The threads that wait for it to connect; a pool counts their connections already."""
_borrowed: dict[int, list[tuple[Engine, _Memory, PoolProxiedConnection]]] = {}
"""A thread that forks -> the connections in memory that it has for itself."""


def _close(_: object, record: ConnectionPoolEntry) -> None:
    """Close a connection that comes back to a pool that was given up."""
    record.invalidate()


def _before_fork() -> None:
    borrowed = _borrowed[threading.get_ident()] = []
    for engine in copied(_memories):
        try:
            if engine.pool.checkedin() or engine.pool.checkedout():  # type: ignore[attr-defined]
                borrowed.append((engine, _memories[engine], engine.raw_connection()))
        except SQLAlchemyError:
            continue  # closed, or held by the very thread that forks
    until = time.monotonic() + _FORK_SECONDS
    if _connecting.acquire(timeout=_FORK_SECONDS):
        _held.add(threading.get_ident())
    for engine in copied(_files):
        _replace_pool(engine)
    while _is_used() and time.monotonic() < until:
        time.sleep(_RETRY_SECONDS / 10)


def _replace_pool(engine: Engine) -> None:
    """Return an engine a new pool; the one before closes what is idle, and what threads give back."""
    before: Any = engine.pool
    engine.dispose(close=False)
    _replaced.add(before)
    event.listen(before, "checkin", _close)
    before.close_idle()


def _is_used() -> bool:
    """Return whether a thread has a connection, be it of a pool that was replaced, and does not just wait for it."""
    pools: list[Any] = [*copied(_replaced), *(engine.pool for engine in copied(_files))]
    connections: int = sum(pool.checkedout() for pool in pools)
    return connections > len(_waiting)


def _after_fork_in_parent() -> None:
    thread = threading.get_ident()
    if thread in _held:
        _held.remove(thread)
        _connecting.release()
    for _, _, connection in _borrowed.pop(thread, ()):
        connection.close()


def _after_fork_in_child() -> None:
    global _connecting
    _connecting = threading.Lock()
    _held.clear()
    _waiting.clear()
    _replaced.clear()
    for engine in list(_files):
        engine.dispose(close=False)
    for engine, memory, connection in _borrowed.get(threading.get_ident(), ()):
        memory.inherited = connection.driver_connection
        engine.dispose(close=False)
    _borrowed.clear()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
