"""The custom policy checks over the wire (rules AA-30 to AA-35)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from iam_guard.analysis.checks import policy_checks
from iam_guard.analysis.checks.limits import Undecided
from iam_guard.api.access_analyzer.custom_checks import MAX_CHARACTERS
from tests.api.conftest import Client, refusal
from tests.tables import table


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


READ, ALL = allow("s3:GetObject", Sid="Read"), allow("s3:*", Sid="All")


@table(("existing", "new", "result"), [(ALL, READ, "PASS"), (READ, READ, "PASS"), (READ, ALL, "FAIL")])
def test_new_access_fails(analyzer: Client, existing: dict[str, Any], new: dict[str, Any], result: str) -> None:
    """AA-31: the reason names the statement by its index and Sid."""
    answer = analyzer.check_no_new_access(
        newPolicyDocument=document(new), existingPolicyDocument=document(existing), policyType="IDENTITY_POLICY"
    )
    assert answer["result"] == result
    expected = [{"statementIndex": 0, "statementId": "All"}] if result == "FAIL" else []
    assert [{name: value for name, value in entry.items() if name != "description"} for entry in answer["reasons"]] == (
        expected
    )


@table(
    ("access", "result"),
    [
        ({"actions": ["s3:GetObject"]}, "FAIL"),
        ({"actions": ["s3:PutObject"]}, "PASS"),
        ({"resources": ["arn:aws:s3:::a/x"]}, "FAIL"),
        ({"actions": ["s3:GetObject"], "resources": ["arn:aws:s3:::b/x"]}, "PASS"),
    ],
)
def test_granted_access_fails(analyzer: Client, access: dict[str, Any], result: str) -> None:
    """AA-32."""
    text = document(allow("s3:GetObject", "arn:aws:s3:::a/*"))
    answer = analyzer.check_access_not_granted(policyDocument=text, access=[access], policyType="IDENTITY_POLICY")
    assert answer["result"] == result


@table(
    ("resource_type", "statement", "result"),
    [
        ("AWS::SQS::Queue", allow("sqs:SendMessage", Principal="*"), "FAIL"),
        ("AWS::SQS::Queue", allow("sqs:SendMessage", Principal={"AWS": "444455556666"}), "PASS"),
        (
            "AWS::IAM::AssumeRolePolicyDocument",
            {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"},
            "FAIL",
        ),
        (
            "AWS::IAM::AssumeRolePolicyDocument",
            {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"},
            "PASS",
        ),
    ],
)
def test_public_access_fails(analyzer: Client, resource_type: str, statement: dict[str, Any], result: str) -> None:
    """AA-33."""
    answer = analyzer.check_no_public_access(policyDocument=document(statement), resourceType=resource_type)
    assert answer["result"] == result


def test_undecided_check_fails(analyzer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """AA-30: FAIL with the reason, never PASS."""

    def give_up(*arguments: object) -> None:
        raise Undecided("too much")

    monkeypatch.setattr(policy_checks, "compare", give_up)
    answer = analyzer.check_no_new_access(
        newPolicyDocument=document(READ), existingPolicyDocument=document(READ), policyType="IDENTITY_POLICY"
    )
    assert answer["result"] == "FAIL"
    assert answer["reasons"] == [{"description": "too much."}]


INVALID: list[tuple[str, dict[str, Any], str]] = [
    ("{", {}, "InvalidParameterException"),
    ("[]", {}, "InvalidParameterException"),
    (document({"Effect": "Allow"}), {}, "InvalidParameterException"),
    (document(READ) + " " * MAX_CHARACTERS, {}, "UnprocessableEntityException"),
    (document(READ), {"access": []}, "ValidationException"),
    (document(READ), {"access": [{"actions": ["nonsense"]}]}, "ValidationException"),
    (document(READ), {"access": [{"actions": ["s3:Get"] * 101}]}, "ValidationException"),
    (document(READ), {"policyType": "SERVICE_CONTROL_POLICY"}, "ValidationException"),
]


@table(("text", "more", "code"), INVALID)
def test_invalid_check_is_an_error(analyzer: Client, text: str, more: dict[str, Any], code: str) -> None:
    """Documents that can't be analysed at all are errors, not results."""
    parameters = {"access": [{"actions": ["s3:GetObject"]}], "policyType": "IDENTITY_POLICY", **more}
    with refusal(code):
        analyzer.check_access_not_granted(policyDocument=text, **parameters)


def test_unsupported_resource_type_is_an_error(analyzer: Client) -> None:
    with refusal("ValidationException"):
        analyzer.check_no_public_access(policyDocument=document(READ), resourceType="AWS::EC2::Instance")
