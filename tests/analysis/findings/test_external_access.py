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


OF_ORGANIZATION: dict[str, tuple[str, str, str]] = {
    "aws:PrincipalOrgID": ("StringEquals", "o-example", "o-other"),
    "aws:PrincipalOrgPaths": ("ForAnyValue:StringLike", "o-example/r-ab12/*", "o-other/*"),
    "aws:SourceOrgID": ("StringEquals", "o-example", "o-other"),
    "aws:SourceOrgPaths": ("ForAnyValue:StringEquals", "o-example/r-ab12/ou-1/", "o-other/r-ab12/"),
    "aws:PrincipalAccount": ("StringEquals", MEMBER, OTHER),
    "aws:SourceAccount": ("StringEquals", MEMBER, OTHER),
}


@table(("key", "test"), OF_ORGANIZATION.items(), ids=[*OF_ORGANIZATION])
def test_condition_that_pins_caller_into_organization_has_no_finding(key: str, test: tuple[str, str, str]) -> None:
    """With the account as the zone of trust, the rest of the organization is outside."""
    operator, inside, outside = test
    pinned = shared(allow(condition={operator: {key: inside}}))
    assert access(external_findings(pinned, ORGANIZATION_ZONE)) == []
    assert access(external_findings(pinned, ACCOUNT_ZONE)) == [(ANYONE, ["docs:Get"], {key: inside}, False)]
    other = shared(allow(condition={operator: {key: outside}}))
    assert access(external_findings(other, ORGANIZATION_ZONE)) == [(ANYONE, ["docs:Get"], {key: outside}, False)]
    outsiders = {operator.replace("String", "StringNot").replace("ForAnyValue", "ForAllValues"): {key: inside}}
    refused = shared(allow(), deny(condition=outsiders))
    assert access(external_findings(refused, ORGANIZATION_ZONE)) == []


@table(
    ("condition", "is_public"),
    [
        ({"Bool": {"aws:MultiFactorAuthPresent": "true"}}, True),
        ({"StringEquals": {"sts:ExternalId": "x"}}, True),
        ({"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}, False),
        ({"IpAddress": {"aws:SourceIp": "0.0.0.0/0"}}, True),
        ({"StringEquals": {"aws:SourceVpce": "vpce-1a2b3c4d"}}, False),
        ({"StringEquals": {"aws:SourceVpc": "vpc-1a2b3c4d"}}, False),
        ({"StringEquals": {"aws:VpceAccount": OWNER}}, False),
        ({"StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}}, True),
        ({"StringLike": {"aws:userid": "AROAEXAMPLE:*"}}, True),
        ({"StringLike": {"aws:PrincipalTag/team": "sales"}}, True),
        ({"StringNotEquals": {"aws:PrincipalAccount": OTHER}}, True),
        ({"Null": {"aws:SourceAccount": "false"}}, True),
        ({"StringLike": {"aws:PrincipalOrgID": "o-*"}}, True),
        ({"StringLike": {"aws:PrincipalOrgID": "*"}}, True),
        ({"ArnLike": {"aws:SourceArn": "arn:aws:s3:::bucket"}}, False),
        ({"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:*:*"}}, True),
        ({"NumericLessThan": {"docs:Size": "10"}}, True),
    ],
)
def test_condition_that_outsiders_can_meet_is_listed(condition: Doc, is_public: bool) -> None:
    [(_, values)] = condition.items()
    [key] = values
    [(principal, actions, found, public)] = access(external_findings(shared(allow(condition=condition)), ACCOUNT_ZONE))
    assert (principal, actions, public) == (ANYONE, ["docs:Get"], is_public)
    assert [*found] == [key]


PRINCIPALS: dict[str, tuple[Any, list[dict[str, str]]]] = {
    "anyone": ("*", [ANYONE]),
    "anyone by AWS": ({"AWS": "*"}, [ANYONE]),
    "account": ({"AWS": OTHER}, [{"AWS": OTHER}]),
    "root": ({"AWS": f"arn:aws:iam::{OTHER}:root"}, [{"AWS": OTHER}]),
    "role": ({"AWS": f"arn:aws:iam::{OTHER}:role/path/r"}, [{"AWS": f"arn:aws:iam::{OTHER}:role/path/r"}]),
    "user": ({"AWS": f"arn:aws:iam::{OTHER}:user/u"}, [{"AWS": f"arn:aws:iam::{OTHER}:user/u"}]),
    "session": (
        {"AWS": f"arn:aws:sts::{OTHER}:assumed-role/r/s"},
        [{"AWS": f"arn:aws:sts::{OTHER}:assumed-role/r/s"}],
    ),
    "federated user": (
        {"AWS": f"arn:aws:sts::{OTHER}:federated-user/f"},
        [{"AWS": f"arn:aws:sts::{OTHER}:federated-user/f"}],
    ),
    "own account": ({"AWS": OWNER}, []),
    "own role": ({"AWS": f"arn:aws:iam::{OWNER}:role/r"}, []),
    "member": ({"AWS": [MEMBER, OWNER]}, []),
    "service": ({"Service": ["sns.amazonaws.com", "s3.amazonaws.com"]}, []),
    "deleted": ({"AWS": ["AIDAEXAMPLE", "AROAEXAMPLE"]}, []),
    "canonical user": ({"CanonicalUser": "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"}, []),
    "everything": (
        {"AWS": [OWNER, OTHER, "AIDAEXAMPLE"], "Service": "sns.amazonaws.com"},
        [{"AWS": OTHER}],
    ),
    "role of the account, too": ({"AWS": [f"arn:aws:iam::{OTHER}:role/r", OTHER]}, [{"AWS": OTHER}]),
}


@table(("principal", "expected"), PRINCIPALS.values(), ids=[*PRINCIPALS])
def test_principal_outside_is_found(principal: Any, expected: list[dict[str, str]]) -> None:
    found = access(external_findings(shared(allow(principal)), ORGANIZATION_ZONE))
    assert [entry[0] for entry in found] == expected
    assert all(actions == ["docs:Get"] and condition == {} for _, actions, condition, _ in found)


ORG = "aws:PrincipalOrgID"
DENIES: dict[str, tuple[list[Doc], list[tuple[Any, ...]]]] = {
    "for everyone": ([deny()], []),
    "of another action": ([deny(action="docs:Put")], [(["docs:Get"], {})]),
    "of another caller": ([deny({"AWS": OTHER})], [(["docs:Get"], {})]),
    "of another resource": ([deny(Resource=f"{ARN}0")], [(["docs:Get"], {})]),
    "of the resources below": ([deny(Resource=f"{ARN}/*")], [(["docs:Get"], {})]),
    "outside of the organization": ([deny(condition={"StringNotEquals": {ORG: "o-example"}})], []),
    "outside of the accounts": ([deny(condition={"StringNotEquals": {"aws:PrincipalAccount": [OWNER, MEMBER]}})], []),
    "outside of roles": ([deny(condition={"ArnNotLike": {"aws:PrincipalArn": f"arn:aws:iam::{OWNER}:role/*"}})], []),
    "except principals": ([deny(None, NotPrincipal={"AWS": [OWNER, f"arn:aws:iam::{OWNER}:role/r"]})], []),
    "except an outside account": (
        [deny(condition={"StringNotEquals": {"aws:PrincipalAccount": [OWNER, OTHER]}})],
        [(["docs:Get"], {"aws:PrincipalAccount": f"{OWNER}, {OTHER}"})],
    ),
    "outside of the organization, by callers that are no service": (
        [
            deny(
                condition={
                    "StringNotEqualsIfExists": {ORG: "o-example"},
                    "BoolIfExists": {"aws:PrincipalIsAWSService": "false"},
                }
            )
        ],
        [],
    ),
    "outside of another organization": (
        [deny(condition={"StringNotEquals": {ORG: "o-other"}})],
        [(["docs:Get"], {ORG: "o-other"})],
    ),
    "without TLS": (
        [deny(condition={"Bool": {"aws:SecureTransport": "false"}})],
        [(["docs:Get"], {"aws:SecureTransport": "not false"})],
    ),
    "elsewhere": (
        [deny(condition={"NotIpAddress": {"aws:SourceIp": "203.0.113.0/24"}})],
        [(["docs:Get"], {"aws:SourceIp": "203.0.113.0/24"})],
    ),
    "without a key": (
        [deny(condition={"Null": {"docs:Ticket": "true"}})],
        [(["docs:Get"], {"docs:Ticket": "present"})],
    ),
    "of everything else": ([deny(NotAction="docs:Get", action=None)], [(["docs:Get"], {})]),
}


@table(("denies", "expected"), DENIES.values(), ids=[*DENIES])
def test_deny_takes_access_away(denies: list[Doc], expected: list[tuple[Any, ...]]) -> None:
    found = access(external_findings(shared(allow(), *denies), ORGANIZATION_ZONE))
    assert [(actions, condition) for _, actions, condition, _ in found] == expected
    reordered = access(external_findings(shared(*denies, allow()), ORGANIZATION_ZONE))
    assert reordered == found


ACTIONS: dict[str, tuple[list[Doc], list[tuple[Any, ...]]]] = {
    "a part is denied": (
        [allow(action="docs:*"), deny(action="docs:Delete*")],
        [(["docs:*"], ["docs:Delete*"], {})],
    ),
    "a part has a condition": (
        [allow(action=["docs:Get", "docs:Put"]), deny(action="docs:Put", condition={"Null": {"docs:Ticket": "true"}})],
        [(["docs:Put"], [], {"docs:Ticket": "present"}), (["docs:Get"], [], {})],
    ),
    "all but some are allowed": ([allow(action=None, NotAction="docs:*")], [(["*"], ["docs:*"], {})]),
    "all but some are denied": (
        [allow(action="docs:*"), deny(action=None, NotAction=["docs:Get", "docs:List*", "s3:*"])],
        [(["docs:*"], [], {})],
    ),
    "all but some of these are denied": (
        [allow(action="docs:*"), deny(action=None, NotAction=["docs:Get", "docs:List*"])],
        [(["docs:Get", "docs:List*"], [], {})],
    ),
    "statements have one sentence": (
        [allow(action="docs:Get"), allow(action=["docs:Put", "docs:get"])],
        [(["docs:Get", "docs:Put"], [], {})],
    ),
    "a wildcard covers a name": ([allow(action="docs:Get"), allow(action="docs:*")], [(["docs:*"], [], {})]),
    "everyone covers an account": (
        [allow({"AWS": OTHER}, action=["docs:Get", "docs:Put"]), allow(action="docs:*")],
        [(["docs:*"], [], {})],
    ),
    "no condition covers a condition": (
        [allow(condition={"Null": {"docs:Ticket": "false"}}), allow()],
        [(["docs:Get"], [], {})],
    ),
    "two conditions cover all": (
        [
            allow(condition={"Null": {"docs:Ticket": "false"}}),
            allow(condition={"Null": {"docs:Ticket": "true"}}),
            allow({"AWS": OTHER}),
        ],
        [(["docs:Get"], [], {"docs:Ticket": "absent"}), (["docs:Get"], [], {"docs:Ticket": "present"})],
    ),
}


@table(("statements", "expected"), ACTIONS.values(), ids=[*ACTIONS])
def test_findings_are_the_fewest(statements: list[Doc], expected: list[tuple[Any, ...]]) -> None:
    for ordered in (statements, statements[::-1]):
        found = external_findings(shared(*ordered), ACCOUNT_ZONE)
        access(found)
        shown = [([*entry.actions], [*entry.not_actions], dict(entry.condition)) for entry in found]
        assert sorted(shown, key=str) == sorted(expected, key=str)
        assert all(dict(entry.principal) == ANYONE for entry in found)
