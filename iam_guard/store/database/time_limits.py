"""Per-thread limits for waits on the store: for a block as a whole, and for each time in which a server sends nothing.

The queries of decisions have one absolute limit (`within`), by which a caller has an answer or an error. Changes and
lists may take arbitrarily long; there, the limit applies to each time in which the server sends nothing (`silence`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final, TypeVar

T = TypeVar("T")

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
def _limited(limit: str, value: float) -> Iterator[None]:
    """Set a limit of this thread inside the block."""
    before = getattr(_limits, limit)
    setattr(_limits, limit, value)
    try:
        yield
    finally:
        setattr(_limits, limit, before)


def within(seconds: float) -> AbstractContextManager[None]:
    """Limit the waits of this thread inside the block as a whole; in a nested block, the outer limit applies."""
    return nullcontext() if _limits.until is not None else _limited("until", time.monotonic() + seconds)


def silence(seconds: float) -> AbstractContextManager[None]:
    """Limit each time in which a server sends nothing."""
    return _limited("silence", seconds)


def queued_for(seconds: float) -> AbstractContextManager[None]:
    """Count the seconds that a call was queued as part of its wait for the write lock."""
    return _limited("waited", seconds)


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


def paced(
    items: Iterable[T],
    used: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
    *,
    hold: float = 0.0,
    rest: float = 1.0,
) -> Iterator[T]:
    """Yield items with pauses between them, so that long work leaves others a part of the time.

    Once it has `used` more than `hold` seconds, by default of any time, a pause is `rest` times as long as these.
    """
    began = used()
    for item in items:
        if (spent := used() - began) > hold:
            sleep(spent * rest)
            began = used()
        yield item
