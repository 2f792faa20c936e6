"""SIGTERM ends the shards of the audit trail, signed, before it ends the process.

An interpreter that exits closes its trails by itself. Two kinds of process never get there: those that SIGTERM kills
because nothing handles it (`wsgiref`, `waitress`, a script), and servers that shut down and then raise the signal once
more, to die of it (`uvicorn`). So a handler stands before the one that it finds: it ends the shards, for a few seconds
at most, then does what would have been done without it. What is recorded while a server shuts down begins another
shard, which is ended as soon as nothing waits; the ASGI middleware ends it once more when the lifespan is over.

Only the main thread may set a handler, so a guard that is opened in another has none; a handler that ignores the
signal, or was not set from Python, is left alone. A child that was forked has no writer yet and nothing to end, and
never touches its parent's shard.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Protocol, TypeAlias

from iam_guard.forking import copied

logger = logging.getLogger("iam_guard.audit")

SECONDS = 5.0
"""For which a process that is told to end waits for the disk at most."""

_Handler: TypeAlias = Callable[[int, FrameType | None], object]


class EndsShard(Protocol):
    """What writes a shard."""

    def end_shard(self, seconds: float, *, is_terminating: bool = False) -> bool: ...


_WRITING: weakref.WeakSet[EndsShard] = weakref.WeakSet()
_installed: list[_Handler] = []
"""The handler that was set last."""


def register(writing: EndsShard) -> None:
    """Have something end its shard at SIGTERM, as long as it lives."""
    _WRITING.add(writing)


def end_shards_on_sigterm() -> None:
    """Set the handler, where it is not set and may be."""
    if threading.current_thread() is not threading.main_thread():
        return
    found = signal.getsignal(signal.SIGTERM)
    if found is None or found is signal.SIG_IGN or found in _installed:
        return
    handler = _handler_before(found)
    try:
        signal.signal(signal.SIGTERM, handler)
    except ValueError:  # an interpreter inside of another program, whose signals they are
        return
    _installed[:] = [handler]


def end_shards(seconds: float) -> None:
    """End every shard of this process."""
    until = time.monotonic() + seconds
    try:
        for writing in copied(_WRITING):
            writing.end_shard(max(0.0, until - time.monotonic()), is_terminating=True)
    except Exception as error:  # noqa: BLE001  whatever it is, the process ends as it was told to
        logger.error("a shard of the audit trail cannot be ended: %s", type(error).__name__)


def _handler_before(found: _Handler | int | signal.Handlers) -> _Handler:
    def end_shards_first(number: int, frame: FrameType | None) -> None:
        end_shards(SECONDS)
        if callable(found):
            found(number, frame)
        else:
            signal.signal(number, found)
            signal.raise_signal(number)

    return end_shards_first
