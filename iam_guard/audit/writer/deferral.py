"""The shortest way of a record into the trail: one object in the queue, whose line the writer thread makes.

It is for the usual record: a plain decision allows an authenticated caller to read or write, the line is not long, and
making it cannot fail, or the request may proceed without it. `Deferral.put` only accepts; whatever it returns False
for, a full queue included, is decided and recorded by `Trail`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from opentelemetry.trace import Span

from iam_guard.audit.record.condition_values import ListedKeys
from iam_guard.audit.record.durability import Durability
from iam_guard.audit.record.lanes import QueuedRecord
from iam_guard.audit.record.line import decision_line
from iam_guard.audit.record.otel import NO_TRACE, TraceIds, trace_ids
from iam_guard.audit.record.record import Stamp
from iam_guard.audit.record.record_classes import READ, WRITE, class_of_allow
from iam_guard.audit.record.redaction import MAX_TEXT
from iam_guard.audit.writer.pipeline import Pipeline
from iam_guard.model.decision import Decision, Outcome
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import Call

_ALLOWED, _ANONYMOUS = Outcome.ALLOWED, PrincipalType.ANONYMOUS


@dataclass(frozen=True, slots=True)
class LineSettings:
    """What all lines of one trail have in common."""

    keys: ListedKeys
    region: str
    new_id: Callable[[], str]


class DeferredDecision(QueuedRecord):
    """A decision and the facts of its moment, in the lane of allowed requests.

    `facts` is a plain tuple, since an `__init__` and a field for each would cost every request as much again.
    """

    __slots__ = ("facts",)

    facts: tuple[LineSettings, Decision, Call | None, datetime, str | None, TraceIds | None, float]
    """The settings, the decision and its call, the time, the id of the record, the trace, and the duration.

    The id is None if the writer may make it, since the request proceeds without its record.
    """

    def make_line(self) -> bytes:
        settings, decision, call, time, event_id, trace, duration = self.facts
        stamp = Stamp(time, event_id or settings.new_id(), settings.region, *(trace or NO_TRACE))
        line = decision_line(decision, call, stamp, duration=duration, keys=settings.keys)
        del self.facts  # if the batch cannot be written, the line stays in the queue, and the decision does not
        return line


class Deferral:
    """Queues the usual records of one trail. Safe to share between threads."""

    def __init__(
        self, pipeline: Pipeline, settings: LineSettings, durability: Durability, clock: Callable[[], datetime]
    ) -> None:
        self._pipeline = pipeline
        self._settings = settings
        self._durability = durability
        self._clock = clock
        self._classes = {row.name: row.name in pipeline.refusing_classes for row in (READ, WRITE)}
        """Name of a class whose requests do not wait for the disk -> whether its requests require a record."""

    def put(self, decision: Decision, call: Call | None, duration: float, span: Span | None) -> bool:
        """Queue the record of a decision if it is usual; return whether that was done. Raises nothing."""
        if decision.outcome is not _ALLOWED:
            return False
        request = decision.request
        is_required = self._classes.get(class_of_allow(request.action).name)
        queue = self._pipeline.running_queue
        if is_required is None or queue is None or request.principal.type is _ANONYMOUS:
            return False
        try:
            if call is not None and sum(map(len, filter(None, call[2:8]))) > MAX_TEXT:  # counts more than `is_long`
                return False
            event_id = None
            if is_required:
                if not self._durability.is_guaranteed(decision, call):
                    return False
                event_id = self._settings.new_id()
            record = DeferredDecision()
            record.line = None
            trace = None if span is None else trace_ids(span)
            record.facts = self._settings, decision, call, self._clock(), event_id, trace, duration
        except Exception:  # noqa: BLE001 - it happens again on the long way, which reports it
            return False
        return queue.put_allowed(record)
