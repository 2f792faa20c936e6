"""Connections to PostgreSQL with limited waits (`time_limits`), usable in one process only.

A server that hangs (stopped, out of memory, behind a network that drops packets) still acknowledges packets or sends
nothing; neither `statement_timeout`, which the server applies, nor keepalives, nor `tcp_user_timeout` end the wait. So
the client applies the limit. psycopg never blocks in libpq: every operation of a connection (statements, the pool's
ping, BEGIN, COMMIT, the rollback when it returns to the pool) is a generator that `Connection.wait` drives, which sends
it `Ready.NONE` twenty times a second while no data arrives. The deadline is checked there. A wait that has lasted too
long closes the connection on this side without sending anything, so that SQLAlchemy takes it for disconnected and
nothing waits for it again.

Connecting is separate: names are resolved first, in a system call without a timeout, and psycopg waits at least two
seconds. It runs in a thread of its own that the caller abandons at the deadline; the thread ends by itself, and closes
a connection that it still gets.

A server at its limit of connections (`max_connections`, or that of a user, a database or a pooler) refuses new ones.
Then the pool goes on with those that it has, for which its threads wait; one thread at a time tries to open another.

A connection refuses to be used or closed in another process than the one that opened it, where it would read rows that
are meant for its parent (see `engine` for what a fork does to the pool).
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Generator
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any, Final, TypeVar

from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.util.queue import Empty

from iam_guard.imports import requires_extra
from iam_guard.store.database.sqlite import ForkSafePool
from iam_guard.store.database.time_limits import deadline, remaining

with requires_extra("postgres", "a PostgreSQL store"):
    import psycopg

T = TypeVar("T")

_CHECK_SECONDS: Final = 0.05
_PAUSE_SECONDS: Final = 0.1
"""Seconds between two attempts of a process to open a connection while the server refuses it."""
_MIN_CONNECT_SECONDS: Final = 2
"""The shortest timeout that psycopg applies."""


class ServerSilent(psycopg.OperationalError):
    """The server did not answer in time; the connection is closed."""


class BoundedConnection(psycopg.Connection[Any]):
    """A connection with limited waits."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._process = os.getpid()
        self.add_notify_handler(_ignore)

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        """Drive an operation of the connection to its end. Raises `ServerSilent` when that takes too long."""
        if os.getpid() != self._process:
            raise psycopg.OperationalError("the connection belongs to another process")
        try:
            return super().wait(_limited(gen), _CHECK_SECONDS)
        except ServerSilent:
            self.pgconn.finish()
            raise

    def close(self) -> None:
        """Close the connection, in the process that opened it."""
        if os.getpid() == self._process:
            super().close()


class ServerPool(ForkSafePool):
    """A pool that goes on with its connections while the server refuses new ones."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._refusal: BaseException | None = None
        self._retry_at = 0.0
        self._pause_lock = threading.Lock()

    def pause(self, refusal: BaseException | None) -> None:
        """Open no connection for a while, since the server has refused one."""
        with self._pause_lock:
            self._refusal, self._retry_at = refusal, time.monotonic() + _PAUSE_SECONDS

    def _do_get(self) -> ConnectionPoolEntry:
        until = time.monotonic() + remaining()
        while self._is_paused():
            left = until - time.monotonic()
            if left <= 0:
                raise psycopg.OperationalError(str(self._refusal))
            with suppress(Empty):
                return self._pool.get(True, min(left, _PAUSE_SECONDS))
        return super()._do_get()

    def _create_connection(self) -> ConnectionPoolEntry:
        created = super()._create_connection()
        self._refusal = None
        return created

    def _is_paused(self) -> bool:
        """Return False if the thread may open a connection: always, or as the only one after a pause."""
        with self._pause_lock:
            if self._refusal is None:
                return False
            now = time.monotonic()
            if now < self._retry_at:
                return True
            self._retry_at = now + _PAUSE_SECONDS
            return False


def _ignore(_notification: psycopg.Notify) -> None:
    """Take a notification that a pooler passes to a connection that does not listen; psycopg would collect them."""


def _limited(steps: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
    """Forward an operation of psycopg up to the deadline; raise `ServerSilent` there."""
    until, extension = deadline()
    try:
        awaited = next(steps)
        while True:
            ready = yield awaited
            if ready and extension:
                until = time.monotonic() + extension
            elif not ready and time.monotonic() >= until:
                steps.close()
                raise ServerSilent("the server did not answer in time")
            awaited = steps.send(ready)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def connect(*args: Any, **kwargs: Any) -> BoundedConnection:
    """Connect within the thread's limit, in another thread that can be abandoned. Raises `psycopg.Error`."""
    limit = remaining()
    if limit <= 0:
        raise ServerSilent("timeout while connecting to the server")
    attempt: Future[BoundedConnection] = Future()
    kwargs["connect_timeout"] = max(_MIN_CONNECT_SECONDS, math.ceil(limit))
    threading.Thread(target=_connect, args=(attempt, args, kwargs), name="iam-guard-connect", daemon=True).start()
    try:
        return attempt.result(limit)
    except TimeoutError:
        if attempt.cancel():
            raise ServerSilent("timeout while connecting to the server") from None
        return attempt.result()


def _connect(attempt: Future[BoundedConnection], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    try:
        connection = BoundedConnection.connect(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001  the caller raises it
        with suppress(InvalidStateError):
            attempt.set_exception(error)
        return
    try:
        attempt.set_result(connection)
    except InvalidStateError:  # the caller has abandoned the attempt
        connection.close()
