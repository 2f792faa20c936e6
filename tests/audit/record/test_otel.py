"""OpenTelemetry with the real SDK: attributes on the current span, counters, the histogram."""

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
from iam_guard.model.usage import AuditUsage, CacheUsage, SinkUsage

Decide = Callable[..., Decision]
Metrics = tuple[InMemoryMetricReader, MeterProvider]


class Spans:
    """Runs a function inside a span and gives the span's attributes."""

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
    made = Spans()
    yield made
    made.provider.shutdown()


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


def test_decision_describes_itself_on_the_current_span(spans: Spans, decide: Decide) -> None:
    """The span tells action, outcome, reason, policy and kind of principal, and nobody's name."""
    assert spans.attributes(lambda: Telemetry().decided(decide(), 0.1)) == {
        "iam_guard.action": "docs:GetDocument",
        "iam_guard.outcome": "Allowed",
        "iam_guard.reason": "AllowIdentity",
        "iam_guard.policy": "ReadDocuments",
        "iam_guard.principal.type": "User",
        "iam_guard.stale": False,
    }


def test_implicit_denial_names_no_policy(spans: Spans, decide: Decide) -> None:
    attributes = spans.attributes(lambda: Telemetry().decided(decide(Outcome.IMPLICITLY_DENIED), 0.1))
    assert attributes["iam_guard.reason"] == "ImplicitDenyIdentity"
    assert "iam_guard.policy" not in attributes


def test_names_are_told_on_request_only_and_masked(spans: Spans, decide: Decide) -> None:
    """With `ids` principal and resource are on the span; a secret in them is not."""
    decision = decide(resource="arn:aws:docs:us-east-1:111122223333:document/igk_hunter2")
    attributes = spans.attributes(lambda: Telemetry(ids=True).decided(decision, 0.1))
    assert attributes["iam_guard.principal.arn"] == "arn:aws:iam::111122223333:user/staff/alice"
    assert attributes["iam_guard.resource.arn"] == "arn:aws:docs:us-east-1:111122223333:document/[redacted]"


def test_refusals_without_decision_are_on_the_span(spans: Spans) -> None:
    """Bad credentials and failures to decide tell their code as `error.type`."""
    refused = spans.attributes(lambda: Telemetry().authenticated("sigv4", InvalidClientTokenId()))
    assert refused == {"iam_guard.credential.kind": "sigv4", "error.type": "InvalidClientTokenId"}
    undecided = spans.attributes(lambda: Telemetry().undecided(StoreUnavailable("gone"), "docs:GetDocument"))
    assert undecided["error.type"] == "ServiceUnavailable"
    assert undecided["iam_guard.outcome"] == "ImplicitlyDenied"


def test_span_that_does_not_record_costs_no_description(decide: Decide, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a recording span no attribute is made."""
    monkeypatch.setattr(otel, "reason_word", lambda _: pytest.fail("described for nobody"))
    Telemetry(ids=True).decided(decide(), 0.1)


def test_decisions_are_counted_by_outcome_and_service(metric_reader: Metrics, decide: Decide) -> None:
    reader, provider = metric_reader
    telemetry = Telemetry(meter=provider.get_meter("test"))
    for outcome in (Outcome.ALLOWED, Outcome.ALLOWED, Outcome.EXPLICITLY_DENIED):
        telemetry.decided(decide(outcome), 0.000_003)
    telemetry.undecided(StoreUnavailable("gone"), "docs:GetDocument")
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


def test_duration_is_in_seconds_with_buckets_for_microseconds(metric_reader: Metrics, decide: Decide) -> None:
    """Durations from a microsecond to seconds fall into different buckets."""
    reader, provider = metric_reader
    telemetry = Telemetry(meter=provider.get_meter("test"))
    durations = (0.000_002, 0.000_040, 0.003, 0.7)
    for duration in durations:
        telemetry.decided(decide(), duration)
    ((_, point),) = points(reader, "iam_guard.decision.duration")
    assert point.count == 4
    assert point.sum == pytest.approx(sum(durations))
    assert max(point.bucket_counts) == 1


def test_authentications_are_counted_by_kind_and_result(metric_reader: Metrics) -> None:
    reader, provider = metric_reader
    telemetry = Telemetry(meter=provider.get_meter("test"))
    telemetry.authenticated("sigv4")
    telemetry.authenticated("sigv4", InvalidClientTokenId())
    counted = {
        attributes["iam_guard.result"]: point.value for attributes, point in points(reader, "iam_guard.authentications")
    }
    assert counted == {"Accepted": 1, "InvalidClientTokenId": 1}


def test_caches_and_staleness_are_told_when_metrics_are_collected(metric_reader: Metrics) -> None:
    """Nothing is told of a store that was never reached: there is no number for that."""
    reader, provider = metric_reader
    telemetry = Telemetry(meter=provider.get_meter("test"))
    age = inf
    telemetry.watch(lambda: {"principal": CacheUsage(entries=3, limit=10, hits=7, misses=4)}, lambda: age)
    assert [(attributes, point.value) for attributes, point in points(reader, "iam_guard.cache.requests")] == [
        ({"iam_guard.cache.name": "principal", "iam_guard.result": "hit"}, 7),
        ({"iam_guard.cache.name": "principal", "iam_guard.result": "miss"}, 4),
    ]
    assert [point.value for _, point in points(reader, "iam_guard.cache.entries")] == [3]
    age = 2.5
    assert [point.value for _, point in points(reader, "iam_guard.store.staleness")] == [2.5]


def test_how_the_trail_fares_is_told_when_metrics_are_collected(metric_reader: Metrics) -> None:
    """Before the first checkpoint there is no age of one."""
    reader, provider = metric_reader
    telemetry = Telemetry(meter=provider.get_meter("test"))
    fares: AuditUsage | None = AuditUsage(7, 10, 1.5, None, dropped=3, refused=2, is_failing=True)
    telemetry.watch_audit(lambda: fares)
    names = ["waiting", "oldest_age", "dropped", "refused"]
    assert [points(reader, f"iam_guard.audit.{name}")[0][1].value for name in names] == [7, 1.5, 3, 2]
    assert points(reader, "iam_guard.audit.checkpoint_age") == []
    fares = AuditUsage(7, 10, 1.5, 0.25, dropped=3, refused=2, is_failing=True)
    assert [point.value for _, point in points(reader, "iam_guard.audit.checkpoint_age")] == [0.25]
    fares = None
    assert reader.get_metrics_data() is None


def test_how_the_sinks_fare_is_told_by_the_process_that_ships(metric_reader: Metrics) -> None:
    """What only that process knows is told once; failures and refusals add up over all of them."""
    reader, provider = metric_reader
    telemetry = Telemetry(meter=provider.get_meter("test"))
    sinks = {
        "siem": SinkUsage("failing", lag=7, delivered=5, failures=3, refused=1, success_age=2.5, problem="status 500"),
        "lake": SinkUsage("standby", delivered=9),
        "hook": SinkUsage("stopped"),
    }
    telemetry.watch_audit(lambda: AuditUsage(0, 10, 0.0, None, dropped=0, refused=0, is_failing=False, sinks=sinks))

    def told(name: str) -> dict[str, float]:
        found = points(reader, f"iam_guard.audit.sink.{name}")
        return {attributes["iam_guard.audit.sink.name"]: point.value for attributes, point in found}

    assert told("lag") == {"siem": 7}
    assert told("success_age") == {"siem": 2.5}
    assert told("delivered") == {"siem": 5, "lake": 9, "hook": 0}
    assert told("failures") == {"siem": 3, "lake": 0, "hook": 0}
    assert told("refused") == {"siem": 1, "lake": 0, "hook": 0}
    assert told("stopped") == {"siem": 0, "lake": 0, "hook": 1}


def test_attributes_of_metrics_have_few_values(metric_reader: Metrics, decide: Decide) -> None:
    """A thousand principals and resources make one series, not a thousand."""
    reader, provider = metric_reader
    telemetry = Telemetry(meter=provider.get_meter("test"), ids=True)
    for number in range(1000):
        somebody = Principal.from_arn(f"arn:aws:iam::111122223333:user/u{number}")
        decision = decide(principal=somebody, resource=f"arn:aws:docs:us-east-1:111122223333:document/{number}")
        telemetry.decided(replace(decision, epoch=number), 0.1)
    assert len(points(reader, "iam_guard.decisions")) == 1
    assert len(points(reader, "iam_guard.decision.duration")) == 1


def test_outside_a_trace_there_are_no_ids() -> None:
    assert trace_ids() == (None, None)
