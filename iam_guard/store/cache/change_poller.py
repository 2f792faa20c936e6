"""Polls a store, one thread at a time, so that callers need not wait for it.

A store on a server is polled by a thread that is started for the poll; one in this process or in a file, which does not
hang, by the caller. When a poll fails, a thread polls until one succeeds, then ends; no other thread waits for the
store meanwhile. What a poll does is up to the owner (`cached_store`).
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from typing import Final

from iam_guard.forking import fork_safe_lock, on_fork

RETRY_SECONDS: Final = 0.5
"""Seconds between two polls of a store that fails."""
_MIN_RETRY_SECONDS: Final = 0.05


class ChangePoller:
    """Polls a store; `poll` returns whether it answered. Thread-safe."""

    def __init__(self, poll: Callable[[], bool], *, every: float, in_background: bool) -> None:
        self._poll = weakref.WeakMethod(poll)  # the thread must not keep a store alive that was never closed
        self._in_background = in_background
        self._retry = max(_MIN_RETRY_SECONDS, min(every, RETRY_SECONDS))
        self._lock = fork_safe_lock()
        self.begin_in_child()
        on_fork(self)

    def begin_in_child(self) -> None:
        """Start without a thread and without a poll."""
        self._polling = threading.Lock()
        self._wake = threading.Event()
        self._is_closed = False
        self._answered: threading.Event | None = None  # set while the thread pauses between two failed polls
        self._started = self._started_here = 0.0

    def wait(self, seconds: float) -> bool:
        """Start a poll or join the running one; return whether it was over within `seconds` of its start."""
        if not self._in_background:
            return self._poll_here(seconds)
        answered = self.start()
        return answered.wait(max(0.0, self._started + seconds - time.monotonic()))

    def _poll_here(self, seconds: float) -> bool:
        """Poll in the caller's thread, unless another one has started a poll meanwhile."""
        called, poll = time.monotonic(), self._poll()
        if poll is None or not self._polling.acquire(timeout=seconds):
            return False
        try:
            if self._started_here < called:
                self._started = self._started_here = time.monotonic()
                poll()
        finally:
            self._polling.release()
        return True

    def start_unless_recent(self) -> None:
        """Start a poll, unless one started less than `RETRY_SECONDS` ago."""
        if time.monotonic() - self._started >= RETRY_SECONDS:
            self.start()

    def is_overdue(self, seconds: float) -> bool:
        """Return whether a poll started at least `seconds` ago and is not over."""
        answered = self._answered
        return answered is not None and not answered.is_set() and time.monotonic() - self._started >= seconds

    @property
    def is_polling(self) -> bool:
        return self._polling.locked()

    def poll_now(self, seconds: float) -> bool:
        """Poll in the caller's thread, after a running poll ends; False without an answer, or when closed."""
        poll = self._poll()
        if poll is None or not self._polling.acquire(timeout=seconds):
            return False
        try:
            return not self._is_closed and poll()
        finally:
            self._polling.release()

    def close(self, seconds: float) -> None:
        """End the thread, and wait up to `seconds` for the running poll."""
        self._is_closed = True
        self._wake.set()
        if self._polling.acquire(timeout=seconds):
            self._polling.release()

    def keep_polling(self) -> None:
        """Start a thread that polls, after a pause, until the store answers, unless one does already."""
        with self._lock:
            if self._answered is not None:
                return
            self._answered = threading.Event()
            self._answered.set()
        self._start_thread(self._retry)

    def start(self) -> threading.Event:
        """Start a poll in the thread, or join the running one; return the event that is set when it is over."""
        with self._lock:
            before = self._answered
            if before is not None and not before.is_set():
                return before
            answered = self._answered = threading.Event()
            self._started = time.monotonic()
        if before is not None:
            self._wake.set()
            return answered
        self._start_thread(0.0)
        return answered

    def _start_thread(self, delay: float) -> None:
        arguments = (weakref.ref(self), self._wake, delay, self._retry)
        try:
            threading.Thread(target=_poll_in_thread, args=arguments, name="iam-guard-store", daemon=True).start()
        except RuntimeError:  # the interpreter ends, or there are too many threads
            self.poll_once(is_last=True)

    def poll_once(self, *, is_last: bool = False) -> bool:
        """Poll once; return whether that was the last poll of the thread."""
        poll = self._poll()
        is_over = True
        try:
            with self._polling:
                is_over = poll is None or poll() or is_last or self._is_closed
        finally:
            with self._lock:
                answered = self._answered
                if is_over:
                    self._answered = None
            if answered is not None:
                answered.set()
        return is_over


def _poll_in_thread(reference: weakref.ref[ChangePoller], wake: threading.Event, delay: float, pause: float) -> None:
    if delay and wake.wait(delay):
        wake.clear()
    while (poller := reference()) is not None and not poller.poll_once():
        del poller
        wake.wait(pause)
        wake.clear()
