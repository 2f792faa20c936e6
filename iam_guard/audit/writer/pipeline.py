"""The way of a record into a trail that can be proved: from the thread of a request, through the ring, to the scribe.

Each process has a thread of its own, which starts with its first record, so that a process forks freely: the child has
an empty ring, no thread, and begins its own shard. Nothing here waits on a thread that runs an event loop: there an
ordinary record finds a place at once or is treated as one for which there is none, and one that must be on the disk
before the answer is refused, for it has to be asked for in a worker thread (`may_wait` tells beforehand).

Whoever follows the trail in the same process (`Followers`) begins with its first record too, and ends after it.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
import weakref
from collections.abc import Iterable, Mapping
from typing import Protocol

from iam_guard.audit.record.lanes import ALLOWED, DURABLE, Line, Ticket
from iam_guard.audit.record.record_classes import OnFailure, RecordClass, class_of_allow, classes_that_refuse, lane_of
from iam_guard.audit.verify.shard import is_line
from iam_guard.audit.writer.record_queue import Declare, RecordQueue
from iam_guard.audit.writer.termination import end_shards_on_sigterm, register
from iam_guard.audit.writer.trail_writer import TrailPlace, TrailWriter
from iam_guard.model.usage import AuditUsage, SinkUsage

_ON_LOOP = "a record that must be on the disk was asked for on an event loop"
CLOSING = 30.0
"""Seconds for which closing waits for the disk at most."""


class NotRecordedError(Exception):
    """The record is not in the trail, and its class wants the request refused. The message is for the log."""


class Followers(Protocol):
    """Read the trail that a pipeline writes; none of this waits for anybody else but `close`, for a while."""

    def start(self) -> None: ...

    def usage(self) -> Mapping[str, SinkUsage]: ...

    def close(self) -> None: ...


class Pipeline:
    """Takes lines for one trail. Safe to share between threads, and to fork with."""

    def __init__(
        self,
        place: TrailPlace,
        *,
        ring: int = 10_000,
        wait: float = 0.1,
        durable_wait: float = 5.0,
        fail_open: Iterable[str] = ("read",),
        followers: Followers | None = None,
    ) -> None:
        self._place = place
        self._limit = max(1, ring)
        self._wait = wait
        self._durable_wait = durable_wait
        self._refusing = classes_that_refuse(fail_open)
        self._followers = followers
        self._declare: Declare | None = None
        self._begin()
        _PIPELINES.add(self)
        register(self)
        end_shards_on_sigterm()

    def _begin(self) -> None:
        self._ring = RecordQueue(self._limit)
        self._ring.declare = self._declare
        self._scribe = TrailWriter(self._place, self._ring)
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    # --- the door ------------------------------------------------------------------------------------------------

    def put(
        self,
        line: Line,
        row: RecordClass,
        *,
        correction: Line | None = None,
        caller: str | None = None,
        is_signed_in: bool = True,
    ) -> bool:
        """Keep a line as its class says; False where it was dropped and counted.

        It may be made later, by the writer, where its request may go on without it (`may_go_without`). `correction` is
        what is to follow the line where its request is refused for it, and it may stand in the trail all the same.
        `caller` names whose record it is, where lanes are shared fairly.

        Raises `NotRecordedError` where the request must be refused.
        """
        if isinstance(line, bytes) and not is_line(line):
            return self.miss(row, "a record cannot be written", is_signed_in=is_signed_in)
        if row.is_durable:
            return self._put_durably(line, row, correction)
        if self._is_started():
            ring, lane = self._ring, lane_of(row, is_signed_in=is_signed_in)
            if ring.put(line, wait=0.0, lane=lane, caller=caller):
                return True
            if lane.waits and not _on_event_loop() and ring.put(line, wait=self._wait, lane=lane, caller=caller):
                return True
        return self.miss(row, "no place for a record", is_signed_in=is_signed_in)

    def has_place(self, row: RecordClass, caller: str | None) -> bool:
        """Return whether a record of a caller that is not signed in would find a place, now or by waiting for it."""
        lane = lane_of(row, is_signed_in=False)
        return lane.waits or self._ring.has_place(lane, caller)

    def miss(self, row: RecordClass, why: str, *, is_signed_in: bool = True) -> bool:
        """Count a record that is not kept. Raises `NotRecordedError` where the class wants that."""
        is_allow = row.on_failure is not OnFailure.STAY_DENIED
        is_refused = is_allow and (self._ring.is_closed or not self.may_go_without(row))
        is_counted_refused = is_refused and row.on_failure is not OnFailure.TELL  # of what is done, it is lost
        self._ring.miss(is_refused=is_counted_refused, is_unauthenticated=not is_signed_in)
        if is_refused:
            raise NotRecordedError(why)
        return False

    def may_go_without(self, row: RecordClass) -> bool:
        """Return whether a request of a class is answered as it would be when its record cannot be kept."""
        return row.name not in self._refusing

    def may_wait(self, action: str) -> bool:
        """Return whether noting an Allow of this action would wait: for the disk, or perhaps for a place."""
        return class_of_allow(action).is_durable or self._ring.is_lane_half_full(ALLOWED)

    def usage(self) -> AuditUsage:
        """Return how the pipeline fares, as of now."""
        ring = self._ring
        return AuditUsage(
            waiting=len(ring),
            limit=ring.limit,
            oldest_age=ring.oldest_age(),
            checkpoint_age=self._scribe.checkpoint_age(),
            dropped=ring.dropped,
            refused=ring.refused,
            is_failing=ring.is_failing,
            sinks={} if self._followers is None else self._followers.usage(),
            dropped_unauthenticated=ring.dropped_unauthenticated,
        )

    def declare_with(self, due: Declare) -> None:
        """Let the writer ask for a line that is due, some times a minute and at the end."""
        self._declare = self._ring.declare = due

    def may_declare(self) -> bool:
        """Return whether what is left out now will be declared: there is a writer, which starts for that too."""
        return not self._ring.is_closed and self._is_started()

    def require_thread(self) -> None:
        """Raise `NotRecordedError` where a record that must be on the disk will certainly not get there."""
        if self._ring.is_closed:
            raise NotRecordedError("the audit trail is closed")
        if _on_event_loop():
            raise NotRecordedError(_ON_LOOP)

    def end_shard(self, seconds: float, *, is_terminating: bool = False) -> bool:
        """Write and sign what waits and end the shard, in so many seconds; tell whether there is nothing unsigned now.

        The next record begins another shard. `is_terminating` says that the process is about to end: then what comes
        meanwhile is signed and ended as soon as nothing more waits.
        """
        thread = self._thread
        if thread is None or not thread.is_alive():
            return len(self._ring) == 0
        if is_terminating:
            self._ring.is_terminating = True
        return self._ring.end_shard(seconds)

    def close(self) -> None:
        """Write and sign what waits; take nothing from now on."""
        with self._starting:
            _end(self._ring, self._thread)
        if self._followers is not None:
            self._followers.close()

    # --- waiting for the disk ------------------------------------------------------------------------------------

    def _put_durably(self, line: Line, row: RecordClass, correction: Line | None) -> bool:
        if _on_event_loop():
            return self.miss(row, _ON_LOOP)
        ticket, until = Ticket(stays=row.on_failure is OnFailure.TELL), time.monotonic() + self._durable_wait
        if not self._is_started() or not self._ring.put(line, ticket, wait=self._durable_wait, lane=DURABLE):
            return self.miss(row, "no place for a record")
        why = "a record did not get to the disk"
        if not ticket.is_answered_in(until - time.monotonic()):
            self._ring.withdraw(ticket)
            why = "a record was not on the disk in time"
        elif ticket.error is None:
            return True
        if ticket.stays:
            raise NotRecordedError(f"{why}; it is written when it can be")
        if correction is not None and not ticket.is_out:
            self._ring.correct(correction)
        return self.miss(row, why)

    # --- the thread ----------------------------------------------------------------------------------------------

    def _is_started(self) -> bool:
        return self._thread is not None or self._start()

    def _start(self) -> bool:
        """Start the thread, which holds on to nobody who has gone without closing; False where none is to be had."""
        with self._starting:
            if self._thread is None and not self._ring.is_closed:
                thread = threading.Thread(target=self._scribe.run, name="iam-guard-audit", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the interpreter ends, or there are too many
                    return False
                if self._followers is not None:
                    self._followers.start()  # before the next line: who began first ends last
                self._finalizer = weakref.finalize(self, _end, self._ring, thread)
                _end_with_multiprocessing(self._ring, thread)
                self._thread = thread
                end_shards_on_sigterm()  # once more: a server may have set its own, or forked
        return self._thread is not None

    def _begin_in_child(self) -> None:
        """Leave what waits to the parent: its thread is not here, and its shard is its own."""
        was_closed = self._ring.is_closed
        if self._thread is not None:
            self._finalizer.detach()
        self._begin()
        self._ring.is_closed = was_closed


def _end(ring: RecordQueue, thread: threading.Thread | None) -> None:
    ring.close()
    if thread is not None and thread is not threading.current_thread():
        thread.join(CLOSING)


def _end_with_multiprocessing(ring: RecordQueue, thread: threading.Thread) -> None:
    """Do the same at the end of a child of `multiprocessing`, which runs no exit handlers of the interpreter."""
    process, util = (sys.modules.get(f"multiprocessing.{name}") for name in ("process", "util"))
    if process is not None and util is not None and process.parent_process() is not None:
        util.Finalize(None, _end, args=(ring, thread), exitpriority=0)


def _on_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


_PIPELINES: weakref.WeakSet[Pipeline] = weakref.WeakSet()


def _begin_in_child() -> None:
    for pipeline in list(_PIPELINES):
        pipeline._begin_in_child()


os.register_at_fork(after_in_child=_begin_in_child)
