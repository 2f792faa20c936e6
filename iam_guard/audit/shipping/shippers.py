"""The threads that ship for the sinks of one trail, one for each sink.

In a service every process has them, and one process at a time ships for a sink: the others ask for its group again
every few seconds, so that another goes on when that process dies. They start with the process's first record, like the
pipeline's thread, so that a process forks freely: a child has none, and begins its own when it writes. Nothing here is
waited for by a request.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from iam_guard.audit.consumer.offsets import FOLDER
from iam_guard.audit.consumer.record_filter import record_filter
from iam_guard.audit.consumer.subscription import AuditReader, Subscription
from iam_guard.audit.shipping.destinations import FollowingSink
from iam_guard.audit.shipping.pace import Pace
from iam_guard.audit.shipping.refused_records import RefusedRecords
from iam_guard.audit.shipping.shipper import Shipper, ShipperOptions
from iam_guard.audit.shipping.stop_signal import Stop
from iam_guard.audit.verify.signed_note import KeyRing
from iam_guard.model.usage import SinkUsage

logger = logging.getLogger("iam_guard.audit")

SERVICE = ShipperOptions(is_guest=True)


class Shippers:
    """Follows one trail for several sinks. Safe to share between threads, and to fork with."""

    def __init__(
        self,
        trail: str | Path,
        ring: KeyRing | None,
        sinks: Sequence[FollowingSink],
        *,
        manner: ShipperOptions = SERVICE,
        pace: Pace = Pace(),
    ) -> None:
        """Get ready; without a `ring` nothing is verified."""
        self._trail = Path(trail)
        self._ring = ring
        self._sinks = tuple(sinks)
        self._options = manner
        self._pace = pace
        self._begin()
        _FOLLOWING.add(self)

    def _begin(self) -> None:
        self._stop = Stop()
        self._shippers = [self._shipper(sink) for sink in self._sinks]
        self._threads: list[threading.Thread] = []
        self._starting = threading.Lock()

    def start(self) -> None:
        """Start the threads of this process, unless they are there or it is too late."""
        with self._starting:
            if self._threads or self._stop.is_requested:
                return
            for shipper in self._shippers:
                name = f"iam-guard-{shipper.name}"
                thread = threading.Thread(target=shipper.run, args=(self._stop,), name=name, daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the interpreter ends, or there are too many
                    logger.error("the audit sink %s has no thread in this process", shipper.name)
                    continue
                self._threads.append(thread)
            self._finalizer = weakref.finalize(self, _end, self._stop, self._threads, self._pace)

    def usage(self) -> dict[str, SinkUsage]:
        """Return how each sink fares in this process, by its name."""
        return {shipper.name: shipper.usage() for shipper in self._shippers}

    @property
    def is_running(self) -> bool:
        """Whether any of the threads has something to do."""
        return any(thread.is_alive() for thread in self._threads)

    def close(self) -> None:
        """Ship for a while what is left, and end; what does not arrive in time comes at the next start."""
        with self._starting:
            _end(self._stop, self._threads, self._pace)

    def _shipper(self, sink: FollowingSink) -> Shipper:
        refused = RefusedRecords(self._trail / FOLDER / f"{sink.url.group}.refused.jsonl")
        return Shipper(
            sink.url.name,
            _subscriber(self._trail, self._ring, sink),
            sink.connect,
            refused,
            manner=self._options,
            pace=self._pace,
        )

    def _begin_in_child(self) -> None:
        """Leave the threads to the parent, and its groups."""
        was_closed = self._stop.is_requested
        if self._threads:
            self._finalizer.detach()
        self._begin()
        if was_closed:
            self._stop.request(0.0)


def _subscriber(trail: Path, ring: KeyRing | None, sink: FollowingSink) -> Callable[[], Subscription]:
    """Return what subscribes for a sink, and holds on to nobody who has gone without closing."""
    url = sink.url
    wanted = record_filter(url.filters) if url.filters else None
    return partial(
        AuditReader(trail, ring=ring).subscribe,
        url.group,
        url.since,
        filter=wanted,
        batch=url.batch,
        verify=ring is not None,
    )


def _end(stop: Stop, threads: Sequence[threading.Thread], pace: Pace) -> None:
    stop.request(pace.drain)
    until = time.monotonic() + pace.closing
    for thread in threads:
        if thread is not threading.current_thread():
            thread.join(max(0.0, until - time.monotonic()))


_FOLLOWING: weakref.WeakSet[Shippers] = weakref.WeakSet()


def _begin_in_child() -> None:
    for shippers in list(_FOLLOWING):
        shippers._begin_in_child()


os.register_at_fork(after_in_child=_begin_in_child)
