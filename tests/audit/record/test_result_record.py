"""Result records of calls: their kind, omitted members, and the table of kinds."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from iam_guard.api.iam.operations import IAM
from iam_guard.api.signin.tool_operations import SIGNIN
from iam_guard.api.sts.operations import STS
from iam_guard.audit.record.call_kinds import POLICY_CHANGES, RESULT_KINDS, SESSIONS, kind_of
from iam_guard.audit.record.record import Stamp
from iam_guard.audit.record.redaction import MAX_LINE, to_line
from iam_guard.audit.record.result_record import MAX_ELEMENTS, MAX_PARAMETERS, result_record
from iam_guard.errors import NoSuchEntity
from iam_guard.model.own_services import PREFIXES
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call
from iam_guard.model.result import CallResult
from tests.audit.record.test_record import CALL, STAMP
from tests.tables import table

ADA = Principal.from_arn("arn:aws:iam::111122223333:user/ada")
RESULT = CallResult(action="iam:TagUser", resource="arn:aws:iam::111122223333:user/eve", owner="111122223333")


def parsed_record(result: CallResult, call: Call, stamp: Stamp) -> dict[str, Any]:
    line = to_line(result_record(result, call, stamp, ADA))
    assert len(line) <= MAX_LINE
    parsed: dict[str, Any] = json.loads(line)
    return parsed


@table(
    ("action", "kind"),
    [
        ("sts:AssumeRole", "session_issue"),
        ("sts:GetWebIdentityToken", "session_issue"),
        ("sts:GetCallerIdentity", "admin_call"),
        ("iam:AssumeRole", "admin_call"),
        ("iam:PutRolePolicy", "policy_change"),
        ("iam:AddUserToGroup", "policy_change"),
        ("iam:UpdateAssumeRolePolicy", "policy_change"),
        ("iam:TagRole", "policy_change"),  # conditions may test the tags of principals
        ("iam:CreateUser", "admin_call"),
        ("iam:CreateAccessKey", "admin_call"),
        ("iam-guard:PutResourcePolicy", "policy_change"),
        ("iam-guard:ApplySeed", "policy_change"),
        ("iam-guard:CreateApiKey", "admin_call"),
    ],
)
def test_kind_of_call(action: str, kind: str) -> None:
    assert kind_of(action) == kind
    assert kind in RESULT_KINDS


def test_kinds_table_lists_existing_mutating_operations() -> None:
    """A misspelt name would record a policy change as an ordinary call."""
    names = {action.removeprefix("iam:") for action in POLICY_CHANGES if action.startswith("iam:")}
    assert {name for name in names if name not in IAM.operations or IAM.operations[name].reads} == set()
    services = (STS, SIGNIN)
    issuing = {f"{one.prefix}:{name}" for one in services for name in one.operations.keys() | one.not_supported.keys()}
    assert SESSIONS - issuing == set()


def test_mutating_policy_operation_is_a_policy_change() -> None:
    """Catches new operations; the exceptions are the password policy and the tags of policies."""
    exceptions = {
        *("UpdateAccountPasswordPolicy", "DeleteAccountPasswordPolicy", "TagPolicy", "UntagPolicy"),
    }
    policy_operations = {
        name
        for name, row in IAM.operations.items()
        if not row.reads and ("Policy" in name or "Boundary" in name or row.digests is not None)
    }
    assert {name for name in policy_operations - exceptions if kind_of(f"iam:{name}") != "policy_change"} == set()


def test_failed_call_is_recorded_as_unchanged(call: Call, stamp: Stamp) -> None:
    record = parsed_record(replace(RESULT, error=NoSuchEntity("The user with name eve cannot be found.")), call, stamp)
    assert record["errorCode"] == "NoSuchEntity"
    assert record["iamGuard"]["changed"] is False
    assert record["requestID"] == call.request_id


def test_members_over_the_limit_are_omitted_one_by_one(call: Call, stamp: Stamp) -> None:
    """As in CloudTrail; the other members are kept."""
    tags = [{"key": f"k{number}", "value": "v" * 200} for number in range(500)]
    result = replace(RESULT, parameters={"userName": "eve", "tags": tags}, elements={"tags": tags, "size": 7})
    record = parsed_record(result, call, stamp)
    assert record["requestParameters"] == {"userName": "eve", "tags": {"omitted": True}}
    assert record["responseElements"] == {"tags": {"omitted": True}, "size": 7}


def test_long_document_is_truncated_and_listed(call: Call, stamp: Stamp) -> None:
    record = parsed_record(replace(RESULT, parameters={"policyDocument": "- " * 3000}), call, stamp)
    assert len(record["requestParameters"]["policyDocument"]) == 4096
    assert record["iamGuard"]["truncated"] == ["/requestParameters/policyDocument"]


def test_redacted_lists_table_masks_and_recognized_secrets(call: Call, stamp: Stamp) -> None:
    """In one list, without pointers into omitted members."""
    many = [{"key": "x" * 100}] * 300
    parameters = {"password": "[redacted]", "description": "token=hunter2", "list": many}
    masked = ("/requestParameters/password", "/requestParameters/list/0/secret")
    record = parsed_record(replace(RESULT, parameters=parameters, masked=masked), call, stamp)
    assert "hunter2" not in json.dumps(record)
    assert record["iamGuard"]["redacted"] == ["/requestParameters/password", "/requestParameters/description"]


texts = st.one_of(st.text(max_size=30), st.sampled_from(("x" * 5000, "\U0001f600" * 2000, "\x00" * 3000)))
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
members = st.none() | st.dictionaries(st.text("abcXYZ", min_size=1, max_size=12), values, max_size=12)


@given(members, members)
def test_result_record_fits_for_any_input_and_output(parameters: Any, elements: Any) -> None:
    """The call is carried out already, so its record must not fail."""
    record = result_record(replace(RESULT, parameters=parameters, elements=elements), CALL, STAMP, ADA)
    assert len(to_line(record)) <= MAX_LINE


def test_largest_members_fit_into_a_line(call: Call, stamp: Stamp) -> None:
    full = [{"k": "x" * 500}] * 15
    parameters = {"a": full, **{f"m{number}": "\U0001f600" * 4000 for number in range(3)}}
    elements = {"b": full, "c": "é" * 4000}
    assert MAX_PARAMETERS + MAX_ELEMENTS < MAX_LINE
    parsed_record(replace(RESULT, parameters=parameters, elements=elements), call, stamp)


def test_aws_services_table_includes_our_services() -> None:
    assert {IAM.prefix, STS.prefix} <= PREFIXES
