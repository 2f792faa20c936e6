"""The sink `otlp`: sends records to an OpenTelemetry collector by OTLP over HTTP, with the SDK's exporter.

The exporter reports failures without a reason, counts a redirect as success, and ignores records that the collector
rejected. So its HTTP session checks every response: only 2xx without rejected records confirms a batch. The session
ignores proxies and passwords in the environment, and keeps URLs out of the exporter's log. The SDK's own environment
variables apply, such as `OTEL_EXPORTER_OTLP_HEADERS` for a collector's credentials.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from iam_guard.audit.consumer.subscription import Delivery
from iam_guard.audit.export.otel_event import SCOPE, LogEvent, log_event
from iam_guard.audit.shipping.destination import NotDelivered, Refused, Unreachable, format_record, http_failure
from iam_guard.audit.shipping.sink_url import SinkUrl, sink_error
from iam_guard.imports import requires_extra
from iam_guard.net.trusted_addresses import trusting

with requires_extra("otlp", "a sink `otlp`"):
    import requests
    from google.protobuf.message import DecodeError
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk._logs.export import LogRecordExportResult
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

TIMEOUT = 10.0


class Collector:
    """Sends to one collector."""

    def __init__(self, endpoint: str, *, ca_file: str | None = None, timeout: float = TIMEOUT) -> None:
        self._session = _Session()
        self._exporter = OTLPLogExporter(endpoint, ca_file, timeout=timeout, session=self._session)

    def send(self, batch: Sequence[Delivery]) -> None:
        """Export the batch in one request."""
        self._session.begin()
        result = self._exporter.export([_readable(each.record) for each in batch])
        if self._session.outcome is not None:
            raise self._session.outcome
        if result is not LogRecordExportResult.SUCCESS:
            raise Unreachable("the exporter failed")

    def close(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


class _Session(requests.Session):
    """Checks every response before the exporter sees it."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False
        self.outcome: NotDelivered | None = None

    def begin(self) -> None:
        """Reset the outcome; if no request follows, the exporter could not encode the records."""
        self.outcome = Refused("the records cannot be encoded as OTLP")

    def request(self, *arguments: Any, **options: Any) -> requests.Response:
        """Send a request, once more if a kept-alive connection was closed; raise unless the batch is confirmed."""
        try:
            try:
                response = super().request(*arguments, **options)
            except requests.ConnectionError as error:
                if isinstance(error, requests.Timeout):
                    raise
                response = super().request(*arguments, **options)
            self.outcome = _check(response)
        except (OSError, ValueError) as error:  # errors of requests are OSErrors
            self.outcome = Unreachable(f"the collector does not answer ({type(error).__name__})")
        if self.outcome is not None:
            raise self.outcome  # the exporter logs its text, and does not retry
        return response


def _check(response: requests.Response) -> NotDelivered | None:
    """Return why the batch is not confirmed; None if it is."""
    status = response.status_code
    if 200 <= status < 300:
        rejected = _rejected(response.content)
        return None if not rejected else Refused(f"the collector rejected {rejected} records")
    return http_failure(status, response.headers.get("retry-after", ""), time.time())


def _rejected(content: bytes) -> int:
    """Return the number of rejected records in a response; 0 if it is not an OTLP message."""
    message = ExportLogsServiceResponse()
    try:
        message.ParseFromString(content)
    except DecodeError:
        return 0
    return int(message.partial_success.rejected_log_records)


def _readable(record: Mapping[str, Any]) -> ReadableLogRecord:
    event = format_record(log_event, record)
    log_record = LogRecord(
        timestamp=event.nanoseconds,
        observed_timestamp=event.nanoseconds,
        context=_context(event),
        severity_number=SeverityNumber(event.severity_number),
        severity_text=event.severity_text,
        event_name=event.name,
        body=dict(record),
        attributes=event.attributes,
    )
    resource = Resource({"service.name": str(record.get("eventSource"))})
    return ReadableLogRecord(log_record, resource, InstrumentationScope(SCOPE))


def _context(event: LogEvent) -> Context:
    """Return the trace context of the recorded request."""
    try:
        trace, span = int(event.trace_id or "0", 16), int(event.span_id or "0", 16)
    except ValueError:
        return Context()
    return set_span_in_context(NonRecordingSpan(SpanContext(trace, span, False, TraceFlags(0))), Context())


def connector(url: SinkUrl) -> Callable[[], Collector]:
    """Return a factory of the destination; the default path of the URL is `/v1/logs`."""
    parts = url.url
    if parts.username is not None or parts.password is not None:
        message = "expected the collector's credentials in the variable `OTEL_EXPORTER_OTLP_HEADERS`, not in the URL"
        raise sink_error(message)
    path = parts.path if parts.path not in ("", "/") else "/v1/logs"
    endpoint = parts._replace(scheme=parts.scheme.removeprefix("otlp+"), path=path).geturl()
    ca_file, timeout = url.options.get("ca_file"), url.seconds("timeout", TIMEOUT)
    if ca_file is not None:
        trusting(ca_file, place="ca_file")
    return lambda: Collector(endpoint, ca_file=ca_file, timeout=timeout)
