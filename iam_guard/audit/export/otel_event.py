"""Export of records as OpenTelemetry log events, in OTLP JSON.

`log_event` returns values, `log_record` a LogRecord in JSON, `otlp_line` a line for a collector's receiver
`otlpjsonfile`. The body is the whole record; the attributes are for filters. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from iam_guard.audit.record import otel
from iam_guard.audit.record.call_kinds import RESULT_KINDS
from iam_guard.audit.record.identity import mapping, present
from iam_guard.audit.record.redaction import write

SCOPE = "iam_guard.audit"
INFO, WARN, ERROR = (9, "INFO"), (13, "WARN"), (17, "ERROR")

_TRACE_ID, _SPAN_ID = re.compile("[0-9a-f]{32}"), re.compile("[0-9a-f]{16}")
"""Checked because collectors reject a whole batch for a malformed id, such as a mask."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Json = dict[str, Any]
Record = Mapping[str, Any]


class LogEvent(NamedTuple):
    """A record as a log event, without the body, which is the record itself."""

    name: str
    nanoseconds: int
    severity_number: int
    severity_text: str
    attributes: Mapping[str, Any]
    trace_id: str | None
    span_id: str | None


def log_event(record: Record) -> LogEvent:
    """Return a record as a log event."""
    facts = mapping(record.get("iamGuard"))
    kind = str(facts.get("kind", "record"))
    trace_id, span_id = facts.get("traceId"), facts.get("spanId")
    return LogEvent(
        "iam_guard.authorization.decision" if kind == "decision" else f"iam_guard.{kind}",
        _nanoseconds(record.get("eventTime")),
        *_severity(record, facts),
        present(_attributes(record, facts)),
        trace_id if isinstance(trace_id, str) and _TRACE_ID.fullmatch(trace_id) else None,
        span_id if isinstance(span_id, str) and _SPAN_ID.fullmatch(span_id) else None,
    )


def log_record(record: Record) -> Json:
    """Return a record as a LogRecord in OTLP JSON."""
    event = log_event(record)
    time = str(event.nanoseconds)
    return present(
        {
            "timeUnixNano": time,
            "observedTimeUnixNano": time,
            "severityNumber": event.severity_number,
            "severityText": event.severity_text,
            "eventName": event.name,
            "body": any_value(dict(record)),
            "attributes": [{"key": key, "value": any_value(value)} for key, value in event.attributes.items()],
            "traceId": event.trace_id,
            "spanId": event.span_id,
        }
    )


def otlp_line(record: Record) -> str:
    """Return a record as a line of OTLP JSON."""
    scope = {"scope": {"name": SCOPE}, "logRecords": [log_record(record)]}
    resource = {"attributes": [{"key": "service.name", "value": any_value(str(record.get("eventSource")))}]}
    return write({"resourceLogs": [{"resource": resource, "scopeLogs": [scope]}]})


def any_value(value: object) -> Json:
    """Return a value as an OTLP AnyValue; null is an empty one."""
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
        case list() | tuple():
            return {"arrayValue": {"values": [any_value(each) for each in value]}}
        case dict():
            return {
                "kvlistValue": {"values": [{"key": str(key), "value": any_value(each)} for key, each in value.items()]}
            }
    return {}


def _attributes(record: Record, facts: Mapping[str, Any]) -> Json:
    identity = mapping(record.get("userIdentity"))
    parameters = {} if facts.get("kind") in RESULT_KINDS else mapping(record.get("requestParameters"))
    resources = record.get("resources") or []
    reasons = facts.get("reasons") or [{}]
    return {
        otel.ACTION: f"{str(record.get('eventSource')).removesuffix('.amazonaws.com')}:{record.get('eventName')}",
        otel.OUTCOME: facts.get("outcome"),
        otel.REASON: facts.get("reason"),
        otel.POLICY: reasons[0].get("policy"),
        otel.PRINCIPAL_TYPE: identity.get("type"),
        otel.PRINCIPAL_ARN: identity.get("arn"),
        otel.RESOURCE_ARN: resources[0].get("ARN") if resources else None,
        otel.STALE: facts.get("stale"),
        otel.CREDENTIAL_KIND: facts.get("credentialKind"),
        otel.ERROR_TYPE: record.get("errorCode"),
        "log.record.uid": record.get("eventID"),
        "client.address": record.get("sourceIPAddress"),
        "user_agent.original": record.get("userAgent"),
        "http.request.method": parameters.get("method"),
        "url.path": parameters.get("path"),
        "server.address": parameters.get("host"),
        "iam_guard.audit.shard": facts.get("shard"),
        "iam_guard.audit.sequence": facts.get("sequence"),
    }


def _severity(record: Record, facts: Mapping[str, Any]) -> tuple[int, str]:
    if facts.get("kind") == "audit_gap" or facts.get("reason") == "Error":
        return ERROR
    return INFO if record.get("errorCode") is None else WARN


def _nanoseconds(time: object) -> int:
    if not isinstance(time, str):
        return 0
    return round((datetime.fromisoformat(time) - _EPOCH).total_seconds()) * 1_000_000_000
