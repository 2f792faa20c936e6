"""The path of a record into a verifiable trail: from a request's thread through the queue to the writer thread.

Each process starts its writer thread with its first record, so forking is safe: the child has an empty queue and no
thread, and starts its own shard. Nothing here blocks a thread that runs an event loop. There, an ordinary record is
queued immediately or handled as for a full queue; a record that must be on the disk before the response is refused, and
the caller has to use a worker thread (`may_block` reports this in advance).

`Followers` of the trail in the same process start with its first record, and end after its last.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import weakref
from collections.abc import Iterable, Mapping
from typing import Protocol

from iam_guard.audit.record.lanes import DURABLE, Line, Ticket
from iam_guard.audit.record.record_classes import OnFailure, RecordClass, class_of_allow, lane_of, refusing_classes
from iam_guard.audit.verify.shard import is_line
from iam_guard.audit.writer.record_queue import Declare, RecordQueue
from iam_guard.audit.writer.termination import end_shards_on_sigterm, register
from iam_guard.audit.writer.trail_writer import TrailConfig, TrailWriter
from iam_guard.forking import on_fork
from iam_guard.model.usage import AuditUsage, SinkUsage

_ON_EVENT_LOOP = "a durable record cannot be written on an event loop"
CLOSE_TIMEOUT = 30.0
"""Maximum seconds for which `close` waits for the disk."""


class NotRecordedError(Exception):
    """The record is not in the trail, and its class requires refusing the request. The message is for the log."""


class Followers(Protocol):
    """Read the trail that a pipeline writes. Only `close` may block, for a limited time."""

    def start(self) -> None: ...

    def usage(self) -> Mapping[str, SinkUsage]: ...

    def close(self) -> None: ...


class Pipeline:
    """Accept lines for one trail. Safe to share between threads, and across forks."""

    def __init__(
        self,
        place: TrailConfig,
        *,
        queue_size: int = 10_000,
        wait: float = 0.1,
        durable_wait: float = 5.0,
        fail_open: Iterable[str] = ("read",),
        followers: Followers | None = None,
    ) -> None:
        self.place = place
        self._limit = max(1, queue_size)
        self._wait = wait
        self._durable_wait = durable_wait
        self.refusing_classes = refusing_classes(fail_open)
        """Names of the classes whose requests are refused when their record cannot be stored."""
        self._followers = followers
        self._declare: Declare | None = None
        self._reset()
        on_fork(self)
        register(self)
        end_shards_on_sigterm()

    def _reset(self) -> None:
        self._queue = RecordQueue(self._limit)
        self._queue.declare = self._declare
        self._writer = TrailWriter(self.place, self._queue)
        self._thread: threading.Thread | None = None
        self.running_queue: RecordQueue | None = None
        """The queue, once its writer thread runs; it may be closed."""
        self._start_lock = threading.Lock()

    # --- records -------------------------------------------------------------------------------------------------

    def put(
        self,
        line: Line,
        record_class: RecordClass,
        *,
        correction: Line | None = None,
        caller: str | None = None,
        is_signed_in: bool = True,
    ) -> bool:
        """Store a line as its class requires; return False if it was dropped and counted.

        Instead of the line, a function that makes it may be passed if the request does not depend on it
        (`refusing_classes`). `correction` is appended if the request is refused because of the record, which may be in
        the trail nevertheless. `caller` identifies whose record it is in fair lanes.

        Raises `NotRecordedError` if the request must be refused.
        """
        if isinstance(line, bytes) and not is_line(line):
            return self.miss(record_class, "an audit record is not a line", is_signed_in=is_signed_in)
        if record_class.is_durable:
            return self._put_durably(line, record_class, correction)
        if self._thread is not None or self._start():
            queue, lane = self._queue, lane_of(record_class, is_signed_in=is_signed_in)
            if queue.put(line, wait=0.0, lane=lane, caller=caller):
                return True
            if lane.waits and not _on_event_loop() and queue.put(line, wait=self._wait, lane=lane, caller=caller):
                return True
        return self.miss(record_class, "the queue is full", is_signed_in=is_signed_in)

    def has_capacity(self, record_class: RecordClass, caller: str | None) -> bool:
        """Return whether a record of an unauthenticated caller can be queued, now or after a wait."""
        lane = lane_of(record_class, is_signed_in=False)
        return lane.waits or self._queue.has_capacity(lane, caller)

    def miss(self, record_class: RecordClass, why: str, *, is_signed_in: bool = True) -> bool:
        """Count a record that is not stored. Raises `NotRecordedError` if its class requires it."""
        is_allow = record_class.on_failure is not OnFailure.STAY_DENIED
        is_refused = is_allow and (self._queue.is_closed or record_class.name in self.refusing_classes)
        # the record of a completed change counts as lost
        is_counted_refused = is_refused and record_class.on_failure is not OnFailure.REPORT
        self._queue.miss(is_refused=is_counted_refused, is_unauthenticated=not is_signed_in)
        if is_refused:
            raise NotRecordedError(why)
        return False

    def may_block(self, action: str) -> bool:
        """Return whether recording an Allow of this action may block: for the disk, or for queue capacity."""
        if class_of_allow(action).is_durable:
            return True
        lane = self._queue.allowed
        return len(lane.waiting) >= lane.half

    def usage(self) -> AuditUsage:
        queue = self._queue
        return AuditUsage(
            waiting=len(queue),
            limit=queue.limit,
            oldest_age=queue.oldest_age(),
            checkpoint_age=self._writer.checkpoint_age(),
            dropped=queue.dropped,
            refused=queue.refused,
            is_failing=queue.is_failing,
            sinks={} if self._followers is None else self._followers.usage(),
            dropped_unauthenticated=queue.dropped_unauthenticated,
        )

    def declare_with(self, due: Declare) -> None:
        """Set the function that returns a pending declaration; the writer calls it periodically and at the end."""
        self._declare = self._queue.declare = due

    def may_declare(self) -> bool:
        """Return whether records that are sampled out now will be declared; starts the writer for that."""
        return not self._queue.is_closed and self._start()

    def require_thread(self) -> None:
        """Raise `NotRecordedError` if a durable record could not be written now."""
        if self._queue.is_closed:
            raise NotRecordedError("the audit trail is closed")
        if _on_event_loop():
            raise NotRecordedError(_ON_EVENT_LOOP)

    def end_shard(self, seconds: float, *, is_terminating: bool = False) -> bool:
        """Write and sign pending records and end the shard within `seconds`; return whether nothing is unsigned.

        The next record starts another shard. `is_terminating` means that the process is about to end: records that
        arrive meanwhile are signed, and their shard ended, as soon as the queue is empty.
        """
        thread = self._thread
        if thread is None or not thread.is_alive():
            return len(self._queue) == 0
        if is_terminating:
            self._queue.is_terminating = True
        return self._queue.end_shard(seconds)

    def close(self) -> None:
        """Write and sign pending records; accept no more."""
        with self._start_lock:
            _end(self._queue, self._thread)
        if self._followers is not None:
            self._followers.close()

    # --- durable records -----------------------------------------------------------------------------------------

    def _put_durably(self, line: Line, record_class: RecordClass, correction: Line | None) -> bool:
        if _on_event_loop():
            return self.miss(record_class, _ON_EVENT_LOOP)
        ticket = Ticket(is_kept=record_class.on_failure is OnFailure.REPORT)
        deadline = time.monotonic() + self._durable_wait
        if not self._start() or not self._queue.put(line, ticket, wait=self._durable_wait, lane=DURABLE):
            return self.miss(record_class, "the queue is full")
        why = "an audit record could not be written to the disk"
        if not ticket.wait(deadline - time.monotonic()):
            self._queue.withdraw(ticket)
            why = "an audit record was not on the disk in time"
        elif ticket.error is None:
            return True
        if ticket.is_kept:
            raise NotRecordedError(f"{why}; it is written as soon as possible")
        if correction is not None and not ticket.is_withdrawn:
            self._queue.correct(correction)
        return self.miss(record_class, why)

    # --- writer thread -------------------------------------------------------------------------------------------

    def _start(self) -> bool:
        """Start the thread, unless it runs; return False if that fails. It has no reference to this pipeline."""
        if self._thread is not None:
            return True  # without the lock, which `close` keeps while it waits
        with self._start_lock:
            if self._thread is None and not self._queue.is_closed:
                thread = threading.Thread(target=self._writer.run, name="iam-guard-audit", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the interpreter ends, or there are too many
                    return False
                if self._followers is not None:
                    self._followers.start()  # before the finalizer: exit handlers run in reverse order
                self._finalizer = weakref.finalize(self, _end, self._queue, thread)
                _end_with_multiprocessing(self._queue, thread)
                self._thread = thread
                self.running_queue = self._queue
                end_shards_on_sigterm()  # again: a server may have set its own handler, or forked
        return self._thread is not None

    def begin_in_child(self) -> None:
        """Reset after a fork: pending records, the thread and the shard belong to the parent."""
        was_closed = self._queue.is_closed
        if self._thread is not None:
            self._finalizer.detach()
        self._reset()
        if was_closed:
            self._queue.close()


def _end(queue: RecordQueue, thread: threading.Thread | None) -> None:
    queue.close()
    if thread is not None and thread is not threading.current_thread():
        thread.join(CLOSE_TIMEOUT)


def _end_with_multiprocessing(queue: RecordQueue, thread: threading.Thread) -> None:
    """Run `_end` in a `multiprocessing` child, which runs no exit handlers of the interpreter."""
    process, util = (sys.modules.get(f"multiprocessing.{name}") for name in ("process", "util"))
    if process is not None and util is not None and process.parent_process() is not None:
        util.Finalize(None, _end, args=(queue, thread), exitpriority=0)


def _on_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
