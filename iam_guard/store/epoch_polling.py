"""Looking at a store, one thread at a time, so that callers need not wait for it: whether it answers, and its epoch.

A look at a store on a server is made by a thread that begins with it; at one in this process or in a file, which does
not hang, by the caller. When it fails, a thread goes on looking until one succeeds, and is the only one that waits for
the store meanwhile; then it ends. What a look means is up to the store that remembers (`cached_store`), which is told
of none that it has not asked for.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from typing import Final

from iam_guard.forking import fork_safe_lock, on_fork

RETRY_SECONDS: Final = 0.5
"""Seconds between two looks at a store that fails."""
_LEAST_SECONDS: Final = 0.05


class EpochPoller:
    """`look` tells whether the store answered. Safe to share between threads."""

    def __init__(self, look: Callable[[], bool], *, every: float, in_background: bool) -> None:
        self._look = weakref.WeakMethod(look)  # a thread keeps no store that has gone without closing
        self._in_background = in_background
        self._retry = max(_LEAST_SECONDS, min(every, RETRY_SECONDS))
        self._lock = fork_safe_lock()
        self.begin_in_child()
        on_fork(self)

    def begin_in_child(self) -> None:
        """Begin without a thread and without a look."""
        self._looking = threading.Lock()
        self._wake = threading.Event()
        self._is_closed = False
        self._answered: threading.Event | None = None  # set while the thread pauses between two looks that fail
        self._began = self._began_here = 0.0

    def wait(self, seconds: float) -> bool:
        """Have a look made, or go along with one that is; tell whether it was over within `seconds` of its start."""
        if not self._in_background:
            return self._look_here(seconds)
        answered = self.begin()
        return answered.wait(max(0.0, self._began + seconds - time.monotonic()))

    def _look_here(self, seconds: float) -> bool:
        """Look in the caller's thread, unless another one has begun to meanwhile."""
        asked, look = time.monotonic(), self._look()
        if look is None or not self._looking.acquire(timeout=seconds):
            return False
        try:
            if self._began_here < asked:
                self._began = self._began_here = time.monotonic()
                look()
        finally:
            self._looking.release()
        return True

    def begin_unless_recent(self) -> None:
        """Have a look made, unless one began just now."""
        if time.monotonic() - self._began >= RETRY_SECONDS:
            self.begin()

    def is_overdue(self, seconds: float) -> bool:
        """Return whether a look began more than `seconds` ago and is not over."""
        answered = self._answered
        return answered is not None and not answered.is_set() and time.monotonic() - self._began >= seconds

    def make_now(self, seconds: float) -> bool:
        """Look in the caller's thread, unless another look takes more than `seconds`; tell whether it was answered."""
        look = self._look()
        if look is None or not self._looking.acquire(timeout=seconds):
            return False
        try:
            return look()
        finally:
            self._looking.release()

    def close(self, seconds: float) -> None:
        """End the thread of a store that fails, and wait up to `seconds` for a look that is being made."""
        self._is_closed = True
        self._wake.set()
        if self._looking.acquire(timeout=seconds):
            self._looking.release()

    def go_on(self) -> None:
        """Have the thread look again after a pause, until the store answers; it may be at it already."""
        with self._lock:
            if self._answered is not None:
                return
            self._answered = threading.Event()
            self._answered.set()
        self._start(self._retry)

    def begin(self) -> threading.Event:
        """Have a look made by the thread, unless one is being made; return what is set when it is over."""
        with self._lock:
            before = self._answered
            if before is not None and not before.is_set():
                return before
            answered = self._answered = threading.Event()
            self._began = time.monotonic()
        if before is not None:
            self._wake.set()
            return answered
        self._start(0.0)
        return answered

    def _start(self, delay: float) -> None:
        arguments = (weakref.ref(self), self._wake, delay, self._retry)
        try:
            threading.Thread(target=_look_on, args=arguments, name="iam-guard-store", daemon=True).start()
        except RuntimeError:  # the interpreter ends, or there are too many
            self.make_one(is_last=True)

    def make_one(self, *, is_last: bool = False) -> bool:
        """Look; tell whether that was the last look of the thread."""
        look = self._look()
        is_over = True
        try:
            with self._looking:
                is_over = look is None or look() or is_last or self._is_closed
        finally:
            with self._lock:
                answered = self._answered
                if is_over:
                    self._answered = None
            if answered is not None:
                answered.set()
        return is_over


def _look_on(looks: weakref.ref[EpochPoller], wake: threading.Event, delay: float, pause: float) -> None:
    if delay and wake.wait(delay):
        wake.clear()
    while (alive := looks()) is not None and not alive.make_one():
        del alive
        wake.wait(pause)
        wake.clear()
