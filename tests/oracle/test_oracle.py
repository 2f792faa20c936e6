"""The oracle and the examples of the rule book: parsing, resources, variables, conditions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tables import table

from .decide import decide, read_case
from .samples import BUCKET, SESSION_OF_ROLE, allow, case, deny, doc, statement, trust

ABSENT = object()
INSTANCE = "arn:aws:ec2:eu-west-1:111122223333:instance/i-1"
ARN = "arn:aws:iam::111122223333:role/dev"

RESOURCES = [
    ("M-10", "*", "*", True),
    ("M-11", "arn:aws:s3:::*", "*", False),
    ("M-12", "arn:aws:ec2:*:instance/*", INSTANCE, True),
    ("M-12", "arn:aws:ec2:*:111122223333:instance/*", INSTANCE, True),
    ("M-12", "arn:aws:ec2:e*1:instance/*", INSTANCE, False),
    ("M-12", "arn:aws:ec2:?????????:111122223333:instance/i-?", INSTANCE, True),
    ("M-12", "arn:aws:ec2:??????????111122223333:*:*", INSTANCE, False),
    ("M-12", "arn:*:ec2:*:*:*/*", INSTANCE, True),
    ("M-12", "arn:aws:logs:*:*:log-group:*:x", "arn:aws:logs:r:1:log-group:a:b:x", True),
    ("M-13", "arn:aws:s3:::bucket/*/test/*", "arn:aws:s3:::bucket/1/2/test/3/x", True),
    ("M-13", "arn:aws:s3:::bucket/*/test/*", "arn:aws:s3:::bucket//test/x", True),
    ("M-13", "arn:aws:s3:::bucket/*/test/*", "arn:aws:s3:::bucket/1/test/", True),
    ("M-13", "arn:aws:s3:::bucket/*/test/*", "arn:aws:s3:::bucket/test/x", False),
    ("M-13", "arn:aws:s3:::bucket/*/test/*", "arn:aws:s3:::bucket/1-test/x", False),
    ("M-14", "arn:aws:s3:::B/k", BUCKET, False),
    ("M-15", "arn:aws:s3:::b", "arn:aws:s3:eu:1:b", False),
    ("M-15", "arn:aws:s3:*:*:b", "arn:aws:s3:::b", True),
    ("M-16", "arn:aws:s3:::b", "arn:aws-cn:s3:::b", False),
    ("M-17", "arn:aws:s3:::b", BUCKET, False),
    ("M-17", "arn:aws:s3:::b/*", BUCKET, True),
    ("M-17", "arn:aws:s3:::b/*", "arn:aws:s3:::b", False),
    ("M-17", "arn:aws:s3:::b*", "arn:aws:s3:::b", True),
    ("M-17", "arn:aws:s3:::b*", BUCKET, True),
    ("M-20", "arn:aws:s3:::b/${*}", "arn:aws:s3:::b/*", True),
    ("M-20", "arn:aws:s3:::b/${*}", BUCKET, False),
    ("M-21", "arn:aws:s3:::b/k", "arn:aws:s3:::b/*", False),
    ("M-22", "arn:aws:s3:::b/${aws:PrincipalTag/star}", BUCKET, False),
    ("M-22", "arn:aws:s3:::b/${aws:PrincipalTag/star}", "arn:aws:s3:::b/*", True),
    ("G-64", "arn:aws:s3", BUCKET, True),
    ("G-64", "arn:aws:sqs", BUCKET, False),
    ("V-7", "arn:aws:s3:::b/${AWS:UserName}", "arn:aws:s3:::b/ann", True),
    ("V-8", "arn:aws:s3:::b/${aws:PrincipalTag/none, 'k'}", BUCKET, True),
    ("V-8", "arn:aws:s3:::b/${aws:username, 'k'}", BUCKET, False),
    ("V-9", "arn:aws:s3:::b/${aws:PrincipalTag/none}", BUCKET, False),
    ("V-6", "arn:aws:s3:::b/${aws:TagKeys}", BUCKET, False),
    ("V-12", "arn:aws:s3:::b/${aws:PrincipalTag/nested}", "arn:aws:s3:::b/${aws:username}", True),
    ("V-15", "arn:aws:s3:::b/${aws:username", "arn:aws:s3:::b/${aws:username", True),
    ("V-15", "arn:aws:s3:::b/$abc{x}", "arn:aws:s3:::b/$abc{x}", True),
    ("V-16", "arn:aws:s3:::b/${aws:PrincipalTag/empty, 'k'}", BUCKET, False),
    ("V-16", "arn:aws:s3:::b/${aws:PrincipalTag/list, 'k'}", BUCKET, False),
]
TAGS = {"aws:PrincipalTag/star": "*", "aws:PrincipalTag/nested": "${aws:username}", "aws:PrincipalTag/empty": ""}
CONTEXT = {**TAGS, "aws:PrincipalTag/list": ["k"], "aws:TagKeys": ["k"]}


@table(
    ("entry", "resource", "expected"), [pytest.param(*row[1:], id=f"{row[0]}-{n}") for n, row in enumerate(RESOURCES)]
)
def test_resource_entry_matches_as_required(entry: str, resource: str, expected: bool) -> None:
    """An Allow with this `Resource` applies, or does not."""
    decision = decide(case(on=resource, context=CONTEXT, identity=[allow(Resource=entry)]))
    assert decision == ("Allowed" if expected else "ImplicitlyDenied")


ACTIONS = [
    ("M-3", "S3:getobject", True),
    ("M-4", "s3:Get??ject", True),
    ("M-4", "s3:Get?bject?", False),
    ("M-5", "*", True),
    ("M-5", "s3:*", True),
    ("M-5", "s3express:*", False),
    ("M-6", "s3:Get.*", False),
    ("M-7", "s3:Get${x}", False),
]


@table(("entry", "expected"), [pytest.param(*row[1:], id=f"{row[0]}-{row[1]}") for row in ACTIONS])
def test_action_entry_matches_as_required(entry: str, expected: bool) -> None:
    """An Allow with this `Action` applies, or does not; `NotAction` is the opposite (M-2)."""
    named = decide(case(identity=[allow(Action=entry)]))
    others = decide(case(identity=[allow(Action=None, NotAction=entry)]))
    assert (named, others) == (("Allowed", "ImplicitlyDenied") if expected else ("ImplicitlyDenied", "Allowed"))


Row = tuple[str, str, Any, Any, bool]
CONDITIONS: list[Row] = [
    ("C-2", "StringNotEquals", ["a", "b"], "b", False),
    ("C-2", "StringNotEquals", ["a", "b"], "c", True),
    ("C-5", "StringEquals", "a", ABSENT, False),
    ("C-5", "StringNotEquals", "a", ABSENT, True),
    ("C-5", "StringNotLike", "a", ABSENT, True),
    ("C-5", "NumericNotEquals", 1, ABSENT, True),
    ("C-5", "DateNotEquals", "2026-01-01", ABSENT, True),
    ("C-5", "NotIpAddress", "10.0.0.0/8", ABSENT, True),
    ("C-5", "ArnNotLike", ARN, ABSENT, True),
    ("C-5", "NumericLessThan", 1, ABSENT, False),
    ("C-5", "Bool", True, ABSENT, False),
    ("C-5", "BinaryEquals", "QQ==", ABSENT, False),
    ("C-7", "StringEquals", "a", ["a", "b"], False),
    ("C-7", "StringNotEquals", "c", ["a", "b"], False),
    ("C-8", "StringEquals", "a", ["a"], True),
    ("C-10", "StringEquals", "a*", "ab", False),
    ("C-10", "StringEquals", "a*", "a*", True),
    ("C-11", "StringLike", "a*d", "a:/d", True),
    ("C-11", "StringLike", "", "", True),
    ("C-11", "StringLike", "", "a", False),
    ("C-13", "NumericEquals", "2.0", 2, True),
    ("C-13", "NumericEquals", "two", 2, False),
    ("C-13", "NumericNotEquals", "two", 2, False),
    ("C-13", "NumericNotEquals", ["two", "3"], 2, False),
    ("C-13", "NumericEquals", ["two", "2"], 2, True),
    ("C-13", "NumericNotEquals", "2", "two", False),
    ("C-14", "NumericLessThan", ["1", "10"], 5, True),
    ("C-15", "DateEquals", "2026-01-01", "2026-01-01T00:00:00Z", True),
    ("C-15", "DateEquals", "2026-01-01T02:00+02:00", "2026-01-01T00:00:00.0Z", True),
    ("C-15", "DateEquals", "2026-01-01t00:00:00z", 1767225600, True),
    ("C-15", "DateLessThan", "2026-01-01T00:00:00", "1767225599", True),
    ("C-15", "DateGreaterThan", "1767225600", 1767225600.5, True),
    ("C-16", "DateGreaterThan", "2026", "1970-01-02", True),
    ("C-15", "DateEquals", "2026-1-1T0Z", 1767225600, True),
    ("C-15", "DateEquals", "12000-03-01T1", 316521392400, True),
    ("C-15", "DateEquals", "-1", -62198755200, False),
    ("C-15", "DateLessThan", "01T", "-1", True),
    ("C-15", "DateLessThan", "-292275055", "2026-01", False),
    ("C-16", "DateEquals", "2026-01", "1767225600", True),
    ("C-17", "DateNotEquals", "2026-*", "2026-01-01", False),
    ("C-18", "Bool", "TRUE", True, True),
    ("C-18", "Bool", "yes", "yes", False),
    ("C-18", "Bool", ["true", "false"], False, True),
    ("C-19", "BinaryEquals", "QUI=", "QUI=", True),
    ("C-19", "BinaryEquals", "?", "?", False),
    ("C-20", "IpAddress", "203.0.113.7", "203.0.113.7", True),
    ("C-21", "IpAddress", "203.0.113.77/24", "203.0.113.1", True),
    ("C-22", "IpAddress", "0.0.0.0/0", "2001:db8::1", False),
    ("C-22", "NotIpAddress", "0.0.0.0/0", "2001:db8::1", True),
    ("C-22", "IpAddress", "10.0.0.0/8", "::ffff:10.0.0.1", False),
    ("C-23", "IpAddress", "2001:DB8::1", "2001:db8:0:0:0:0:0:1", True),
    ("N-10", "NotIpAddress", "10.0.0.0/33", "10.0.0.1", False),
    ("C-25", "ArnLike", "arn:aws:iam::*:role/*", ARN, True),
    ("C-25", "ArnLike", "arn:aws:iam:*:role/*", ARN, False),
    ("C-26", "ArnEquals", "arn:*:*:*:*:role/d?v", ARN, True),
    ("C-27", "ArnLike", "*", ARN, False),
    ("C-27", "ArnNotLike", "*", ARN, True),
    ("C-27", "ArnNotLike", ["*", ARN], ARN, False),
    ("C-27", "ArnNotEquals", ARN, "dev", False),
    ("C-28", "StringLike", "arn:*dev", ARN, True),
    ("C-30", "StringEqualsIfExists", "a", ABSENT, True),
    ("C-30", "StringEqualsIfExists", "a", "b", False),
    ("C-31", "StringNotEqualsIfExists", "a", ABSENT, True),
    ("C-32", "Null", True, ABSENT, True),
    ("C-32", "Null", "false", "a", True),
    ("C-33", "Null", "true", [], True),
    ("C-33", "Null", "false", "", False),
    ("C-33", "StringEquals", "", "", True),
    ("C-34", "ForAllValues:Null", "false", ABSENT, True),
    ("C-34", "ForAnyValue:Null", "true", ABSENT, False),
    ("C-35", "ForAnyValue:StringEqualsIfExists", "a", ["b", "a"], True),
    ("C-36", "ForAllValues:StringEquals", ["a", "b"], ["a", "b"], True),
    ("C-36", "ForAllValues:StringEquals", ["a", "b"], ["a", "c"], False),
    ("C-36", "ForAllValues:StringEquals", "a", ABSENT, True),
    ("C-36", "ForAllValues:StringEquals", "a", [""], True),
    ("C-37", "ForAnyValue:StringEquals", "a", ["c", "a"], True),
    ("C-37", "ForAnyValue:StringEquals", "a", ABSENT, False),
    ("C-37", "ForAnyValue:StringEquals", "", "", False),
    ("C-38", "ForAllValues:StringNotLike", ["x*"], ["a", "xy"], False),
    ("C-38", "ForAnyValue:StringNotEquals", ["a"], ["a", "b"], True),
    ("C-39", "ForAllValues:StringNotLike", "a", ABSENT, True),
    ("C-39", "ForAnyValue:StringNotEquals", "a", ABSENT, False),
    ("C-40", "ForAnyValue:StringEqualsIfExists", "a", ABSENT, True),
    ("N-10", "ForAnyValue:StringEqualsIfExists", "", "", False),
    ("N-10", "StringEqualsIfExists", "a", [], True),
    ("C-41", "ForAllValues:StringEquals", "a", "a", True),
    ("C-42", "ForAllValues:StringEquals", [], ABSENT, True),
    ("C-42", "ForAllValues:StringNotEquals", [], "a", False),
    ("C-42", "StringNotEqualsIfExists", [], "a", False),
    ("C-42", "StringEqualsIfExists", [], ABSENT, True),
    ("C-42", "ForAnyValue:StringNotEquals", [], "a", False),
    ("C-42", "StringEquals", [], "a", False),
    ("C-42", "StringNotEquals", [], "a", True),
    ("C-44", "StringEqualsIgnoreCase", "ABC", "abc", True),
    ("V-5", "NumericEquals", "${aws:PrincipalTag/two}", "2", False),
    ("V-5", "Bool", "${aws:PrincipalTag/yes}", "true", True),
    ("V-9", "StringEquals", "${aws:PrincipalTag/none}", "a", False),
    ("V-9", "StringNotEquals", "${aws:PrincipalTag/none}", "a", True),
    ("V-10", "StringNotLike", "${aws:PrincipalTag/empty}", "", True),
    ("V-11", "StringEquals", ["${aws:PrincipalTag/none}", "a"], "a", True),
    ("V-13", "ArnEquals", "arn:aws:iam::111122223333:role/${aws:PrincipalTag/role}", ARN, True),
    ("V-14", "StringEquals", "${*}${?}${$}", "*?$", True),
    ("V-14", "StringLike", "a${*}", "ab", False),
]


@table(
    ("operator", "entry", "value", "expected"),
    [pytest.param(*row[1:], id=f"{row[0]}-{row[1]}-{n}") for n, row in enumerate(CONDITIONS)],
)
def test_condition_is_met_as_required(operator: str, entry: object, value: object, expected: bool) -> None:
    """An Allow and a Deny with this condition both apply, or both do not; the key is case-insensitive (C-3)."""
    context: dict[str, Any] = {
        "aws:PrincipalTag/two": "2",
        "aws:PrincipalTag/yes": "true",
        "aws:PrincipalTag/role": "dev",
    }
    context |= {"aws:PrincipalTag/empty": ""} | ({} if value is ABSENT else {"App:Key": value})
    condition = {operator: {"app:key": entry}}
    allowed = decide(case(context=context, identity=[allow(Condition=condition)]))
    denied = decide(case(context=context, identity=[deny(Condition=condition)]))
    assert (allowed == "Allowed", denied == "ExplicitlyDenied") == (expected, expected)


REFUSED = [
    ("N-9-not-an-object", "allow"),
    ("G-1", {**allow(), "Comment": "x"}),
    ("G-2", {"version": "2012-10-17", "Statement": []}),
    ("G-3", doc(statement(), version="2012-10-18")),
    ("G-7", {"Version": "2012-10-17"}),
    ("G-17", doc({"Effect": "Allow", "Action": None, "Resource": "*"})),
    ("G-20", allow(action="*")),
    ("G-21", doc({"Effect": "allow", "Action": "*", "Resource": "*"})),
    ("G-21", doc({"Action": "*", "Resource": "*"})),
    ("G-22", allow(NotAction="*")),
    ("G-22", allow(Action=None)),
    ("G-23", allow(NotResource="*")),
    ("G-30", allow(Principal="*")),
    ("G-61", allow(Action="s*:Get")),
    ("G-62", allow(Action="GetObject")),
    ("G-66", allow(Condition={"StringMatches": {"a:b": "c"}})),
    ("G-66", allow(Condition={"stringequals": {"a:b": "c"}})),
    ("C-30", allow(Condition={"NullIfExists": {"a:b": "true"}})),
]


@table("document", [pytest.param(row[1], id=f"{row[0]}-{n}") for n, row in enumerate(REFUSED)])
def test_invalid_document_is_an_error(document: object) -> None:
    """A refused document makes the case an error, even next to one that allows (N-9)."""
    assert decide(case(identity=[allow(), document])) == "error"


def test_not_principal_with_allow_is_refused() -> None:
    """G-34."""
    assert decide(case(identity=[allow()], resource=allow(NotPrincipal={"AWS": "111122223333"}))) == "error"


@table("place", ["identity", "permissions_boundary", "session", "resource", "scps", "rcps"])
def test_short_arn_is_refused_outside_identity_based_policies(place: str) -> None:
    """G-64: a boundary is a managed policy and identity-based."""
    elements: dict[str, Any] = {"Principal": "*"} if place in ("resource", "rcps") else {}
    document: Any = allow(Resource="arn:aws:s3", **elements)
    wrapped = {"identity": [document], "session": [document], "scps": [[document]], "rcps": [[document]]}
    policies = {"identity": [allow()], place: wrapped.get(place, document)}
    expected = "Allowed" if place in ("identity", "permissions_boundary") else "error"
    assert decide(case(SESSION_OF_ROLE, **policies)) == expected


def test_duplicate_keys_are_refused() -> None:
    """G-10: detected only if the case is parsed from text."""
    text = '{"request": {"principal": {"type": "Anonymous", "arn": "anonymous"}, "action": "a:b", "resource": "*"},'
    text += ' "policies": {"resource": {"Statement": [{"Effect": "Deny", "Effect": "Allow", "Action": "*"}]}}}'
    assert decide(read_case(text)) == "error"


def test_variables_are_literal_in_the_old_version() -> None:
    """G-4, G-5: without a version, and with 2008-10-17."""
    entry = {"StringEquals": {"app:key": "${aws:username}"}}
    old = doc(statement(Condition=entry), version="2008-10-17")
    absent = {"Statement": old["Statement"]}
    for document in (old, absent):
        assert decide(case(context={"app:key": "${aws:username}"}, identity=[document])) == "Allowed"
        assert decide(case(context={"app:key": "ann"}, identity=[document])) == "ImplicitlyDenied"


def test_no_value_excludes_nothing_from_not_resource() -> None:
    """V-10."""
    element = {"Resource": None, "NotResource": "arn:aws:s3:::b/${aws:PrincipalTag/none}"}
    assert decide(case(identity=[deny(**element)])) == "ExplicitlyDenied"


@table("element", [{"Action": []}, {"Resource": []}])
def test_empty_list_matches_nothing(element: dict[str, Any]) -> None:
    """G-27."""
    assert decide(case(identity=[allow(**element)])) == "ImplicitlyDenied"


@table("principal", [{}, {"AWS": []}, None])
def test_empty_or_missing_principal_matches_no_caller(principal: object) -> None:
    """G-27, G-31."""
    assert decide(case(resource=allow(Principal=principal))) == "ImplicitlyDenied"


def test_resource_policy_without_resource_applies_to_its_resource() -> None:
    """M-26."""
    assert decide(case(resource=trust("*", Resource=None))) == "Allowed"
