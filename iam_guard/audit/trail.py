"""The door of the room: note every decision, every refused credential, every failure to decide.

A sink is written to at once: when a method returns, it has the line. When a line cannot be made or written, the
failure is counted and logged (never the record itself), and then:
- an Allow must not go unrecorded: it becomes a refusal (`DecisionUnavailable`), unless `on_failure="ignore"`;
- a denial stays the denial that it is, for refusing is always safe;
- what was done already stays done, and whoever asked hears that it is not recorded (`RecordUnavailable`).
A pipeline takes lines to a thread that writes, and has rules of its own for each class of records (`record_classes`).

Safe to use from several threads.
"""

from __future__ import annotations

import logging
import os
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Literal

from iam_guard.audit.record.call_kinds import SESSION_ISSUE, kind_of
from iam_guard.audit.record.condition_values import ListedKeys
from iam_guard.audit.record.durability import Durability
from iam_guard.audit.record.lanes import Line, caller_of, is_known
from iam_guard.audit.record.line import decision_line, is_long
from iam_guard.audit.record.otel import Telemetry, trace_ids
from iam_guard.audit.record.permission_query_record import permission_query_record
from iam_guard.audit.record.privacy import PrivacyRules
from iam_guard.audit.record.record import DEFAULT_KEYS, UNDECIDED, Stamp, authentication_record, error_record
from iam_guard.audit.record.record_classes import CHANGE, DENIAL, READ, RecordClass, class_of_allow
from iam_guard.audit.record.redaction import to_line
from iam_guard.audit.record.result_record import result_record
from iam_guard.audit.sinks import Sink
from iam_guard.audit.verify.trail_events import refused_line
from iam_guard.audit.writer.pipeline import NotRecordedError, Pipeline
from iam_guard.audit.writer.sampling import Declaring, Sampling
from iam_guard.audit.writer.termination import SECONDS
from iam_guard.errors import DecisionUnavailable, IamGuardError, RecordUnavailable
from iam_guard.model.decision import Decision
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import Call
from iam_guard.model.result import CallResult
from iam_guard.model.usage import AuditUsage, CacheUsage

logger = logging.getLogger("iam_guard.audit")


def _now() -> datetime:
    return datetime.now(UTC)


def new_id() -> str:
    """Make a random UUID (version 4), as `uuid.uuid4` does in three times the time."""
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{_VARIANT[digits[16]]}{digits[17:20]}-{digits[20:]}"


_VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))
"""A random digit -> one that begins with the bits 10, as RFC 9562 wants."""


class Trail:
    """Notes what a guard did. Without a sink only OpenTelemetry is told."""

    def __init__(
        self,
        sink: Sink | Pipeline | None,
        telemetry: Telemetry | None = None,
        *,
        on_failure: Literal["deny", "ignore"] = "deny",
        region: str = "us-east-1",
        keys: ListedKeys = DEFAULT_KEYS,
        rules: PrivacyRules | None = None,
        sampling: Sampling | None = None,
        clock: Callable[[], datetime] = _now,
        new_id: Callable[[], str] = new_id,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._sink = None if isinstance(sink, Pipeline) else sink
        self._pipeline = sink if isinstance(sink, Pipeline) else None
        self._telemetry = telemetry or Telemetry()
        self._on_failure = on_failure
        self._region = region
        self._keys = keys
        self._rules = rules
        self._sampling = sampling
        self._clock = clock
        self._new_id = new_id
        self._timer = timer
        self._certainty = Durability()
        self._declaring = None if sampling is None else Declaring(sampling, partial(_own_stamp, clock, new_id, region))
        self._begin_declaring()

    @property
    def is_recording(self) -> bool:
        """Return whether records are kept anywhere."""
        return self._pipeline is not None or self._sink is not None

    def note(self, decision: Decision, call: Call | None, *, started: float, shadow: Decision | None = None) -> None:
        """Record a decision; `started` is what `time.perf_counter()` said when the question came.

        `shadow` is what a candidate would have answered, where that is another outcome.

        Raises `DecisionUnavailable` when the decision is an Allow and cannot be recorded.
        """
        duration = self._timer() - started
        self._telemetry.decided(decision, duration)
        row = class_of_allow(decision.request.action) if decision.allowed else DENIAL
        if self._sampling is not None and row is READ and shadow is None and self._leaves_out(self._sampling):
            return
        certainty, pipeline = self._certainty, self._pipeline
        is_required = not (pipeline is None or row.is_durable or pipeline.may_go_without(row))
        is_certain = is_required and shadow is None and self._rules is None and certainty.covers(decision, call)
        principal = decision.request.principal
        is_brief = principal.type is PrincipalType.ANONYMOUS
        failure = self._write(
            lambda stamp: decision_line(
                decision,
                call,
                stamp,
                duration=duration,
                keys=self._keys,
                shadow=shadow,
                rules=self._rules,
                is_brief=is_brief,
            ),
            row,
            is_certain=is_certain,
            at_once=is_brief or (call is not None and is_long(call)),
            principal=principal,
            call=call,
        )
        if is_required and not is_certain and failure is None:
            certainty.made(decision)
        if failure is not None and decision.allowed and self._on_failure != "ignore":
            raise DecisionUnavailable("the audit record cannot be written") from failure

    def record_questions(self, principal: Principal, asked: Sequence[Decision], call: Call | None) -> None:
        """Record what somebody asked about and did not attempt.

        Raises `DecisionUnavailable` when that cannot be recorded and reads do not go on without.
        """
        failure = self._write(
            lambda stamp: to_line(permission_query_record(principal, asked, call, stamp), self._rules),
            READ,
            principal=principal,
            call=call,
        )
        if failure is not None and self._on_failure != "ignore":
            raise DecisionUnavailable("the audit record cannot be written") from failure

    def record_result(
        self, result: CallResult, call: Call | None, principal: Principal, *, operator: str | None = None
    ) -> None:
        """Record what a call of our own came to; `operator` is who sat at the command line.

        Raises `RecordUnavailable` when something was done and that cannot be recorded.
        """
        is_issued = kind_of(result.action) == SESSION_ISSUE  # though no row of the store changes
        is_done = result.error is None and (result.changed or is_issued)
        failure = self._write(
            lambda stamp: to_line(result_record(result, call, stamp, principal, operator=operator), self._rules),
            CHANGE if is_done else DENIAL,
            principal=principal,
            call=call,
        )
        if failure is not None and is_done and self._on_failure != "ignore":
            raise RecordUnavailable(
                "The request was carried out, but what it came to could not be recorded. "
                "See what it did before you try it again."
            ) from failure

    def require_ready(self) -> None:
        """Raise `DecisionUnavailable` where what is done next will certainly not be recorded."""
        if self._pipeline is None or self._on_failure == "ignore":
            return
        try:
            self._pipeline.require_thread()
        except NotRecordedError as refusal:
            message = "it cannot be recorded here, so it is not done: call it in a worker thread, of an open guard"
            raise DecisionUnavailable(message) from refusal

    def record_authentication(
        self, error: IamGuardError, call: Call | None, *, kind: str = "unknown", credential_id: str | None = None
    ) -> None:
        """Record refused credentials; `credential_id` is the claimed id, where it is not secret."""
        self._telemetry.authenticated(kind, error)
        self._write(
            lambda stamp: to_line(
                authentication_record(error, call, stamp, kind=kind, credential_id=credential_id),
                self._rules,
                is_brief=True,
            ),
            at_once=True,
            call=call,
        )

    def count_authentication(self, kind: str) -> None:
        """Count credentials that were accepted; the records of the decisions that follow say whose they are."""
        self._telemetry.authenticated(kind)

    def record_error(
        self,
        error: IamGuardError,
        call: Call | None,
        principal: Principal | None = None,
        *,
        action: str = UNDECIDED,
        resource: str = "*",
    ) -> None:
        """Record a request that was refused without a decision: none could be made, or nothing had asked for one."""
        self._telemetry.undecided(error, action)
        self._write(
            lambda stamp: to_line(
                error_record(error, call, stamp, principal=principal, action=action, resource=resource),
                self._rules,
                is_brief=not is_known(principal),
            ),
            at_once=True,
            principal=principal,
            call=call,
        )

    def watch(self, usage: Callable[[], Mapping[str, CacheUsage]], staleness: Callable[[], float]) -> None:
        """Let OpenTelemetry know of the caches of the guard and of the age of what it knows, whenever it asks."""
        self._telemetry.watch(usage, staleness)
        if self._pipeline is not None:
            this = weakref.ref(self._pipeline)  # what asks for metrics outlives trails
            self._telemetry.watch_audit(lambda: pipeline.usage() if (pipeline := this()) else None)

    def usage(self) -> AuditUsage | None:
        """Return how the trail of this process fares; None where it is not kept in a folder."""
        return None if self._pipeline is None else self._pipeline.usage()

    def may_wait(self, action: str) -> bool:
        """Return whether noting an Allow of this action may wait, so that it must not be done on an event loop."""
        return self._pipeline is not None and self._pipeline.may_wait(action)

    def close(self) -> None:
        """Write what waits and close; an Allow after this is refused like any other that cannot be recorded."""
        self._may_leave_out = False
        if self._declare_rest is not None:
            self._declare_rest()
        for kept in (self._sink, self._pipeline):
            if kept is not None:
                kept.close()

    def end_shard(self, seconds: float = SECONDS) -> bool:
        """Write and sign what waits and end the shard of this process, in so many seconds; False where that failed.

        For the end of a server that may not end the process: the trail stays open, and the next record begins another
        shard. A trail that is no folder has nothing to end.
        """
        return self._pipeline is None or self._pipeline.end_shard(seconds)

    def _stamp(self) -> Stamp:
        trace_id, span_id = trace_ids()
        return Stamp(self._clock(), self._new_id(), self._region, trace_id, span_id)

    def _later(self, make: Callable[[Stamp], bytes], moment: datetime, trace: tuple[str | None, str | None]) -> bytes:
        """Make a line and its id in the thread of the writer, of a request that came at that moment, in that trace."""
        return make(Stamp(moment, self._new_id(), self._region, *trace))

    def _write(
        self,
        make: Callable[[Stamp], bytes],
        row: RecordClass = DENIAL,
        *,
        is_certain: bool = False,
        at_once: bool = False,
        principal: Principal | None = None,
        call: Call | None = None,
    ) -> Exception | None:
        """Make a line and hand it on; return the error when that failed.

        The pipeline has it made at once where it must not wait together with what it is made from: an error holds on to
        the frames that it passed, and a request may be long.
        """
        if self._pipeline is not None:
            return self._put(self._pipeline, make, row, is_certain, at_once, principal, call)
        if self._sink is None:
            return None
        try:
            self._sink.write(make(self._stamp()))
        except Exception as error:  # noqa: BLE001 - whatever went wrong, an Allow must not go unrecorded
            self._telemetry.failed()
            _log_failure(error)
            return error
        return None

    def _put(
        self,
        pipeline: Pipeline,
        make: Callable[[Stamp], bytes],
        row: RecordClass,
        is_certain: bool,
        at_once: bool,
        principal: Principal | None,
        call: Call | None,
    ) -> Exception | None:
        """Hand a line to the pipeline; return the error when the request is to be refused.

        The line is made here where it must be (`at_once`), or the request is refused without it, unless it can be made
        for certain (`certain`); and by the writer otherwise. For a caller that is not signed in, none is made that
        finds no place.
        """
        is_signed_in = is_known(principal)
        caller = caller_of(principal, call) if row is DENIAL or not is_signed_in else None
        try:
            if not is_signed_in and not pipeline.has_place(row, caller):
                is_kept = pipeline.miss(row, "no place for a record", is_signed_in=False)
            else:
                try:
                    line, correction = self._line(pipeline, make, row, is_certain, at_once)
                except Exception as error:  # noqa: BLE001 - as with a sink
                    _log_failure(error)
                    is_kept = pipeline.miss(row, "a record cannot be made", is_signed_in=is_signed_in)
                else:
                    is_kept = pipeline.put(line, row, correction=correction, caller=caller, is_signed_in=is_signed_in)
        except NotRecordedError as refusal:
            self._telemetry.failed()
            return refusal
        if not is_kept:
            self._telemetry.failed()
        return None

    def _line(
        self, pipeline: Pipeline, make: Callable[[Stamp], bytes], row: RecordClass, is_certain: bool, at_once: bool
    ) -> tuple[Line, Line | None]:
        """Return a line, or what makes it, and what follows it where its request is refused."""
        if pipeline.may_go_without(row):
            if at_once:
                return make(self._stamp()), None
            return partial(self._later, make, self._clock(), trace_ids()), None
        stamp = self._stamp()
        is_refused = row.is_durable and self._on_failure != "ignore"
        correction = partial(self._refused, stamp.event_id) if is_refused else None
        return partial(make, stamp) if is_certain and not at_once else make(stamp), correction

    def _refused(self, event_id: str) -> bytes:
        return refused_line(_own_stamp(self._clock, self._new_id, self._region), event_id)

    # --- what is left out ----------------------------------------------------------------------------------------

    def _begin_declaring(self) -> None:
        """See to it that what is left out is declared, also where nobody closes the trail."""
        self._may_leave_out = self.is_recording
        self._declare_rest: Callable[[], object] | None = None
        if self._declaring is None:
            return
        if self._pipeline is not None:
            self._pipeline.declare_with(self._declaring.line)
        elif self._sink is not None:
            self._declare_rest = weakref.finalize(self, _declare_rest, self._declaring, self._sink)

    def _leaves_out(self, sampling: Sampling) -> bool:
        if not self._may_leave_out or not sampling.leaves_out():
            return False
        if self._pipeline is not None and not self._pipeline.may_declare():
            return False
        sampling.count(self._clock())
        if self._pipeline is None and self._declaring is not None and (line := self._declaring.line()) is not None:
            self._write(lambda _: line)
        return True


def _own_stamp(clock: Callable[[], datetime], new_id: Callable[[], str], region: str) -> Stamp:
    """Stamp a record of the trail about itself, which belongs to no request's trace."""
    return Stamp(clock(), new_id(), region)


def _declare_rest(declaring: Declaring, sink: Sink) -> None:
    """Return what was left out and not declared yet, at the end."""
    if (line := declaring.line(is_last=True)) is not None:
        try:
            sink.write(line)
        except Exception as error:  # noqa: BLE001 - the process ends
            _log_failure(error)


def _log_failure(error: Exception) -> None:
    """Say that a record is missing; without traceback, for its text may hold a part of the record."""
    detail = error.strerror if isinstance(error, OSError) else None
    logger.error("an audit record cannot be written: %s (%s)", detail or "failure", type(error).__name__)
