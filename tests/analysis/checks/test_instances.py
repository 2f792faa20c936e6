"""Differences that depend on the values of variables have a witness with such values."""

from __future__ import annotations

from iam_guard.analysis.checks.policy_checks import check_no_new_access
from iam_guard.model.decision import PolicyType
from tests.analysis.checks.small_policies import Doc
from tests.tables import table

HOME = "arn:aws:s3:::h/"


def document(*statements: Doc) -> Doc:
    return {"Version": "2012-10-17", "Statement": [{"Action": "*", **statement} for statement in statements]}


def allow(resource: str, **condition: Doc) -> Doc:
    return {"Effect": "Allow", "Resource": resource} | ({"Condition": condition} if condition else {})


def deny(resource: str) -> Doc:
    return {"Effect": "Deny", "Resource": resource}


ALL = allow(f"{HOME}*")


@table(
    ("existing", "new"),
    [
        (document(allow(HOME + "${aws:username}")), document(allow(HOME + "${aws:userid}"))),
        (document(allow(HOME + "${aws:userid}")), document(allow(HOME + "${aws:username}"))),
        (document(allow(HOME + "${docs:A}/${docs:B}")), document(allow(HOME + "${docs:B}/${docs:A}"))),
        (document(ALL, deny(HOME + "${aws:username}")), document(ALL, deny(HOME + "${aws:userid}"))),
        (document(ALL, deny(HOME + "${docs:A}/b/${docs:A}")), document(allow(f"{HOME}x/b/x"))),
        (document(ALL, deny(HOME + "${docs:A}")), document(allow(f"{HOME}$x"))),
        (document(allow(HOME + "${docs:A}")), document(allow(HOME + "${docs:A}/y"))),
        (
            document(allow(f"{HOME}*", StringEquals={"docs:X": "${docs:A}"})),
            document(allow(f"{HOME}*", StringEquals={"docs:X": "${docs:B}"})),
        ),
        (
            document(allow(HOME + "${docs:A}", StringEquals={"docs:A": ["ada", "bob"]})),
            document(allow(f"{HOME}*", StringEquals={"docs:A": ["bob"]})),
        ),
    ],
)
def test_difference_of_variables_has_a_witness(existing: Doc, new: Doc) -> None:
    result = check_no_new_access(existing, new, PolicyType.IDENTITY)
    assert (result.verdict, result.witness is None) == ("FAIL", False)


@table(
    ("existing", "new"),
    [
        (document(ALL), document(allow(HOME + "${docs:A}", StringEquals={"docs:A": ""}))),
        (document(allow(HOME + "a*")), document(ALL, {"Effect": "Deny", "NotResource": HOME + "a*"})),
        (
            document(allow(HOME + "x", StringEqualsIfExists={"docs:F": ["true", "${docs:A}"]})),
            document(allow(HOME + "x", StringEquals={"docs:F": "${docs:A}"})),
        ),
        (
            document(allow(HOME + "x", StringEquals={"docs:F": "true"}, Bool={"docs:F": "true"})),
            document(allow(HOME + "x", Bool={"docs:F": "${docs:A}"}, StringEquals={"docs:F": "true"})),
        ),
        (document(allow(HOME + "y")), document(allow(HOME + "${docs:A}", Null={"docs:A": "true"}))),
        (
            document(allow(HOME + "y")),
            document(allow(HOME + "${docs:A}"), {"Effect": "Deny", "Resource": HOME + "*"}),
        ),
        (
            document(allow(HOME + "*"), deny(HOME + "a*")),
            document(allow(HOME + "${docs:A}/x"), deny(HOME + "a*"), deny(HOME + "b*")),
        ),
    ],
)
def test_variables_that_make_no_difference_are_proved(existing: Doc, new: Doc) -> None:
    assert check_no_new_access(existing, new, PolicyType.IDENTITY).verdict == "PASS"


def test_variable_of_an_arn_may_have_colons() -> None:
    """A value of a variable is literal text: it matches more fields than a wildcard in its place."""
    wildcard = document(allow("*", ArnLike={"aws:SourceArn": "arn:aws:*:::b"}))
    variable = document(allow("*", ArnEquals={"aws:SourceArn": "arn:aws:${docs:A}:::b"}))
    assert check_no_new_access(wildcard, variable, PolicyType.IDENTITY).verdict == "FAIL"
    wildcard = document(allow("*", ArnLike={"aws:SourceArn": "arn:aws:s3:::*"}))
    variable = document(allow("*", ArnEquals={"aws:SourceArn": "arn:aws:s3:::${docs:A}"}))
    assert check_no_new_access(wildcard, variable, PolicyType.IDENTITY).verdict == "PASS"
