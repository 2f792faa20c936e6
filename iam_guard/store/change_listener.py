"""Listens for PostgreSQL's notifications of changes, so that a process need not wait for its next poll.

A thread with its own connection calls a method of its owner, which reads the change feed; notifications within
`PAUSE_SECONDS` cause one call. A lost notification only causes a delay, because the owner polls anyway. If the
connection fails, the thread ends; the owner starts another one when it polls for a request, so that an idle process
does not connect. A pooler may withhold all notifications, as PgBouncer does in transaction mode: then the owner only
polls.
"""

from __future__ import annotations

import select
import socket
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import psycopg
from sqlalchemy import Engine

from iam_guard.errors import StoreUnavailable
from iam_guard.forking import on_fork
from iam_guard.store.change_feed import CHANNEL
from iam_guard.store.engine import lone_connection

PAUSE_SECONDS: Final = 0.02
RETRY_SECONDS: Final = 5.0
"""Seconds after which a listener whose connection failed may be replaced, once its owner polls the store again."""


class ChangeListener:
    """Calls the method `wake` after notifications, in its own thread, as long as the method's object exists."""

    def __init__(self, engine: Engine, wake: Callable[[], object]) -> None:
        self.is_listening = False
        self._is_running = True
        self._started = time.monotonic()
        self._engine = engine
        self._receiver, self._sender = socket.socketpair()
        self._is_closed = threading.Event()
        self._wake = weakref.WeakMethod(wake, lambda _: self.close())
        try:
            threading.Thread(target=self._run, name="iam-guard-changes", daemon=True).start()
        except RuntimeError:  # the interpreter is shutting down, or there are too many threads
            self._close_sockets()
        on_fork(self)

    def begin_in_child(self) -> None:
        """Release the parent's sockets: what the child sent would wake the parent's thread."""
        self._is_closed = threading.Event()
        self._is_closed.set()
        self._close_sockets()

    def close(self) -> None:
        """End the thread."""
        if not self._is_closed.is_set():
            self._is_closed.set()
            with suppress(OSError):  # the thread has ended
                self._sender.send(b"!")

    @property
    def is_replaceable(self) -> bool:
        return not self._is_running and time.monotonic() >= self._started + RETRY_SECONDS

    def _run(self) -> None:
        try:
            with suppress(StoreUnavailable, psycopg.Error):
                self._listen()
        finally:
            self.is_listening = self._is_running = False
            self._close_sockets()

    def _close_sockets(self) -> None:
        self._receiver.close()
        self._sender.close()

    def _listen(self) -> None:
        """Listen until the connection fails or `close` is called. Raises `StoreUnavailable` or `psycopg.Error`."""
        with lone_connection(self._engine) as connection:
            connection.autocommit = True
            connection.execute(f"LISTEN {CHANNEL}")
            self.is_listening = True
            self._call()  # there were no notifications of earlier changes
            poller = select.poll()
            poller.register(connection.fileno(), select.POLLIN)
            poller.register(self._receiver, select.POLLIN)
            while not self._is_closed.is_set():
                poller.poll()
                if _take(connection):
                    self._call()
                    self._is_closed.wait(PAUSE_SECONDS)

    def _call(self) -> None:
        if (wake := self._wake()) is not None:
            wake()


def _take(connection: psycopg.Connection) -> bool:
    """Consume the notifications that have arrived; return whether there were any."""
    connection.pgconn.consume_input()
    found = False
    while connection.pgconn.notifies() is not None:
        found = True
    return found
