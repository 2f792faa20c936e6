"""Listens for PostgreSQL's notifications of changes, so that a process reads the change feed at once.

One thread with one connection of its own. It only wakes the owner, which reads the feed; notifications that come within
`PAUSE_SECONDS` are taken together. A lost notification costs nothing but time, since the owner polls anyway: the thread
connects again after `RETRY_SECONDS` when the connection fails. Behind a pooler that passes no notifications on, as
PgBouncer between transactions, none ever arrives.
"""

from __future__ import annotations

import select
import socket
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import psycopg
from sqlalchemy import Engine

from iam_guard.errors import StoreUnavailable
from iam_guard.store.change_feed import CHANNEL
from iam_guard.store.engine import lone_connection

PAUSE_SECONDS: Final = 0.02
RETRY_SECONDS: Final = 2.0


class ChangeListener:
    """Calls `wake` after notifications, in a thread of its own, as long as the owner of that method exists."""

    def __init__(self, engine: Engine, wake: Callable[[], object]) -> None:
        self.is_listening = False
        self._engine = engine
        self._receiver, self._sender = socket.socketpair()
        self._is_closed = threading.Event()
        self._wake = weakref.WeakMethod(wake, lambda _: self.close())
        try:
            threading.Thread(target=self._run, name="iam-guard-changes", daemon=True).start()
        except RuntimeError:  # the interpreter ends, or there are too many threads: the owner polls
            self._close_sockets()

    def close(self) -> None:
        """End the thread."""
        if not self._is_closed.is_set():
            self._is_closed.set()
            with suppress(OSError):  # the thread has ended
                self._sender.send(b"!")

    def _run(self) -> None:
        try:
            while not self._is_closed.is_set():
                with suppress(StoreUnavailable, psycopg.Error):
                    self._listen()
                self.is_listening = False
                self._is_closed.wait(RETRY_SECONDS)
        finally:
            self._close_sockets()

    def _close_sockets(self) -> None:
        self._receiver.close()
        self._sender.close()

    def _listen(self) -> None:
        """Listen until the connection fails. Raises `StoreUnavailable` or an error of psycopg."""
        with lone_connection(self._engine) as connection:
            connection.autocommit = True
            connection.execute(f"LISTEN {CHANNEL}")
            self.is_listening = True
            self._call()  # changes before this point were not notified
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
    """Take the notifications that have arrived; return whether there were any."""
    connection.pgconn.consume_input()
    found = False
    while connection.pgconn.notifies() is not None:
        found = True
    return found
