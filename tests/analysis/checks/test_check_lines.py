"""One check of a batch as decoded JSON."""

from __future__ import annotations

from typing import Any

from iam_guard.analysis.checks.check_lines import check_line
from iam_guard.testing.cases import read_case
from tests.tables import table

ONE = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "docs:Get", "Resource": "*"}}
ALL = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "docs:*", "Resource": "*", "Sid": "All"}}
PUBLIC = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Principal": "*"},
}
IDENTITY = {"policyType": "IDENTITY_POLICY"}


@table(
    ("expected", "members"),
    [
        ("PASS", {"check": "no-new-access", **IDENTITY, "existing": ALL, "new": ONE}),
        ("FAIL", {"check": "no-new-access", **IDENTITY, "existing": ONE, "new": ALL}),
        ("FAIL", {"check": "equivalent", **IDENTITY, "existing": ALL, "new": ONE}),
        ("FAIL", {"check": "access-not-granted", **IDENTITY, "policy": ONE, "access": [{"actions": ["docs:Get"]}]}),
        ("PASS", {"check": "access-not-granted", **IDENTITY, "policy": ONE, "access": [{"actions": ["docs:Put"]}]}),
        ("FAIL", {"check": "no-public-access", "resourceType": "AWS::S3::Bucket", "policy": PUBLIC}),
        (
            "FAIL",
            {"check": "no-new-access", "policyType": "RESOURCE_POLICY", "existing": '{"Statement": []}', "new": PUBLIC},
        ),
    ],
)
def test_check_line_has_the_fixed_members(expected: str, members: dict[str, Any]) -> None:
    found = check_line(members)
    assert found["result"] == expected
    assert found.keys() == {"result", "reasons", "witness"}
    assert bool(found["reasons"]) == (expected == "FAIL")
    if expected == "FAIL":
        assert found["reasons"][0].keys() == {"description", "statementIndex", "statementId"}
        assert read_case({"id": "witness", **found["witness"]}).request.resource_account


@table(
    ("part", "members"),
    [
        ("JSON object", 7),
        ("no-new-access", {}),
        ("did you mean `equivalent`", {"check": "equivalen"}),
        ("/policyType", {"check": "equivalent", "existing": ONE, "new": ONE, "policyType": "SCP"}),
        ("/new", {"check": "equivalent", **IDENTITY, "existing": ONE}),
        ("`Effect`", {"check": "equivalent", **IDENTITY, "existing": ONE, "new": {"Statement": [{"Effect": "May"}]}}),
        ("/access", {"check": "access-not-granted", **IDENTITY, "policy": ONE, "access": {}}),
        ("/access/actions", {"check": "access-not-granted", **IDENTITY, "policy": ONE, "access": [{"actions": "a:b"}]}),
        ("actions or resources", {"check": "access-not-granted", **IDENTITY, "policy": ONE, "access": []}),
        ("unsupported resource type", {"check": "no-public-access", "resourceType": "AWS::X", "policy": PUBLIC}),
        ("Principal", {"check": "no-new-access", **IDENTITY, "existing": ONE, "new": PUBLIC}),
    ],
)
def test_invalid_check_line_is_an_error(part: str, members: Any) -> None:
    found = check_line(members)
    assert found.keys() == {"error"}
    assert part in found["error"]
