"""The audit trail: what is recorded, and what happens if recording fails."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

from iam_guard.audit.consumer.reader import read_records
from iam_guard.audit.record.event_ids import new_id
from iam_guard.audit.record.otel import AUDIT_FAILURES, Telemetry
from iam_guard.audit.record.record import Stamp, decision_record
from iam_guard.audit.record.redaction import to_line
from iam_guard.audit.sinks import FileSink, Sink
from iam_guard.audit.trail import Trail
from iam_guard.errors import DecisionUnavailable, InvalidClientTokenId, StoreUnavailable
from iam_guard.model.decision import Decision, Outcome
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call
from tests.audit.list_sink import ListSink

Decide = Callable[..., Decision]

DENIED = (Outcome.IMPLICITLY_DENIED, Outcome.EXPLICITLY_DENIED)


class BrokenSink:
    """A sink whose writes raise the error."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def write(self, lines: bytes) -> None:
        raise self.error

    def close(self) -> None:
        """Do nothing."""


def trail(sink: Sink | None, **options: Any) -> Trail:
    defaults = {
        "clock": lambda: datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC),
        "new_id": lambda: "event-1",
        "timer": lambda: 100.000_012,
    }
    return Trail(sink, **(defaults | options))


def test_decision_is_recorded_synchronously(decide: Decide, call: Call) -> None:
    """One decision makes one record, with the trail's time, id and duration."""
    sink = ListSink()
    trail(sink).record_decision(decide(), call, started=100.0)
    (record,) = sink.records
    assert record["eventTime"] == "2026-05-04T03:02:01Z"
    assert record["eventID"] == "event-1"
    assert record["requestID"] == call.request_id
    extension: Any = record["iamGuard"]
    assert (extension["kind"], extension["outcome"], extension["durationMicros"]) == ("decision", "Allowed", 12)


def test_refused_credentials_and_errors_are_recorded(call: Call) -> None:
    """One record each."""
    sink = ListSink()
    audit = trail(sink)
    audit.record_authentication(InvalidClientTokenId(), call, kind="sigv4", credential_id="AKIANOSUCHKEYEXAMPLE")
    audit.record_error(StoreUnavailable("the store is gone"), call, Principal.anonymous(), action="docs:X")
    audit.record_error(StoreUnavailable("the store is gone"), call)
    extensions: list[Any] = [record["iamGuard"] for record in sink.records]
    assert [extension["kind"] for extension in extensions] == ["authentication", "error", "error"]
    assert [record["errorCode"] for record in sink.records] == [
        "InvalidClientTokenId",
        "ServiceUnavailable",
        "ServiceUnavailable",
    ]


def test_record_without_call_has_the_trails_region(decide: Decide) -> None:
    """A function call has no region."""
    sink = ListSink()
    trail(sink, region="eu-central-1").record_decision(decide(), None, started=0)
    assert sink.records[0]["awsRegion"] == "eu-central-1"


def test_trail_without_sink_records_nothing(decide: Decide, call: Call) -> None:
    audit = trail(None)
    audit.record_decision(decide(), call, started=0)
    audit.record_authentication(InvalidClientTokenId(), call)
    audit.close()


def test_record_has_ids_of_the_current_trace(decide: Decide, call: Call) -> None:
    sink = ListSink()
    provider = TracerProvider()
    with provider.get_tracer("test").start_as_current_span("request") as span:
        trail(sink).record_decision(decide(), call, started=0)
    extension: Any = sink.records[0]["iamGuard"]
    assert extension["traceId"] == f"{span.get_span_context().trace_id:032x}"
    assert extension["spanId"] == f"{span.get_span_context().span_id:016x}"
    provider.shutdown()


def test_every_record_has_a_different_id(decide: Decide, call: Call) -> None:
    """Consumers deduplicate by `eventID`."""
    sink = ListSink()
    audit = Trail(sink)
    for _ in range(100):
        audit.record_decision(decide(), call, started=0)
    assert len({record["eventID"] for record in sink.records}) == 100


@given(st.binary(min_size=16, max_size=16))
def test_new_id_is_a_random_uuid(random: bytes) -> None:
    """122 random bits in the form of a version 4 UUID (RFC 9562)."""
    with patch("os.urandom", return_value=random) as urandom:
        uuid = UUID(new_id())
    urandom.assert_called_once_with(16)
    assert str(uuid) == str(UUID(bytes=random, version=4))
    assert (uuid.version, uuid.variant) == (4, RFC_4122)


def test_missing_randomness_is_an_error() -> None:
    """An id is never made up."""
    with patch("os.urandom", side_effect=OSError("no randomness")), pytest.raises(OSError, match="no randomness"):
        new_id()


@pytest.mark.forks
def test_forked_processes_have_different_ids() -> None:
    """No randomness is cached."""
    script = (
        "import os\n"
        "from iam_guard.audit.record.event_ids import new_id\n"
        "new_id()\n"
        "child = os.fork()\n"
        "os.write(1, new_id().encode() + b'\\n')\n"
        "child and os.waitpid(child, 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=300)
    assert len(set(done.stdout.split())) == 2


def test_recorded_line_is_the_line_of_the_record(decide: Decide, call: Call) -> None:
    sink = ListSink()
    for outcome in Outcome:
        trail(sink).record_decision(decide(outcome), call, started=100.0)
    stamp = Stamp(datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC), "event-1")
    assert sink.lines == [
        to_line(decision_record(decide(outcome), call, stamp, duration=100.000_012 - 100.0)) for outcome in Outcome
    ]


# --- when a record cannot be written ---------------------------------------------------------------------------------

FAILURES = [OSError(28, "No space left on device"), ValueError("x"), RuntimeError("boom"), MemoryError()]


@pytest.mark.parametrize("failure", FAILURES)
def test_allow_that_cannot_be_recorded_is_refused(failure: Exception, decide: Decide, call: Call) -> None:
    with pytest.raises(DecisionUnavailable, match="the audit record cannot be written") as caught:
        trail(BrokenSink(failure)).record_decision(decide(), call, started=0)
    assert caught.value.__cause__ is failure


@pytest.mark.parametrize("outcome", DENIED)
@pytest.mark.parametrize("on_failure", ["deny", "ignore"])
def test_denial_with_broken_sink_stays_a_denial(
    outcome: Outcome, on_failure: Literal["deny", "ignore"], decide: Decide, call: Call
) -> None:
    """Also refused credentials and errors."""
    audit = trail(BrokenSink(FAILURES[0]), on_failure=on_failure)
    audit.record_decision(decide(outcome), call, started=0)
    audit.record_authentication(InvalidClientTokenId(), call)
    audit.record_error(StoreUnavailable("gone"), call)


def test_allow_with_on_failure_ignore_succeeds(decide: Decide, call: Call) -> None:
    trail(BrokenSink(FAILURES[0]), on_failure="ignore").record_decision(decide(), call, started=0)


def test_allow_after_close_is_refused(tmp_path: Path, decide: Decide, call: Call) -> None:
    """A closed trail records nothing."""
    audit = trail(FileSink(tmp_path / "audit.jsonl"))
    audit.close()
    with pytest.raises(DecisionUnavailable):
        audit.record_decision(decide(), call, started=0)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_refuses_allows_until_space_is_free(tmp_path: Path, decide: Decide, call: Call) -> None:
    file = tmp_path / "audit.jsonl"
    file.symlink_to("/dev/full")
    audit = trail(FileSink(file))
    with pytest.raises(DecisionUnavailable):
        audit.record_decision(decide(), call, started=0)
    file.unlink()
    audit.record_decision(decide(), call, started=0)
    assert len(list(read_records(file))) == 1
    audit.close()


def test_allow_whose_record_cannot_be_made_is_refused(decide: Decide, call: Call) -> None:
    """As if it could not be written (E-6)."""

    def no_id() -> str:
        raise OSError("no randomness")

    with pytest.raises(DecisionUnavailable):
        trail(ListSink(), new_id=no_id).record_decision(decide(), call, started=0)


def test_failure_is_logged_and_counted_without_the_record(
    decide: Decide,
    call: Call,
    caplog: pytest.LogCaptureFixture,
    metric_reader: tuple[InMemoryMetricReader, MeterProvider],
) -> None:
    """The log has neither the record nor the sink's error message."""
    reader, provider = metric_reader
    telemetry = Telemetry(meter=provider.get_meter("test"))
    audit = trail(BrokenSink(RuntimeError("line was: igk_hunter2")), telemetry=telemetry)
    with caplog.at_level(logging.ERROR, logger="iam_guard.audit"):
        audit.record_decision(decide(Outcome.EXPLICITLY_DENIED), call._replace(user_agent="Bearer hunter2"), started=0)
    assert "an audit record cannot be written" in caplog.text
    assert "RuntimeError" in caplog.text
    assert "hunter2" not in caplog.text
    data = reader.get_metrics_data()
    assert data is not None
    metrics = data.resource_metrics[0].scope_metrics[0].metrics
    points: list[Any] = [
        point for metric in metrics if metric.name == AUDIT_FAILURES for point in metric.data.data_points
    ]
    assert [point.value for point in points] == [1]


def test_concurrent_threads_lose_and_mix_no_record(tmp_path: Path, decide: Decide, call: Call) -> None:
    audit = Trail(FileSink(tmp_path / "audit.jsonl"))
    decision = decide()

    def work() -> None:
        for _ in range(250):
            audit.record_decision(decision, call, started=0)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    audit.close()
    records = list(read_records(tmp_path / "audit.jsonl"))
    assert len({record["eventID"] for record in records}) == len(records) == 2000
