"""Exporters: golden files made from the golden records, and the requirements of the OCSF 1.9.0 classes.

The facts of `CLASSES` and `ONE_OF` are those of ocsf/ocsf-schema at v1.9.0: `events/iam/authentication.json` and
`authorize_session.json`, `events/application/api_activity.json`, `events/base_event.json`, `objects/*.json`
(members with `"requirement": "required"`, and `constraints.at_least_one`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from iam_guard.audit.export import FORMS
from iam_guard.audit.export.ocsf import ocsf_event
from iam_guard.audit.export.otel_event import any_value, log_event, log_record, otlp_line
from iam_guard.audit.record.privacy import PrivacyRules, Treatment
from iam_guard.audit.record.record import Stamp
from iam_guard.audit.record.redaction import to_line
from iam_guard.audit.verify.trail_events import Gap, gap_line
from iam_guard.errors import ConfigurationError
from tests.audit.trails import NOON
from tests.tables import table

HERE = Path(__file__).parent
GOLDEN = HERE / "golden_exports"
OTEL_EVENTS = GOLDEN / "otel_events.json"
"""Log events without their bodies, which are the records."""
RECORDS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted((HERE / "golden").glob("*.json"))
}


def session(name: str, resource: str | None, outcome: str = "Allowed") -> dict[str, Any]:
    """Return the record of an STS call, derived from a golden record."""
    record = json.loads(json.dumps(RECORDS["user-allowed"])) | {"eventSource": "sts.amazonaws.com", "eventName": name}
    record["resources"] = [] if resource is None else [{"ARN": resource, "accountId": "444455556666"}]
    record["iamGuard"]["outcome"] = outcome
    return record


ROLE = "arn:aws:iam::444455556666:role/security/Auditor"
RECORDS["session-with-masked-parts"] = {**RECORDS["session-issued"], "responseElements": {"omitted": True}}
RECORDS["role-assumed"] = session("AssumeRole", ROLE)
RECORDS["session-token"] = session("GetSessionToken", None)
RECORDS["gap"] = json.loads(gap_line(Stamp(NOON, "0b6f0f3c-0c0a-4b6e-9a57-3c1c5f1d2e3f"), Gap("DiskFull", lost=3)))

BASE = ("activity_id", "category_uid", "class_uid", "type_uid", "severity_id", "time", "metadata")
CLASSES = {
    3002: (*BASE, "user"),
    3003: (*BASE, "user"),
    6003: (*BASE, "actor", "api", "src_endpoint"),
}
ONE_OF = {
    3002: [("", ("service", "dst_endpoint")), ("user", ("account", "name", "uid"))],
    3003: [("", ("privileges", "groups", "iam_roles")), ("user", ("account", "name", "uid"))],
    6003: [("actor", ("process", "user", "session", "iam_role")), ("actor.user", ("account", "name", "uid"))],
}
ENDPOINT = ("ip", "uid", "name", "hostname", "svc_name", "instance_uid", "interface_uid", "interface_name")
ACTIVITIES = {3002: {1, 2, 7}, 3003: {1, 3}, 6003: {1, 2, 3, 4, 99}}


def at(event: Any, path: str) -> Any:
    for part in filter(None, path.split(".")):
        event = event[part]
    return event


@table("name", RECORDS)
def test_ocsf_event_equals_its_golden_file(name: str) -> None:
    assert ocsf_event(RECORDS[name]) == json.loads((GOLDEN / f"{name}.ocsf.json").read_text())


@table("name", RECORDS)
def test_otel_log_event_equals_its_golden_row(name: str) -> None:
    event = log_event(RECORDS[name])
    assert json.loads(OTEL_EVENTS.read_text())[name] == {
        "name": event.name,
        "nanoseconds": event.nanoseconds,
        "severity": [event.severity_number, event.severity_text],
        "trace": [event.trace_id, event.span_id],
        "attributes": event.attributes,
    }


def plain(value: Mapping[str, Any]) -> Any:
    """Return the value of an OTLP AnyValue in JSON, in which integers are strings."""
    match value:
        case {"kvlistValue": {"values": items}}:
            return {item["key"]: plain(item["value"]) for item in items}
        case {"arrayValue": {"values": items}}:
            return [plain(item) for item in items]
        case {"intValue": str(digits)}:
            return int(digits)
    return next(iter(value.values()), None)


@table("name", RECORDS)
def test_otel_log_record_is_its_event_and_the_record(name: str) -> None:
    """A log record in OTLP JSON can be decoded without loss."""
    event, record = log_event(RECORDS[name]), log_record(RECORDS[name])
    assert plain(record.pop("body")) == RECORDS[name]
    attributes = record.pop("attributes")
    assert {attribute["key"]: plain(attribute["value"]) for attribute in attributes} == event.attributes
    time, trace = str(event.nanoseconds), {"traceId": event.trace_id, "spanId": event.span_id}
    assert record == {
        "timeUnixNano": time,
        "observedTimeUnixNano": time,
        "severityNumber": event.severity_number,
        "severityText": event.severity_text,
        "eventName": event.name,
        **{key: id for key, id in trace.items() if id is not None},
    }


def test_every_golden_file_is_used() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {f"{name}.ocsf.json" for name in RECORDS} | {OTEL_EVENTS.name}
    assert json.loads(OTEL_EVENTS.read_text()).keys() == RECORDS.keys()


@table("name", RECORDS)
def test_ocsf_event_has_the_required_attributes_of_its_class(name: str) -> None:
    event = ocsf_event(RECORDS[name])
    number = event["class_uid"]
    assert [attribute for attribute in CLASSES[number] if attribute not in event] == []
    for path, members in ONE_OF[number]:
        assert set(members) & set(at(event, path)), path
    assert event["category_uid"] == number // 1000
    assert event["activity_id"] in ACTIVITIES[number]
    assert event["type_uid"] == number * 100 + event["activity_id"]
    assert event["metadata"]["version"] == "1.9.0"
    assert event["metadata"]["product"]["vendor_name"]
    assert set(event["src_endpoint"]) & set(ENDPOINT)
    assert event["time"] == datetime.fromisoformat(RECORDS[name]["eventTime"]).timestamp() * 1000
    if number == 6003:
        assert event["api"]["operation"]
        assert event["action_id"] in (0, 1, 2)
        assert all(set(entry["policy"]) & {"name", "uid"} for entry in event.get("authorizations", []))
    if "http_request" in event and "url" in event["http_request"]:
        assert event["http_request"]["http_method"]


def test_ocsf_class_of_each_record() -> None:
    classes = {name: ocsf_event(record)["class_uid"] for name, record in RECORDS.items()}
    sessions = dict.fromkeys(("session-issued", "session-failed", "session-with-masked-parts"), 3003)
    others = {
        **dict.fromkeys(("authentication-refused", "signed-in", "sign-in-refused", "role-switched"), 3002),
        **sessions,
    }
    assert classes == {name: others.get(name, 6003) for name in RECORDS}
    denied = session("AssumeRole", ROLE, "ImplicitlyDenied")
    assert ocsf_event(denied)["class_uid"] == 6003  # no session was issued
    assert ocsf_event(RECORDS["role-assumed"])["class_uid"] == 6003  # the result has a record of its own
    assert ocsf_event(RECORDS["session-issued"])["iam_roles"] == [{"name": "Auditor", "uid": ROLE}]


def test_session_issue_event_identifies_the_session() -> None:
    """Its later calls are found by the access key id."""
    issued = ocsf_event(RECORDS["session-issued"])["session"]
    assert issued["credential_uid"] == "ASIAIOSFODNN7EXAMPLE"
    assert issued["uid_alt"] == "arn:aws:sts::444455556666:assumed-role/Auditor/carol"
    assert issued["expiration_time"] == 1777867321000


def test_status_id_is_set_for_results_only() -> None:
    """0 unknown for decisions; 1 success or 2 failure for results."""
    statuses = {name: ocsf_event(RECORDS[name])["status_id"] for name in ("iam-action-allowed", "user-allowed")}
    assert set(statuses.values()) == {0}
    names = ("policy-changed", "session-issued", "session-failed", "call-failed", "changed-by-operator")
    assert [ocsf_event(RECORDS[name])["status_id"] for name in names] == [1, 1, 2, 2, 1]


def test_values_outside_of_the_schema_are_unmapped() -> None:
    """An unknown method, a URL without path, a resource without name, parameters without a request."""
    record = json.loads(json.dumps(RECORDS["user-allowed"]))
    record |= {
        "requestParameters": {"method": "PROPFIND", "host": "docs.example.org"},
        "sourceIPAddress": "fe80::1%eth0",
    }
    record["resources"] = [{"accountId": "111122223333"}, {"ARN": ROLE}]
    record["iamGuard"]["reasons"] = [{"effect": "Allow"}]
    event = ocsf_event(record)
    assert event["http_request"] == {"user_agent": record["userAgent"], "uid": record["requestID"]}
    assert event["unmapped"]["httpMethod"] == "PROPFIND"
    assert event["resources"] == [{"uid": ROLE}]
    assert event["src_endpoint"] == {"ip": "fe80::1", "interface_name": "eth0"}
    assert event["authorizations"] == [{"decision": "Allow"}]
    operator = ocsf_event(RECORDS["changed-by-operator"])
    assert operator["unmapped"]["requestParameters"] == RECORDS["changed-by-operator"]["requestParameters"]
    assert "request" not in operator["api"]


def test_call_parameters_are_not_mapped_to_http_attributes() -> None:
    """A user has a path, too."""
    event, log = ocsf_event(RECORDS["call-failed"]), log_record(RECORDS["call-failed"])
    assert "http_request" not in event
    assert event["api"]["request"]["data"] == {"path": "/staff/", "userName": "eve"}
    assert "url.path" not in {attribute["key"] for attribute in log["attributes"]}


@table(
    ("outcome", "enforced", "action", "disposition"),
    [
        ("Allowed", True, 1, 1),
        ("ImplicitlyDenied", True, 2, 2),
        ("ExplicitlyDenied", True, 2, 2),
        ("ExplicitlyDenied", False, 1, 17),
    ],
)
def test_action_and_disposition_depend_on_the_outcome(
    outcome: str, enforced: bool, action: int, disposition: int
) -> None:
    record = json.loads(json.dumps(RECORDS["user-allowed"]))
    record["iamGuard"] |= {"outcome": outcome, "enforced": enforced}
    event = ocsf_event(record)
    assert (event["action_id"], event["disposition_id"]) == (action, disposition)


@table(
    ("name", "activity"),
    [
        ("CreateUser", 1), ("DeleteUser", 4), ("PutRolePolicy", 3), ("AttachRolePolicy", 3), ("Frobnicate", 99),
        ("DetachRolePolicy", 4), ("Creation", 99),
    ],
)  # fmt: skip
def test_activity_depends_on_the_first_word_of_the_action(name: str, activity: int) -> None:
    assert ocsf_event(RECORDS["iam-action-allowed"] | {"eventName": name})["activity_id"] == activity


@table("broken", [{}, {"iamGuard": None, "userIdentity": None}, {"iamGuard": {"reasons": None}}])
def test_record_with_missing_members_is_exported(broken: dict[str, Any]) -> None:
    assert ocsf_event(broken)["class_uid"] == 6003
    assert log_record(broken)["timeUnixNano"] == "0"


def test_otlp_json_of_every_value_type() -> None:
    """64-bit integers are strings in OTLP JSON, and a boolean is not an integer."""
    assert any_value({"a": [True, 1, 1.5, "x", None]}) == {
        "kvlistValue": {
            "values": [
                {
                    "key": "a",
                    "value": {
                        "arrayValue": {
                            "values": [
                                {"boolValue": True},
                                {"intValue": "1"},
                                {"doubleValue": 1.5},
                                {"stringValue": "x"},
                                {},
                            ]
                        }
                    },
                }
            ]
        }
    }


def test_otlp_line_contains_one_event() -> None:
    line = otlp_line(RECORDS["user-allowed"])
    assert "\n" not in line
    [resource] = json.loads(line)["resourceLogs"]
    [scope] = resource["scopeLogs"]
    [event] = scope["logRecords"]
    assert event["traceId"] == RECORDS["user-allowed"]["iamGuard"]["traceId"]


def test_masked_value_stays_masked_in_exports() -> None:
    """Exporters use only the record."""
    masked = RECORDS["masked-and-cut"]
    assert b"abc.def" not in to_line(ocsf_event(masked))
    assert "abc.def" not in otlp_line(masked)


def pointers(value: Any, place: str = "") -> Iterator[str]:
    """Yield the JSON pointer of every value in a record, as privacy rules name it."""
    members = value.items() if isinstance(value, dict) else [("*", element) for element in value]
    for name, member in members:
        yield f"{place}/{name}"
        if isinstance(member, dict | list):
            yield from pointers(member, f"{place}/{name}")


def treated_variants(record: dict[str, Any], treatment: Treatment) -> Iterator[bytes]:
    """Yield the record once per selectable member, with that member treated."""
    for pointer in dict.fromkeys(pointers(record)):
        try:
            rules = PrivacyRules({treatment: [pointer]})
        except ConfigurationError:
            continue  # a required member
        yield to_line(record, rules)


@table("name", RECORDS)
@table("treatment", [Treatment.MASK, Treatment.DROP])
def test_record_under_privacy_rules_is_exported(name: str, treatment: Treatment) -> None:
    """For every selectable member: otherwise a sink would get stuck at the record."""
    for line in treated_variants(RECORDS[name], treatment):
        record = json.loads(line)
        for form in FORMS.values():
            form(record)
        event = log_record(record)
        assert re.fullmatch("([0-9a-f]{32})?", event.get("traceId", ""))
        assert re.fullmatch("([0-9a-f]{16})?", event.get("spanId", ""))
