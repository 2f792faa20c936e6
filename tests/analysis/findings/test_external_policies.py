"""External access through trust policies, under resource control policies, and of policies that can't be analysed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from iam_guard.analysis.checks.limits import Work
from iam_guard.analysis.findings import external_access
from iam_guard.analysis.findings.external_access import external_findings
from iam_guard.analysis.findings.shared_resources import SharedResource, ZoneOfTrust
from iam_guard.analysis.findings.suggested_fixes import SuggestedFix
from iam_guard.model.decision import PolicyType
from iam_guard.policy.document import Document
from iam_guard.store.protocol import StoredPolicy
from tests.analysis.findings.test_external_access import (
    ACCOUNT_ZONE,
    ANYONE,
    ARN,
    ORGANIZATION_ZONE,
    OTHER,
    OWNER,
    ROLE,
    Doc,
    access,
    allow,
    deny,
    shared,
)
from tests.tables import table

PROVIDER = f"arn:aws:iam::{OWNER}:oidc-provider/token.actions.githubusercontent.com"
SUBJECT = "token.actions.githubusercontent.com:sub"


def trust(principal: Any, action: Any = "sts:AssumeRole", condition: Doc | None = None, effect: str = "Allow") -> Doc:
    statement = {"Effect": effect, "Principal": principal, "Action": action}
    return statement if condition is None else {**statement, "Condition": condition}


def role(*statements: Doc) -> SharedResource:
    return shared(*statements, arn=ROLE, kind=PolicyType.TRUST)


TRUST: dict[str, tuple[list[Doc], list[tuple[Any, ...]]]] = {
    "account": (
        [trust({"AWS": OTHER}, condition={"StringEquals": {"sts:ExternalId": "x"}})],
        [({"AWS": OTHER}, ["sts:AssumeRole"], {"sts:ExternalId": "x"}, False)],
    ),
    "own account": ([trust({"AWS": OWNER})], []),
    "service": ([trust({"Service": "ec2.amazonaws.com"})], []),
    "provider": (
        [trust({"Federated": PROVIDER}, "sts:AssumeRoleWithWebIdentity", {"StringLike": {SUBJECT: "repo:o/r:*"}})],
        [({"Federated": PROVIDER}, ["sts:AssumeRoleWithWebIdentity"], {SUBJECT: "repo:o/r:*"}, False)],
    ),
    "provider that cannot assume the role": ([trust({"Federated": PROVIDER})], []),
    "anyone": ([trust("*")], [(ANYONE, ["sts:AssumeRole"], {}, True)]),
    "anyone of the account": ([trust("*", condition={"StringEquals": {"aws:PrincipalAccount": OWNER}})], []),
    "another action": ([trust({"AWS": OTHER}, "s3:GetObject")], []),
    "every action": ([trust({"AWS": OTHER}, "sts:*")], [({"AWS": OTHER}, ["sts:*"], {}, False)]),
    "denied": ([trust({"AWS": OTHER}), trust({"AWS": OTHER}, "sts:*", effect="Deny")], []),
}


@table(("statements", "expected"), TRUST.values(), ids=[*TRUST])
def test_role_that_callers_from_outside_can_assume_is_found(
    statements: list[Doc], expected: list[tuple[Any, ...]]
) -> None:
    found = external_findings(role(*statements), ACCOUNT_ZONE)
    assert access(found) == expected
    assert {finding.resource_type for finding in found} <= {"AWS::IAM::Role"}


FULL = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}],
}
OUTSIDERS = {"StringNotEqualsIfExists": {"aws:PrincipalOrgID": "o-example"}}


def limiting(action: str, condition: Doc = OUTSIDERS) -> Doc:
    services = {"BoolIfExists": {"aws:PrincipalIsAWSService": "false"}}
    statement = {"Effect": "Deny", "Principal": "*", "Action": action, "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [{**statement, "Condition": {**condition, **services}}]}


IN_ORGANIZATION = {"aws:PrincipalOrgID": "o-example"}
RCPS: dict[str, tuple[str, Any, ZoneOfTrust, list[tuple[Any, ...]]]] = {
    "none": ("docs:Get", None, ORGANIZATION_ZONE, [(ANYONE, {}, True, "NOT_APPLICABLE")]),
    "that deny nothing": ("docs:Get", [[FULL], [FULL]], ORGANIZATION_ZONE, [(ANYONE, {}, True, "NOT_APPLICABLE")]),
    "that deny outsiders": ("docs:Get", [[FULL, limiting("docs:*")]], ORGANIZATION_ZONE, []),
    "that deny outsiders below": ("docs:Get", [[FULL], [FULL, limiting("docs:*")]], ORGANIZATION_ZONE, []),
    "that allow members": (
        "docs:Get",
        [[FULL, limiting("docs:*")]],
        ACCOUNT_ZONE,
        [(ANYONE, IN_ORGANIZATION, False, "APPLIED")],
    ),
    "of another action": (
        "docs:Get",
        [[FULL, limiting("docs:Put")]],
        ORGANIZATION_ZONE,
        [(ANYONE, {}, True, "APPLIED")],
    ),
    "that do not apply to the service": (
        "lambda:InvokeFunction",
        [[FULL, limiting("lambda:*")]],
        ORGANIZATION_ZONE,
        [(ANYONE, {}, True, "NOT_APPLICABLE")],
    ),
    "that deny one service of all": (
        "*",
        [[FULL, limiting("docs:*")]],
        ORGANIZATION_ZONE,
        [(ANYONE, {}, True, "APPLIED")],
    ),
    "that do not apply to the retirement of grants": (
        "kms:*",
        [[FULL, limiting("kms:*")]],
        ORGANIZATION_ZONE,
        [(ANYONE, {}, True, "APPLIED")],
    ),
    "of which a level allows nothing": ("docs:Get", [[FULL], []], ORGANIZATION_ZONE, []),
    "that are invalid": ("docs:Get", [["{}"]], ORGANIZATION_ZONE, [(ANYONE, {}, True, "FAILED_TO_EVALUATE_RCP")]),
}


@table(("action", "rcps", "zone", "expected"), RCPS.values(), ids=[*RCPS])
def test_resource_control_policies_limit_access(
    action: str, rcps: Any, zone: ZoneOfTrust, expected: list[tuple[Any, ...]]
) -> None:
    found = external_findings(shared(allow(action=action), rcps=rcps), zone)
    access(found)
    assert [(dict(f.principal), dict(f.condition), f.is_public, f.rcp_restriction) for f in found] == expected


def test_service_linked_role_is_not_limited_by_resource_control_policies() -> None:
    linked = f"arn:aws:iam::{OTHER}:role/aws-service-role/docs.example.com/Linked"
    roles = allow({"AWS": [linked, f"arn:aws:iam::{OTHER}:role/other"]})
    found = access(external_findings(shared(roles, rcps=[[FULL, limiting("docs:*")]]), ORGANIZATION_ZONE))
    assert [principal for principal, *_ in found] == [{"AWS": linked}]


def test_action_that_resource_control_policies_do_not_limit_is_found() -> None:
    [found] = external_findings(shared(allow(action="kms:*"), rcps=[[FULL, limiting("kms:*")]]), ORGANIZATION_ZONE)
    assert found.request is not None
    assert found.request.action.lower() == "kms:retiregrant"


def test_policy_that_cannot_be_analysed_is_an_error() -> None:
    text = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow"}]}'
    resource = SharedResource(
        "arn:aws:docs:::x", OWNER, PolicyType.RESOURCE, StoredPolicy.of("x", PolicyType.RESOURCE, None, text)
    )
    [found] = external_findings(resource, ACCOUNT_ZONE)
    assert found.error is not None
    assert found.resource == "arn:aws:docs:::x"
    assert json.loads(json.dumps(found.to_dict()))["error"] == found.error
    assert "could not be analysed" in found.sentence


def test_policy_beyond_the_limits_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """More combinations of conditions than the analysis divides."""
    monkeypatch.setattr(external_access, "Work", lambda: Work(boxes=500))
    denies = [
        deny(condition={"StringNotEquals": {f"docs:Key{number}": "a"}, "Null": {f"docs:Other{number}": "true"}})
        for number in range(40)
    ]
    [found] = external_findings(shared(allow(), *denies), ACCOUNT_ZONE)
    assert found.error is not None
    assert not found.principal


BESIDE = ARN.rpartition("/")[0]
VARIABLES: dict[str, tuple[list[Doc], bool]] = {
    "a name": ([allow(Resource=f"{BESIDE}/${{aws:username}}")], True),
    "a tag": ([allow(Resource=f"{BESIDE}/${{aws:PrincipalTag/document}}")], True),
    "two tags": (
        [allow(Resource=f"arn:aws:docs:eu-west-1:{OWNER}:${{aws:PrincipalTag/a}}/${{aws:PrincipalTag/b}}")],
        True,
    ),
    "below": ([allow(Resource=f"{ARN}/${{aws:PrincipalTag/team}}/*")], True),
    "another resource": ([allow(Resource=f"{BESIDE}s/${{aws:username}}")], False),
    "a Deny of some names": ([allow(), deny(Resource=f"{BESIDE}/${{aws:username}}")], True),
    "a Deny of all but a name": (
        [
            allow({"AWS": OTHER}),
            deny(None, NotResource=f"{BESIDE}/${{aws:username}}", Resource=None, NotPrincipal={"AWS": OWNER}),
        ],
        True,
    ),
    "the same tag": ([allow(condition={"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}})], True),
    "the account of the resource": (
        [allow(condition={"StringEquals": {"aws:PrincipalAccount": "${aws:ResourceAccount}"}})],
        False,
    ),
    "the organization of the resource": (
        [allow(condition={"StringEquals": {"aws:PrincipalOrgID": "${aws:ResourceOrgID}"}})],
        False,
    ),
    "a Deny outside of the account of the resource": (
        [allow(), deny(condition={"StringNotEquals": {"aws:PrincipalAccount": "${aws:ResourceAccount}"}})],
        False,
    ),
}


@table(("statements", "is_found"), VARIABLES.values(), ids=[*VARIABLES])
def test_variables_never_hide_access(statements: list[Doc], is_found: bool) -> None:
    found = external_findings(shared(*statements), ORGANIZATION_ZONE)
    access(found)
    assert bool(found) is is_found


def test_policy_that_names_hundreds_of_accounts_is_analysed() -> None:
    accounts = [f"{500_000_000_000 + number}" for number in range(260)]
    resource = shared(
        allow({"AWS": accounts}), deny({"AWS": accounts[0]}), deny(condition={"Bool": {"docs:Open": "false"}})
    )
    found = access(external_findings(resource, ACCOUNT_ZONE))
    assert [principal["AWS"] for principal, *_ in found] == accounts[1:]
    assert {tuple(condition.items()) for _, _, condition, _ in found} == {(("docs:Open", "not false"),)}


def test_large_zone_of_trust_is_inside() -> None:
    """Also for a condition with a part of an account, which accounts of the zone meet and others do."""
    accounts = [f"{700_000_000_000 + number}" for number in range(1000)]
    zone = ZoneOfTrust(frozenset(accounts), "o-example")
    some, wider = ({"StringLike": {"aws:PrincipalAccount": value}} for value in (accounts[:30], "70000000????"))
    assert access(external_findings(shared(allow(condition=some)), zone)) == []
    [(principal, _, _, _)] = access(external_findings(shared(allow(condition=wider)), zone))
    assert principal == ANYONE


@table(
    "principal",
    [
        {"AWS": f"arn:aws:iam::{OTHER}:user/"},
        {"AWS": f"arn:aws:iam::{OTHER}:group/g"},
        {"AWS": f"arn:aws:sts::{OTHER}:assumed-role/r"},
        {"AWS": f"arn:other:iam::{OTHER}:user/u"},
        {"AWS": "arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity E1"},
        {"AWS": f"arn:aws:iam::{OTHER}:user/*"},
        {"AWS": "x"},
        {"Federated": "accounts.google.com"},
        {"Federated": "x"},
    ],
)
def test_unusual_principal_is_analysed_or_an_error(principal: Doc) -> None:
    """Those that no caller can be have no finding, those that policies must not have are an error."""
    for resource in (shared(allow(principal)), role(trust(principal))):
        for finding in external_findings(resource, ACCOUNT_ZONE):
            assert (finding.error is None) == (finding.request is not None)
            json.dumps(finding.to_dict())


def test_fix_that_does_not_end_the_access_is_not_suggested(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong_fixes(document: Document, *_: object) -> Iterator[tuple[SuggestedFix, Document]]:
        yield SuggestedFix("change nothing", (0,)), document

    monkeypatch.setattr(external_access, "possible_fixes", wrong_fixes)
    [found] = external_findings(shared(allow()), ACCOUNT_ZONE)
    assert found.fix is None


FIXES: dict[str, tuple[list[Doc], ZoneOfTrust, list[str]]] = {
    "everyone": (
        [allow()],
        ACCOUNT_ZONE,
        [f"add to statement 0 the condition StringEquals aws:PrincipalAccount {OWNER}"],
    ),
    "everyone outside of the organization": (
        [allow(Sid="Share"), allow(action="docs:Put")],
        ORGANIZATION_ZONE,
        ["add to statements Share, 1 the condition StringEquals aws:PrincipalOrgID o-example"],
    ),
    "services of other accounts": (
        [allow(condition={"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:*:topic"}})],
        ACCOUNT_ZONE,
        [f"add to statement 0 the condition StringEquals aws:SourceAccount {OWNER}"],
    ),
    "some accounts": (
        [allow(condition={"StringEquals": {"aws:PrincipalAccount": [OWNER, OTHER]}})],
        ACCOUNT_ZONE,
        [f"limit the condition StringEquals aws:PrincipalAccount of statement 0 to {OWNER}"],
    ),
    "another account": (
        [allow(condition={"StringEquals": {"aws:PrincipalAccount": OTHER}})],
        ACCOUNT_ZONE,
        ["remove statement 0"],
    ),
    "one principal of several": (
        [allow({"AWS": [OWNER, OTHER]})],
        ACCOUNT_ZONE,
        [f"remove {OTHER} from the principals of statement 0"],
    ),
    "one principal": ([allow({"AWS": OTHER})], ACCOUNT_ZONE, ["remove statement 0"]),
}


@table(("statements", "zone", "expected"), FIXES.values(), ids=[*FIXES])
def test_shortest_fix_is_suggested(statements: list[Doc], zone: ZoneOfTrust, expected: list[str]) -> None:
    found = external_findings(shared(*statements), zone)
    assert [finding.fix.sentence for finding in found if finding.fix is not None] == expected
