"""Records of what a call came to: their kind, what there is no room for, and the table of kinds."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam_guard.api.iam.operations import IAM
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

ADA = Principal.from_arn("arn:aws:iam::111122223333:user/ada")
RESULT = CallResult(action="iam:TagUser", resource="arn:aws:iam::111122223333:user/eve", owner="111122223333")


def said(result: CallResult, call: Call, stamp: Stamp) -> dict[str, Any]:
    line = to_line(result_record(result, call, stamp, ADA))
    assert len(line) <= MAX_LINE
    read: dict[str, Any] = json.loads(line)
    return read


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("sts:AssumeRole", "session_issue"),
        ("sts:GetWebIdentityToken", "session_issue"),
        ("sts:GetCallerIdentity", "admin_call"),
        ("iam:AssumeRole", "admin_call"),
        ("iam:PutRolePolicy", "policy_change"),
        ("iam:AddUserToGroup", "policy_change"),
        ("iam:UpdateAssumeRolePolicy", "policy_change"),
        ("iam:TagRole", "policy_change"),  # conditions ask for the tags of principals
        ("iam:CreateUser", "admin_call"),
        ("iam:CreateAccessKey", "admin_call"),
        ("iam-guard:PutResourcePolicy", "policy_change"),
        ("iam-guard:ApplySeed", "policy_change"),
        ("iam-guard:CreateApiKey", "admin_call"),
    ],
)
def test_a_call_has_a_kind(action: str, kind: str) -> None:
    assert kind_of(action) == kind
    assert kind in RESULT_KINDS


def test_the_table_of_kinds_names_real_operations_that_change_something() -> None:
    """A name that is misspelt would leave a change of policies among all the others."""
    ours = {each.removeprefix("iam:") for each in POLICY_CHANGES if each.startswith("iam:")}
    assert {name for name in ours if name not in IAM.operations or IAM.operations[name].reads} == set()
    known = STS.operations.keys() | STS.not_supported.keys()
    assert {name for name in SESSIONS if name not in known} == set()


def test_whatever_is_about_a_policy_is_a_change_of_policies() -> None:
    """New operations are noticed: those of passwords and tags of policies are the exceptions."""
    others = {
        *("UpdateAccountPasswordPolicy", "DeleteAccountPasswordPolicy", "TagPolicy", "UntagPolicy"),
    }
    named = {
        name
        for name, row in IAM.operations.items()
        if not row.reads and ("Policy" in name or "Boundary" in name or row.digests is not None)
    }
    assert {name for name in named - others if kind_of(f"iam:{name}") != "policy_change"} == set()


def test_what_failed_has_changed_nothing(call: Call, stamp: Stamp) -> None:
    record = said(replace(RESULT, error=NoSuchEntity("The user with name eve cannot be found.")), call, stamp)
    assert record["errorCode"] == "NoSuchEntity"
    assert record["iamGuard"]["changed"] is False
    assert record["requestID"] == call.request_id


def test_what_there_is_no_room_for_is_left_out_by_member(call: Call, stamp: Stamp) -> None:
    """As CloudTrail does; the rest is told."""
    tags = [{"key": f"k{number}", "value": "v" * 200} for number in range(500)]
    result = replace(RESULT, parameters={"userName": "eve", "tags": tags}, elements={"tags": tags, "size": 7})
    record = said(result, call, stamp)
    assert record["requestParameters"] == {"userName": "eve", "tags": {"omitted": True}}
    assert record["responseElements"] == {"tags": {"omitted": True}, "size": 7}


def test_a_long_document_is_cut_and_said_to_be(call: Call, stamp: Stamp) -> None:
    record = said(replace(RESULT, parameters={"policyDocument": "- " * 3000}), call, stamp)
    assert len(record["requestParameters"]["policyDocument"]) == 4096
    assert record["iamGuard"]["truncated"] == ["/requestParameters/policyDocument"]


def test_what_was_masked_is_named_with_what_looks_like_a_secret(call: Call, stamp: Stamp) -> None:
    """Masks of the table and of looks are told in one list; of a member that was left out nothing is told."""
    many = [{"key": "x" * 100}] * 300
    parameters = {"password": "[redacted]", "description": "token=hunter2", "list": many}
    masked = ("/requestParameters/password", "/requestParameters/list/0/secret")
    record = said(replace(RESULT, parameters=parameters, masked=masked), call, stamp)
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
def test_whatever_a_call_was_given_and_gave_its_record_can_be_made(given: Any, gave: Any) -> None:
    """It is made when everything is done: nothing may be too long or too many for it."""
    record = result_record(replace(RESULT, parameters=given, elements=gave), CALL, STAMP, ADA)
    assert len(to_line(record)) <= MAX_LINE


def test_the_most_that_fits_is_a_line(call: Call, stamp: Stamp) -> None:
    full = [{"k": "x" * 500}] * 15
    parameters = {"a": full, **{f"m{number}": "\U0001f600" * 4000 for number in range(3)}}
    elements = {"b": full, "c": "é" * 4000}
    assert MAX_PARAMETERS + MAX_ELEMENTS < MAX_LINE
    said(replace(RESULT, parameters=parameters, elements=elements), call, stamp)


def test_all_our_services_are_known_to_the_table() -> None:
    assert {IAM.prefix, STS.prefix} <= PREFIXES
