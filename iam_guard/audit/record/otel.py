"""What OpenTelemetry is told: attributes on the current span, counters, and how long deciding took.

A view, never the audit record: spans are sampled and lost. Only the API is used; which SDK listens, if any, is the
application's choice. Everything here has few different values; names of principals and resources are told only on
request (`ids=True`), masked like in a record. When a span sees several decisions, the last one stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from math import isfinite

from opentelemetry import metrics, trace
from opentelemetry.trace import Span, format_span_id, format_trace_id

from iam_guard.audit.record.record import reason_word
from iam_guard.audit.record.redaction import mask
from iam_guard.errors import IamGuardError
from iam_guard.model.decision import Decision, Outcome
from iam_guard.model.usage import AuditUsage, CacheUsage, SinkUsage

ACTION = "iam_guard.action"
OUTCOME = "iam_guard.outcome"
REASON = "iam_guard.reason"
POLICY = "iam_guard.policy"
PRINCIPAL_TYPE = "iam_guard.principal.type"
STALE = "iam_guard.stale"
SERVICE = "iam_guard.service"
CREDENTIAL_KIND = "iam_guard.credential.kind"
RESULT = "iam_guard.result"
PRINCIPAL_ARN = "iam_guard.principal.arn"
RESOURCE_ARN = "iam_guard.resource.arn"
ERROR_TYPE = "error.type"  # OpenTelemetry's own name

DECISIONS = "iam_guard.decisions"
AUTHENTICATIONS = "iam_guard.authentications"
AUDIT_FAILURES = "iam_guard.audit.failures"
DECISION_DURATION = "iam_guard.decision.duration"
CACHE_ENTRIES = "iam_guard.cache.entries"
CACHE_REQUESTS = "iam_guard.cache.requests"
STALENESS = "iam_guard.store.staleness"
CACHE = "iam_guard.cache.name"
AUDIT_WAITING = "iam_guard.audit.waiting"
AUDIT_OLDEST = "iam_guard.audit.oldest_age"
AUDIT_CHECKPOINT = "iam_guard.audit.checkpoint_age"
AUDIT_DROPPED = "iam_guard.audit.dropped"
AUDIT_REFUSED = "iam_guard.audit.refused"
SINK = "iam_guard.audit.sink.name"
SINK_LAG = "iam_guard.audit.sink.lag"
SINK_DELIVERED = "iam_guard.audit.sink.delivered"
SINK_FAILURES = "iam_guard.audit.sink.failures"
SINK_REFUSED = "iam_guard.audit.sink.refused"
SINK_SUCCESS = "iam_guard.audit.sink.success_age"
SINK_STOPPED = "iam_guard.audit.sink.stopped"

_BUCKETS = (1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
"""Seconds: a warm decision takes microseconds, one that loads from the store milliseconds."""
_OUTCOMES = {each: each.value for each in Outcome}
"""An outcome -> its word; asking the member itself takes several steps, and every decision asks."""


class Telemetry:
    """The instruments of one guard. Without a `meter` they follow whatever provider the application sets."""

    def __init__(self, *, meter: metrics.Meter | None = None, ids: bool = False) -> None:
        meter = meter or metrics.get_meter("iam_guard")
        self._meter = meter
        self._ids = ids
        self._decisions = meter.create_counter(DECISIONS, unit="{decision}", description="Decisions by outcome")
        self._authentications = meter.create_counter(
            AUTHENTICATIONS, unit="{authentication}", description="Credentials that were accepted or refused"
        )
        self._failures = meter.create_counter(
            AUDIT_FAILURES, unit="{record}", description="Audit records that could not be written"
        )
        self._duration = meter.create_histogram(
            DECISION_DURATION,
            unit="s",
            description="Time from the question to the decision",
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )

    def watch(self, usage: Callable[[], Mapping[str, CacheUsage]], staleness: Callable[[], float]) -> None:
        """Tell, whenever metrics are collected, how the caches are used and how old the last look at the store is."""

        def entries(_: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
            return [metrics.Observation(each.entries, {CACHE: name}) for name, each in usage().items()]

        def requests(_: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
            for name, each in usage().items():
                yield metrics.Observation(each.hits, {CACHE: name, RESULT: "hit"})
                yield metrics.Observation(each.misses, {CACHE: name, RESULT: "miss"})

        def age(_: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
            return [metrics.Observation(seconds)] if isfinite(seconds := staleness()) else []

        describe = self._meter.create_observable_gauge
        describe(CACHE_ENTRIES, [entries], unit="{entry}", description="Entries that a cache holds")
        describe(STALENESS, [age], unit="s", description="Time since the store was last reached")
        self._meter.create_observable_counter(
            CACHE_REQUESTS, [requests], unit="{request}", description="Questions to a cache, by what came of them"
        )

    def watch_audit(self, usage: Callable[[], AuditUsage | None]) -> None:
        """Tell, whenever metrics are collected, how the audit trail fares; nothing of one that is gone."""

        def told(pick: Callable[[AuditUsage], float | None]) -> list[Callable[..., Iterable[metrics.Observation]]]:
            def observe(_: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
                fares = usage()
                value = None if fares is None else pick(fares)
                return [] if value is None else [metrics.Observation(value)]

            return [observe]

        gauge, counter = self._meter.create_observable_gauge, self._meter.create_observable_counter
        gauge(
            AUDIT_WAITING, told(lambda at: at.waiting), unit="{record}", description="Records that are not written yet"
        )
        gauge(AUDIT_OLDEST, told(lambda at: at.oldest_age), unit="s", description="Age of the oldest of them")
        gauge(AUDIT_CHECKPOINT, told(lambda at: at.checkpoint_age), unit="s", description="Age of the last checkpoint")
        counter(AUDIT_DROPPED, told(lambda at: at.dropped), unit="{record}", description="Records that are missing")
        counter(
            AUDIT_REFUSED, told(lambda at: at.refused), unit="{request}", description="Refused for want of a record"
        )
        self._watch_sinks(usage)

    def _watch_sinks(self, usage: Callable[[], AuditUsage | None]) -> None:
        """Return how the sinks fare; what only the process knows that ships, the others do not tell."""

        def told(pick: Callable[[SinkUsage], float | None]) -> list[Callable[..., Iterable[metrics.Observation]]]:
            def observe(_: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
                fares = usage()
                for name, sink in {}.items() if fares is None else fares.sinks.items():
                    if (value := pick(sink)) is not None:
                        yield metrics.Observation(value, {SINK: name})

            return [observe]

        gauge, counter = self._meter.create_observable_gauge, self._meter.create_observable_counter
        gauge(SINK_LAG, told(lambda at: at.lag), unit="{record}", description="Records that a sink has not confirmed")
        counter(SINK_DELIVERED, told(lambda at: at.delivered), unit="{record}", description="Records that it has")
        counter(
            SINK_FAILURES, told(lambda at: at.failures), unit="{attempt}", description="Batches that did not arrive"
        )
        counter(SINK_REFUSED, told(lambda at: at.refused), unit="{record}", description="Records that were given up")
        gauge(
            *(SINK_SUCCESS, told(lambda at: at.success_age)),
            unit="s",
            description="Time since a sink confirmed something, or had everything",
        )
        gauge(
            *(SINK_STOPPED, told(lambda at: int(at.state == "stopped"))),
            unit="1",
            description="Whether a sink has stopped, 1 for yes",
        )

    def decided(self, decision: Decision, seconds: float) -> None:
        """Tell of a decision."""
        attributes = {OUTCOME: _OUTCOMES[decision.outcome], SERVICE: _told(decision.request.action).partition(":")[0]}
        self._decisions.add(1, attributes)
        self._duration.record(seconds, attributes)
        span = trace.get_current_span()
        if span.is_recording():
            self._describe(span, decision)

    def undecided(self, error: IamGuardError, action: str) -> None:
        """Tell of a request that was refused because no decision could be made."""
        outcome, action = Outcome.IMPLICITLY_DENIED.value, _told(action)
        self._decisions.add(1, {OUTCOME: outcome, SERVICE: action.partition(":")[0], ERROR_TYPE: error.code})
        span = trace.get_current_span()
        if span.is_recording():
            span.set_attributes({ACTION: action, OUTCOME: outcome, REASON: "Error", ERROR_TYPE: error.code})

    def authenticated(self, kind: str, error: IamGuardError | None = None) -> None:
        """Tell of credentials that were accepted, or refused with `error`."""
        self._authentications.add(1, {CREDENTIAL_KIND: kind, RESULT: "Accepted" if error is None else error.code})
        if error is not None:
            span = trace.get_current_span()
            if span.is_recording():
                span.set_attributes({CREDENTIAL_KIND: kind, ERROR_TYPE: error.code})

    def failed(self) -> None:
        """Tell of an audit record that could not be written."""
        self._failures.add(1)

    def _describe(self, span: Span, decision: Decision) -> None:
        request = decision.request
        policy = decision.reasons[0].policy if decision.reasons else None
        span.set_attributes(
            {
                ACTION: _told(request.action),
                OUTCOME: decision.outcome.value,
                REASON: reason_word(decision),
                PRINCIPAL_TYPE: request.principal.type.value,
                STALE: decision.stale,
            }
        )
        if policy is not None:
            span.set_attribute(POLICY, policy.name)
        if self._ids:
            span.set_attributes({PRINCIPAL_ARN: mask(request.principal.arn), RESOURCE_ARN: mask(request.resource)})


_told = lru_cache(maxsize=4096)(mask)
"""An action as it may be told: what an application makes of a caller's text may have anything in it."""


def trace_ids() -> tuple[str, str] | tuple[None, None]:
    """Return trace id and span id of the current span in their hexadecimal form; None twice when there is no trace."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None, None
    return format_trace_id(context.trace_id), format_span_id(context.span_id)
