"""OpenTelemetry signals: attributes on the current span, counters, and the duration of decisions.

They never replace the audit record: spans are sampled and lost. Only the API is used; the application chooses the SDK.
All attributes have low cardinality; names of principals and resources are reported only on request (`ids=True`),
masked as in a record. If a span covers several decisions, the last one wins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from math import isfinite
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from opentelemetry import metrics
from opentelemetry.trace import INVALID_SPAN, Span, format_span_id, format_trace_id, get_current_span

from iam_guard.audit.record.record import reason_code
from iam_guard.audit.record.redaction import mask
from iam_guard.errors import IamGuardError
from iam_guard.model.decision import Decision, Outcome
from iam_guard.model.principal import CredentialKind
from iam_guard.model.usage import AuditUsage, GuardUsage, SinkUsage

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

AUDIT_FAILURES = "iam_guard.audit.failures"
CACHE = "iam_guard.cache.name"
CLEARED_FOR = "iam_guard.cache.cleared_for"

_BUCKETS = (1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)
"""Seconds: a warm decision takes microseconds, one that loads from the store takes milliseconds."""
_Usage = TypeVar("_Usage")


class _Instrument(NamedTuple, Generic[_Usage]):
    """An instrument that reports one value of a usage, or none."""

    name: str
    unit: str
    description: str
    value: Callable[[_Usage], float | None]
    is_counter: bool = False


_TRAIL_INSTRUMENTS: Sequence[_Instrument[AuditUsage]] = (
    _Instrument("iam_guard.audit.waiting", "{record}", "Records that are not written yet", lambda at: at.waiting),
    _Instrument(
        "iam_guard.audit.oldest_age", "s", "Age of the oldest record that is not written", lambda at: at.oldest_age
    ),
    _Instrument("iam_guard.audit.checkpoint_age", "s", "Age of the last checkpoint", lambda at: at.checkpoint_age),
    _Instrument(
        "iam_guard.audit.dropped",
        "{record}",
        "Records that are missing from the trail",
        lambda at: at.dropped,
        is_counter=True,
    ),
    _Instrument(
        "iam_guard.audit.refused",
        "{request}",
        "Requests refused because their record could not be written",
        lambda at: at.refused,
        is_counter=True,
    ),
)
_SINK_INSTRUMENTS: Sequence[_Instrument[SinkUsage]] = (
    _Instrument("iam_guard.audit.sink.lag", "{record}", "Records that a sink has not confirmed", lambda at: at.lag),
    _Instrument(
        "iam_guard.audit.sink.delivered",
        "{record}",
        "Records that a sink has confirmed",
        lambda at: at.delivered,
        is_counter=True,
    ),
    _Instrument(
        "iam_guard.audit.sink.failures",
        "{attempt}",
        "Failed deliveries of a batch",
        lambda at: at.failures,
        is_counter=True,
    ),
    _Instrument(
        "iam_guard.audit.sink.refused",
        "{record}",
        "Records that a sink refused",
        lambda at: at.refused,
        is_counter=True,
    ),
    _Instrument(
        "iam_guard.audit.sink.success_age",
        "s",
        "Time since a sink last confirmed records, or had all of them",
        lambda at: at.success_age,
    ),
    _Instrument(
        "iam_guard.audit.sink.stopped",
        "1",
        "Whether a sink has stopped, 1 for yes",
        lambda at: int(at.state == "stopped"),
    ),
)


class Telemetry:
    """The instruments of one guard. Without a `meter`, they use the provider that the application sets."""

    def __init__(self, *, meter: metrics.Meter | None = None, ids: bool = False) -> None:
        meter = meter or metrics.get_meter("iam_guard")
        self._meter = meter
        self._ids = ids
        self._decisions = meter.create_counter(
            "iam_guard.decisions", unit="{decision}", description="Decisions by outcome"
        )
        self._authentications = meter.create_counter(
            "iam_guard.authentications", unit="{authentication}", description="Credentials accepted or refused"
        )
        self._failures = meter.create_counter(
            AUDIT_FAILURES, unit="{record}", description="Audit records that could not be written"
        )
        self._duration = meter.create_histogram(
            "iam_guard.decision.duration",
            unit="s",
            description="Time from the request to the decision",
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )

    def watch(self, usage: Callable[[], GuardUsage], outage: Callable[[], float]) -> None:
        """Register instruments for caches, for following changes, and for the time for which the store has failed."""
        observed = metrics.Observation

        def entries(_: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
            return [observed(cache.entries, {CACHE: name}) for name, cache in usage().caches.items()]

        def requests(_: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
            for name, cache in usage().caches.items():
                yield observed(cache.hits, {CACHE: name, RESULT: "hit"})
                yield observed(cache.misses, {CACHE: name, RESULT: "miss"})

        def dropped(_: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
            return [observed(cache.dropped, {CACHE: name}) for name, cache in usage().caches.items()]

        def cleared(_: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
            return [observed(count, {CLEARED_FOR: reason}) for reason, count in usage().changes.cleared.items()]

        def lag(_: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
            return [observed(seconds)] if (seconds := usage().changes.lag) is not None else []

        def age(_: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
            return [observed(seconds)] if isfinite(seconds := outage()) else []

        gauge, counter = self._meter.create_observable_gauge, self._meter.create_observable_counter
        gauge("iam_guard.cache.entries", [entries], unit="{entry}", description="Entries in a cache")
        gauge(
            "iam_guard.store.staleness",
            [age],
            unit="s",
            description="Time for which the store has failed, 0 if it answers",
        )
        gauge("iam_guard.store.lag", [lag], unit="s", description="Time from a change of the store to its arrival here")
        counter("iam_guard.cache.requests", [requests], unit="{request}", description="Cache lookups, by result")
        counter("iam_guard.cache.dropped", [dropped], unit="{entry}", description="Entries that a change invalidated")
        counter("iam_guard.cache.cleared", [cleared], unit="{time}", description="Times that all entries were dropped")

    def watch_audit(self, usage: Callable[[], AuditUsage | None]) -> None:
        """Register instruments for the usage of the audit trail; they report nothing once the trail is closed."""

        def observe_trail(row: _Instrument[AuditUsage], _: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
            current = usage()
            if current is not None and (value := row.value(current)) is not None:
                yield metrics.Observation(value)

        def observe_sinks(row: _Instrument[SinkUsage], _: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
            current = usage()
            for name, sink in () if current is None else current.sinks.items():
                if (value := row.value(sink)) is not None:
                    yield metrics.Observation(value, {"iam_guard.audit.sink.name": name})

        for trail_row in _TRAIL_INSTRUMENTS:
            self._create(trail_row, partial(observe_trail, trail_row))
        for sink_row in _SINK_INSTRUMENTS:
            self._create(sink_row, partial(observe_sinks, sink_row))

    def _create(self, row: _Instrument[Any], observe: Callable[..., Iterable[metrics.Observation]]) -> None:
        create = self._meter.create_observable_counter if row.is_counter else self._meter.create_observable_gauge
        create(row.name, [observe], unit=row.unit, description=row.description)

    def record_decision(self, decision: Decision, seconds: float) -> Span | None:
        """Record a decision; return the current span, for the ids of its trace, or None outside of spans."""
        attributes = _decision_attributes(decision.request.action, decision.outcome).copy()  # exporters may change it
        self._decisions.add(1, attributes)
        self._duration.record(seconds, attributes)
        span = get_current_span()
        if span is INVALID_SPAN:
            return None
        if span.is_recording():
            self._describe(span, decision)
        return span

    def record_error(self, error: IamGuardError, action: str) -> None:
        """Record a request that was refused because no decision could be made."""
        outcome, action = Outcome.IMPLICITLY_DENIED.value, _masked(action)
        self._decisions.add(1, {OUTCOME: outcome, SERVICE: action.partition(":")[0], ERROR_TYPE: error.code})
        span = get_current_span()
        if span.is_recording():
            span.set_attributes({ACTION: action, OUTCOME: outcome, REASON: "Error", ERROR_TYPE: error.code})

    def record_authentication(self, kind: CredentialKind, error: IamGuardError | None = None) -> None:
        """Record credentials that were accepted, or refused with `error`."""
        if error is None:
            self._authentications.add(1, {CREDENTIAL_KIND: kind, RESULT: "Accepted"})
            return
        self._authentications.add(1, {CREDENTIAL_KIND: kind, RESULT: error.code})
        span = get_current_span()
        if span.is_recording():
            span.set_attributes({CREDENTIAL_KIND: kind, ERROR_TYPE: error.code})

    def record_failure(self) -> None:
        """Count an audit record that could not be written."""
        self._failures.add(1)

    def _describe(self, span: Span, decision: Decision) -> None:
        request = decision.request
        policy = decision.reasons[0].policy if decision.reasons else None
        span.set_attributes(
            {
                ACTION: _masked(request.action),
                OUTCOME: decision.outcome.value,
                REASON: reason_code(decision),
                PRINCIPAL_TYPE: request.principal.type.value,
                STALE: decision.stale,
            }
        )
        if policy is not None:
            span.set_attribute(POLICY, policy.name)
        if self._ids:
            span.set_attributes({PRINCIPAL_ARN: mask(request.principal.arn), RESOURCE_ARN: mask(request.resource)})


_masked = lru_cache(maxsize=4096)(mask)
"""Mask an action, which an application may derive from the caller's input."""


@lru_cache(maxsize=4096)
def _decision_attributes(action: str, outcome: Outcome) -> dict[str, str]:
    return {OUTCOME: outcome.value, SERVICE: mask(action).partition(":")[0]}


TraceIds: TypeAlias = tuple[str, str] | tuple[None, None]
"""The trace id and span id in hexadecimal, or None twice."""
NO_TRACE: TraceIds = (None, None)


def trace_ids(span: Span | None = None) -> TraceIds:
    """Return the ids of a span, by default the current one; None twice without a trace."""
    context = (get_current_span() if span is None else span).get_span_context()
    if not context.is_valid:
        return NO_TRACE
    return format_trace_id(context.trace_id), format_span_id(context.span_id)
