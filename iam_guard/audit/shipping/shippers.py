"""The shipping threads of a trail, one for each sink.

In a service every process has these threads, and one process at a time ships for a sink: the others retry to acquire
its group every few seconds, so that one takes over if that process dies. The threads start with the process's first
record, like the writer thread, so that a process can fork: the child starts its own threads with its first record. No
request waits for these threads.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from iam_guard.audit.consumer.offsets import FOLDER
from iam_guard.audit.consumer.record_filter import record_filter
from iam_guard.audit.consumer.subscription import AuditReader, Subscription
from iam_guard.audit.shipping.destinations import ConfiguredSink
from iam_guard.audit.shipping.pace import Pace, Stop
from iam_guard.audit.shipping.shipper import Shipper, ShipperOptions
from iam_guard.audit.verify.signed_note import KeyRing
from iam_guard.forking import on_fork
from iam_guard.model.usage import SinkUsage

logger = logging.getLogger("iam_guard.audit")

SERVICE = ShipperOptions(is_throttled=True)


class Shippers:
    """Ships one trail to several sinks. Thread-safe and fork-safe."""

    def __init__(
        self,
        trail: str | Path,
        ring: KeyRing | None,
        sinks: Sequence[ConfiguredSink],
        *,
        options: ShipperOptions = SERVICE,
        pace: Pace = Pace(),
    ) -> None:
        """Prepare the shippers; without a `ring` nothing is verified."""
        self._trail = Path(trail)
        self._ring = ring
        self._sinks = tuple(sinks)
        self._options = options
        self._pace = pace
        self._reset()
        on_fork(self)

    def _reset(self) -> None:
        self._stop = Stop()
        self._shippers = [self._shipper(sink) for sink in self._sinks]
        self._threads: list[threading.Thread] = []
        self._starting = threading.Lock()

    def start(self) -> None:
        """Start the threads of this process, unless they are running or a stop was requested."""
        with self._starting:
            if self._threads or self._stop.is_requested:
                return
            for shipper in self._shippers:
                name = f"iam-guard-{shipper.name}"
                thread = threading.Thread(target=shipper.run, args=(self._stop,), name=name, daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # at interpreter shutdown, or at the limit of threads
                    logger.error("audit sink %s could not start its thread in this process", shipper.name)
                    continue
                self._threads.append(thread)
            self._finalizer = weakref.finalize(self, _end, self._stop, self._threads, self._pace)

    def usage(self) -> dict[str, SinkUsage]:
        """Return the state and counters of each sink in this process, by name."""
        return {shipper.name: shipper.usage() for shipper in self._shippers}

    @property
    def is_running(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def close(self) -> None:
        """Ship the remaining records for a limited time, then stop; undelivered ones are shipped at the next start."""
        with self._starting:
            _end(self._stop, self._threads, self._pace)

    def _shipper(self, sink: ConfiguredSink) -> Shipper:
        return Shipper(
            sink.url.name,
            _subscriber(self._trail, self._ring, sink),
            sink.connect,
            self._trail / FOLDER / f"{sink.url.group}.refused.jsonl",
            options=self._options,
            pace=self._pace,
        )

    def begin_in_child(self) -> None:
        """Drop the parent's threads and groups."""
        was_closed = self._stop.is_requested
        if self._threads:
            self._finalizer.detach()
        self._reset()
        if was_closed:
            self._stop.request(0.0)


def _subscriber(trail: Path, ring: KeyRing | None, sink: ConfiguredSink) -> Callable[[], Subscription]:
    """Return a factory of the sink's subscription without a reference to `Shippers`, so that those can be finalized."""
    url = sink.url
    return partial(
        AuditReader(trail, ring=ring).subscribe,
        url.group,
        url.since,
        filter=record_filter(url.filters) if url.filters else None,
        batch=url.batch,
        verify=ring is not None,
    )


def _end(stop: Stop, threads: Sequence[threading.Thread], pace: Pace) -> None:
    stop.request(pace.drain)
    deadline = time.monotonic() + pace.closing
    for thread in threads:
        if thread is not threading.current_thread():
            thread.join(max(0.0, deadline - time.monotonic()))
