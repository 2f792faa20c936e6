"""SQLite connections: how they are opened and configured, and how they are handled when the process forks.

A database in memory exists in one connection; a second one would open another, empty database. The pool contains
exactly that connection and gives it to one thread at a time, so the pool is the lock. (`StaticPool` gives one
connection to all threads at once, which mixes their transactions; a shared-cache URI fails with `SQLITE_LOCKED` at once
instead of waiting.) A database file is in WAL mode, so that readers and the one writer don't wait for each other, and
is written with `synchronous=FULL`: an acknowledged revocation survives a power cut, and policies are rarely written. A
reader that has to wait anyway (another process has locked the file exclusively, or recovers it) waits for the store's
timeout at most. A file system that hangs, as NFS may, cannot be limited by the process.

No connection to a file may cross a fork: SQLite keeps in memory which locks a process has, and a child has none of its
parent's. So they are closed before the fork, and none is opened until it is over; each process opens its own. The one
connection to a database in memory does cross, together with the data: the forking thread checks it out, so that no
other thread is using it, and the child puts it into a new pool.

`sqlite_file` detects that a file was deleted or replaced.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from sqlalchemy import URL, Engine, Pool, PoolProxiedConnection, QueuePool, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.util.queue import Empty

from iam_guard.errors import IamGuardError, StoreUnavailable
from iam_guard.forking import lock_at_fork, weak_snapshot
from iam_guard.store.database.sqlite_file import StoreFile, create_file
from iam_guard.store.database.time_limits import BUSY_SECONDS

_RETRY_SECONDS: Final = 0.02
FILE: Final = "iam_guard_file"
"""Where a connection has the number of its file."""
_FORK_SECONDS: Final = 0.5
"""Seconds for which a fork waits for the transactions of other threads; new connections wait as long."""


def sqlite_engine(url: URL, timeout: float, execution_options: dict[str, Any]) -> Engine:
    """Return the engine for a file, or for a new database in memory."""
    create = partial(create_engine, url, hide_parameters=True, execution_options=execution_options)
    if url.database in (None, "", ":memory:"):
        connect_args = {"check_same_thread": False}
        one = {"pool_size": 1, "max_overflow": 0, "pool_timeout": BUSY_SECONDS}
        engine = create(connect_args=connect_args, poolclass=ForkSafePool, **one)
        memory = _memories[engine] = _Memory()
        event.listen(engine, "do_connect", memory.connect)
        event.listen(engine, "connect", _prepare)
    else:
        engine = create(connect_args={"timeout": timeout}, poolclass=_FilePool, pool_timeout=timeout)
        file = _files[engine] = StoreFile(os.path.abspath(str(url.database)))
        event.listen(engine, "do_connect", partial(_connect_to_file, file))
        event.listen(engine, "connect", partial(_prepare_file, file))
    return engine


class ForkSafePool(QueuePool):
    """A pool that stays usable in a forked child, where the threads that used it don't exist."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        lock_at_fork(self._pool.mutex)  # type: ignore[attr-defined]


class _FilePool(ForkSafePool):
    """A pool that can close its idle connections and still count those in use."""

    def close_idle(self) -> None:
        """Close the connections that no thread uses; unlike `dispose`, keep the count of the others."""
        while self.checkedin():
            with suppress(Empty):
                self._pool.get(False).close()
                self._dec_overflow()


class _Memory:
    """The only connection of a database in memory."""

    def __init__(self) -> None:
        self._is_open = False
        self.inherited: Any = None

    def connect(self, dialect: Any, _: object, arguments: list[Any], options: dict[str, Any]) -> Any:
        """Open the database, once; in a forked process, return the parent's connection."""
        inherited, self.inherited = self.inherited, None
        if inherited is None:
            if self._is_open:
                raise sqlite3.ProgrammingError("the in-memory database is closed")
            inherited = dialect.connect(*arguments, **options)
        self._is_open = True
        return inherited


def _connect_to_file(
    file: StoreFile, dialect: Any, _: object, arguments: list[Any], options: dict[str, Any]
) -> sqlite3.Connection:
    _waiting.append(threading.get_ident())
    with _connecting:
        _waiting.pop()
        file.require_present()
        connection: sqlite3.Connection = dialect.connect(*arguments, **options)
        try:
            file.record_opened()
        except sqlite3.Error:
            connection.close()
            raise
        return connection


def _prepare(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # turns off the driver's implicit transactions: see `engine`
    connection.execute("PRAGMA foreign_keys=ON")


def _prepare_file(file: StoreFile, connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
    _prepare(connection, record)
    _enable_wal(connection)
    connection.execute("PRAGMA synchronous=FULL")
    file.record_logs()
    record.info[FILE] = file.number


def _enable_wal(connection: sqlite3.Connection) -> None:
    """Turn on WAL mode; for this statement, SQLite itself does not wait while another process creates the file."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_SECONDS)


# --- files that were deleted or replaced -----------------------------------------------------------------------------


class StoreLost(StoreUnavailable):
    """The file of the store was deleted or replaced, and there is no usable store at its path."""


def file_of(engine: Engine) -> StoreFile | None:
    """Return the file of an engine; None for a database in memory or on a server."""
    return _files.get(engine)


def create_store_file(path: str) -> None:
    """Create an empty file, unless this process has a connection to the file at the path. Raises `OSError`."""
    with _connecting:
        if not _is_opened(path):
            create_file(path)


def reopen_replaced(engine: Engine, check: Callable[[Engine], object]) -> None:
    """Open the file that is at the path now, if that is another one than before and `check` accepts it.

    Raises `StoreLost`, and `sqlite3.Error` if it is unknown whether the file was replaced.
    """
    file = _files.get(engine)
    if file is None or file.is_present():
        return
    with file.reopening:
        if not file.is_present():
            _reopen(engine, file, check)


def _reopen(engine: Engine, file: StoreFile, check: Callable[[Engine], object]) -> None:
    file.lose()
    _save_log(engine.pool)
    _replace_pool(engine)
    other = sqlite_engine(engine.url, engine.pool.timeout(), dict(engine.get_execution_options()))  # type: ignore[attr-defined]
    try:
        with _connecting:
            if not _is_opened(file.path):
                file.delete_log()
        if not os.stat(file.path).st_size:  # a new store is about to be created
            raise FileNotFoundError
        check(other)
    except FileNotFoundError:
        raise StoreLost("the store cannot be used: its file was deleted") from None
    except (sqlite3.Error, IamGuardError) as error:
        raise StoreLost(f"the store cannot be used: its file was replaced ({error})") from error
    finally:
        other.dispose()
    file.adopt(_files[other])


def _is_opened(path: str) -> bool:
    """Return whether this process has a connection to the file at the path."""
    try:
        found = os.stat(path)
    except OSError:
        return False
    engines = [engine for engine, file in list(_files.items()) if file.opened == (found.st_dev, found.st_ino)]
    return any(engine.pool.checkedin() + engine.pool.checkedout() for engine in engines)  # type: ignore[attr-defined]


def _save_log(pool: Any) -> None:
    """Copy the changes in the log into the opened file, which may be kept under another name."""
    with suppress(Empty, sqlite3.Error):
        record = pool._pool.get(False)
        if record.dbapi_connection is not None:
            record.dbapi_connection.execute("PRAGMA wal_checkpoint")
        pool._pool.put(record)


# --- forking ---------------------------------------------------------------------------------------------------------

_files: weakref.WeakKeyDictionary[Engine, StoreFile] = weakref.WeakKeyDictionary()
_memories: weakref.WeakKeyDictionary[Engine, _Memory] = weakref.WeakKeyDictionary()
_connecting = threading.Lock()
"""Locked while a connection to a file is opened, and while the process forks."""
_replaced: weakref.WeakSet[Pool] = weakref.WeakSet()
"""The pools of engines from before a fork; threads may still use their connections, or wait for one."""
_forking: set[int] = set()
"""The forking threads that have locked `_connecting`."""
_waiting: list[int] = []
"""The threads that wait for `_connecting`; a pool counts their connections already."""
_checked_out: dict[int, list[tuple[Engine, _Memory, PoolProxiedConnection]]] = {}
"""A forking thread -> the in-memory connections that it has checked out."""


def _close(_: object, record: ConnectionPoolEntry) -> None:
    """Close a connection that is returned to a replaced pool."""
    record.invalidate()


def _before_fork() -> None:
    checked_out = _checked_out[threading.get_ident()] = []
    for engine in weak_snapshot(_memories):
        try:
            if engine.pool.checkedin() or engine.pool.checkedout():  # type: ignore[attr-defined]
                checked_out.append((engine, _memories[engine], engine.raw_connection()))
        except SQLAlchemyError:
            continue  # closed, or in use by the forking thread itself
    until = time.monotonic() + _FORK_SECONDS
    if _connecting.acquire(timeout=_FORK_SECONDS):
        _forking.add(threading.get_ident())
    for engine in weak_snapshot(_files):
        _replace_pool(engine)
    while _is_used() and time.monotonic() < until:
        time.sleep(_RETRY_SECONDS / 10)


def _replace_pool(engine: Engine) -> None:
    """Replace the pool of an engine; the old one closes idle connections now, and others when they are returned."""
    before: Any = engine.pool
    engine.dispose(close=False)
    _replaced.add(before)
    event.listen(before, "checkin", _close)
    before.close_idle()


def _is_used() -> bool:
    """Return whether a thread uses a connection, also of a replaced pool; threads that wait for one don't count."""
    pools: list[Any] = [*weak_snapshot(_replaced), *(engine.pool for engine in weak_snapshot(_files))]
    connections: int = sum(pool.checkedout() for pool in pools)
    return connections > len(_waiting)


def _after_fork_in_parent() -> None:
    thread = threading.get_ident()
    if thread in _forking:
        _forking.remove(thread)
        _connecting.release()
    for _, _, connection in _checked_out.pop(thread, ()):
        connection.close()


def _after_fork_in_child() -> None:
    global _connecting
    _connecting = threading.Lock()
    _forking.clear()
    _waiting.clear()
    _replaced.clear()
    for engine, file in list(_files.items()):
        engine.dispose(close=False)
        file.begin_in_child()
    for engine, memory, connection in _checked_out.get(threading.get_ident(), ()):
        memory.inherited = connection.driver_connection
        engine.dispose(close=False)
    _checked_out.clear()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
