"""Every exported event is valid by the schema of OCSF."""

from __future__ import annotations

import json
from typing import Any, get_args

from hypothesis import given
from hypothesis import strategies as st

from iam_guard.audit.export.ocsf import ocsf_event
from iam_guard.audit.record.list_record import list_record
from iam_guard.audit.record.permission_query_record import permission_query_record
from iam_guard.audit.record.privacy import Treatment
from iam_guard.audit.record.record import Stamp, authentication_record, decision_record, error_record
from iam_guard.audit.record.redaction import to_line
from iam_guard.audit.record.result_record import result_record
from iam_guard.audit.record.sign_in_record import sign_in_record
from iam_guard.audit.verify.trail_events import (
    Gap,
    SampledOut,
    end_line,
    gap_line,
    refused_line,
    retention_line,
    sampled_line,
    segment_line,
)
from iam_guard.errors import InvalidClientTokenId, NoSuchEntity, StoreUnavailable
from iam_guard.model.decision import Decision
from iam_guard.model.list_filter import ListFilter
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call
from iam_guard.model.result import CallResult
from iam_guard.model.sign_in_event import SignInEvent, SignInEventName
from tests.audit.ocsf_schema import problems, schema
from tests.audit.record.test_line import callers, calls, decisions, odd, stamps, tame
from tests.audit.test_export import RECORDS, treated_variants
from tests.audit.trails import NOON
from tests.tables import table

Record = dict[str, Any]


def check(record: object) -> dict[str, Any]:
    """Export a record as read from a trail, and validate the event."""
    parsed = json.loads(to_line(record)) if isinstance(record, dict) else json.loads(str(record))
    event = ocsf_event(parsed)
    assert problems(event) == []
    json.dumps(event, allow_nan=False)
    return event


@table("name", RECORDS)
def test_golden_record_is_exported_as_valid_event(name: str) -> None:
    check(RECORDS[name])


@table(
    "line",
    [
        segment_line(Stamp(NOON, "id"), [b"\x00" * 32], "note"),
        gap_line(Stamp(NOON, "id"), Gap("DiskFull", lost=3)),
        retention_line(Stamp(NOON, "id"), "docs", 0, 7),
        refused_line(Stamp(NOON, "id"), "other"),
        sampled_line(Stamp(NOON, "id"), SampledOut(0.5, 3, NOON, NOON)),
        end_line(Stamp(NOON, "id")),
    ],
)
def test_trail_event_is_exported_as_valid_event(line: bytes) -> None:
    assert check(line.decode())["class_uid"] == 6003


texts = odd | tame
hosts = st.sampled_from(("docs.example.org", "docs.example.org:8443", "[2001:db8::1]:80", "127.0.0.1", "*"))
methods = st.sampled_from(("GET", "POST", "get", "PROPFIND", "M-SEARCH", "QUERY", ""))
sources = st.sampled_from(
    ("203.0.113.7", "2001:db8::1", "::ffff:203.0.113.7", "fe80::1%eth0", f"fe80::1%{'e' * 60}", "10.0.0.1:99", "unix:")
)
requests = st.builds(
    Call, texts, st.just("http"), methods, st.none() | texts, st.none() | hosts, st.none() | sources, st.none() | texts
)
any_calls = st.none() | calls(texts) | requests


@given(decisions(texts), any_calls, stamps(texts), st.none() | decisions(texts))
def test_any_decision_is_exported_as_valid_event(
    decision: Decision, call: Call | None, stamp: Stamp, shadow: Decision | None
) -> None:
    event = check(decision_record(decision, call, stamp, duration=0.1, shadow=shadow))
    assert event["class_uid"] == 6003
    assert event["metadata"]["profiles"][0] == "security_control"


@given(any_calls, stamps(texts), texts, st.none() | texts, callers(texts), st.lists(decisions(tame), max_size=3))
def test_any_refusal_or_permission_query_is_exported_as_valid_event(
    call: Call | None, stamp: Stamp, kind: str, credential: str | None, principal: Principal, answers: list[Decision]
) -> None:
    refused = authentication_record(InvalidClientTokenId(), call, stamp, kind=kind, credential_id=credential)
    assert check(refused)["class_uid"] == 3002
    check(error_record(StoreUnavailable("away"), call, stamp, principal=principal, action="docs:X"))
    check(error_record(StoreUnavailable("away"), call, stamp))
    check(permission_query_record(principal, answers, call, stamp))


list_filters = st.builds(
    ListFilter,
    principal=callers(texts),
    action=texts,
    resource_type=texts,
    digest=st.just("3d" * 32),
    outcome=st.sampled_from(("all", "none", "some")),
    rows=st.none() | st.integers(0, 10**9),
    epoch=st.none() | st.integers(0),
    stale=st.booleans(),
    is_superset=st.booleans(),
)


@given(list_filters, any_calls, stamps(texts))
def test_any_filtered_list_is_exported_as_valid_event(list_filter: ListFilter, call: Call | None, stamp: Stamp) -> None:
    """Its control is unknown: a filter neither allows nor blocks the request."""
    event = check(list_record(list_filter, call, stamp))
    assert (event["class_uid"], event["action_id"], event["disposition_id"]) == (6003, 0, 0)


sign_ins = st.builds(
    SignInEvent,
    name=st.sampled_from(get_args(SignInEventName)),
    principal=st.none() | callers(texts),
    account=st.none() | st.just("111122223333"),
    succeeded=st.booleans(),
    facts=st.just({}) | st.fixed_dictionaries({"SwitchFrom": texts}),
)


@given(sign_ins, any_calls, stamps(texts))
def test_any_sign_in_is_exported_as_valid_event(sign_in: SignInEvent, call: Call | None, stamp: Stamp) -> None:
    event = check(sign_in_record(sign_in, call, stamp))
    logons = ("ConsoleLogin", "CheckMfa", "ExitSession", "SwitchRole", "ExitRole")
    assert event["class_uid"] == (3002 if sign_in.name in logons else 6003)
    assert event["status_id"] == (1 if sign_in.succeeded else 2)


results = st.builds(
    CallResult,
    action=st.sampled_from(("sts:AssumeRole", "sts:GetFederationToken", "iam:PutUserPolicy", "iam-guard:ApplySeed")),
    resource=st.sampled_from(("*", "arn:aws:iam::111122223333:role/Auditor", "arn:aws:iam::111122223333:user/eve")),
    owner=st.none() | st.just("111122223333"),
    error=st.none() | st.just(NoSuchEntity("gone")),
    changed=st.booleans(),
    parameters=st.none() | st.dictionaries(tame, texts, max_size=3),
    elements=st.none()
    | st.dictionaries(tame, texts, max_size=3)
    | st.fixed_dictionaries(
        {
            "credentials": st.fixed_dictionaries(
                {"accessKeyId": texts, "expiration": texts | st.just("2026-11-24T12:00:00Z")}
            )
            | texts,
            "assumedRoleUser": st.fixed_dictionaries({"arn": texts}) | texts,
        }
    ),
)


@given(results, any_calls, stamps(texts), callers(texts), st.none() | texts)
def test_any_call_result_is_exported_as_valid_event(
    result: CallResult, call: Call | None, stamp: Stamp, principal: Principal, operator: str | None
) -> None:
    event = check(result_record(result, call, stamp, principal, operator=operator))
    assert event["class_uid"] == (3003 if result.action.startswith("sts:") else 6003)


@table("name", RECORDS)
@table("treatment", [Treatment.MASK, Treatment.DROP])
def test_record_under_privacy_rules_is_exported_as_valid_event(name: str, treatment: Treatment) -> None:
    for line in treated_variants(RECORDS[name], treatment):
        check(line.decode())


# --- the check can fail ---------------------------------------------------------------------------------------------


def changed(name: str, **members: Any) -> list[str]:
    event = ocsf_event(RECORDS[name])
    replaced = {member: value for member, value in members.items() if value is not None}
    return problems({member: value for member, value in event.items() if member not in members} | replaced)


@table(
    ("name", "members", "message"),
    [
        ("user-allowed", {"api": None}, "'api' is a required property"),
        ("user-allowed", {"time": "noon"}, "/time: 'noon' is not of type 'integer'"),
        ("user-allowed", {"action_id": 7}, "/action_id: 7 is not one of"),
        ("user-allowed", {"colour": "red"}, "'colour' was unexpected"),
        ("user-allowed", {"src_endpoint": {}}, "/src_endpoint: {} is not valid under any"),
        ("user-allowed", {"actor": {"user": {"name": "a", "colour": "red"}}}, "/actor/user: Additional properties"),
        ("user-allowed", {"activity_id": 4}, "/type_uid: expected the value"),
        ("iam-action-allowed", {"activity_id": 99, "type_uid": 600399, "activity_name": None}, "`activity_name`"),
        ("authentication-refused", {"user": None}, "'user' is a required property"),
        ("session-issued", {"iam_roles": None, "privileges": None}, "is not valid under any of the given schemas"),
        ("session-issued", {"iam_roles": [{"colour": "red"}]}, "/iam_roles/0"),
    ],
)
def test_invalid_event_is_reported(name: str, members: dict[str, Any], message: str) -> None:
    assert any(message in problem for problem in changed(name, **members)), changed(name, **members)


def test_schema_has_the_exported_classes() -> None:
    classes = schema()["classes"]
    assert {classes[name]["uid"] for name in ("api_activity", "authentication", "authorize_session")} == {
        6003,
        3002,
        3003,
    }
