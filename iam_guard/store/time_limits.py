"""Per-thread limits for waits on the store: for a block as a whole, and for each time in which a server sends nothing.

The queries of decisions have one absolute limit (`within`), by which a caller has an answer or an error. Changes and
lists may take arbitrarily long; there, the limit applies to each time in which the server sends nothing (`silence`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

BUSY_SECONDS: Final = 5.0
"""Seconds that a list or a change waits for a server that sends nothing, or for another process's write to SQLite."""
PATIENT_SECONDS: Final = 600.0
"""The same for operators' commands: migrations, and applying seeds."""


class _Limits(threading.local):
    until: float | None = None
    silence: float = BUSY_SECONDS
    waited: float = 0.0


_limits = _Limits()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Limit the waits of this thread inside the block as a whole; in a nested block, the outer limit applies."""
    if _limits.until is not None:
        yield
        return
    _limits.until = time.monotonic() + seconds
    try:
        yield
    finally:
        _limits.until = None


@contextmanager
def silence(seconds: float) -> Iterator[None]:
    """Limit each time in which a server sends nothing."""
    before = _limits.silence
    _limits.silence = seconds
    try:
        yield
    finally:
        _limits.silence = before


@contextmanager
def queued_for(seconds: float) -> Iterator[None]:
    """Count the seconds that a call was queued as part of its wait for the write lock."""
    _limits.waited = seconds
    try:
        yield
    finally:
        _limits.waited = 0.0


def waited() -> float:
    """Return the seconds that the current call was queued."""
    return _limits.waited


def deadline() -> tuple[float, float]:
    """Return when a wait that starts now must end, and by how many seconds each received part extends it."""
    if _limits.until is not None:
        return _limits.until, 0.0
    return time.monotonic() + _limits.silence, _limits.silence


def remaining() -> float:
    """Return the seconds that are left for a wait that starts now; 0 or less if there are none."""
    return deadline()[0] - time.monotonic()
