"""Listens for PostgreSQL's notifications of changes, so that a process need not wait for its next poll.

A thread with its own connection calls a method of its owner, which reads the change feed, `PAUSE_SECONDS` after a
notification: by then the other changes of its interval are committed, which send none of their own
(`change_feed.NOTIFY_MILLISECONDS`). Notifications that arrive meanwhile cause one more call. A lost notification only
causes a delay, because the owner polls anyway. If the connection fails, the thread ends; the owner starts another one
when it polls for a request, so that an idle process does not connect. A pooler may withhold all notifications, as
PgBouncer does in transaction mode: then the owner only polls.
"""

from __future__ import annotations

import select
import socket
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any, Final, TypeAlias

from iam_guard.errors import StoreUnavailable
from iam_guard.forking import on_fork
from iam_guard.imports import requires_extra
from iam_guard.store.cache.change_feed import CHANNEL

with requires_extra("postgres", "a PostgreSQL store"):
    import psycopg
    from psycopg.pq.abc import PGconn

Connect: TypeAlias = Callable[[], AbstractContextManager["psycopg.Connection[Any]"]]
"""Opens a connection without transactions, for the calling thread."""

PAUSE_SECONDS: Final = 0.06
RETRY_SECONDS: Final = 5.0
"""Seconds after which a listener whose connection failed may be replaced, once its owner polls the store again."""


class ChangeListener:
    """Calls the method `wake` after notifications, in its own thread, as long as the method's object exists.

    The connection belongs to that thread, and `wake` may use it.
    """

    def __init__(self, connect: Connect, wake: Callable[[], object]) -> None:
        self.is_listening = self._is_notified = False
        self._is_running = True
        self._started = time.monotonic()
        self._connect = connect
        self._receiver, self._sender = socket.socketpair()
        self._is_closed = threading.Event()
        self._wake = weakref.WeakMethod(wake, lambda _: self.close())
        try:
            threading.Thread(target=self._run, name="iam-guard-changes", daemon=True).start()
        except RuntimeError:  # the interpreter is shutting down, or there are too many threads
            self._is_running = False
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
        with self._connect() as connection:
            connection.add_notify_handler(self._notice)
            connection.execute(f"LISTEN {CHANNEL}")
            self.is_listening = self._is_notified = True  # there were no notifications of earlier changes
            poller = select.poll()
            poller.register(connection.fileno(), select.POLLIN)
            poller.register(self._receiver, select.POLLIN)
            while not self._is_closed.is_set():
                if not self._is_notified:  # during the last call, which may use the connection
                    poller.poll()
                    self._take(connection.pgconn)
                if self._is_notified:
                    self._is_notified = False
                    self._is_closed.wait(PAUSE_SECONDS)
                    self._take(connection.pgconn)
                    self._call()

    def _take(self, connection: PGconn) -> None:
        """Consume the notifications that have arrived."""
        connection.consume_input()
        while connection.notifies() is not None:
            self._is_notified = True

    def _notice(self, _notification: psycopg.Notify) -> None:
        self._is_notified = True

    def _call(self) -> None:
        if (wake := self._wake()) is not None:
            wake()
