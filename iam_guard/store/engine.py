"""From a database URL to an engine, and the two kinds of transaction that the room uses.

A reading transaction sees one snapshot from its first statement to its last (rule T-9); writers wait for each other.
The errors of every driver become `StoreUnavailable` here and nowhere else. Must not live here: tables (`schema`),
questions (`queries`), the choice between a database and a seed file (`opening`).

SQLite in memory lives in one connection, for a second one would open a second, empty database. The pool holds exactly
that connection and lends it to one thread at a time, so the pool is the lock. (`StaticPool` hands one connection to
all threads at once, which mixes their transactions; a shared-cache URI answers `SQLITE_LOCKED` at once instead of
waiting.) An SQLite file is in WAL mode, so that readers and the one writer don't wait for each other, and is written
with `synchronous=FULL`: a revocation that was acknowledged survives a power cut, and policies are written seldom. The
writers of one process take turns at a lock of their own; SQLite would have all but one look again and again, with
pauses that grow to a tenth of a second.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, QueuePool, create_engine, event, make_url, select
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from iam_guard.errors import ConfigurationError, StoreUnavailable
from iam_guard.store import schema

BUSY_SECONDS = 5
"""How long an SQLite connection waits for another process's write, and a PostgreSQL connection for the server."""

_WAL_RETRY_SECONDS = 0.02
_TURN = "iam_guard_turn"
_READ_OPTIONS: dict[str, dict[str, Any]] = {
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
}
_WRITE_OPTIONS: dict[str, dict[str, Any]] = {"postgresql": {"isolation_level": "READ COMMITTED"}}


def make_engine(url: str) -> Engine:
    """Make the engine for a database URL; raise `ConfigurationError` for one of no known kind."""
    parsed = read_url(url)
    try:
        if parsed.get_backend_name() == "sqlite":
            return _sqlite_engine(parsed)
        return create_engine(
            parsed, hide_parameters=True, pool_pre_ping=True, connect_args={"connect_timeout": BUSY_SECONDS}
        )
    except ModuleNotFoundError:
        message = (
            "expected the driver psycopg for a PostgreSQL store, install it with `pip install iam-guard[postgres]`"
        )
        raise ConfigurationError(message, place="store") from None


def read_url(url: str) -> URL:
    """Read a database URL; nothing of it is repeated in the error, for it may hold a password."""
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError):
        backend = ""
    if backend == "sqlite" and parsed.drivername in ("sqlite", "sqlite+pysqlite"):
        if parsed.query or (parsed.database or "").startswith("file:"):
            raise ConfigurationError("expected an SQLite URL without parameters", place="store")
        return parsed
    if backend == "postgresql" and parsed.drivername in ("postgresql", "postgresql+psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    kinds = "`sqlite:///FILE`, `sqlite://`, `postgresql+psycopg://…` or a seed file `*.yaml`"
    raise ConfigurationError(f"expected a store of the form {kinds}", place="store")


def database_file(url: str) -> Path | None:
    """Give the file of an SQLite URL; None where the store is in memory or on a server."""
    parsed = read_url(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        return None
    return Path(str(parsed.database))


def is_in_memory(url: str) -> bool:
    return read_url(url).get_backend_name() == "sqlite" and database_file(url) is None


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Give a transaction that sees one snapshot."""
    with _as_store_errors(), engine.connect() as connection:
        options = _READ_OPTIONS.get(engine.dialect.name)
        if options:
            connection.execution_options(**options)
        with connection.begin():
            _begin(connection, "BEGIN")
            yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Give the one transaction that may write now; it is rolled back when the block raises."""
    with _as_store_errors(), _turn_of(engine), engine.connect() as connection:
        options = _WRITE_OPTIONS.get(engine.dialect.name)
        if options:
            connection.execution_options(**options)
        with connection.begin():
            _begin(connection, "BEGIN IMMEDIATE")
            yield connection


@contextmanager
def closed_on_error(engine: Engine) -> Iterator[None]:
    """Close the engine's connections when the block raises, for then nobody else will."""
    try:
        yield
    except BaseException:
        engine.dispose()
        raise


_LOCKED = select(schema.meta.c.epoch).with_for_update()
_RAISED = schema.meta.update().values(epoch=schema.meta.c.epoch + 1).returning(schema.meta.c.epoch)


def lock_epoch(connection: Connection) -> int:
    """Give the epoch, and keep other writers out until the transaction ends, so that counts hold till then."""
    return int(connection.execute(_LOCKED).scalar_one())


def keep_others_out(connection: Connection) -> None:
    """Keep other writers out until the transaction ends; in SQLite, the way it begins has done so."""
    if connection.dialect.name != "sqlite":
        lock_epoch(connection)


def bump_epoch(connection: Connection) -> int:
    """Raise the epoch by one and give the new one; every transaction that changes something ends with it (T-9)."""
    return int(connection.execute(_RAISED).scalar_one())


def _turn_of(engine: Engine) -> AbstractContextManager[None]:
    lock: threading.Lock | None = engine.get_execution_options().get(_TURN)
    return nullcontext() if lock is None else _turn(lock)


@contextmanager
def _turn(lock: threading.Lock) -> Iterator[None]:
    """Wait until no other thread of this process writes, as long as SQLite would wait."""
    if not lock.acquire(timeout=BUSY_SECONDS):
        raise StoreUnavailable("the store cannot be used: database is locked")
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _as_store_errors() -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise StoreUnavailable(f"the store cannot be used: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Say why; a server's own words stay out, for they may hold an address or a value."""
    cause = getattr(error, "orig", None) or error
    return str(cause).lower() if isinstance(cause, sqlite3.Error) else type(cause).__name__


def _sqlite_engine(url: URL) -> Engine:
    options: dict[str, Any] = {"hide_parameters": True, "connect_args": {"timeout": BUSY_SECONDS}}
    in_memory = url.database in (None, "", ":memory:")
    if in_memory:
        options |= {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0}
        options["connect_args"]["check_same_thread"] = False
    else:
        options["execution_options"] = {_TURN: threading.Lock()}
    engine = create_engine(url, **options)
    event.listen(engine, "connect", _prepare_once() if in_memory else _prepare_file)
    return engine


def _prepare_once() -> Callable[[sqlite3.Connection, object], None]:
    """Prepare the one connection that a database in memory has; another one would have another, empty database."""
    opened = count()

    def prepare(connection: sqlite3.Connection, _: object) -> None:
        if next(opened):
            connection.close()
            raise sqlite3.ProgrammingError("it was in memory, and is closed")
        _prepare(connection, _)

    return prepare


def _prepare(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # the driver's own idea of when a transaction begins is off: see _begin
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
            time.sleep(_WAL_RETRY_SECONDS)


def _begin(connection: Connection, words: str) -> None:
    """Begin in SQLite's words: a writer takes its lock at once, for a reader that turns writer may have to give up.

    Said to the driver itself: an event of SQLAlchemy would have all its other events looked for at every statement.
    """
    if connection.dialect.name == "sqlite":
        driver: Any = connection.connection.driver_connection
        driver.execute(words)
