"""OpenTelemetry signals with the real SDK: attributes on the current span, counters, the histogram."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import inf
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from iam_guard.audit.record import otel
from iam_guard.audit.record.otel import Telemetry, trace_ids
from iam_guard.errors import InvalidClientTokenId, StoreUnavailable
from iam_guard.model.decision import Decision, Outcome
from iam_guard.model.principal import Principal
from iam_guard.model.usage import AuditUsage, CacheUsage, FeedUsage, GuardUsage, SinkUsage

Decide = Callable[..., Decision]
Metrics = tuple[InMemoryMetricReader, MeterProvider]


class Spans:
    """Run a function inside a span and return the span's attributes."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def attributes(self, run: Callable[[], None]) -> dict[str, Any]:
        with self.provider.get_tracer("test").start_as_current_span("request"):
            run()
        (span,) = self.exporter.get_finished_spans()
        self.exporter.clear()
        return dict(span.attributes or {})


@pytest.fixture
def spans() -> Iterator[Spans]:
    instance = Spans()
    yield instance
    instance.provider.shutdown()


def points(reader: InMemoryMetricReader, name: str) -> list[tuple[dict[str, Any], Any]]:
    """Return (attributes, data point) of a metric."""
    data = reader.get_metrics_data()
    assert data is not None
    metrics = data.resource_metrics[0].scope_metrics[0].metrics
    return [
        (dict(point.attributes or {}), point)
        for metric in metrics
        if metric.name == name
        for point in metric.data.data_points
    ]


def test_decision_sets_attributes_of_the_current_span(spans: Spans, decide: Decide) -> None:
    """Action, outcome, reason, policy and principal type, but no names."""
    assert spans.attributes(lambda: Telemetry().record_decision(decide(), 0.1)) == {
        "iam_guard.action": "docs:GetDocument",
        "iam_guard.outcome": "Allowed",
        "iam_guard.reason": "AllowIdentity",
        "iam_guard.policy": "ReadDocuments",
        "iam_guard.principal.type": "User",
        "iam_guard.stale": False,
    }


def test_implicit_denial_sets_no_policy_attribute(spans: Spans, decide: Decide) -> None:
    attributes = spans.attributes(lambda: Telemetry().record_decision(decide(Outcome.IMPLICITLY_DENIED), 0.1))
    assert attributes["iam_guard.reason"] == "ImplicitDenyIdentity"
    assert "iam_guard.policy" not in attributes


def test_ids_option_adds_masked_names_to_the_span(spans: Spans, decide: Decide) -> None:
    decision = decide(resource="arn:aws:docs:us-east-1:111122223333:document/igk_hunter2")
    attributes = spans.attributes(lambda: Telemetry(ids=True).record_decision(decision, 0.1))
    assert attributes["iam_guard.principal.arn"] == "arn:aws:iam::111122223333:user/staff/alice"
    assert attributes["iam_guard.resource.arn"] == "arn:aws:docs:us-east-1:111122223333:document/[redacted]"


def test_refusal_without_decision_sets_error_type(spans: Spans) -> None:
    refused = spans.attributes(lambda: Telemetry().record_authentication("sigv4", InvalidClientTokenId()))
    assert refused == {"iam_guard.credential.kind": "sigv4", "error.type": "InvalidClientTokenId"}
    failed = spans.attributes(lambda: Telemetry().record_error(StoreUnavailable("gone"), "docs:GetDocument"))
    assert failed["error.type"] == "ServiceUnavailable"
    assert failed["iam_guard.outcome"] == "ImplicitlyDenied"


def test_non_recording_span_gets_no_attributes(decide: Decide, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otel, "reason_code", lambda _: pytest.fail("attributes were computed"))
    Telemetry(ids=True).record_decision(decide(), 0.1)


def test_decisions_are_counted_by_outcome_and_service(metric_reader: Metrics, decide: Decide) -> None:
    reader, provider = metric_reader
    telemetry = Telemetry(meter=provider.get_meter("test"))
    for outcome in (Outcome.ALLOWED, Outcome.ALLOWED, Outcome.EXPLICITLY_DENIED):
        telemetry.record_decision(decide(outcome), 0.000_003)
    telemetry.record_error(StoreUnavailable("gone"), "docs:GetDocument")
    counted = [(attributes, point.value) for attributes, point in points(reader, "iam_guard.decisions")]
    docs = {"iam_guard.service": "docs"}
    assert sorted(counted, key=str) == sorted(
        [
            ({"iam_guard.outcome": "Allowed", **docs}, 2),
            ({"iam_guard.outcome": "ExplicitlyDenied", **docs}, 1),
            ({"iam_guard.outcome": "ImplicitlyDenied", "error.type": "ServiceUnavailable", **docs}, 1),
        ],
        key=str,
    )


def test_duration_has_buckets_from_microseconds_to_seconds(metric_reader: Metrics, decide: Decide) -> None:
    reader, provider = metric_reader
    telemetry = Telemetry(meter=provider.get_meter("test"))
    durations = (0.000_002, 0.000_040, 0.003, 0.7)
    for duration in durations:
        telemetry.record_decision(decide(), duration)
    ((_, point),) = points(reader, "iam_guard.decision.duration")
    assert point.count == 4
    assert point.sum == pytest.approx(sum(durations))
    assert max(point.bucket_counts) == 1


def test_authentications_are_counted_by_kind_and_result(metric_reader: Metrics) -> None:
    reader, provider = metric_reader
    telemetry = Telemetry(meter=provider.get_meter("test"))
    telemetry.record_authentication("sigv4")
    telemetry.record_authentication("sigv4", InvalidClientTokenId())
    counted = {
        attributes["iam_guard.result"]: point.value for attributes, point in points(reader, "iam_guard.authentications")
    }
    assert counted == {"Accepted": 1, "InvalidClientTokenId": 1}


def test_cache_usage_and_staleness_are_observed(metric_reader: Metrics) -> None:
    """A store that was never reached has no staleness value."""
    reader, provider = metric_reader
    telemetry = Telemetry(meter=provider.get_meter("test"))
    age = inf
    caches = {"principal": CacheUsage(entries=3, limit=10, hits=7, misses=4, dropped=5)}
    usage = GuardUsage(caches, FeedUsage(epoch=9, lag=0.25, followed=8, cleared={"gap": 1}))
    telemetry.watch(lambda: usage, lambda: age)
    assert [(attributes, point.value) for attributes, point in points(reader, "iam_guard.cache.requests")] == [
        ({"iam_guard.cache.name": "principal", "iam_guard.result": "hit"}, 7),
        ({"iam_guard.cache.name": "principal", "iam_guard.result": "miss"}, 4),
    ]
    assert [point.value for _, point in points(reader, "iam_guard.cache.entries")] == [3]
    assert [point.value for _, point in points(reader, "iam_guard.cache.dropped")] == [5]
    assert [(attributes, point.value) for attributes, point in points(reader, "iam_guard.cache.cleared")] == [
        ({"iam_guard.cache.cleared_for": "gap"}, 1)
    ]
    assert [point.value for _, point in points(reader, "iam_guard.store.lag")] == [0.25]
    age = 2.5
    assert [point.value for _, point in points(reader, "iam_guard.store.staleness")] == [2.5]


def test_trail_usage_is_observed(metric_reader: Metrics) -> None:
    """Before the first checkpoint, its age is not reported."""
    reader, provider = metric_reader
    telemetry = Telemetry(meter=provider.get_meter("test"))
    current: AuditUsage | None = AuditUsage(7, 10, 1.5, None, dropped=3, refused=2, is_failing=True)
    telemetry.watch_audit(lambda: current)
    names = ["waiting", "oldest_age", "dropped", "refused"]
    assert [points(reader, f"iam_guard.audit.{name}")[0][1].value for name in names] == [7, 1.5, 3, 2]
    assert points(reader, "iam_guard.audit.checkpoint_age") == []
    current = AuditUsage(7, 10, 1.5, 0.25, dropped=3, refused=2, is_failing=True)
    assert [point.value for _, point in points(reader, "iam_guard.audit.checkpoint_age")] == [0.25]
    current = None
    assert reader.get_metrics_data() is None


def test_sink_usage_is_observed_in_the_shipping_process(metric_reader: Metrics) -> None:
    """Values that only this process has are reported once; failures and refusals are summed over all processes."""
    reader, provider = metric_reader
    telemetry = Telemetry(meter=provider.get_meter("test"))
    sinks = {
        "siem": SinkUsage("failing", lag=7, delivered=5, failures=3, refused=1, success_age=2.5, problem="status 500"),
        "lake": SinkUsage("standby", delivered=9),
        "hook": SinkUsage("stopped"),
    }
    telemetry.watch_audit(lambda: AuditUsage(0, 10, 0.0, None, dropped=0, refused=0, is_failing=False, sinks=sinks))

    def values(name: str) -> dict[str, float]:
        observed = points(reader, f"iam_guard.audit.sink.{name}")
        return {attributes["iam_guard.audit.sink.name"]: point.value for attributes, point in observed}

    assert values("lag") == {"siem": 7}
    assert values("success_age") == {"siem": 2.5}
    assert values("delivered") == {"siem": 5, "lake": 9, "hook": 0}
    assert values("failures") == {"siem": 3, "lake": 0, "hook": 0}
    assert values("refused") == {"siem": 1, "lake": 0, "hook": 0}
    assert values("stopped") == {"siem": 0, "lake": 0, "hook": 1}


def test_metric_attributes_have_low_cardinality(metric_reader: Metrics, decide: Decide) -> None:
    """A thousand principals and resources make one series."""
    reader, provider = metric_reader
    telemetry = Telemetry(meter=provider.get_meter("test"), ids=True)
    for number in range(1000):
        principal = Principal.from_arn(f"arn:aws:iam::111122223333:user/u{number}")
        decision = decide(principal=principal, resource=f"arn:aws:docs:us-east-1:111122223333:document/{number}")
        telemetry.record_decision(replace(decision, epoch=number), 0.1)
    assert len(points(reader, "iam_guard.decisions")) == 1
    assert len(points(reader, "iam_guard.decision.duration")) == 1


def test_exporter_that_changes_attributes_changes_no_later_decision(metric_reader: Metrics, decide: Decide) -> None:
    """The SDK keeps the attributes of a measurement, and exporters get the same object."""
    reader, provider = metric_reader
    telemetry = Telemetry(meter=provider.get_meter("test"))
    telemetry.record_decision(decide(), 0.1)
    for _, point in points(reader, "iam_guard.decisions"):
        point.attributes.clear()
    telemetry.record_decision(decide(), 0.1)
    assert [point.value for _, point in points(reader, "iam_guard.decisions")] == [2]
    fresh = Telemetry(meter=provider.get_meter("fresh"))
    fresh.record_decision(decide(), 0.1)
    data = reader.get_metrics_data()
    assert data is not None
    [scope] = [scope for scope in data.resource_metrics[0].scope_metrics if scope.scope.name == "fresh"]
    attributes = [dict(point.attributes or {}) for metric in scope.metrics for point in metric.data.data_points]
    assert attributes == [{"iam_guard.outcome": "Allowed", "iam_guard.service": "docs"}] * 2


def test_decision_returns_the_current_span(spans: Spans, decide: Decide) -> None:
    """So that its trace needs no second lookup; None outside of spans."""
    assert Telemetry().record_decision(decide(), 0.1) is None
    with spans.provider.get_tracer("test").start_as_current_span("request") as span:
        assert Telemetry().record_decision(decide(), 0.1) is span
        assert trace_ids(span) == trace_ids() != (None, None)


def test_trace_ids_outside_a_trace_are_none() -> None:
    assert trace_ids() == (None, None)
