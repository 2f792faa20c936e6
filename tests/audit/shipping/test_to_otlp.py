"""OTLP: a collector that reads the protobuf gets every record, and only what it confirms counts."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from iam_guard.audit.consumer.subscription import Delivery
from iam_guard.audit.export.otel_event import log_record
from iam_guard.audit.shipping.destination import NotDelivered, Refused, Unreachable
from iam_guard.audit.shipping.destinations import open_sinks
from iam_guard.audit.shipping.sink_url import SinkUrl
from iam_guard.audit.shipping.to_otlp import Collector, connector
from tests.audit.shipping.destinations import ship_once
from tests.audit.shipping.receivers import Answer, Receiver, Request, receiving
from tests.audit.trails import written


def collector(receiver: Receiver, path: str = "", options: str = "") -> Collector:
    return connector(SinkUrl.parse(f"otlp+{receiver.url}{path}#name=otlp{options}"))()


def events(requests: Sequence[Request]) -> list[LogRecord]:
    found = []
    for request in requests:
        for resource in ExportLogsServiceRequest.FromString(request.body).resource_logs:
            found += [each for scope in resource.scope_logs for each in scope.log_records]
    return found


def plain(value: AnyValue) -> Any:
    """Return what a value of OTLP stands for."""
    kind = value.WhichOneof("value")
    if kind == "kvlist_value":
        return {each.key: plain(each.value) for each in value.kvlist_value.values}
    if kind == "array_value":
        return [plain(each) for each in value.array_value.values]
    return None if kind is None else getattr(value, kind)


def rejecting(count: int) -> Answer:
    answer = ExportLogsServiceResponse()
    answer.partial_success.rejected_log_records = count
    return Answer(200, (("content-type", "application/x-protobuf"),), answer.SerializeToString())


def test_a_batch_is_one_request_of_the_protocol(receiver: Receiver, batch: Sequence[Delivery]) -> None:
    made = collector(receiver)
    made.send(batch)
    made.close()
    [request] = receiver.requests
    assert request.path == "/v1/logs"
    assert request.headers["content-type"] == "application/x-protobuf"
    sent = sorted(events([request]), key=lambda each: plain(each.body)["iamGuard"]["sequence"])  # by resource, there
    assert [plain(each.body) for each in sent] == [each.record for each in batch]
    for event, delivery in zip(sent, batch, strict=True):
        wanted = log_record(delivery.record)
        assert event.event_name == wanted["eventName"]
        assert str(event.time_unix_nano) == wanted["timeUnixNano"]
        assert event.severity_number == wanted["severityNumber"]
        assert {attribute.key for attribute in event.attributes} == {each["key"] for each in wanted["attributes"]}


def test_the_trace_of_a_record_is_that_of_its_event(receiver: Receiver, batch: Sequence[Delivery]) -> None:
    trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    offset, record = batch[1]
    facts = record["iamGuard"] | {"traceId": trace, "spanId": span}
    made = collector(receiver)
    made.send(
        [Delivery(offset, record | {"iamGuard": facts}), Delivery(offset, record | {"iamGuard": {"traceId": "?"}})]
    )
    made.close()
    first, second = events(receiver.requests)
    assert (first.trace_id.hex(), first.span_id.hex()) == (trace, span)
    assert (second.trace_id, second.span_id) == (b"", b"")


def test_another_path_and_the_headers_of_the_environment(
    receiver: Receiver, batch: Sequence[Delivery], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials of a collector come as the SDK takes them; a proxy does not."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=pl4nted")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    made = collector(receiver, "/tenant/v1/logs")
    made.send(batch)
    made.close()
    [request] = receiver.requests
    assert request.path == "/tenant/v1/logs"
    assert request.headers["api-key"] == "pl4nted"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, None),
        (202, None),
        (302, Unreachable),
        (307, Unreachable),
        (400, Refused),
        (401, Unreachable),
        (404, Unreachable),
        (413, Refused),
        (429, Unreachable),
        (500, Unreachable),
        (502, Unreachable),
        (503, Unreachable),
    ],
)
def test_what_every_status_means(
    receiver: Receiver, batch: Sequence[Delivery], status: int, kind: type[NotDelivered] | None
) -> None:
    """One request, whatever comes: when to try again is ours to say, and a redirect confirms nothing."""
    receiver.answers = [Answer(status, (("retry-after", "7"), ("location", f"{receiver.url}/elsewhere")))]
    made = collector(receiver)
    if kind is None:
        made.send(batch)
    else:
        with pytest.raises(kind) as told:
            made.send(batch)
        assert str(status) in str(told.value)
        if isinstance(told.value, Unreachable):
            assert told.value.retry_after == 7.0
    made.close()
    assert len(receiver.requests) == 1


def test_records_that_a_collector_rejects_are_not_confirmed(receiver: Receiver, batch: Sequence[Delivery]) -> None:
    """The exporter of the SDK takes this for a success."""
    receiver.answers = [rejecting(2), rejecting(0), Answer(200, (), b"no protobuf \xff")]
    made = collector(receiver)
    with pytest.raises(Refused, match="rejected 2 records"):
        made.send(batch)
    made.send(batch)
    made.send(batch)
    made.close()


def test_what_cannot_be_written_as_otlp_is_refused(receiver: Receiver, batch: Sequence[Delivery]) -> None:
    offset, record = batch[1]
    made = collector(receiver)
    with pytest.raises(Refused, match="cannot be written"):
        made.send([Delivery(offset, record | {"huge": 2**70})])
    made.send(batch)
    made.close()


def test_nobody_there_and_a_timeout_are_told_without_the_address(
    receiver: Receiver, batch: Sequence[Delivery], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither by us nor by the exporter's log."""
    caplog.set_level(logging.DEBUG)
    with receiving() as gone:
        away = collector(gone, "/pl4nted")
    receiver.gate.clear()
    for made, told in ((away, "ConnectionError"), (collector(receiver, "/pl4nted", "&timeout=0.2"), "ReadTimeout")):
        with pytest.raises(Unreachable, match=told) as failure:
            made.send(batch)
        made.close()
        assert "127.0.0.1" not in str(failure.value)
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("urllib3")]
    assert ours
    assert not any("pl4nted" in our for our in ours)


def test_a_connection_that_was_kept_and_is_closed_is_no_failure(batch: Sequence[Delivery]) -> None:
    with receiving() as receiver:
        made = collector(receiver)
        made.send(batch)
        receiver.answers = [Answer(200, (("connection", "close"),))]
        made.send(batch)
        made.send(batch)
        assert len(receiver.requests) == 3
        made.close()


def test_a_collector_that_fails_now_and_then_gets_everything(receiver: Receiver, tmp_path: Path) -> None:
    """At least once, through outages; the record that it always rejects is listed, and stops nobody."""
    trail = tmp_path / "trail"
    written(trail, 40)
    receiver.answers = [Answer(503), Answer(302)]
    receiver.decide = lambda request: rejecting(1) if b"id-7" in request.body.replace(b"id-7x", b"") else None
    shippers = ship_once(trail, *open_sinks([SinkUrl.parse(f"otlp+{receiver.url}#name=otlp&batch=25")]))
    found = [plain(event.body) for event in events(receiver.accepted)]
    ids = [each["eventID"] for each in found if "filler" in each]
    assert ids == [f"id-{number}" for number in range(40) if number != 7]
    assert shippers.usage()["otlp"][:5] == ("ended", 0, len(found), 2, 1)
