"""The audit trail of a guard: record every decision, every refused credential, every failure to decide.

A sink is written to synchronously. If a line cannot be made or written, the failure is counted and logged (without the
record), and then:
- an Allow is refused (`DecisionUnavailable`), unless `on_failure="ignore"`;
- a denial stays a denial;
- a completed change stays, and the caller gets `RecordUnavailable`.
A pipeline passes lines to a writer thread and applies the rules of each record class (`record_classes`).

Safe to use from several threads.
"""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Literal, TypeAlias, Unpack

from iam_guard.audit.record.call_kinds import SESSION_ISSUE, kind_of
from iam_guard.audit.record.condition_values import ListedKeys
from iam_guard.audit.record.durability import Durability
from iam_guard.audit.record.event_ids import new_id
from iam_guard.audit.record.lanes import Line, caller_of
from iam_guard.audit.record.line import decision_line, is_long
from iam_guard.audit.record.list_record import list_record
from iam_guard.audit.record.otel import Telemetry, trace_ids
from iam_guard.audit.record.permission_query_record import permission_query_record
from iam_guard.audit.record.privacy import PrivacyRules
from iam_guard.audit.record.record import DEFAULT_KEYS, UNDECIDED, Stamp, authentication_record, error_record
from iam_guard.audit.record.record_classes import ADMIN, CHANGE, DENIAL, READ, RecordClass, class_of_allow
from iam_guard.audit.record.redaction import to_line
from iam_guard.audit.record.result_record import Author, result_record
from iam_guard.audit.record.sign_in_record import sign_in_record
from iam_guard.audit.sinks import Sink
from iam_guard.audit.verify.trail_events import refused_line
from iam_guard.audit.writer.deferral import Deferral, LineSettings
from iam_guard.audit.writer.pipeline import NotRecordedError, Pipeline
from iam_guard.audit.writer.record_queue import Declare
from iam_guard.audit.writer.sampling import Sampling
from iam_guard.audit.writer.termination import END_SHARD_TIMEOUT
from iam_guard.errors import DecisionUnavailable, IamGuardError, RecordUnavailable
from iam_guard.model.decision import Decision
from iam_guard.model.list_filter import ListFilter
from iam_guard.model.principal import CredentialKind, Principal, PrincipalType
from iam_guard.model.request import Call
from iam_guard.model.result import CallResult
from iam_guard.model.sign_in_event import SignInEvent
from iam_guard.model.usage import AuditUsage, GuardUsage

logger = logging.getLogger("iam_guard.audit")

_Make: TypeAlias = Callable[[Stamp], bytes]


class Trail:
    """Record what a guard does. Without a sink, only OpenTelemetry receives it."""

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
        clock: Callable[[], datetime] = partial(datetime.now, UTC),
        new_id: Callable[[], str] = new_id,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._sink = None if isinstance(sink, Pipeline) else sink
        self._pipeline = sink if isinstance(sink, Pipeline) else None
        self.place = sink.place if isinstance(sink, Pipeline) else None  # where records are read; None without a folder
        self.is_recording = sink is not None
        self._telemetry = telemetry or Telemetry()
        self.count_authentication = self._telemetry.record_authentication
        """Count accepted credentials, by kind; the decision records that follow identify the caller."""
        self.may_block: Callable[[str], bool] = sink.may_block if isinstance(sink, Pipeline) else lambda _: False
        """Return whether recording an Allow of this action may block, which is not permitted on an event loop."""
        self._on_failure = on_failure
        self._region, self._keys, self._rules = region, keys, rules
        self._complete = (lambda make: make()) if rules is None else rules.complete  # waits: for writers and sinks
        self._sampling = sampling
        self._clock, self._new_id, self._timer = clock, new_id, timer
        self._durability = Durability()
        self._deferral: Deferral | None = None
        """The shortest way of usual records; they are the same on the long way."""
        if self._pipeline is not None and rules is None and sampling is None:
            self._deferral = Deferral(self._pipeline, LineSettings(keys, region, new_id), self._durability, clock)
        self._own_stamp: Callable[[], Stamp] = lambda: Stamp(clock(), new_id(), region)
        """Return the stamp of a record about the trail itself, which has no request trace; references no trail."""
        self._declare_sampling()

    def record_decision(
        self, decision: Decision, call: Call | None, *, started: float, shadow: Decision | None = None
    ) -> None:
        """Record a decision.

        `started` is the value of `time.perf_counter()` when the request arrived; `shadow` is the decision of the
        candidate policies, if its outcome differs. Raises `DecisionUnavailable` if an Allow cannot be recorded.
        """
        duration = self._timer() - started
        span = self._telemetry.record_decision(decision, duration)
        deferral = self._deferral
        if deferral is not None and shadow is None and deferral.put(decision, call, duration, span):
            return
        if self.is_recording:
            self._record_decision(decision, call, duration, shadow)

    def _record_decision(self, decision: Decision, call: Call | None, duration: float, shadow: Decision | None) -> None:
        record_class = class_of_allow(decision.request.action) if decision.allowed else DENIAL
        if self._is_sampling and record_class is READ and shadow is None and self._is_sampled_out():
            return
        refusing_classes = frozenset() if self._pipeline is None else self._pipeline.refusing_classes
        is_required = record_class.name in refusing_classes and not record_class.is_durable
        is_plain = shadow is None and self._rules is None
        is_deferrable = is_required and is_plain and self._durability.is_guaranteed(decision, call)
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
            record_class,
            is_deferrable=is_deferrable,
            is_immediate=is_brief or (call is not None and is_long(call)),
            principal=principal,
            call=call,
        )
        if is_required and not is_deferrable and failure is None:
            self._durability.record_success(decision)
        self._require(failure if decision.allowed else None)

    def record_permission_queries(self, principal: Principal, decisions: Sequence[Decision], call: Call | None) -> None:
        """Record permission queries, which attempt nothing. Raises `DecisionUnavailable` if reads require a record."""
        failure = self._write(
            lambda stamp: to_line(permission_query_record(principal, decisions, call, stamp), self._rules),
            READ,
            principal=principal,
            call=call,
        )
        self._require(failure)

    def record_list(self, list_filter: ListFilter, call: Call | None) -> None:
        """Record a filtered list: one record, whatever its number of rows.

        Raises `DecisionUnavailable` if it cannot be recorded and an Allow of its action requires a record.
        """
        is_brief = list_filter.principal.type is PrincipalType.ANONYMOUS
        failure = self._write(
            lambda stamp: to_line(list_record(list_filter, call, stamp), self._rules, is_brief=is_brief),
            class_of_allow(list_filter.action),
            is_immediate=is_brief or (call is not None and is_long(call)),
            principal=list_filter.principal,
            call=call,
        )
        self._require(failure)

    def record_sign_in(self, event: SignInEvent, call: Call | None) -> None:
        """Record a step of a sign-in. Raises `DecisionUnavailable` if it succeeded and cannot be recorded."""
        record_class, principal = (ADMIN, event.principal) if event.succeeded else (DENIAL, None)
        failure = self._write(
            lambda stamp: to_line(sign_in_record(event, call, stamp), self._rules),
            record_class,
            principal=principal,
            call=call,
        )
        self._require(failure if event.succeeded else None)

    def _require(self, failure: Exception | None) -> None:
        """Raise `DecisionUnavailable` for a failure, unless failures are ignored."""
        if failure is not None and self._on_failure != "ignore":
            raise DecisionUnavailable("the audit record cannot be written") from failure

    def record_result(
        self, result: CallResult, call: Call | None, principal: Principal, **author: Unpack[Author]
    ) -> None:
        """Record the result of a call to one of our own services.

        Raises `RecordUnavailable` if a change was made and cannot be recorded.
        """
        is_issued = kind_of(result.action) == SESSION_ISSUE  # changes no row of the store
        is_done = result.error is None and (result.changed or is_issued)
        failure = self._write(
            lambda stamp: to_line(result_record(result, call, stamp, principal, **author), self._rules),
            CHANGE if is_done else DENIAL,
            principal=principal,
            call=call,
        )
        if failure is not None and is_done and self._on_failure != "ignore":
            raise RecordUnavailable(
                "The request was carried out, but its result could not be recorded. "
                "Check what it changed before you retry it."
            ) from failure

    def require_ready(self) -> None:
        """Raise `DecisionUnavailable` if a change made now could not be recorded."""
        try:
            if self._pipeline is not None and self._on_failure != "ignore":
                self._pipeline.require_thread()
        except NotRecordedError as refusal:
            message = "the change cannot be recorded here and was not made: use a worker thread and an open guard"
            raise DecisionUnavailable(message) from refusal

    def record_authentication(
        self,
        error: IamGuardError,
        call: Call | None,
        kind: CredentialKind = "unknown",
        credential_id: str | None = None,
    ) -> None:
        """Record refused credentials; `credential_id` is the claimed id, if it is not secret."""
        self._telemetry.record_authentication(kind, error)
        self._write(
            lambda stamp: to_line(
                authentication_record(error, call, stamp, kind=kind, credential_id=credential_id),
                self._rules,
                is_brief=True,
            ),
            is_immediate=True,
            call=call,
        )

    def record_error(
        self,
        error: IamGuardError,
        call: Call | None,
        principal: Principal | None = None,
        *,
        action: str = UNDECIDED,
        resource: str = "*",
    ) -> None:
        """Record a request refused without a decision: none could be made, or the endpoint requested none."""
        self._telemetry.record_error(error, action)
        self._write(
            lambda stamp: to_line(
                error_record(error, call, stamp, principal=principal, action=action, resource=resource),
                self._rules,
                is_brief=principal is None or principal.type is PrincipalType.ANONYMOUS,
            ),
            is_immediate=True,
            principal=principal,
            call=call,
        )

    def watch(self, usage: Callable[[], GuardUsage], outage: Callable[[], float]) -> None:
        """Report the guard's usage and the age of its data to OpenTelemetry whenever metrics are collected."""
        self._telemetry.watch(usage, outage)
        if self._pipeline is not None:
            reference = weakref.ref(self._pipeline)  # metric callbacks outlive trails
            self._telemetry.watch_audit(lambda: pipeline.usage() if (pipeline := reference()) else None)

    def usage(self) -> AuditUsage | None:
        """Return the usage of this process's pipeline; None if the trail is not a folder."""
        return None if self._pipeline is None else self._pipeline.usage()

    def close(self) -> None:
        """Write pending lines and close; a later Allow is refused because it cannot be recorded."""
        self._is_sampling = False
        if self._report_rest is not None:
            self._report_rest()
        for output in (self._sink, self._pipeline):
            if output is not None:
                output.close()

    def end_shard(self, seconds: float = END_SHARD_TIMEOUT) -> bool:
        """Write and sign pending records and end this process's shard within `seconds`; return whether that succeeded.

        For servers that shut down without ending the process: the next record starts a new shard.
        """
        return self._pipeline is None or self._pipeline.end_shard(seconds)

    def _stamp(self) -> Stamp:
        trace_id, span_id = trace_ids()
        return Stamp(self._clock(), self._new_id(), self._region, trace_id, span_id)

    def _write(
        self,
        make: _Make,
        record_class: RecordClass = DENIAL,
        *,
        is_deferrable: bool = False,
        is_immediate: bool = False,
        principal: Principal | None = None,
        call: Call | None = None,
    ) -> Exception | None:
        """Pass a line to the pipeline or the sink; return the error if the request must be refused.

        For a pipeline, the line is made here if `is_immediate` (a long request, which an error would keep alive by its
        frames), or if the request is refused without it, unless making it cannot fail (`is_deferrable`); else the
        writer makes it. For an unauthenticated caller, no line is made if the lane is full.
        """
        pipeline = self._pipeline
        if pipeline is None:
            return self._write_to_sink(make)
        is_signed_in = principal is not None and principal.type is not PrincipalType.ANONYMOUS
        caller = caller_of(principal, call) if record_class is DENIAL or not is_signed_in else None
        try:
            if not is_signed_in and not pipeline.has_capacity(record_class, caller):
                is_kept = pipeline.miss(record_class, "the queue is full", is_signed_in=False)
            else:
                try:
                    line, correction = self._prepare_line(pipeline, make, record_class, is_deferrable, is_immediate)
                except Exception as error:  # noqa: BLE001 - as with a sink
                    _log_failure(error)
                    is_kept = pipeline.miss(record_class, "an audit record cannot be made", is_signed_in=is_signed_in)
                else:
                    is_kept = pipeline.put(
                        line, record_class, correction=correction, caller=caller, is_signed_in=is_signed_in
                    )
        except NotRecordedError as refusal:
            self._telemetry.record_failure()
            return refusal
        if not is_kept:
            self._telemetry.record_failure()
        return None

    def _write_to_sink(self, make: _Make) -> Exception | None:
        try:
            if self._sink is not None:
                self._sink.write(self._complete(partial(make, self._stamp())))
        except Exception as error:  # noqa: BLE001 - an Allow must not go unrecorded
            self._telemetry.record_failure()
            _log_failure(error)
            return error
        return None

    def _prepare_line(
        self, pipeline: Pipeline, make: _Make, record_class: RecordClass, is_deferrable: bool, is_immediate: bool
    ) -> tuple[Line, Line | None]:
        """Return the line, or what makes it, and the correction to append if its request is refused."""
        if record_class.name not in pipeline.refusing_classes:
            if is_immediate:
                return self._line_of(partial(make, self._stamp())), None
            moment, trace = self._clock(), trace_ids()
            return partial(self._complete, lambda: make(Stamp(moment, self._new_id(), self._region, *trace))), None
        stamp = self._stamp()
        is_refused = record_class.is_durable and self._on_failure != "ignore"
        correction = (lambda: refused_line(self._own_stamp(), stamp.event_id)) if is_refused else None
        made = partial(make, stamp)
        return made if is_deferrable and not is_immediate else self._line_of(made), correction

    def _line_of(self, make: Callable[[], bytes]) -> Line:
        """Make a line now, or return what makes it again in the writer thread, which may wait for its salts."""
        line, rules = make(), self._rules
        return line if rules is None or not rules.lacks_salts() else partial(rules.complete, make)

    # --- sampling ------------------------------------------------------------------------------------------------

    def _declare_sampling(self) -> None:
        """Make sure that sampled-out records are declared, even if the trail is never closed."""
        self._is_sampling = self._sampling is not None and self.is_recording
        self._report_rest: Callable[[], object] | None = None
        if self._sampling is None:
            return
        declare = partial(self._sampling.declaration, self._own_stamp)
        if self._pipeline is not None:
            self._pipeline.declare_with(declare)
        elif self._sink is not None:
            self._report_rest = weakref.finalize(self, _report_rest, declare, self._sink)

    def _is_sampled_out(self) -> bool:
        sampling = self._sampling
        if sampling is None or not sampling.is_sampled_out():
            return False
        if self._pipeline is not None and not self._pipeline.may_declare():
            return False
        sampling.count(self._clock())
        line = sampling.declaration(self._own_stamp) if self._pipeline is None else None
        if line is not None:
            self._write(lambda _: line)
        return True


def _report_rest(declare: Declare, sink: Sink) -> None:
    """Write the declaration of the records that are sampled out and not declared yet."""
    if (line := declare(is_last=True)) is not None:
        try:
            sink.write(line)
        except Exception as error:  # noqa: BLE001 - the process ends
            _log_failure(error)


def _log_failure(error: Exception) -> None:
    """Log that a record is missing; without traceback, which may contain part of the record."""
    detail = error.strerror if isinstance(error, OSError) else None
    logger.error("an audit record cannot be written: %s (%s)", detail or "failure", type(error).__name__)
