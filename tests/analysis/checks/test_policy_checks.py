"""The checks on pairs of policies whose answers are known; each row is a pitfall of such analyses."""

from __future__ import annotations

from typing import Any

import pytest

from iam_guard.analysis.checks.check_results import CheckResult, CheckVerdict
from iam_guard.analysis.checks.judged_policies import judge
from iam_guard.analysis.checks.policy_checks import (
    ListedAccess,
    check_access_not_granted,
    check_equivalent,
    check_no_new_access,
    check_no_public_access,
)
from iam_guard.errors import InvalidInput, PolicyError
from iam_guard.evaluation.compiler import CompiledDocument
from iam_guard.model.decision import PolicyType
from iam_guard.policy.parser import parse
from tests.tables import table

Doc = dict[str, Any]
IDENTITY, RESOURCE = PolicyType.IDENTITY, PolicyType.RESOURCE
PASS, FAIL, UNKNOWN = CheckVerdict.PASS, CheckVerdict.FAIL, CheckVerdict.UNKNOWN
ACCOUNT = "111122223333"


def policy(*statements: Doc, version: str = "2012-10-17") -> Doc:
    return {"Version": version, "Statement": list(statements)}


def allow(action: Any = "s3:*", resource: Any = "*", condition: Doc | None = None, **more: Any) -> Doc:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource, **more}
    for name in ("Action", "Resource"):
        if f"Not{name}" in more:
            del statement[name]
    return statement if condition is None else {**statement, "Condition": condition}


def deny(*arguments: Any, **more: Any) -> Doc:
    return {**allow(*arguments, **more), "Effect": "Deny"}


def when(operator: str, value: Any, key: str = "docs:Key") -> Doc:
    return {operator: {key: value}}


def arn(resource: str) -> str:
    return f"arn:aws:s3:::{resource}"


def assert_witness(existing: Doc | None, new: Doc, result: CheckResult, type: PolicyType = IDENTITY) -> None:
    """The evaluator allows the witness with the new policy and not with the existing one."""
    assert result.witness is not None
    assert judge(CompiledDocument(parse(new, type)))(result.witness)
    assert existing is None or not judge(CompiledDocument(parse(existing, type)))(result.witness)


ROWS: dict[str, tuple[CheckVerdict, Doc, Doc]] = {
    "a boolean is true or false": (
        PASS,
        policy(allow(condition=when("Bool", "true", "aws:MultiFactorAuthPresent"))),
        policy(allow(), deny("*", condition=when("BoolIfExists", "false", "aws:MultiFactorAuthPresent"))),
    ),
    "a key of an application is any text": (
        FAIL,
        policy(allow(condition=when("Bool", "true", "docs:Flag"))),
        policy(allow(), deny("*", condition=when("BoolIfExists", "false", "docs:Flag"))),
    ),
    "users have the ARN of a user": (
        PASS,
        policy(allow(condition=when("ArnLike", "arn:aws:iam::*:user/*", "aws:PrincipalArn"))),
        policy(allow(condition=when("StringEquals", "User", "aws:PrincipalType"))),
    ),
    "in every partition that is named": (
        FAIL,
        policy(allow(condition=when("ArnLike", "arn:aws:iam::*:user/*", "aws:PrincipalArn"))),
        policy(
            allow(condition=when("StringEquals", "User", "aws:PrincipalType")), deny(resource="arn:aws-cn:docs:::x")
        ),
    ),
    "fewer actions": (PASS, policy(allow("s3:Get*")), policy(allow(["s3:GetObject", "S3:getbucket"]))),
    "more actions": (FAIL, policy(allow("s3:GetObject")), policy(allow("s3:Get*"))),
    "one more character": (FAIL, policy(allow("s3:Get?*")), policy(allow("s3:Get*"))),
    "a name is never empty": (PASS, policy(allow("s3:?*")), policy(allow("s3:*"))),
    "two halves": (
        PASS,
        policy(allow("s3:Get*"), allow(NotAction="s3:Get*")),
        policy(allow("*")),
    ),
    "a hole between two halves": (
        FAIL,
        policy(allow("s3:Get*"), allow(NotAction=["s3:Get*", "s3:Put*"])),
        policy(allow("*")),
    ),
    "split resources": (
        PASS,
        policy(allow("s3:*", arn("b/*")), allow("s3:*", arn("b"))),
        policy(allow("s3:*", [arn("b"), arn("b/*")])),
    ),
    "bucket is no object": (FAIL, policy(allow("s3:*", arn("b/*"))), policy(allow("s3:*", arn("b*")))),
    "star is not every ARN": (FAIL, policy(allow("s3:*", "arn:*")), policy(allow("s3:*", "*"))),
    "short ARN is completed": (
        PASS,
        policy(allow("sqs:*", "arn:aws:sqs")),
        policy(allow("sqs:*", "arn:aws:sqs:*:*:*")),
    ),
    "final run crosses colons": (
        PASS,
        policy(allow("ec2:*", "arn:aws:ec2:*:instance/*")),
        policy(allow("ec2:*", "arn:aws:ec2:eu-west-1:111122223333:instance/*")),
    ),
    "inner run does not": (
        FAIL,
        policy(allow("ec2:*", "arn:aws:ec2:e*t:instance/*")),
        policy(allow("ec2:*", "arn:aws:ec2:eu:west:instance/*")),
    ),
    "new deny": (PASS, policy(allow()), policy(allow(), deny("s3:Put*"))),
    "lost deny": (FAIL, policy(allow(), deny("s3:Put*")), policy(allow())),
    "deny of something else": (PASS, policy(allow("s3:*"), deny("ec2:*")), policy(allow("s3:*"))),
    "NotAction is a complement": (PASS, policy(allow("*"), deny("iam:*")), policy(allow(NotAction="iam:*"))),
    "NotAction beside an allow": (
        FAIL,
        policy(allow("*"), deny("iam:*")),
        policy(allow(NotAction="iam:*"), allow("iam:Get*")),
    ),
    "NotResource of a list excludes all": (
        PASS,
        policy(allow("s3:*", NotResource=[arn("a"), arn("b")])),
        policy(allow("s3:*", arn("c*"))),
    ),
    "NotResource of a list is no OR": (
        FAIL,
        policy(allow("s3:*", NotResource=[arn("a"), arn("b")])),
        policy(allow("s3:*", arn("a"))),
    ),
    "IfExists is wider": (
        FAIL,
        policy(allow(condition=when("StringEquals", "x"))),
        policy(allow(condition=when("StringEqualsIfExists", "x"))),
    ),
    "IfExists and present": (
        PASS,
        policy(allow(condition=when("StringEquals", "x"))),
        policy(allow(condition=when("StringEqualsIfExists", "x") | when("Null", "false"))),
    ),
    "deny of others requires the value": (
        PASS,
        policy(allow(condition=when("StringEquals", "x", "aws:SourceVpc"))),
        policy(allow(), deny(condition=when("StringNotEquals", "x", "aws:SourceVpc"))),
    ),
    "unless there are many values": (
        FAIL,
        policy(allow(condition=when("StringEquals", "x"))),
        policy(allow(), deny(condition=when("StringNotEquals", "x"))),
    ),
    "deny false is not require true": (
        FAIL,
        policy(allow(condition=when("Bool", "true"))),
        policy(allow(), deny(condition=when("Bool", "false"))),
    ),
    "deny false if exists still allows other texts": (
        FAIL,
        policy(allow(condition=when("Bool", "true"))),
        policy(allow(), deny(condition=when("BoolIfExists", "false"))),
    ),
    "true or false is every boolean": (
        PASS,
        policy(allow(condition=when("Bool", ["true", "false"]))),
        policy(allow(condition=when("Bool", "true")), allow(condition=when("Bool", "false"))),
    ),
    "letter case of booleans": (
        PASS,
        policy(allow(condition=when("Bool", "TRUE"))),
        policy(allow(condition=when("Bool", "true"))),
    ),
    "numbers by value": (
        PASS,
        policy(allow(condition=when("NumericEquals", "2.0"))),
        policy(allow(condition=when("NumericEquals", "2"))),
    ),
    "less is narrower": (
        PASS,
        policy(allow(condition=when("NumericLessThan", "5"))),
        policy(allow(condition=when("NumericLessThanEquals", "4"))),
    ),
    "between integers": (
        FAIL,
        policy(allow(condition=when("NumericLessThanEquals", "4"))),
        policy(allow(condition=when("NumericLessThan", "5"))),
    ),
    "two sides cover all numbers": (
        PASS,
        policy(allow(condition=when("NumericLessThan", "5")), allow(condition=when("NumericGreaterThanEquals", "5"))),
        policy(allow(condition=when("NumericGreaterThan", "-1"))),
    ),
    "dates by instant": (
        PASS,
        policy(allow(condition=when("DateLessThan", "2026-01-01T00:00:00Z"))),
        policy(allow(condition=when("DateLessThan", "1767225600"))),
    ),
    "dates are no strings": (
        FAIL,
        policy(allow(condition=when("DateLessThan", "2026-01-01"))),
        policy(allow(condition=when("DateLessThan", "2026-01-01T00:00:01Z"))),
    ),
    "host bits are ignored": (
        PASS,
        policy(allow(condition=when("IpAddress", "10.0.0.9/8"))),
        policy(allow(condition=when("IpAddress", "10.0.0.0/8"))),
    ),
    "halves of a block": (
        PASS,
        policy(allow(condition=when("IpAddress", ["10.0.0.0/9", "10.128.0.0/9"]))),
        policy(allow(condition=when("IpAddress", "10.0.0.0/8"))),
    ),
    "quarter missing": (
        FAIL,
        policy(allow(condition=when("IpAddress", ["10.0.0.0/9", "10.128.0.0/10"]))),
        policy(allow(condition=when("IpAddress", "10.0.0.0/8"))),
    ),
    "families never match": (
        FAIL,
        policy(allow(condition=when("IpAddress", "0.0.0.0/0"))),
        policy(allow(condition=when("IpAddress", ["0.0.0.0/0", "::/0"]))),
    ),
    "StringEquals has no wildcards": (
        PASS,
        policy(allow(condition=when("StringLike", "*"))),
        policy(allow(condition=when("StringEquals", "a*"))),
    ),
    "its star is a character": (
        FAIL,
        policy(allow(condition=when("StringEquals", "a*"))),
        policy(allow(condition=when("StringLike", "a*"))),
    ),
    "escaped star": (
        PASS,
        policy(allow(condition=when("StringEquals", "a*"))),
        policy(allow(condition=when("StringLike", "a${*}"))),
    ),
    "values are case-sensitive": (
        FAIL,
        policy(allow(condition=when("StringEquals", "A"))),
        policy(allow(condition=when("StringEquals", "a"))),
    ),
    "keys are not": (
        PASS,
        policy(allow(condition=when("StringEquals", "a", "docs:KEY"))),
        policy(allow(condition=when("StringEquals", "a"))),
    ),
    "ignored case is wider": (
        FAIL,
        policy(allow(condition=when("StringEquals", ["k", "K"]))),
        policy(allow(condition=when("StringEqualsIgnoreCase", "k"))),
    ),
    "all cases of a text beside a wildcard": (
        PASS,
        policy(allow(condition=when("StringLike", ["?n", "?N"]))),
        policy(allow(condition=when("StringEqualsIgnoreCase", "kn"))),
    ),
    "a case that the wildcard lacks": (
        FAIL,
        policy(allow(condition=when("StringLike", ["k?", "K?"]))),
        policy(allow(condition=when("StringEqualsIgnoreCase", "kn"))),
    ),
    "ARN operators stay in fields": (
        PASS,
        policy(allow(condition=when("StringLike", "arn:aws:s3:*:b"))),
        policy(allow(condition=when("ArnLike", "arn:aws:s3:*:*:b"))),
    ),
    "string operators do not": (
        FAIL,
        policy(allow(condition=when("ArnLike", "arn:aws:s3:*:*:b"))),
        policy(allow(condition=when("StringLike", "arn:aws:s3:*:*:b"))),
    ),
    "negated ARN operators reject other texts": (
        FAIL,
        policy(allow(condition=when("ArnNotLike", "arn:aws:s3:::b"))),
        policy(allow(condition=when("StringNotLike", "arn:aws:s3:::b"))),
    ),
    "bytes by value": (
        PASS,
        policy(allow(condition=when("BinaryEquals", "YQ=="))),
        policy(allow(condition=when("BinaryEquals", "YR=="))),
    ),
    "all of none": (
        FAIL,
        policy(allow(condition=when("ForAnyValue:StringEquals", "a"))),
        policy(allow(condition=when("ForAllValues:StringEquals", "a"))),
    ),
    "all of some": (
        PASS,
        policy(allow(condition=when("ForAnyValue:StringEquals", "a"))),
        policy(allow(condition=when("ForAllValues:StringEquals", "a") | when("Null", "false"))),
    ),
    "one of many": (
        FAIL,
        policy(allow(condition=when("ForAllValues:StringEquals", ["a", "b"]))),
        policy(allow(condition=when("ForAnyValue:StringEquals", "a"))),
    ),
    "members beside each other": (
        PASS,
        policy(allow(condition=when("ForAllValues:StringLike", ["a*", "b*"]))),
        policy(allow(condition=when("ForAllValues:StringLike", "a*") | when("ForAnyValue:StringEquals", "ab"))),
    ),
    "set operator denied by its dual": (
        PASS,
        policy(allow(), deny(condition=when("ForAnyValue:StringNotEquals", "a"))),
        policy(allow(condition=when("ForAllValues:StringEquals", "a"))),
    ),
    "plain operators reject many values": (
        FAIL,
        policy(allow(condition=when("StringLike", "*"))),
        policy(allow(condition=when("ForAllValues:StringLike", "*") | when("Null", "false"))),
    ),
    "single-valued keys never have many": (
        PASS,
        policy(allow(condition=when("StringLike", "*", "aws:SourceVpc"))),
        policy(
            allow(
                condition=when("ForAllValues:StringLike", "*", "aws:SourceVpc") | when("Null", "false", "aws:SourceVpc")
            )
        ),
    ),
    "prefixed Null is constant": (
        PASS,
        policy(allow(condition=when("ForAllValues:Null", "true"))),
        policy(allow(condition=when("Null", "false"))),
    ),
    "empty list of values": (PASS, policy(allow("ec2:*")), policy(allow("s3:*", condition=when("StringEquals", [])))),
    "empty negated list": (FAIL, policy(allow("ec2:*")), policy(allow("s3:*", condition=when("StringNotEquals", [])))),
    "empty list of all": (
        PASS,
        policy(allow(condition=when("Null", "true"))),
        policy(allow(condition=when("ForAllValues:StringEquals", []))),
    ),
    "two keys": (
        FAIL,
        policy(allow(condition=when("StringEquals", "x", "a:x")), allow(condition=when("StringEquals", "y", "a:y"))),
        policy(allow(condition=when("StringEquals", "x", "a:x")), allow()),
    ),
    "case distinction over two keys": (
        PASS,
        policy(
            allow(condition=when("StringEquals", "x", "aws:SourceVpc")),
            allow(condition=when("StringNotEquals", "x", "aws:SourceVpc") | when("StringLike", "*", "aws:SourceVpce")),
            allow(condition=when("Null", "true", "aws:SourceVpce")),
        ),
        policy(allow(condition=when("StringLike", "*", "aws:SourceVpce"))),
    ),
    "variable against a literal": (
        FAIL,
        policy(allow("s3:*", arn("home/*")), deny("s3:*", arn("home/${aws:username}/*"))),
        policy(allow("s3:*", arn("home/bob/*"))),
    ),
    "variable that a deny has as literal": (
        FAIL,
        policy(allow("s3:*", arn("home/*")), deny("s3:*", arn("home/bob/*"))),
        policy(allow("s3:*", arn("home/${aws:username}/*"))),
    ),
    "variable in a run": (
        PASS,
        policy(allow("s3:*", arn("home/*"))),
        policy(allow("s3:*", arn("home/${aws:username}/*"))),
    ),
    "variable is more than a character": (
        FAIL,
        policy(allow("s3:*", arn("home/????/*"))),
        policy(allow("s3:*", arn("home/${aws:username}/*"))),
    ),
    "same variable": (
        PASS,
        policy(allow("s3:*", arn("${aws:USERNAME}/*"))),
        policy(allow("s3:*", arn("${aws:username}/x*"))),
    ),
    "other variable": (
        FAIL,
        policy(allow("s3:*", arn("${aws:userid}/*"))),
        policy(allow("s3:*", arn("${aws:username}/*"))),
    ),
    "variable that excludes": (
        FAIL,
        policy(allow("s3:*", NotResource=arn("${aws:username}/*"))),
        policy(allow("s3:*", arn("bob/*"))),
    ),
    "literal that excludes a variable": (
        FAIL,
        policy(allow("s3:*", NotResource=arn("bob/x"))),
        policy(allow("s3:*", arn("${docs:Name}/x"))),
    ),
    "denied outside of what a variable allows": (
        PASS,
        policy(allow("s3:*", arn("home/*")), deny("s3:*", NotResource=arn("home/${aws:username}/*"))),
        policy(allow("s3:Get*", arn("home/${aws:username}/x/*"))),
    ),
    "denied outside of what a literal allows": (
        FAIL,
        policy(allow("s3:*", arn("home/*")), deny("s3:*", NotResource=arn("home/bob/*"))),
        policy(allow("s3:Get*", arn("home/${docs:Name}/x"))),
    ),
    "denied outside of what a variable allows, granted by name": (
        FAIL,
        policy(allow("s3:*", arn("home/*")), deny("s3:*", NotResource=arn("home/${docs:Name}/*"))),
        policy(allow("s3:Get*", arn("home/bob/*"))),
    ),
    "no variables in 2008": (
        FAIL,
        policy(allow("s3:*", arn("${aws:username}"), None)),
        policy(allow("s3:*", arn("${aws:username}")), version="2008-10-17"),
    ),
    "multivalued keys fill nothing": (PASS, policy(allow("ec2:*")), policy(allow("s3:*", arn("${aws:TagKeys}")))),
    "default of an absent key": (
        FAIL,
        policy(allow("s3:*", arn("${docs:Name}"))),
        policy(allow("s3:*", arn("${docs:Name, 'x'}"))),
    ),
    "same condition with a variable": (
        PASS,
        policy(allow(condition=when("StringEquals", "${aws:PrincipalTag/t}", "aws:ResourceTag/t"))),
        policy(allow("s3:Get*", condition=when("StringEquals", "${aws:PrincipalTag/t}", "aws:ResourceTag/t"))),
    ),
    "wider condition with a variable": (
        FAIL,
        policy(allow(condition=when("StringEquals", "${aws:PrincipalTag/t}", "aws:ResourceTag/t"))),
        policy(allow(condition=when("StringLike", "${aws:PrincipalTag/t}*", "aws:ResourceTag/t"))),
    ),
    "fewer values beside one with a variable": (
        PASS,
        policy(allow(condition=when("StringLike", ["", "home/", "home/${aws:username}/*"], "s3:prefix"))),
        policy(allow(condition=when("StringLike", ["home/${aws:username}/*", "home/"], "s3:prefix"))),
    ),
    "more values beside one with a variable": (
        FAIL,
        policy(allow(condition=when("StringLike", ["home/", "home/${aws:username}/*"], "s3:prefix"))),
        policy(allow(condition=when("StringLike", ["home/${aws:username}/*", "*"], "s3:prefix"))),
    ),
    "fewer members with variables": (
        PASS,
        policy(allow(condition=when("ForAllValues:StringLike", ["x", "${aws:username}"]))),
        policy(allow(condition=when("ForAllValues:StringLike", "${aws:username}") | when("Bool", "true", "docs:Flag"))),
    ),
    "more members with variables": (
        FAIL,
        policy(allow(condition=when("ForAllValues:StringLike", "${aws:username}"))),
        policy(allow(condition=when("ForAllValues:StringLike", ["x", "${aws:username}"]))),
    ),
    "a wildcard for a variable": (
        PASS,
        policy(allow(condition=when("StringLike", "home/*", "s3:prefix"))),
        policy(allow(condition=when("StringEquals", "home/${aws:username}/*", "s3:prefix"))),
    ),
    "negated values with variables": (
        PASS,
        policy(allow(), deny(condition=when("StringLike", "${aws:username}", "docs:Key"))),
        policy(allow(), deny(condition=when("StringLike", ["x", "${aws:username}"], "docs:Key"))),
    ),
    "the caller's keys agree": (
        PASS,
        policy(allow("ec2:*")),
        policy(
            allow(condition=when("StringEquals", "User", "aws:PrincipalType") | when("Null", "true", "aws:username"))
        ),
    ),
    "the caller's account agrees with its ARN": (
        PASS,
        policy(allow("ec2:*")),
        policy(
            allow(
                condition=when("StringEquals", ACCOUNT, "aws:PrincipalAccount")
                | when("ArnLike", "arn:aws:iam::444455556666:*", "aws:PrincipalArn")
            )
        ),
    ),
    "a role's ARN is no user's": (
        FAIL,
        policy(allow(condition=when("ArnLike", f"arn:aws:iam::{ACCOUNT}:user/*", "aws:PrincipalArn"))),
        policy(allow(condition=when("ArnLike", f"arn:aws:iam::{ACCOUNT}:*", "aws:PrincipalArn"))),
    ),
    "actions that need no permission": (
        PASS,
        policy(allow("s3:*")),
        policy(allow("sts:GetCallerIdentity"), allow("s3:Get*")),
    ),
    "actions on keys": (FAIL, policy(allow("s3:*")), policy(allow("kms:Decrypt", "arn:aws:kms:*:*:key/*"))),
}


@table("name", ROWS)
def test_no_new_access_has_the_known_answer(name: str) -> None:
    expected, existing, new = ROWS[name]
    result = check_no_new_access(existing, new, IDENTITY)
    assert result.verdict is expected
    if expected is FAIL:
        assert_witness(existing, new, result)


@table("name", ROWS)
def test_policy_allows_no_more_than_itself(name: str) -> None:
    """Whatever it has: variables, conditions, denies."""
    for document in ROWS[name][1:]:
        assert check_no_new_access(document, document, IDENTITY).passed
        shuffled = {**document, "Statement": document["Statement"][::-1]}
        assert check_equivalent(document, shuffled, IDENTITY).passed


def to(principal: Any, **more: Any) -> Doc:
    return {**allow("sqs:SendMessage", "*", **more), "Principal": principal}


USER, ROLE = f"arn:aws:iam::{ACCOUNT}:user/ada", f"arn:aws:iam::{ACCOUNT}:role/path/admin"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/admin/s1"
RESOURCE_ROWS: dict[str, tuple[CheckVerdict, Doc, Doc]] = {
    "everyone is more than one account": (FAIL, policy(to({"AWS": ACCOUNT})), policy(to("*"))),
    "one account is less than everyone": (PASS, policy(to("*")), policy(to({"AWS": [ACCOUNT, USER]}))),
    "an account delegates, a user is granted": (FAIL, policy(to({"AWS": ACCOUNT})), policy(to({"AWS": USER}))),
    "an account of another owner covers its users": (
        PASS,
        policy({**to({"AWS": ACCOUNT}), "Resource": "arn:aws:sqs:us-east-1:444455556666:q"}),
        policy({**to({"AWS": USER}), "Resource": "arn:aws:sqs:us-east-1:444455556666:q"}),
    ),
    "root ARN is the account": (
        PASS,
        policy(to({"AWS": f"arn:aws:iam::{ACCOUNT}:root"})),
        policy(to({"AWS": ACCOUNT})),
    ),
    "a session is one of its role": (
        PASS,
        policy(to({"AWS": ROLE})),
        policy(to({"AWS": ROLE}, condition=when("Null", "false"))),
    ),
    "a role has other sessions": (FAIL, policy(to({"AWS": SESSION})), policy(to({"AWS": ROLE}))),
    "service": (
        FAIL,
        policy(to({"AWS": "*"}, condition=when("Null", "true"))),
        policy(to({"Service": "sns.amazonaws.com"})),
    ),
    "everyone includes services": (PASS, policy(to("*")), policy(to({"Service": "sns.amazonaws.com"}))),
    "denied root user": (
        FAIL,
        policy({**to("*"), "Effect": "Deny"}),
        policy({**to("*", condition=when("Null", "false")), "Effect": "Deny"}),
    ),
    "NotPrincipal exempts the user with its account": (
        PASS,
        policy(to({"AWS": [USER, ACCOUNT]}), {**to("*"), "Effect": "Deny", "Action": "sqs:Other"}),
        policy(
            to("*"),
            {"Effect": "Deny", "NotPrincipal": {"AWS": [USER, ACCOUNT]}, "Action": "*", "Resource": "*"},
            {**to("*"), "Effect": "Deny", "Action": "sqs:Other"},
        ),
    ),
    "anonymous callers have no organization": (
        PASS,
        policy(to({"AWS": "*"}, condition=when("StringLike", "*", "aws:PrincipalArn"))),
        policy(to("*", condition=when("StringEquals", "o-1", "aws:PrincipalOrgID"))),
    ),
    "principal by condition": (
        PASS,
        policy(to("*", condition=when("StringEquals", ACCOUNT, "aws:PrincipalAccount"))),
        policy(to("*", condition=when("ArnLike", f"arn:aws:iam::{ACCOUNT}:role/*", "aws:PrincipalArn"))),
    ),
}


@table("name", RESOURCE_ROWS)
def test_no_new_access_of_resource_policies(name: str) -> None:
    expected, existing, new = RESOURCE_ROWS[name]
    result = check_no_new_access(existing, new, RESOURCE)
    assert result.verdict is expected
    if expected is FAIL:
        assert_witness(existing, new, result, RESOURCE)
    for document in (existing, new):
        assert check_no_new_access(document, document, RESOURCE).passed


PUBLIC: dict[str, tuple[CheckVerdict, Doc]] = {
    "everyone": (FAIL, policy(to("*"))),
    "everyone over TLS": (FAIL, policy(to("*", condition=when("Bool", "true", "aws:SecureTransport")))),
    "account": (PASS, policy(to({"AWS": ACCOUNT}))),
    "organization": (PASS, policy(to("*", condition=when("StringEquals", "o-1", "aws:PrincipalOrgID")))),
    "organization if there is one": (
        FAIL,
        policy(to("*", condition=when("StringEqualsIfExists", "o-1", "aws:PrincipalOrgID"))),
    ),
    "outside an organization": (FAIL, policy(to("*", condition=when("StringNotEquals", "o-1", "aws:PrincipalOrgID")))),
    "denied outside a VPC": (
        PASS,
        policy(to("*"), {**to("*", condition=when("StringNotEquals", "vpc-1", "aws:SourceVpc")), "Effect": "Deny"}),
    ),
    "all addresses": (FAIL, policy(to("*", condition=when("IpAddress", "0.0.0.0/0", "aws:SourceIp")))),
    "half of the addresses, twice": (
        FAIL,
        policy(to("*", condition=when("IpAddress", ["0.0.0.0/1", "128.0.0.0/1"], "aws:SourceIp"))),
    ),
    "few addresses": (PASS, policy(to("*", condition=when("IpAddress", "203.0.113.0/24", "aws:SourceIp")))),
    "not some addresses": (FAIL, policy(to("*", condition=when("NotIpAddress", "203.0.113.0/24", "aws:SourceIp")))),
    "any source": (FAIL, policy(to("*", condition=when("ArnLike", "arn:aws:s3:::*", "aws:SourceArn")))),
    "one source": (PASS, policy(to("*", condition=when("ArnLike", "arn:aws:s3:::b", "aws:SourceArn")))),
    "source account": (PASS, policy(to("*", condition=when("StringEquals", ACCOUNT, "aws:SourceAccount")))),
    "service": (PASS, policy(to({"Service": "sns.amazonaws.com"}))),
    "function URL without authentication": (
        FAIL,
        policy(to("*", condition=when("StringEquals", "NONE", "lambda:FunctionUrlAuthType"))),
    ),
    "external id": (FAIL, policy(to("*", condition=when("StringEquals", "secret", "sts:ExternalId")))),
    "any bucket that begins so": (FAIL, policy(to("*", condition=when("ArnLike", "arn:aws:s3:::b*", "aws:SourceArn")))),
    "sources of an account": (
        PASS,
        policy(to("*", condition=when("ArnLike", f"arn:aws:sns:*:{ACCOUNT}:*", "aws:SourceArn"))),
    ),
    "any organization": (FAIL, policy(to("*", condition=when("StringLike", "o-*", "aws:PrincipalOrgID")))),
    "a part of an organization": (
        PASS,
        policy(to("*", condition=when("ForAnyValue:StringLike", "o-1/r-1/*", "aws:PrincipalOrgPaths"))),
    ),
    "a user by its id": (PASS, policy(to("*", condition=when("StringEquals", "AIDAEXAMPLE", "aws:userid")))),
    "sessions of a role by its id": (
        FAIL,
        policy(to("*", condition=when("StringLike", "AROAEXAMPLE:*", "aws:userid"))),
    ),
    "the caller's own account": (
        FAIL,
        policy(to("*", condition=when("StringEquals", "${aws:PrincipalAccount}", "aws:SourceAccount"))),
    ),
    "by way of a service": (
        FAIL,
        policy(to("*", condition=when("StringEquals", "s3.us-east-1.amazonaws.com", "kms:ViaService"))),
    ),
    "an account by way of a service": (
        PASS,
        policy(to("*", condition=when("StringEquals", ACCOUNT, "kms:CallerAccount"))),
    ),
    "a mount target": (
        PASS,
        policy(to("*", condition=when("Bool", "true", "elasticfilesystem:AccessedViaMountTarget"))),
    ),
    "no mount target": (
        FAIL,
        policy(to("*", condition=when("Bool", "false", "elasticfilesystem:AccessedViaMountTarget"))),
    ),
    "the broadest range": (PASS, policy(to("*", condition=when("IpAddress", "10.0.0.0/8", "aws:SourceIp")))),
    "a range that is too broad": (FAIL, policy(to("*", condition=when("IpAddress", "16.0.0.0/7", "aws:SourceIp")))),
    "everyone, denied to all": (PASS, policy(to("*"), {**to("*"), "Effect": "Deny"})),
}


@table("name", PUBLIC)
def test_public_access_is_found(name: str) -> None:
    """AA-34."""
    expected, document = PUBLIC[name]
    result = check_no_public_access(document, "AWS::SQS::Queue")
    assert result.verdict is expected
    if expected is FAIL:
        assert_witness(None, document, result, RESOURCE)


@table(
    ("expected", "actions", "resources"),
    [
        (FAIL, ["s3:GetObject"], []),
        (FAIL, ["s3:*"], []),
        (FAIL, ["*"], []),
        (PASS, ["s3:PutObject", "ec2:*"], []),
        (FAIL, [], [arn("b/x")]),
        (PASS, [], [arn("c/x")]),
        (FAIL, ["s3:GetObject"], [arn("c/*"), arn("b/*")]),
        (PASS, ["s3:PutObject"], [arn("b/*")]),
        (PASS, ["s3:GetObject"], [arn("b/secret/1")]),
    ],
)
def test_granted_access_is_found(expected: CheckVerdict, actions: list[str], resources: list[str]) -> None:
    """AA-32: a condition does not save the policy, a Deny does."""
    document = policy(
        allow("s3:Get*", arn("b/*"), when("StringEquals", "x")), deny("s3:*", arn("b/secret/*"), Sid="Secret")
    )
    result = check_access_not_granted(document, [ListedAccess(tuple(actions), tuple(resources))], IDENTITY)
    assert result.verdict is expected
    if expected is FAIL:
        assert_witness(None, document, result)


@table("entry", ["${aws:username}/x", "${docs:Owner}/x", "${aws:username, 'bob'}/*", "b${docs:Owner}/x"])
def test_value_of_a_variable_can_be_a_listed_resource(entry: str) -> None:
    """AA-32: a variable may have the value that makes the resource one of the listed ones."""
    document = policy(allow("s3:Get*", arn(entry)))
    for listed in (arn("bob/x"), arn("bob/*"), arn("b?b/x")):
        result = check_access_not_granted(document, [ListedAccess(resources=(listed,))], IDENTITY)
        assert result.verdict is FAIL
        assert_witness(None, document, result)


def test_listed_resource_of_a_named_account_is_reached_from_others() -> None:
    """The account of the resource is named by a principal alone."""
    outsider = to({"AWS": "arn:aws:iam::444455556666:user/eve"}) | {"Action": "sqs:*"}
    others = deny("sqs:SendMessage", "*", NotPrincipal={"AWS": "111122223333"})
    listed = ListedAccess(resources=("arn:aws:docs:eu-west-1:111122223333:a/1",))
    result = check_access_not_granted(policy(outsider, others), [listed], RESOURCE)
    assert result.verdict is FAIL


def test_fail_names_the_statement_and_a_minimal_request() -> None:
    new = policy(allow("s3:Get*"), allow("s3:PutObject", arn("b/*"), when("StringEquals", "x"), Sid="Write"))
    result = check_no_new_access(policy(allow("s3:Get*")), new, IDENTITY)
    assert result.to_dict() == {
        "result": "FAIL",
        "message": "The modified permissions grant new access compared to your existing policy.",
        "reasons": [
            {"description": "New access in the statement with sid: Write.", "statementIndex": 1, "statementId": "Write"}
        ],
        "witness": {
            "request": {
                "principal": {
                    "arn": "arn:aws:iam::123456789012:user/example",
                    "account": "123456789012",
                    "type": "User",
                },
                "action": "s3:PutObject",
                "resource": arn("b/example"),
                "resource_account": "123456789012",
                "context": {"docs:key": "x"},
            }
        },
        "universe": "open",
        "cover": [],
    }


def test_known_actions_close_the_universe() -> None:
    """With a catalogue, a list of all its actions is as wide as the wildcard."""
    listed, wildcard = policy(allow(["docs:GetOne", "docs:GetAll"])), policy(allow("docs:Get*"))
    assert check_no_new_access(listed, wildcard, IDENTITY).verdict is FAIL
    known = check_no_new_access(listed, wildcard, IDENTITY, actions=["docs:GetOne", "docs:GetAll", "docs:Put"])
    assert (known.verdict, known.universe) == (PASS, "registry")
    assert check_no_new_access(listed, policy(allow("docs:*")), IDENTITY, actions=["docs:GetOne", "docs:Put"]).witness


def test_equivalence_fails_in_both_directions() -> None:
    wide, narrow = policy(allow("s3:*")), policy(allow("s3:Get*"))
    assert check_equivalent(wide, policy(allow("s3:?*"), allow("s3:Get*")), IDENTITY).passed
    assert check_equivalent(wide, narrow, IDENTITY).reasons[0].description.startswith("Removed access")
    assert check_equivalent(narrow, wide, IDENTITY).reasons[0].description.startswith("New access")


def test_hard_policies_are_unknown_in_bounded_work() -> None:
    """An intersection of many infix patterns needs exponentially many states."""
    denies = [deny("s3:*", NotResource=arn(f"*{char}{char}{char}*")) for char in "abcdefghijklmnopqrstuvwx"]
    existing = policy(*[allow("s3:*", arn(f"*{char}{char}*")) for char in "zy"])
    result = check_no_new_access(existing, policy(allow("s3:*", arn("*")), *denies), IDENTITY)
    assert result.verdict is not PASS


def test_refused_policies_and_lists_raise() -> None:
    with pytest.raises(PolicyError):
        check_no_new_access({"Statement": []}, {"Statement": [{"Effect": "Maybe"}]}, IDENTITY)
    with pytest.raises(InvalidInput):
        check_access_not_granted(policy(allow()), [ListedAccess()], IDENTITY)
    with pytest.raises(InvalidInput):
        check_access_not_granted(policy(allow()), [ListedAccess(("noaction",))], IDENTITY)
    with pytest.raises(InvalidInput, match="unsupported resource type"):
        check_no_public_access(policy(to("*")), "AWS::EC2::Instance")
    with pytest.raises(InvalidInput):
        check_no_new_access(policy(allow()), policy(allow()), PolicyType.SCP)


def test_pass_names_the_statements_that_cover_the_new_policy() -> None:
    """The cover suffices: with only these statements the check passes, without one of them it does not."""
    existing = policy(allow("ec2:*"), allow("s3:Get*", arn("a/*")), allow("s3:Get*", arn("b/*")), allow("sqs:*"))
    new = policy(allow("s3:GetObject", arn("*/x")), deny("s3:*", NotResource=[arn("a/*"), arn("b/*")]))
    result = check_no_new_access(existing, new, IDENTITY)
    assert result.to_dict()["cover"] == [{"statementIndex": 0, "allowedBy": [1, 2], "deniedBy": [1]}]
    [cover] = result.cover
    kept = [existing["Statement"][index] for index in cover.allowed_by]
    assert check_no_new_access(policy(*kept), new, IDENTITY).passed
    for statement in kept:
        assert not check_no_new_access(policy(statement), new, IDENTITY).passed
    assert not check_no_new_access(policy(*kept), policy(new["Statement"][0]), IDENTITY).passed
