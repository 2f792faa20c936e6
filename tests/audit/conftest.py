"""Fixtures shared by the audit tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from iam_guard.audit.record.record import Stamp
from iam_guard.model.decision import Decision, Outcome, PolicyRef, PolicyType, Reason
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest, Call

ALICE = "arn:aws:iam::111122223333:user/staff/alice"
DOCUMENT = "arn:aws:docs:us-east-1:111122223333:document/7"


@pytest.fixture
def stamp() -> Stamp:
    return Stamp(datetime(2026, 5, 4, 3, 2, 1, 987654, tzinfo=UTC), "0b6f0f3c-0c0a-4b6e-9a57-3c1c5f1d2e3f")


@pytest.fixture
def call() -> Call:
    return Call(
        request_id="5f2a8a3e-7a64-4f0e-8f6e-8d6f1f7d0c11",
        kind="http",
        method="GET",
        path="/documents/{document_id}",
        host="docs.example.org",
        source_ip="203.0.113.7",
        user_agent="Botocore/1.40.1",
        secure=True,
    )


@pytest.fixture
def decide() -> Callable[..., Decision]:
    """Return a factory of ordinary decisions, changed by its arguments."""

    def make(
        outcome: Outcome = Outcome.ALLOWED, *, principal: Principal | None = None, resource: str = DOCUMENT
    ) -> Decision:
        effect = {"Allowed": "Allow", "ExplicitlyDenied": "Deny"}.get(outcome.value)
        policy = PolicyRef("ReadDocuments", PolicyType.IDENTITY, digest="ab" * 32) if effect else None
        reason = Reason(PolicyType.IDENTITY, effect, policy, statement=0 if effect else None)
        caller = principal or Principal.from_arn(ALICE, userid="AIDAEXAMPLEALICE00001")
        return Decision(outcome, AccessRequest(caller, "docs:GetDocument", resource), (reason,), epoch=7)

    return make


@pytest.fixture
def metric_reader() -> Iterator[tuple[InMemoryMetricReader, MeterProvider]]:
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader])
    yield reader, provider
    provider.shutdown()
