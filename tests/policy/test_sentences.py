"""What IAM answers to malformed managed policies, and unusual ones that it accepts, in its order of checks (G-19)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from iam_guard.errors import PolicyError
from iam_guard.model.decision import PolicyType
from iam_guard.policy.parser import parse
from iam_guard.policy.saving import validate_for_write
from tests.tables import table

BUCKET = "arn:aws:s3:::example"
SYNTAX, LEGACY = "Syntax errors in policy.", "The policy failed legacy parsing"
VERSION = "Policy document must be version 2012-10-17 or greater."
SIDS = "Statement IDs (SID) in a single policy must be unique."
NO_ACTIONS, NO_RESOURCES = "Policy statement must contain actions.", "Policy statement must contain resources."
NO_VENDOR = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
ONE_COLON = "Actions/Condition can contain only one colon."
WILD_VENDOR = "Action vendors (e.g., aws, ec2, etc.) must not contain wildcards."
UNQUALIFIED = "Resource vendor must be fully qualified and cannot contain regexes."
IAM_PATH = (
    'IAM resource path must either be "*", root, or start with user/, federated-user/, role/, group/, '
    "instance-profile/, mfa/, server-certificate/, policy/, sms-mfa/, saml-provider/, oidc-provider/, report/, "
    "access-report/."
)
TWICE = [{"Sid": "a", "Effect": "Allow", "Action": "s3:Get", "Resource": BUCKET}, {"Sid": "a", "Effect": "Allow"}]


def statement(**elements: Any) -> dict[str, Any]:
    """Return a valid statement with other elements; None removes one."""
    whole = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": BUCKET} | elements
    return {name: value for name, value in whole.items() if value is not None}


def when(condition: Any, **elements: Any) -> dict[str, Any]:
    return statement(Condition=condition, **elements)


def before(date: str, **elements: Any) -> dict[str, Any]:
    return when({"DateLessThan": {"a": date}}, **elements)


def no_arn(resource: str) -> str:
    return f'Resource {resource} must be in ARN format or "*".'


def partition(name: str, resource: str) -> str:
    return f'Partition "{name}" is not valid for resource "{resource}".'


MALFORMED: list[tuple[Any, str]] = [
    (["afd"], SYNTAX),
    ([], SYNTAX),
    (statement(Extra="value"), SYNTAX),
    (statement(Sid={}), SYNTAX),
    (statement(Sid=[]), SYNTAX),
    (statement(Effect="invalid"), SYNTAX),
    (statement(Effect=None), SYNTAX),
    ([statement(Effect="allow"), statement(Sid=[])], SYNTAX),
    (statement(Action={}), SYNTAX),
    (statement(Action=[[]]), SYNTAX),
    (statement(Action=[], NotAction="s3:x"), SYNTAX),
    (statement(Resource={"a": BUCKET}), SYNTAX),
    (statement(Resource=["adfdf", {}]), SYNTAX),
    (statement(NotResource=[]), SYNTAX),
    (statement(NotResource="*"), SYNTAX),
    (when([]), SYNTAX),
    (when("a"), SYNTAX),
    (when({"a": "b"}), SYNTAX),
    (when({"DateGreaterThan": "b"}), SYNTAX),
    (when({"DateGreaterThan": []}), SYNTAX),
    (when({"DateGreaterThan": {"a": {}}}), SYNTAX),
    (when({"DateGreaterThan": {"a": {}}}, Action=None), SYNTAX),
    (when({"x": {"a": "1"}}), SYNTAX),
    (when({"ForAnyValue::StringEqualsIfExists": {"a": "asf"}}), SYNTAX),
    (statement(Effect="denY"), LEGACY),
    (statement(Effect="allow", Action=None, Resource="arn:aws:s3:us-east-1::example"), LEGACY),
    ([TWICE[0] | {"Effect": "aLLow"}, TWICE[1]], LEGACY),
    (before("sdfdsf"), LEGACY),
    (before("sdfdsf", Action=None, Resource=None), LEGACY),
    (before("sdfdsf", Resource="arn:error:s3:::example"), LEGACY),
    (before("234-13"), LEGACY),
    (before("2016-12-13t2:00:00.593194+1"), LEGACY),
    (before("2016-12-13t2:00:00.1999999999+10:59"), LEGACY),
    (before("9223372036854775808"), LEGACY),
    (statement(Resource="arn:aws:s3::example"), LEGACY),
    (statement(Resource=None, NotResource="arn:aws:s3::example"), LEGACY),
    (statement(Action=None, Resource="arn:aws:s3::example"), LEGACY),
    (statement(Resource="arn:aws::::example"), LEGACY),
    (statement(Resource="arn:aws::example"), LEGACY),
    (TWICE, SIDS),
    (statement(Action=None), NO_ACTIONS),
    (statement(Action=[]), NO_ACTIONS),
    (statement(Action=None, Resource=None), NO_ACTIONS),
    ([{"Effect": "Deny"}, statement()], NO_ACTIONS),
    (statement(Resource=None), NO_RESOURCES),
    (statement(Resource=[]), NO_RESOURCES),
    (statement(Action="invalid", Resource=None), NO_RESOURCES),
    (statement(Resource="invalid resource"), no_arn("invalid resource")),
    (statement(Resource=""), no_arn("")),
    (statement(Resource=["adf"], Action="s:3:x"), no_arn("adf")),
    (statement(Resource="other:aws:s3:::b"), no_arn("other:aws:s3:::b")),
    (statement(Resource="a:b"), partition("b", "arn:b:*:*:*:*")),
    (statement(Resource="a:b:c"), partition("b", "arn:b:c:*:*:*")),
    (statement(Resource="a:b:c:d:e:f:g:h"), partition("b", "arn:b:c:d:e:f:g:h")),
    (statement(Resource="arn:p"), partition("p", "arn:p:*:*:*:*")),
    (statement(Resource="arn::s3:::b"), partition("", "arn::s3:::b")),
    (statement(Resource="aws:s3:::b"), partition("s3", "arn:s3:::b:*")),
    (statement(Resource=["arn:e:s3:::b", "arn:e:s3::b"]), partition("e", "arn:e:s3:::b")),
    (statement(Resource="arn:aws"), UNQUALIFIED),
    (statement(Resource="arn:aws:s*:::b"), UNQUALIFIED),
    (statement(Resource="arn:aws:iam:::example"), IAM_PATH),
    (
        statement(Resource="arn:aws:iam:us-east-1::example"),
        "IAM resource arn:aws:iam:us-east-1::example cannot contain region information.",
    ),
    *[
        (statement(Resource=resource), f"Resource {resource} can not contain region information.")
        for resource in ("arn:aws:s3:us-east-1::b", "arn:aws:s3:us-west-2:123456789012:b/x", "arn:aws:s3:*-1::b")
    ],
    (statement(Action="invalid"), NO_VENDOR),
    (statement(Action=None, NotAction=""), NO_VENDOR),
    (statement(Action="a a:ListBucket"), "Vendor a a is not valid"),
    (statement(Action="s3:List:Bucket"), ONE_COLON),
    ([statement(), statement(Action="s:3s:ListBucket")], ONE_COLON),
    (statement(Action=["*:Untag*", "s3:GetObject"]), WILD_VENDOR),
]
"""Statements of documents with the current version."""


def refused(document: object) -> str | None:
    """Return the sentence for a managed policy; None if it is accepted."""
    try:
        validate_for_write(
            document if isinstance(document, str) else json.dumps(document), PolicyType.IDENTITY, managed=True
        )
    except PolicyError as error:
        return error.sentence
    return None


@table(("statements", "sentence"), MALFORMED)
def test_malformed_statement_has_the_sentence_of_aws(statements: Any, sentence: str) -> None:
    """Of the first fault, in the order of syntax, legacy parsing, Sid, actions, resources, partitions, vendors."""
    assert refused({"Version": "2012-10-17", "Statement": statements}) == sentence


@table(
    ("document", "sentence"),
    [
        ("This is not JSON", SYNTAX),
        ({"Version": "2012-10-17"}, SYNTAX),
        ({"Version": "2013-10-17", "Statement": statement()}, SYNTAX),
        ({"Version": "2012-10-17", "Statement": statement(), "Extra": "value"}, SYNTAX),
        ({"Version": "2012-10-17", "Statement": statement(), "Id": {}}, SYNTAX),
        ({"Version": "2008-10-17", "Statement": statement()}, VERSION),
        *[({"Statement": faulty}, VERSION) for faulty in (statement(), TWICE, before("x"), statement(Effect="denY"))],
    ],
)
def test_malformed_document_has_the_sentence_of_aws(document: object, sentence: str) -> None:
    """The version comes after the syntax, and before everything else."""
    assert refused(document) == sentence


@table(
    "statements",
    [
        statement(Action="iam: asdf safdsf af "),
        statement(Action="s3.s:ListBucket"),
        statement(Resource=[BUCKET, "*"]),
        *[
            statement(Resource=f"arn:aws:{rest}")
            for rest in (
                *("iam:::user/x", "s33:::x", "fdsasf", "cloudwatch:us-east-1::x", "unknown-service:us-east-1::x"),
                *("s3:us-west-2:123456789012:accesspoint/a", "s3:us-west-2:123456789012:accesspoint/a/object/*"),
                *("s3:*:*:x", "s3:eu-west-1:*:job/*", "s3:eu-west-1"),
            )
        ],
        [statement(Sid=""), statement(Sid="")],
        *[when(condition) for condition in ({}, {"DateGreaterThan": {}}, {"DateGreaterThan": {"a": []}})],
        *[when(condition) for condition in ({"a": {}}, {"x": {}, "y": {}}, {"StringEqualsIfExists": {"a": "asf"}})],
        *[before(date) for date in ("01T", "2019-07-01T13:20:15Z", "2016-12-13T21:20:37.593194+00:00")],
        *[before(date) for date in ("2016-12-13t2:00:00.593194+23", "-292275054", "9223372036854775807")],
    ],
)
def test_unusual_statement_is_accepted_as_by_aws(statements: Any) -> None:
    """Keys without a prefix, empty blocks of unknown operators, years of any length."""
    assert refused({"Version": "2012-10-17", "Statement": statements}) is None


def test_empty_block_of_an_unknown_operator_adds_no_condition() -> None:
    """The other operators still count."""
    document = {"Version": "2012-10-17", "Statement": when({"a": {}, "Bool": {"aws:SecureTransport": "true"}})}
    [accepted] = validate_for_write(document, PolicyType.IDENTITY).statements
    assert [test.operator for test in accepted.conditions] == ["Bool"]


@table("effect", ["allow", "DENY", "alloW"])
def test_effect_in_other_letter_case_is_never_parsed(effect: str) -> None:
    """G-21: also where a document of any version and type is evaluated."""
    for type in PolicyType:
        with pytest.raises(PolicyError) as error:
            parse({"Statement": {"Effect": effect, "Action": "s3:Get"}}, type)
        assert error.value.finding == "INVALID_EFFECT"
