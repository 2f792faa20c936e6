"""Connections to PostgreSQL that wait for a limited time (`time_limits`), and that serve one process only.

The strategy. A server that hangs (stopped, out of memory, behind a network that drops packets) still has its packets
acknowledged or keeps silent; neither `statement_timeout`, which is the server's, nor keepalives, nor `tcp_user_timeout`
end the wait for it. So the limit is ours. psycopg never blocks in libpq: whatever a connection does (statements, the
pool's ping, BEGIN, COMMIT, the rollback when it goes back to the pool) is a generator that `Connection.wait` drives,
which hands out `Ready.NONE` twenty times a second while nothing comes. There the clock is looked at. A wait that has
lasted too long closes the connection on this side without another word to the server, so that SQLAlchemy takes it for
disconnected and nothing waits for it again.

Connecting is apart: names are resolved first, in a call of the system that has no limit, and psycopg never waits less
than two seconds. It is done in a thread of its own that the caller leaves behind when its time is over; the thread ends
by itself, and closes what it may still get.

A connection knows the process that opened it, and refuses to be used or closed in another one, where it would take
rows that are meant for its parent (see `engine` for what a fork does to the pool).
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

import psycopg

from iam_guard.store.time_limits import deadline, remaining

T = TypeVar("T")

_CHECK_SECONDS: Final = 0.05
_LEAST_CONNECT_SECONDS: Final = 2
"""What psycopg waits at least."""


class ServerSilent(psycopg.OperationalError):
    """The server did not answer in time; the connection is closed."""


class BoundedConnection(psycopg.Connection[Any]):
    """A connection whose every wait ends."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._process = os.getpid()

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        """Drive what the connection does to its end. Raises `ServerSilent` when that takes too long."""
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


def _limited(steps: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
    """Go along with what psycopg does, up to the deadline; raise `ServerSilent` there."""
    until, extension = deadline()
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            if ready and extension:
                until = time.monotonic() + extension
            elif not ready and time.monotonic() >= until:
                steps.close()
                raise ServerSilent("the server did not answer in time")
            wanted = steps.send(ready)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def connect(*args: Any, **kwargs: Any) -> BoundedConnection:
    """Connect within the present limit, from a thread that nobody has to wait for. Raises `psycopg.Error`."""
    limit = remaining()
    if limit <= 0:
        raise ServerSilent("the server was not reached in time")
    attempt: Future[BoundedConnection] = Future()
    kwargs["connect_timeout"] = max(_LEAST_CONNECT_SECONDS, math.ceil(limit))
    threading.Thread(target=_connect, args=(attempt, args, kwargs), name="iam-guard-connect", daemon=True).start()
    try:
        return attempt.result(limit)
    except TimeoutError:
        if attempt.cancel():
            raise ServerSilent("the server was not reached in time") from None
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
    except InvalidStateError:  # the caller has gone
        connection.close()
