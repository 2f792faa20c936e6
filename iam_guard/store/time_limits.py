"""How long the present thread waits for the store: a limit for everything in a block, and for each silence of a server.

Statements of decisions stand under one absolute limit (`within`), so that a caller has an answer or an error by then,
whatever the store was doing. Changes and lists have no end in sight; there, a limit applies to the time in which the
server sends nothing at all (`silence`).
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
"""The same for what an operator runs and sees: migrations, and seeds that are applied."""


class _Limits(threading.local):
    until: float | None = None
    silence: float = BUSY_SECONDS
    waited: float = 0.0


_limits = _Limits()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Limit all that this thread waits inside the block; inside another such block, that one's limit stays."""
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
    """Limit each wait for a server that sends nothing."""
    before = _limits.silence
    _limits.silence = seconds
    try:
        yield
    finally:
        _limits.silence = before


@contextmanager
def having_waited(seconds: float) -> Iterator[None]:
    """Count what a call has waited for a place as part of its wait for its turn to write."""
    _limits.waited = seconds
    try:
        yield
    finally:
        _limits.waited = 0.0


def waited() -> float:
    """Return the seconds that the present call has waited for a place."""
    return _limits.waited


def deadline() -> tuple[float, float]:
    """Return when a wait that begins now has to end, and how many seconds more each part of an answer gives it."""
    if _limits.until is not None:
        return _limits.until, 0.0
    return time.monotonic() + _limits.silence, _limits.silence


def remaining() -> float:
    """Return the seconds that are left for what begins now; none are where it is not above 0."""
    return deadline()[0] - time.monotonic()
