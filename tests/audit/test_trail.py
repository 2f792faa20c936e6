"""The door: what is noted, and what happens when it cannot be."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
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

from iam_guard.audit.consumer.reader import read
from iam_guard.audit.record.otel import AUDIT_FAILURES, Telemetry
from iam_guard.audit.record.record import Stamp, decision_record
from iam_guard.audit.record.redaction import to_line
from iam_guard.audit.sinks import FileSink, ListSink, Sink
from iam_guard.audit.trail import Trail, new_id
from iam_guard.errors import DecisionUnavailable, InvalidClientTokenId, StoreUnavailable
from iam_guard.model.decision import Decision, Outcome
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call

Decide = Callable[..., Decision]

DENIED = (Outcome.IMPLICITLY_DENIED, Outcome.EXPLICITLY_DENIED)


class BrokenSink:
    """Fails with whatever it is given."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def write(self, lines: bytes) -> None:
        raise self.error

    def close(self) -> None:
        """Nothing to close."""


def trail(sink: Sink | None, **options: Any) -> Trail:
    moments = {
        "clock": lambda: datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC),
        "new_id": lambda: "event-1",
        "timer": lambda: 100.000_012,
    }
    return Trail(sink, **(moments | options))


def test_decision_is_noted_when_note_returns(decide: Decide, call: Call) -> None:
    """One decision makes one record, with the time, id and duration that the trail was given."""
    sink = ListSink()
    trail(sink).note(decide(), call, started=100.0)
    (record,) = sink.records
    assert record["eventTime"] == "2026-05-04T03:02:01Z"
    assert record["eventID"] == "event-1"
    assert record["requestID"] == call.request_id
    extension: Any = record["iamGuard"]
    assert (extension["kind"], extension["outcome"], extension["durationMicros"]) == ("decision", "Allowed", 12)


def test_refused_credentials_and_errors_are_noted(call: Call) -> None:
    """A refused authentication and a failure to decide make one record each."""
    sink = ListSink()
    door = trail(sink)
    door.record_authentication(InvalidClientTokenId(), call, kind="sigv4", credential_id="AKIANOSUCHKEYEXAMPLE")
    door.record_error(StoreUnavailable("the store is gone"), call, Principal.anonymous(), action="docs:X")
    door.record_error(StoreUnavailable("the store is gone"), call)
    kinds: list[Any] = [record["iamGuard"] for record in sink.records]
    assert [kind["kind"] for kind in kinds] == ["authentication", "error", "error"]
    assert [record["errorCode"] for record in sink.records] == [
        "InvalidClientTokenId",
        "ServiceUnavailable",
        "ServiceUnavailable",
    ]


def test_without_call_the_region_is_the_trails(decide: Decide) -> None:
    """A plain function call has no region of its own."""
    sink = ListSink()
    trail(sink, region="eu-central-1").note(decide(), None, started=0)
    assert sink.records[0]["awsRegion"] == "eu-central-1"


def test_without_sink_nothing_fails(decide: Decide, call: Call) -> None:
    """A guard without audit decides all the same."""
    door = trail(None)
    door.note(decide(), call, started=0)
    door.record_authentication(InvalidClientTokenId(), call)
    door.close()


def test_record_carries_the_current_trace(decide: Decide, call: Call) -> None:
    """Trace and span id of the current span join the record with the trace."""
    sink = ListSink()
    provider = TracerProvider()
    with provider.get_tracer("test").start_as_current_span("request") as span:
        trail(sink).note(decide(), call, started=0)
    extension: Any = sink.records[0]["iamGuard"]
    assert extension["traceId"] == f"{span.get_span_context().trace_id:032x}"
    assert extension["spanId"] == f"{span.get_span_context().span_id:016x}"
    provider.shutdown()


def test_every_record_has_an_id_of_its_own(decide: Decide, call: Call) -> None:
    """`eventID` is the key by which consumers drop duplicates."""
    sink = ListSink()
    door = Trail(sink)
    for _ in range(100):
        door.note(decide(), call, started=0)
    assert len({record["eventID"] for record in sink.records}) == 100


@given(st.binary(min_size=16, max_size=16))
def test_id_is_a_random_uuid(random: bytes) -> None:
    """An `eventID` has 122 bits of the system's randomness and the form of a UUID of version 4 (RFC 9562)."""
    with patch("os.urandom", return_value=random) as asked:
        made = UUID(new_id())
    asked.assert_called_once_with(16)
    assert str(made) == str(UUID(bytes=random, version=4))
    assert (made.version, made.variant) == (4, RFC_4122)


def test_processes_that_part_have_ids_of_their_own() -> None:
    """A child goes on with other ids than its parent: no randomness is kept for later."""
    script = (
        "import os\n"
        "from iam_guard.audit.trail import new_id\n"
        "new_id()\n"
        "child = os.fork()\n"
        "os.write(1, new_id().encode() + b'\\n')\n"
        "child and os.waitpid(child, 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=300)
    assert len(set(done.stdout.split())) == 2


def test_noted_line_is_the_line_of_the_record(decide: Decide, call: Call) -> None:
    """What a sink gets for a decision is its record, whichever way it was written."""
    sink = ListSink()
    for outcome in Outcome:
        trail(sink).note(decide(outcome), call, started=100.0)
    stamp = Stamp(datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC), "event-1")
    assert sink.lines == [
        to_line(decision_record(decide(outcome), call, stamp, duration=100.000_012 - 100.0)) for outcome in Outcome
    ]


# --- when a record cannot be written ---------------------------------------------------------------------------------

FAILURES = [OSError(28, "No space left on device"), ValueError("x"), RuntimeError("boom"), MemoryError()]


@pytest.mark.parametrize("failure", FAILURES)
def test_allow_that_cannot_be_recorded_is_refused(failure: Exception, decide: Decide, call: Call) -> None:
    """An Allow never goes unrecorded."""
    with pytest.raises(DecisionUnavailable, match="the audit record cannot be written") as caught:
        trail(BrokenSink(failure)).note(decide(), call, started=0)
    assert caught.value.__cause__ is failure


@pytest.mark.parametrize("outcome", DENIED)
@pytest.mark.parametrize("on_failure", ["deny", "ignore"])
def test_denial_stays_a_denial(
    outcome: Outcome, on_failure: Literal["deny", "ignore"], decide: Decide, call: Call
) -> None:
    """A denial, a refused credential and an error are answered as such when the log is down."""
    door = trail(BrokenSink(FAILURES[0]), on_failure=on_failure)
    door.note(decide(outcome), call, started=0)
    door.record_authentication(InvalidClientTokenId(), call)
    door.record_error(StoreUnavailable("gone"), call)


def test_allow_goes_on_when_told_to_ignore(decide: Decide, call: Call) -> None:
    trail(BrokenSink(FAILURES[0]), on_failure="ignore").note(decide(), call, started=0)


def test_allow_after_close_is_refused(tmp_path: Path, decide: Decide, call: Call) -> None:
    """A closed trail records nothing and so allows nothing."""
    door = trail(FileSink(tmp_path / "audit.jsonl"))
    door.close()
    with pytest.raises(DecisionUnavailable):
        door.note(decide(), call, started=0)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_refuses_allows_and_recovers(tmp_path: Path, decide: Decide, call: Call) -> None:
    """With a disk that is full an Allow is refused; once there is room it is given and recorded."""
    place = tmp_path / "audit.jsonl"
    place.symlink_to("/dev/full")
    door = trail(FileSink(place))
    with pytest.raises(DecisionUnavailable):
        door.note(decide(), call, started=0)
    place.unlink()
    door.note(decide(), call, started=0)
    assert len(list(read(place))) == 1
    door.close()


def test_record_that_cannot_be_made_counts_as_not_written(decide: Decide, call: Call) -> None:
    """An error while describing an Allow refuses it as well (E-6)."""

    def no_id() -> str:
        raise OSError("no randomness")

    with pytest.raises(DecisionUnavailable):
        trail(ListSink(), new_id=no_id).note(decide(), call, started=0)


def test_failure_is_logged_and_counted_without_the_record(
    decide: Decide,
    call: Call,
    caplog: pytest.LogCaptureFixture,
    metric_reader: tuple[InMemoryMetricReader, MeterProvider],
) -> None:
    """The log says that and why a record is missing; the record itself, or a sink's words, are not in it."""
    reader, provider = metric_reader
    telemetry = Telemetry(meter=provider.get_meter("test"))
    door = trail(BrokenSink(RuntimeError("line was: igk_hunter2")), telemetry=telemetry)
    with caplog.at_level(logging.ERROR, logger="iam_guard.audit"):
        door.note(decide(Outcome.EXPLICITLY_DENIED), replace(call, user_agent="Bearer hunter2"), started=0)
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


def test_threads_note_at_the_same_moment(tmp_path: Path, decide: Decide, call: Call) -> None:
    """No record is lost or mixed when many threads note."""
    door = Trail(FileSink(tmp_path / "audit.jsonl"))
    decision = decide()

    def work() -> None:
        for _ in range(250):
            door.note(decision, call, started=0)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    door.close()
    records = list(read(tmp_path / "audit.jsonl"))
    assert len({record["eventID"] for record in records}) == len(records) == 2000
