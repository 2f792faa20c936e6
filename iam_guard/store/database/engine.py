"""Create the engine for a database URL, and open the two kinds of transaction that the store uses.

A reading transaction sees one snapshot from its first statement to its last (rule T-9); writers wait for each other.
The errors of every driver become `StoreUnavailable` here and nowhere else.

Every wait is bounded. The engine's timeout limits getting a connection (from the pool, with its ping, or a new one),
and a `bounded` transaction as a whole; `postgresql` and `sqlite` enforce it. The writers of one process take turns at
an in-process lock, so that they use one connection, not all of them, while another process writes; without it, SQLite
would poll the lock of the file from every thread, with pauses that grow to a tenth of a second. A writer gives up after
waiting `BUSY_SECONDS` for its turn and for the lock of the database. Readers wait for no writer.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from importlib import import_module
from typing import Any, cast

from sqlalchemy import URL, Connection, Engine, Pool, create_engine, event, make_url, select
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from iam_guard.errors import StoreUnavailable
from iam_guard.store import schema
from iam_guard.store.database.sqlite import file_of, reopen_replaced, sqlite_engine
from iam_guard.store.database.time_limits import BUSY_SECONDS, PATIENT_SECONDS, remaining, silence, waited, within
from iam_guard.store.location import is_sqlite, sqlite_database, unsupported_store

APPLICATION_NAME = "iam_guard"
"""The name of our connections in `pg_stat_activity`, unless the URL of the store has another."""
_TURN = "iam_guard_turn"
_TIMEOUT = "iam_guard_timeout"
_READ_OPTIONS: dict[str, dict[str, Any]] = {
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
}
_ONCE_OPTIONS: dict[str, dict[str, Any]] = {"postgresql": {"isolation_level": "AUTOCOMMIT"}}
_WRITE_OPTIONS: dict[str, dict[str, Any]] = {"postgresql": {"isolation_level": "READ COMMITTED"}}


def make_engine(
    url: str, *, timeout: float = BUSY_SECONDS, pool_size: int | None = None, overflow: int | None = None
) -> Engine:
    """Return the engine for a database URL. Raises `ConfigurationError` for an unsupported kind.

    `timeout` limits the seconds for getting a connection, and for a bounded transaction as a whole. A forked process
    must call `reset_in_child` before it uses the engine. `pool_size` and `overflow` limit the connections to a server.
    """
    parsed = _read_url(url)
    options = {_TURN: threading.Lock(), _TIMEOUT: timeout}
    if parsed.get_backend_name() == "sqlite":
        return sqlite_engine(parsed, timeout, options)
    limits = {"pool_size": pool_size, "max_overflow": overflow, "pool_timeout": timeout}
    given = {name: value for name, value in limits.items() if value is not None}
    return _postgresql_engine(parsed, given, options)


def _postgresql_engine(url: URL, limits: dict[str, float], options: dict[str, Any]) -> Engine:
    postgresql = import_module("iam_guard.store.database.postgresql")
    engine = create_engine(
        url,
        hide_parameters=True,
        poolclass=postgresql.ServerPool,
        pool_pre_ping=True,
        execution_options=options,
        **limits,
    )
    connect = partial(postgresql.connect, fallback_application_name=APPLICATION_NAME)
    event.listen(engine, "do_connect", lambda _dialect, _record, arguments, options: connect(*arguments, **options))
    return engine


def reset_in_child(engine: Engine) -> None:
    """Replace the pool and the lock of an engine; the parent's connections are neither used nor closed."""
    engine.update_execution_options(**{_TURN: threading.Lock()})
    if engine.dialect.name == "postgresql":
        engine.dispose(close=False)


def _read_url(url: str) -> URL:
    """Parse a database URL. Errors don't quote the URL: it may contain a password."""
    if is_sqlite(url):
        return URL.create("sqlite", database=sqlite_database(url))
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise unsupported_store(url) from None
    if "\0" in url or parsed.drivername not in ("postgresql", "postgresql+psycopg"):
        raise unsupported_store(url)
    return parsed.set(drivername="postgresql+psycopg")


@contextmanager
def reading(engine: Engine, *, bounded: bool = False) -> Iterator[Connection]:
    """Open a transaction that sees one snapshot; a bounded one takes at most the engine's timeout as a whole."""
    whole = within(_timeout_of(engine)) if bounded else nullcontext()
    with _as_store_errors(), whole, _connected(engine, _READ_OPTIONS) as connection, connection.begin():
        _begin(connection, "BEGIN")
        yield connection


@contextmanager
def reading_once(engine: Engine, kept: Connection | None = None) -> Iterator[Connection]:
    """Open a connection for one bounded statement, which needs no transaction: two round trips less in PostgreSQL.

    A kept connection, of `lone_connection`, saves another one and the time of the pool.
    """
    connected = _connected(engine, _ONCE_OPTIONS) if kept is None else nullcontext(kept)
    with _as_store_errors(), within(_timeout_of(engine)), connected as connection:
        yield connection


@contextmanager
def writing(engine: Engine, *, patient: bool = False) -> Iterator[Connection]:
    """Open a write transaction, one at a time; it is rolled back when the block raises.

    A patient one, for operators' commands, waits longer for its turn and for each statement.
    """
    until = time.monotonic() + (PATIENT_SECONDS if patient else BUSY_SECONDS - waited())
    longer = silence(PATIENT_SECONDS if patient else 2 * BUSY_SECONDS)
    with (
        _as_store_errors(),
        _turn_of(engine, until),
        longer,
        _connected(engine, _WRITE_OPTIONS) as connection,
        _lock_waits(connection, until),
    ):
        with connection.begin():
            _begin(connection, "BEGIN IMMEDIATE")
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = {_milliseconds(until)}")
            yield connection
            _require_file(engine)
        _require_file(engine)  # else the change is in a file that no other process reads


@contextmanager
def _connected(engine: Engine, options: dict[str, dict[str, Any]]) -> Iterator[Connection]:
    _require_file(engine)
    with within(_timeout_of(engine)):
        connection = _connect(engine)
    with connection:
        if engine.dialect.name in options:
            connection.execution_options(**options[engine.dialect.name])
        yield connection


def _connect(engine: Engine) -> Connection:
    """Return a connection of the pool, or a new one; wait for one of the pool while the server refuses new ones."""
    while True:
        try:
            return engine.connect()
        except OperationalError as error:
            if remaining() <= 0 or not _is_worth_waiting(engine.pool, error):
                raise
            cast(Any, engine.pool).pause(error.orig)


def _is_worth_waiting(pool: Pool, error: OperationalError) -> bool:
    """Return whether a connection may become free: the server has none left, or refuses one while others are used."""
    if _reason(error) == _NO_CONNECTION_LEFT:
        return True
    return "FATAL" in str(error.orig) and cast(Any, pool).checkedout() > 0


@contextmanager
def lone_connection(engine: Engine) -> Iterator[Connection]:
    """Open a connection without transactions outside of the pool, and close it at the end.

    The pool keeps what it has: if the server accepts no more connections, this one is not opened.
    """
    options = engine.get_execution_options()
    apart = Engine(engine.pool.recreate(), engine.dialect, engine.url, execution_options=options, hide_parameters=True)
    with _as_store_errors(), within(_timeout_of(engine)):
        connection = apart.connect().execution_options(**_ONCE_OPTIONS.get(engine.dialect.name, {}))
        connection.detach()
    with closing(connection.connection.dbapi_connection):  # type: ignore[type-var]
        yield connection
        connection.close()


def _require_file(engine: Engine) -> None:
    if (file := file_of(engine)) is not None:
        file.require_present()


def reopen_if_replaced(engine: Engine, check: Callable[[Engine], object]) -> None:
    """Open the file of an SQLite store again, if it was deleted or replaced, and if `check` accepts it.

    Until then, no transaction of the engine begins. Raises `StoreLost`, `StoreUnavailable`.
    """
    with _as_store_errors():
        reopen_replaced(engine, check)


def _timeout_of(engine: Engine) -> float:
    return float(engine.get_execution_options()[_TIMEOUT])


@contextmanager
def _lock_waits(connection: Connection, until: float) -> Iterator[None]:
    """Let SQLite wait for the write lock of another process; readers don't need this."""
    if connection.dialect.name != "sqlite":
        yield
        return
    driver: Any = connection.connection.driver_connection
    before = driver.execute("PRAGMA busy_timeout").fetchone()[0]
    driver.execute(f"PRAGMA busy_timeout={_milliseconds(until)}")
    try:
        yield
    finally:
        driver.execute(f"PRAGMA busy_timeout={before}")


def _milliseconds(until: float) -> int:
    """Return the remaining time in milliseconds, at least 1: PostgreSQL takes 0 for no limit."""
    return max(1, int((until - time.monotonic()) * 1000))


@contextmanager
def closed_on_error(engine: Engine) -> Iterator[None]:
    """Close the engine's connections when the block raises."""
    try:
        yield
    except BaseException:
        engine.dispose()
        raise


_LOCKED = select(schema.meta.c.epoch).with_for_update()


def lock_epoch(connection: Connection) -> int:
    """Return the epoch, and lock out other writers until the transaction ends, so that counts stay valid."""
    return int(connection.execute(_LOCKED).scalar_one())


def acquire_write_lock(connection: Connection) -> None:
    """Lock out other writers until the transaction ends; in SQLite, `BEGIN IMMEDIATE` has done so."""
    if connection.dialect.name != "sqlite":
        lock_epoch(connection)


@contextmanager
def _turn_of(engine: Engine, until: float) -> Iterator[None]:
    """Wait until no other thread of this process writes."""
    lock: threading.Lock = engine.get_execution_options()[_TURN]
    if not lock.acquire(timeout=max(0.0, until - time.monotonic())):
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


_NO_CONNECTION_LEFT = "the server accepts no more connections (of this user, to this database, or at all)"
_STARTING = "the server is starting or stopping"
_CONNECTION_ERRORS = (
    ("too many connections", _NO_CONNECTION_LEFT),
    ("too many clients", _NO_CONNECTION_LEFT),
    ("remaining connection slots", _NO_CONNECTION_LEFT),
    ("no more connections allowed", _NO_CONNECTION_LEFT),
    ("the database system is", _STARTING),
    ("Connection refused", "the connection was refused"),
    ("resolve host", "the host is unknown"),
    ("translate host", "the host is unknown"),
    ("timeout", "no answer in time"),
    ("not permitted to log in", "the user may not log in"),
    ("pg_hba.conf", "the server does not accept this user from here, or not without TLS"),
    ("password", "wrong user or password"),
    ('database "', "the database does not exist, or the user may not connect to it"),
    ('role "', "the user does not exist"),
    ("SSL", "TLS failed"),
)
"""A part of the message of a PostgreSQL server, of PgBouncer or of libpq when a connection fails -> our message; the
first one that occurs counts."""


_SQLSTATES = {
    "25006": "the server, or the transaction, is read-only",
    "53100": "the disk of the server is full",
    "53300": _NO_CONNECTION_LEFT,
    "55P03": "database is locked",
    "57P03": _STARTING,
}
"""The reasons of errors that have an SQLSTATE; those of failed connections have none."""


def _reason(error: Exception) -> str:
    """Return the reason without the server's own message, which may contain an address or a value."""
    cause = getattr(error, "orig", None) or error
    if (reason := _SQLSTATES.get(getattr(cause, "sqlstate", None) or "")) is not None:
        return reason
    if isinstance(error, PoolTimeout):
        return "no connection of the pool was free in time"
    if isinstance(cause, sqlite3.Error):
        return str(cause).lower()
    if isinstance(error, OperationalError) and error.statement is None:
        message = str(cause)
        return next((reason for part, reason in _CONNECTION_ERRORS if part in message), type(cause).__name__)
    return type(cause).__name__


def _begin(connection: Connection, statement: str) -> None:
    """Begin a transaction of SQLite; a writer takes the lock at once, because a reader may fail to upgrade its lock.

    Sent to the driver directly: an event listener would make SQLAlchemy look up events at every statement.
    """
    if connection.dialect.name == "sqlite":
        driver: Any = connection.connection.driver_connection
        driver.execute(statement)
