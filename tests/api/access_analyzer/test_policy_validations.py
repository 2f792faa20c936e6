"""ValidatePolicy over the wire: the findings of the linter (AA-20 to AA-26)."""

from __future__ import annotations

import json
from typing import Any

from iam_guard.api.access_analyzer.custom_checks import MAX_CHARACTERS
from tests.api.conftest import Client, refusal
from tests.tables import table

ADMIN = {"Effect": "Allow", "Action": "*", "Resource": "*"}
TRUST = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}


def document(*statements: dict[str, Any], **more: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [*statements], **more})


def codes(client: Client, text: str, type: str = "IDENTITY_POLICY", **more: Any) -> set[tuple[str, str]]:
    """Return the types and codes of all findings, one per page."""
    pages = client.get_paginator("validate_policy").paginate(
        policyDocument=text, policyType=type, PaginationConfig={"PageSize": 1}, **more
    )
    return {(fault["findingType"], fault["issueCode"]) for page in pages for fault in page["findings"]}


@table(
    ("text", "type", "more", "expected"),
    [
        (document({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::a/*"}), "IDENTITY_POLICY",
         {}, set()),
        (document({"Effect": "allow", "Action": "s3:GetObject", "Resource": "*"}), "IDENTITY_POLICY", {},
         {("ERROR", "INVALID_EFFECT")}),
        ("{", "IDENTITY_POLICY", {}, {("ERROR", "JSON_SYNTAX_ERROR")}),
        (document({**TRUST, "Resource": "*"}), "RESOURCE_POLICY",
         {"validatePolicyResourceType": "AWS::IAM::AssumeRolePolicyDocument"},
         {("ERROR", "ROLE_TRUST_POLICY_SYNTAX_ERROR_RESOURCE")}),
        (document({**ADMIN, "Principal": "*"}), "SERVICE_CONTROL_POLICY", {},
         {("ERROR", "SCP_SYNTAX_ERROR_PRINCIPAL")}),
    ],
)  # fmt: skip
def test_findings_have_codes_of_aws(
    analyzer: Client, text: str, type: str, more: dict[str, str], expected: set[tuple[str, str]]
) -> None:
    """Over several pages; other findings than the expected ones are suggestions."""
    found = codes(analyzer, text, type, **more)
    assert expected <= found
    assert bool(expected) or not any(kind == "ERROR" for kind, _ in found)


def test_finding_is_located(analyzer: Client) -> None:
    """By path and span; with a text and a link."""
    text = document({"Effect": "allow", "Action": "s3:GetObject", "Resource": "*"})
    found = analyzer.validate_policy(policyDocument=text, policyType="IDENTITY_POLICY")["findings"]
    (finding,) = [fault for fault in found if fault["issueCode"] == "INVALID_EFFECT"]
    (location,) = finding["locations"]
    assert location["path"] == [{"value": "Statement"}, {"index": 0}, {"value": "Effect"}]
    start, end = (location["span"][name]["offset"] for name in ("start", "end"))
    assert text[start:end] == '"allow"'
    assert finding["findingDetails"]
    assert finding["learnMoreLink"].startswith("https://")


@table(
    ("text", "type", "more", "code"),
    [
        (document(ADMIN) + " " * MAX_CHARACTERS, "IDENTITY_POLICY", {}, "UnprocessableEntityException"),
        (document(ADMIN), "TRUST_POLICY", {}, "ValidationException"),
        (
            document(ADMIN),
            "IDENTITY_POLICY",
            {"validatePolicyResourceType": "AWS::S3::Bucket"},
            "ValidationException",
        ),
        (document(ADMIN), "IDENTITY_POLICY", {"maxResults": 0}, "ValidationException"),
    ],
)
def test_invalid_validation_is_rejected(
    analyzer: Client, text: str, type: str, more: dict[str, Any], code: str
) -> None:
    with refusal(code):
        analyzer.validate_policy(policyDocument=text, policyType=type, **more)
