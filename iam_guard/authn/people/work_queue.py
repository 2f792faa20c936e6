"""A bounded queue of calls that a thread makes one after the other, such as for e-mails: no request waits for them.

A source, such as a client or an account, has a small part of the queue, so that it can't crowd out the calls of others.
The thread starts with the first call and ends with the last, so an unused queue has none, and a forked process starts
its own. It does not keep the interpreter from ending; `close` waits some seconds for the calls.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from iam_guard.forking import on_fork

MAX_WAITING: Final = 1000
MAX_OF_ONE: Final = 20
"""Calls that wait, of all sources and of one; further ones are dropped."""
CLOSE_SECONDS: Final = 5.0
"""Maximum seconds for which `close` waits for the remaining calls."""
_log = logging.getLogger("iam_guard.authn")


class WorkQueue:
    """A queue of calls. Safe to share between threads. `purpose` is for the name of the thread and the log."""

    def __init__(self, purpose: str) -> None:
        self._purpose = purpose
        self._is_closed = False
        self.begin_in_child()
        on_fork(self)

    def begin_in_child(self) -> None:
        """Start with an empty queue, a free lock, and no thread: the parent makes its own calls."""
        self._lock = threading.Lock()
        self._calls: deque[tuple[str, Callable[[], None]]] = deque()
        self._thread: threading.Thread | None = None
        self._is_failing = False
        self._is_dropping = False

    def put(self, source: str, call: Callable[[], None]) -> bool:
        """Make a call later; False if it is dropped. Never waits for another call."""
        with self._lock:
            has_room = len(self._calls) < MAX_WAITING and sum(of == source for of, _ in self._calls) < MAX_OF_ONE
            is_taken = has_room and not self._is_closed
            is_first = not is_taken and not self._is_dropping
            self._is_dropping = not is_taken
            if is_taken:
                self._calls.append((source, call))
                self._start()
        if is_first:
            _log.error("%s dropped: too many are waiting", self._purpose)
        return is_taken

    def close(self) -> None:
        """Drop later calls, and wait some seconds for those in the queue."""
        with self._lock:
            self._is_closed = True
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(CLOSE_SECONDS)

    def _start(self) -> None:
        """Start the thread if there is none. The caller must hold the lock."""
        if self._thread is not None:
            return
        name = f"iam-guard-{self._purpose.replace(' ', '-')}"
        thread = threading.Thread(target=self._make_calls, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return  # no thread is available, as when the interpreter ends: the next call tries again
        self._thread = thread

    def _make_calls(self) -> None:
        while True:
            with self._lock:
                if not self._calls:
                    self._thread = None
                    return
                _, call = self._calls.popleft()
            try:
                call()
            except BaseException as error:  # noqa: BLE001  if the thread died, nothing would be sent any more
                if not self._is_failing:  # the first of several failures; the message may have what is sent
                    _log.error("%s failed: %s", self._purpose, type(error).__name__)
                self._is_failing = True
            else:
                self._is_failing = False
