"""Findings of the linter: an example for each code, and no false findings."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from moto.iam.aws_managed_policies import aws_managed_policies_data

from iam_guard.analysis.lint.lint_codes import HINTS, NEED_REFERENCE, OWN_LEVELS, level_of_code
from iam_guard.analysis.lint.linter import Ignored, Linter, LintFinding
from iam_guard.analysis.lint.sources import sources_of_text
from iam_guard.model.decision import PolicyType
from iam_guard.policy.finding_codes import LEVELS
from iam_guard.web.service import Service
from tests.tables import table

DOCUMENT = "arn:aws:docs:*:111122223333:document/7"


def services() -> Service:
    docs = Service("docs")
    docs.declare_condition_key("docs:Kind")
    docs.declare_condition_key("docs:Age", "Numeric")
    docs.declare_condition_key("docs:Readers", "ARN", multivalued=True)
    docs.requires("GetDocument", resource="document/{id}", context={"docs:Kind": "x"})
    docs.requires("DeleteDocument", resource="document/{id}")
    docs.requires("GetFolder", resource="folder/{id}")
    docs.requires("ListDocuments")
    docs.requires("FindDocument", resource=lambda: None, context=dict)
    return docs


LINTER = Linter([services().reference()])


def statement(**more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "docs:GetDocument", "Resource": DOCUMENT, **more}


def found(
    *statements: dict[str, Any], type: PolicyType = PolicyType.IDENTITY, linter: Linter = LINTER, **members: Any
) -> list[LintFinding]:
    text = json.dumps({"Version": "2012-10-17", **members, "Statement": list(statements)}, indent=2)
    [file] = sources_of_text(text, "policy.json", type)
    return linter.lint(file)


def codes(findings: Iterable[LintFinding]) -> list[str]:
    return [finding.code for finding in findings]


def condition(operator: str, key: str, value: Any) -> dict[str, Any]:
    return statement(Condition={operator: {key: value}})


def test_valid_policy_has_no_finding() -> None:
    assert found(statement(Condition={"StringEquals": {"docs:Kind": "plan", "aws:PrincipalTag/team": "blue"}})) == []


ALLOW_ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}
PASS = "iam:PassRole"


@table(
    ("code", "statements"),
    [
        ("INVALID_SERVICE_IN_ACTION", [statement(Action="dogs:GetDocument")]),
        ("INVALID_ACTION", [statement(Action="docs:GetDocumnt")]),
        ("ACTION_MATCHES_NOTHING", [statement(Action=["docs:GetDocument", "docs:Print*"])]),
        ("RESOURCE_NOT_OF_ACTION", [statement(Resource="arn:aws:docs:*:*:folder/7")]),
        ("RESOURCE_NOT_OF_ACTION", [statement(Action="docs:ListDocuments")]),
        ("MISSING_RESOURCE_FOR_ACTION", [statement(Action=["docs:GetDocument", "docs:GetFolder"])]),
        ("MISSING_RESOURCE_FOR_ACTION", [statement(Action=["docs:GetDocument", "docs:ListDocuments"])]),
        ("INVALID_GLOBAL_CONDITION_KEY", [condition("StringEquals", "aws:PrincipalTeam", "x")]),
        ("INVALID_GLOBAL_CONDITION_KEY", [statement(Resource="arn:aws:docs:*:*:document/${aws:usrname}")]),
        ("INVALID_GLOBAL_CONDITION_KEY", [condition("StringEquals", "docs:Kind", ["x", "${aws:usrname, 'y'}"])]),
        ("INVALID_SERVICE_CONDITION_KEY", [condition("StringEquals", "docs:Kynd", "x")]),
        ("INVALID_SERVICE_CONDITION_KEY", [statement(Resource="arn:aws:docs:*:*:document/${docs:Kynd}")]),
        ("CONDITION_KEY_NOT_SUPPLIED", [condition("NumericEquals", "docs:Age", "7")]),
        ("CONDITION_KEY_NOT_SUPPLIED", [condition("StringEquals", "aws:RequestTag/team", "x")]),
        ("TYPE_MISMATCH", [condition("StringEquals", "docs:Age", "7")]),
        ("TYPE_MISMATCH", [condition("NumericLessThan", "aws:SourceIp", "7")]),
        ("MISSING_QUALIFIER", [condition("ArnLike", "docs:Readers", "arn:aws:iam::1:user/x")]),
        ("FORALLVALUES_WITH_SINGLE_VALUED_KEY", [condition("ForAllValues:StringEquals", "docs:Kind", ["x"])]),
        (
            "STRING_LIKE_OPERATOR_WITH_ARN_CONDITION_KEYS",
            [condition("StringLike", "aws:PrincipalArn", "arn:aws:iam::*:user/x")],
        ),
        ("UNTRUSTWORTHY_CONDITION_KEY", [condition("StringLike", "aws:Referer", "https://docs.example/*")]),
        ("ALLOW_EVERYTHING", [ALLOW_ALL]),
        ("ALLOW_WITH_NOT_ACTION", [{"Effect": "Allow", "NotAction": "iam:*", "Resource": DOCUMENT}]),
        (
            "ALLOW_WITH_NOT_RESOURCE",
            [{"Effect": "Allow", "Action": "docs:GetDocument", "NotResource": DOCUMENT}],
        ),
        ("PASS_ROLE_WITH_STAR_IN_RESOURCE", [statement(Action=PASS, Resource="*")]),
        ("PASS_ROLE_WITH_STAR_IN_ACTION_AND_RESOURCE", [statement(Action="iam:Pass*", Resource="*")]),
        (
            "PASS_ROLE_WITH_STAR_IN_RESOURCE_AND_NOT_ACTION",
            [{"Effect": "Allow", "NotAction": "docs:*", "Resource": "*"}],
        ),
        (
            "CREATE_SLR_WITH_NOT_RESOURCE",
            [{"Effect": "Allow", "Action": "iam:CreateServiceLinkedRole", "NotResource": "arn:aws:iam::*:role/x"}],
        ),
        ("REDUNDANT_ACTION", [statement(Action=["docs:GetDocument", "docs:GetD*"])]),
        ("REDUNDANT_RESOURCE", [statement(Resource=[DOCUMENT, "arn:aws:docs:*:111122223333:document/*"])]),
        ("REDUNDANT_STATEMENT", [statement(), statement(Action="docs:GetD*")]),
        ("REDUNDANT_STATEMENT", [statement(), statement()]),
        ("ALLOW_SHADOWED_BY_DENY", [statement(), statement(Effect="Deny", Action="docs:*", Resource="*")]),
    ],
)
def test_code_is_found(code: str, statements: list[dict[str, Any]]) -> None:
    """One example for each code of the linter's own rules."""
    assert code in codes(found(*statements))


@table(
    "statements",
    [
        [statement(Action="docs:FindDocument", Resource="arn:aws:docs:*:*:anything/7")],  # a loader finds it
        [statement(Action="docs:*", Resource="*")],
        [statement(Action=["docs:GetDocument", "docs:GetFolder"], Resource="arn:aws:docs:*:*:*")],
        [statement(Resource="arn:aws:docs:*:*:document/${aws:username}")],
        [statement(Resource="arn:aws:docs:*:*:document/${aws:PrincipalTag/team}/${*}")],
        [statement(Resource="arn:aws:docs:*:*:document/${saml:sub}")],
        [condition("StringEqualsIfExists", "aws:RequestTag/team", "x")],
        [condition("Null", "aws:RequestTag/team", "true")],
        [condition("StringNotEquals", "aws:RequestTag/team", "x")],
        [condition("StringEquals", "id.example.com:sub", "x")],
        [condition("StringEquals", "aws:SecureTransport", "true")],
        [statement(Action="iam:PassRole", Resource="*", Condition={"StringEquals": {"iam:PassedToService": "x"}})],
        [
            statement(),
            statement(
                Effect="Deny", Action="docs:*", Resource="*", Condition={"Bool": {"aws:SecureTransport": "false"}}
            ),
        ],
        [statement(), statement(Resource="arn:aws:docs:*:111122223333:document/8")],
    ],
)
def test_uncertain_fault_is_not_reported(statements: list[dict[str, Any]]) -> None:
    """No false finding."""
    assert codes(found(*statements)) == []


def test_loader_may_supply_tags_of_its_resource() -> None:
    """But no other key: the reference knows the keys of `context=`."""
    notes = Service("notes")
    notes.declare_condition_key("notes:Kind")
    notes.requires("GetNote", resource=lambda: None)
    linter = Linter([notes.reference()])
    for key, expected in (
        ("aws:ResourceTag/team", []),
        ("aws:RequestTag/team", ["CONDITION_KEY_NOT_SUPPLIED"]),
        ("notes:Kind", ["CONDITION_KEY_NOT_SUPPLIED"]),
    ):
        tested = statement(Action="notes:GetNote", Resource="*", Condition={"StringEquals": {key: "x"}})
        assert codes(found(tested, linter=linter)) == expected


@table("loads_itself", [True, False])
@table(
    ("declared", "key", "expected"),
    [
        ("aws:ResourceTag/team", "aws:ResourceTag/team", []),
        ("aws:ResourceTag/${TagKey}", "aws:ResourceTag/team", []),
        ("notes:Kind", "notes:Kind", []),
        ("notes:Kind", "NOTES:kind", []),
        ("notes:Kind", "notes:Size", ["CONDITION_KEY_NOT_SUPPLIED"]),
        ("notes:Kind", "aws:RequestTag/team", ["CONDITION_KEY_NOT_SUPPLIED"]),
    ],
)
def test_key_declared_with_resource_type_is_supplied(
    loads_itself: bool, declared: str, key: str, expected: list[str]
) -> None:
    """By the loader of the route or of the guard; also if the route's loader may return any type of the service."""
    notes = Service("notes")
    notes.declare_condition_key("notes:Size")
    notes.declare_resource_type("note", "note/{id}", condition_keys=[declared])
    notes.requires("GetNote", resource=(lambda: None) if loads_itself else "note/{id}")
    tested = statement(Action="notes:GetNote", Resource="*", Condition={"StringEquals": {key: "x"}})
    assert codes(found(tested, linter=Linter([notes.reference()]))) == expected


@table(
    ("action", "key", "hint"),
    [
        (
            "notes:GetNote",
            "aws:ResourceTag/team",
            'declare_resource_type("note", …, condition_keys=["aws:ResourceTag/team"])',
        ),
        ("notes:GetNote", "notes:Size", 'declare_resource_type("note", …, condition_keys=["notes:Size"])'),
        ("notes:FindNote", "notes:Size", 'declare_action("FindNote", condition_keys=["notes:Size"])'),
        ("notes:GetNote", "aws:RequestTag/team", 'declare_action("GetNote", condition_keys=["aws:RequestTag/team"])'),
        ("iam:GetUser", "aws:RequestTag/team", ""),
    ],
)
def test_finding_tells_how_to_declare_the_key(action: str, key: str, hint: str) -> None:
    """As code to copy, and none for services that the application cannot change."""
    notes = Service("notes")
    notes.declare_condition_key("notes:Size")
    notes.requires("GetNote", resource="note/{id}")
    notes.requires("FindNote", resource=lambda: None)
    tested = statement(Action=action, Resource="*", Condition={"StringEquals": {key: "x"}})
    [finding] = found(tested, linter=Linter([notes.reference()]))
    message = f"none of the statement's actions supplies `{key}`, so the condition is never met"
    assert finding.message == message + (f"; if the application supplies it, declare it: `{hint}`" if hint else "")


def test_unknown_services_are_not_checked() -> None:
    """Without a reference `s3:GetObjekt` may exist; the actions of IAM are known."""
    alone = Linter()
    assert found(statement(Action="s3:GetObjekt", Resource="arn:aws:s3:::x"), linter=alone) == []
    assert codes(found(statement(Action="iam:GetUsr", Resource="*"), linter=alone)) == ["INVALID_ACTION"]


def test_similar_name_is_suggested() -> None:
    [finding] = found(statement(Action="docs:GetDocumnt"))
    assert finding.message == "the service `docs` has no action `GetDocumnt`, did you mean `docs:GetDocument`?"
    [other] = found(condition("StringEquals", "docs:Kynd", "x"))
    assert "did you mean `docs:Kind`?" in other.message


def test_rules_of_resource_based_policies() -> None:
    """All callers, and services that act on behalf of any account."""
    service = statement(Principal={"Service": "events.amazonaws.com"})
    kind = PolicyType.RESOURCE
    assert codes(found(service, type=kind)) == ["RESTRICT_ACCESS_TO_SERVICE_PRINCIPAL"]
    source = {"ArnLike": {"aws:SourceArn": "arn:aws:events:*:*:rule/x"}}
    assert found({**service, "Condition": source}, type=kind) == []
    assert codes(found(statement(Principal="*"), type=kind)) == ["ALLOW_EVERYBODY"]


@table("type", [PolicyType.SCP, PolicyType.BOUNDARY, PolicyType.SESSION])
def test_limiting_policy_may_allow_everything(type: PolicyType) -> None:
    """`FullAWSAccess` grants nothing."""
    assert found(ALLOW_ALL, type=type) == []
    assert "ALLOW_EVERYTHING" in codes(found(ALLOW_ALL))


def test_language_checks_are_included() -> None:
    """All faults that would be refused, not only the first; and warnings."""
    bad = statement(Action=["get", "x:y:z"], Resource="document/7", Sid="a b")
    findings = found(bad, linter=Linter(), Version="2008-10-17")
    assert sorted(codes(findings)) == ["INVALID_ACTION", "INVALID_ACTION", "INVALID_ARN_PREFIX", "UNSUPPORTED_SID"]
    assert codes(found(statement(Principal="*"))) == ["UNSUPPORTED_PRINCIPAL"]


def test_unreadable_policy_is_one_finding() -> None:
    """At its place."""
    [finding] = found(statement(Efect="Allow"))
    assert (finding.code, finding.place) == ("INVALID_POLICY_ELEMENT", "/Statement/0/Efect")


# --- reported findings ------------------------------------------------------------------------------------------------


def test_findings_below_level_are_not_reported() -> None:
    """`least` is the lowest level."""
    statements = [statement(Action=["docs:GetDocument", "docs:GetD*", "docs:Gett"])]
    for least, expected in (
        ("SUGGESTION", {"REDUNDANT_ACTION", "INVALID_ACTION"}),
        ("ERROR", {"INVALID_ACTION"}),
    ):
        linter = Linter([services().reference()], least=least)  # type: ignore[arg-type]
        assert set(codes(found(*statements, linter=linter))) == expected


@table(
    ("ignore", "is_reported"),
    [
        ("ALLOW_EVERYTHING", False),
        ("ALLOW_EVERYTHING@policy.*", False),
        ("ALLOW_EVERYTHING@Admin", False),
        ("ALLOW_EVERYTHING@other.json", True),
        ("INVALID_ACTION", True),
    ],
)
def test_finding_can_be_ignored(ignore: str, is_reported: bool) -> None:
    """By its code, everywhere or in a file, a policy or a statement."""
    linter = Linter(ignored=[Ignored.of(ignore)])
    findings = found({**ALLOW_ALL, "Sid": "Admin"}, linter=linter)
    assert ("ALLOW_EVERYTHING" in codes(findings)) is is_reported


def test_private_address_is_no_error() -> None:
    """Callers of an application may come from the same network, those of AWS's services never do."""
    for operator, cidr in (("IpAddress", "10.0.0.0/8"), ("NotIpAddress", "192.168.1.0/24")):
        findings = found(condition(operator, "aws:SourceIp", cidr))
        assert {each.level for each in findings} <= {"SUGGESTION"}


def test_unknown_code_cannot_be_ignored() -> None:
    """A typing mistake must not pass silently."""
    with pytest.raises(ValueError, match="`NO_SUCH_CODE`"):
        Ignored.of("NO_SUCH_CODE")


# --- the table ---------------------------------------------------------------------------------------------------


def test_every_code_has_level_and_hint() -> None:
    """AWS's codes keep AWS's level; our codes don't use AWS's names."""
    assert not OWN_LEVELS.keys() & LEVELS.keys()
    assert {level_of_code(code) for code in HINTS} == {"ERROR", "SECURITY_WARNING", "WARNING", "SUGGESTION"}
    assert OWN_LEVELS.keys() <= HINTS.keys()
    assert HINTS.keys() >= NEED_REFERENCE


# --- real policies -----------------------------------------------------------------------------------------------

AWS_OWN = {("AmazonTimestreamInfluxDBServiceRolePolicy", "VARIABLE_UNSUPPORTED_IN_ELEMENT")}
"""AWS's own mistake: tests/policy/test_aws_managed.py explains it."""
WITHOUT_KEY = {"AWSQuickSetupManageJITNAResourcesExecutionPolicy"}
"""A policy of AWS that requires tags of a request of `iam:GetRole`, which has none."""
USELESS = {
    *("AWSBatchFullAccess", "AWSImageBuilderFullAccess", "AmazonLaunchWizardFullAccessV2", "EC2FastLaunchFullAccess")
}
"""Policies of AWS that name instance profiles where roles are passed, or roles where instance profiles are made."""


def test_aws_managed_policies_have_no_false_error() -> None:
    """Only AWS's own mistakes, and no resource that its actions support."""
    policies = json.loads(aws_managed_policies_data)
    linter = Linter(least="WARNING")
    errors, misplaced, without_key = set(), set(), set()
    for name, each in policies.items():
        [file] = sources_of_text(json.dumps(each["Document"]), name)
        for finding in linter.lint(file):
            if finding.level == "ERROR":
                errors.add((name, finding.code))
            if finding.code == "RESOURCE_NOT_OF_ACTION":
                misplaced.add(name)
            if finding.code == "UNSUPPORTED_ACTION_FOR_CONDITION_KEY":
                without_key.add(name)
    assert errors == AWS_OWN
    assert misplaced == USELESS
    assert without_key == WITHOUT_KEY
