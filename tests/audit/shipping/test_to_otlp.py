"""The sink `otlp`: a collector that parses protobuf gets every record, and only confirmed batches count."""

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
from tests.audit.shipping.receivers import Answer, Receiver, Request, run_receiver
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
    """Return an OTLP value as a plain one."""
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


def test_otlp_batch_is_one_request(receiver: Receiver, batch: Sequence[Delivery]) -> None:
    sink = collector(receiver)
    sink.send(batch)
    sink.close()
    [request] = receiver.requests
    assert request.path == "/v1/logs"
    assert request.headers["content-type"] == "application/x-protobuf"
    sent = sorted(events([request]), key=lambda each: plain(each.body)["iamGuard"]["sequence"])  # by resource, there
    assert [plain(each.body) for each in sent] == [each.record for each in batch]
    for event, delivery in zip(sent, batch, strict=True):
        expected = log_record(delivery.record)
        assert event.event_name == expected["eventName"]
        assert str(event.time_unix_nano) == expected["timeUnixNano"]
        assert event.severity_number == expected["severityNumber"]
        assert {attribute.key for attribute in event.attributes} == {each["key"] for each in expected["attributes"]}


def test_otlp_event_has_trace_of_record(receiver: Receiver, batch: Sequence[Delivery]) -> None:
    trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    offset, record = batch[1]
    facts = record["iamGuard"] | {"traceId": trace, "spanId": span}
    sink = collector(receiver)
    sink.send(
        [Delivery(offset, record | {"iamGuard": facts}), Delivery(offset, record | {"iamGuard": {"traceId": "?"}})]
    )
    sink.close()
    first, second = events(receiver.requests)
    assert (first.trace_id.hex(), first.span_id.hex()) == (trace, span)
    assert (second.trace_id, second.span_id) == (b"", b"")


def test_otlp_uses_url_path_and_environment_headers(
    receiver: Receiver, batch: Sequence[Delivery], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK's variable for credentials applies; proxy variables don't."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=pl4nted")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    sink = collector(receiver, "/tenant/v1/logs")
    sink.send(batch)
    sink.close()
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
def test_otlp_status_maps_to_outcome(
    receiver: Receiver, batch: Sequence[Delivery], status: int, kind: type[NotDelivered] | None
) -> None:
    """One request each: the exporter doesn't retry, and a redirect confirms nothing."""
    receiver.answers = [Answer(status, (("retry-after", "7"), ("location", f"{receiver.url}/elsewhere")))]
    sink = collector(receiver)
    if kind is None:
        sink.send(batch)
    else:
        with pytest.raises(kind) as caught:
            sink.send(batch)
        assert str(status) in str(caught.value)
        if isinstance(caught.value, Unreachable):
            assert caught.value.retry_after == 7.0
    sink.close()
    assert len(receiver.requests) == 1


def test_otlp_rejected_records_are_refused(receiver: Receiver, batch: Sequence[Delivery]) -> None:
    """The SDK's exporter counts this as success."""
    receiver.answers = [rejecting(2), rejecting(0), Answer(200, (), b"no protobuf \xff")]
    sink = collector(receiver)
    with pytest.raises(Refused, match="rejected 2 records"):
        sink.send(batch)
    sink.send(batch)
    sink.send(batch)
    sink.close()


def test_otlp_unencodable_record_is_refused(receiver: Receiver, batch: Sequence[Delivery]) -> None:
    offset, record = batch[1]
    sink = collector(receiver)
    with pytest.raises(Refused, match="cannot be encoded"):
        sink.send([Delivery(offset, record | {"huge": 2**70})])
    sink.send(batch)
    sink.close()


def test_otlp_unreachable_error_has_no_address(
    receiver: Receiver, batch: Sequence[Delivery], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither do the log lines of the exporter, which writes equal ones once in a while only."""
    caplog.set_level(logging.DEBUG)
    with run_receiver() as stopped:
        away = collector(stopped, "/pl4nted")
    receiver.gate.clear()
    for sink, error in ((away, "ConnectionError"), (collector(receiver, "/pl4nted", "&timeout=0.2"), "ReadTimeout")):
        with pytest.raises(Unreachable, match=error) as failure:
            sink.send(batch)
        sink.close()
        assert "127.0.0.1" not in str(failure.value)
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("urllib3")]
    assert not any("pl4nted" in our for our in ours)


def test_otlp_closed_keepalive_connection_is_retried(batch: Sequence[Delivery]) -> None:
    with run_receiver() as receiver:
        sink = collector(receiver)
        sink.send(batch)
        receiver.answers = [Answer(200, (("connection", "close"),))]
        sink.send(batch)
        sink.send(batch)
        assert len(receiver.requests) == 3
        sink.close()


def test_otlp_delivers_all_through_outages(receiver: Receiver, tmp_path: Path) -> None:
    """At least once, through outages; a permanently rejected record is listed and blocks no other."""
    trail = tmp_path / "trail"
    written(trail, 40)
    receiver.answers = [Answer(503), Answer(302)]
    receiver.decide = lambda request: rejecting(1) if b"id-7" in request.body.replace(b"id-7x", b"") else None
    shippers = ship_once(trail, *open_sinks([SinkUrl.parse(f"otlp+{receiver.url}#name=otlp&batch=25")]))
    found = [plain(event.body) for event in events(receiver.accepted)]
    ids = [each["eventID"] for each in found if "filler" in each]
    assert ids == [f"id-{number}" for number in range(40) if number != 7]
    assert shippers.usage()["otlp"][:5] == ("ended", 0, len(found), 2, 1)
