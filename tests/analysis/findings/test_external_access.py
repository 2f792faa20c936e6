"""External access of policies whose answer is known: every pattern that AWS suppresses, with its opposite."""

from __future__ import annotations

import json
from typing import Any

from iam_guard.analysis.findings.external_access import ExternalFinding, external_findings
from iam_guard.analysis.findings.shared_resources import SharedResource, ZoneOfTrust
from iam_guard.model.decision import PolicyType
from iam_guard.store.protocol import StoredPolicy
from tests.tables import table

Doc = dict[str, Any]
OWNER, MEMBER, OTHER = "111122223333", "777788889999", "444455556666"
ARN = f"arn:aws:docs:eu-west-1:{OWNER}:document/1"
ROLE = f"arn:aws:iam::{OWNER}:role/app"
ACCOUNT_ZONE = ZoneOfTrust(frozenset({OWNER}))
ORGANIZATION_ZONE = ZoneOfTrust(frozenset({OWNER, MEMBER}), "o-example")
ANYONE = {"AWS": "*"}


def allow(principal: Any = "*", action: Any = "docs:Get", condition: Doc | None = None, **more: Any) -> Doc:
    statement = {"Effect": "Allow", "Principal": principal, "Action": action, "Resource": ARN, **more}
    statement = {name: value for name, value in statement.items() if value is not None}
    return statement if condition is None else {**statement, "Condition": condition}


def deny(*arguments: Any, **more: Any) -> Doc:
    return {**allow(*arguments, **more), "Effect": "Deny"}


def shared(
    *statements: Doc, arn: str = ARN, kind: PolicyType = PolicyType.RESOURCE, rcps: Any = None
) -> SharedResource:
    text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    levels = None if rcps is None else tuple(tuple(map(rcp, level)) for level in rcps)
    return SharedResource(arn, OWNER, kind, StoredPolicy.of(arn, kind, None, text), levels)


def rcp(document: Doc | str) -> StoredPolicy:
    text = document if isinstance(document, str) else json.dumps(document)
    return StoredPolicy.of("rcp", PolicyType.RCP, None, text)


def access(findings: list[ExternalFinding]) -> list[tuple[Any, ...]]:
    """Return what findings say; every one of them is confirmed by a request from outside."""
    for finding in findings:
        assert finding.error is None
        assert finding.request is not None
    return [(dict(found.principal), list(found.actions), dict(found.condition), found.is_public) for found in findings]


PINNED: dict[str, tuple[str, str, str, str]] = {
    "aws:PrincipalAccount": ("StringEquals", "aws:PrincipalAccount", OWNER, OTHER),
    "aws:PrincipalArn": (
        "ArnLike",
        "aws:PrincipalArn",
        f"arn:aws:iam::{OWNER}:role/*",
        f"arn:aws:iam::{OTHER}:role/*",
    ),
    "aws:PrincipalArn by StringLike": (
        "StringLike",
        "aws:PrincipalArn",
        f"arn:aws:iam::{OWNER}:*",
        f"arn:aws:iam::{OTHER}:*",
    ),
    "aws:SourceAccount": ("StringEquals", "aws:SourceAccount", OWNER, OTHER),
    "aws:SourceOwner": ("StringEquals", "aws:SourceOwner", OWNER, OTHER),
    "aws:SourceArn": (
        "ArnLike",
        "aws:SourceArn",
        f"arn:aws:sns:*:{OWNER}:topic",
        f"arn:aws:sns:*:{OTHER}:topic",
    ),
    "aws:SourceArn by StringEquals": (
        "StringEquals",
        "aws:SourceArn",
        f"arn:aws:sns:eu-west-1:{OWNER}:topic",
        f"arn:aws:sns:eu-west-1:{OTHER}:{OWNER}:topic",
    ),
    "kms:CallerAccount": ("StringEquals", "kms:CallerAccount", OWNER, OTHER),
}
"""(operator, key, a value that pins the caller into the account, one that does not)."""


@table(("operator", "key", "inside", "outside"), PINNED.values(), ids=[*PINNED])
def test_condition_that_pins_caller_into_account_has_no_finding(
    operator: str, key: str, inside: str, outside: str
) -> None:
    assert access(external_findings(shared(allow(condition={operator: {key: inside}})), ACCOUNT_ZONE)) == []
    found = access(external_findings(shared(allow(condition={operator: {key: outside}})), ACCOUNT_ZONE))
    assert found == [(ANYONE, ["docs:Get"], {key: outside}, False)]
    both = access(external_findings(shared(allow(condition={operator: {key: [inside, outside]}})), ACCOUNT_ZONE))
    assert [found[:2] for found in both] == [(ANYONE, ["docs:Get"])]
    optional = external_findings(shared(allow(condition={f"{operator}IfExists": {key: inside}})), ACCOUNT_ZONE)
    is_always_present = key == "aws:PrincipalAccount"
    assert bool(access(optional)) != is_always_present
