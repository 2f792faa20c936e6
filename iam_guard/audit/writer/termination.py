"""End the shards of the audit trail, signed, when SIGTERM ends the process.

An interpreter that exits closes its trails. Two kinds of process never do: those killed by an unhandled SIGTERM
(`wsgiref`, `waitress`, a script), and servers that shut down and then raise the signal again to die of it (`uvicorn`).
So a handler is chained before the existing one: it ends the shards, within a few seconds, and then does what would have
happened without it. While the trail can't be written, these seconds are used to try again; then the pending records are
lost, as the log says, and a last record in the reserved space. Records written while a server shuts down start another
shard, which is ended as soon as the queue is empty; the ASGI middleware ends it once more after the lifespan.

Only the main thread can set a handler, so a guard opened in another thread has none; a handler that ignores the signal,
or was not set from Python, is left unchanged. A forked child has no writer yet and never touches its parent's shard.
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

from iam_guard.forking import weak_snapshot

logger = logging.getLogger("iam_guard.audit")

END_SHARD_TIMEOUT = 5.0
"""Maximum seconds for which a terminating process waits for the disk."""

_Handler: TypeAlias = Callable[[int, FrameType | None], object]


class ShardOwner(Protocol):
    """An object that writes a shard."""

    def end_shard(self, seconds: float, *, is_terminating: bool = False) -> bool: ...


_SHARD_OWNERS: weakref.WeakSet[ShardOwner] = weakref.WeakSet()
_installed: list[_Handler] = []
"""The handler that was set last."""


def register(writing: ShardOwner) -> None:
    """End the object's shard at SIGTERM, while the object lives."""
    _SHARD_OWNERS.add(writing)


def end_shards_on_sigterm() -> None:
    """Set the handler unless it is set already or cannot be set."""
    if threading.current_thread() is not threading.main_thread():
        return
    previous = signal.getsignal(signal.SIGTERM)
    if previous is None or previous is signal.SIG_IGN or previous in _installed:
        return
    handler = _chained_handler(previous)
    try:
        signal.signal(signal.SIGTERM, handler)
    except ValueError:  # an embedded interpreter, whose host handles the signals
        return
    _installed[:] = [handler]


def end_shards(seconds: float) -> None:
    """End every shard of this process."""
    deadline = time.monotonic() + seconds
    try:
        owners = [*weak_snapshot(_SHARD_OWNERS)]
        for number, writing in enumerate(owners):
            share = (deadline - time.monotonic()) / (len(owners) - number)  # one on a full disk uses all of it
            writing.end_shard(max(0.0, share), is_terminating=True)
    except Exception as error:  # noqa: BLE001  the process must still terminate
        logger.error("a shard of the audit trail cannot be ended: %s", type(error).__name__)


def _chained_handler(previous: _Handler | int | signal.Handlers) -> _Handler:
    def end_shards_first(number: int, frame: FrameType | None) -> None:
        end_shards(END_SHARD_TIMEOUT)
        if callable(previous):
            previous(number, frame)
        else:
            signal.signal(number, previous)
            signal.raise_signal(number)

    return end_shards_first
