"""Which condition keys a record tells, and that it is those that the decision read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from iam_guard.audit.record.condition_values import MAX_KEYS, MAX_LENGTH, MAX_LETTERS, MAX_VALUES, ListedKeys
from iam_guard.audit.record.record import DEFAULT_KEYS
from iam_guard.audit.record.redaction import MAX_LINE
from iam_guard.evaluation.authorizer import compile_policies
from iam_guard.model.principal import Principal
from iam_guard.model.request import UNREADABLE, AccessRequest, KeysRead

ADA = Principal.from_arn("arn:aws:iam::111122223333:user/ada", tags={"team": "red"})
RESOURCE = "arn:aws:docs:us-east-1:111122223333:document/7"


def told(read: KeysRead, keys: ListedKeys = DEFAULT_KEYS) -> dict[str, Any]:
    members: dict[str, Any] = json.loads(f"{{{keys.written(read)[1:]}}}")
    return members


def decided(condition: dict[str, Any], context: dict[str, Any], resource: str = "*") -> AccessRequest:
    statement = {"Effect": "Allow", "Action": "docs:Get", "Resource": resource, "Condition": condition}
    other = {
        "Effect": "Deny",
        "Action": "docs:Put",
        "Resource": "*",
        "Condition": {"Bool": {"aws:ViaAWSService": "true"}},
    }
    request = AccessRequest(ADA, "docs:Get", RESOURCE, context)
    compile_policies(identity=[{"Version": "2012-10-17", "Statement": [statement, other]}]).decide(request)
    return request


def test_what_the_decision_read_is_known_and_nothing_else() -> None:
    """Keys of conditions, of variables in values and in resources; never those of statements about other actions."""
    request = decided(
        {"StringEquals": {"aws:PrincipalTag/team": "${aws:RequestTag/team}"}, "Null": {"aws:SourceIp": "true"}},
        {"aws:RequestTag/team": "red", "aws:UserAgent": "x"},
        "arn:aws:docs:*:*:document/${aws:TokenIssueTime}*",
    )
    assert request.read == {"aws:tokenissuetime": None}  # the resource does not match, so no condition was asked
    request = decided(
        {"StringEquals": {"aws:PrincipalTag/team": "${aws:RequestTag/team}"}, "Null": {"aws:SourceIp": "true"}},
        {"aws:RequestTag/team": "red", "aws:UserAgent": "x"},
    )
    assert request.read == {"aws:principaltag/team": "red", "aws:requesttag/team": "red", "aws:sourceip": None}


def test_key_that_cannot_be_computed_is_known_to_have_been_read() -> None:
    def fail() -> str:
        raise RuntimeError

    request = decided({"StringEquals": {"docs:owner": "ada"}}, {"docs:owner": fail})
    assert request.read == {"docs:owner": UNREADABLE}
    assert told(request.read, ListedKeys(["*"])) == {"conditions": [{"key": "docs:owner", "withheld": True}]}


@pytest.mark.parametrize(
    ("key", "patterns", "is_told"),
    [
        ("aws:sourceip", ["aws:*"], True),
        ("aws:sourceip", ["AWS:SourceIP"], True),
        ("aws:sourceip", [], False),
        ("docs:owner", ["aws:*"], False),
        ("docs:owner", ["docs:*"], True),
        ("aws:referer", ["*"], False),
        ("aws:referer", ["aws:Referer"], True),
        ("sts:externalid", ["aws:*", "iam:*"], False),
    ],
)
def test_value_is_told_where_its_key_is_listed(key: str, patterns: list[str], is_told: bool) -> None:
    """A value that is not listed is withheld, and the record says so; letter case does not count (C-3)."""
    [member] = told({key: "seven"}, ListedKeys(patterns))["conditions"]
    assert member["key"].lower() == key
    assert (member.get("value"), member.get("withheld")) == (("seven", None) if is_told else (None, True))


def test_missing_list_and_text_differ() -> None:
    read: KeysRead = {"aws:tagkeys": ("a", "b"), "aws:sourceip": "10.0.0.1", "aws:principaltag/Team": None}
    assert told(read) == {
        "conditions": [
            {"key": "aws:TagKeys", "values": ["a", "b"]},
            {"key": "aws:SourceIp", "value": "10.0.0.1"},
            {"key": "aws:PrincipalTag/Team", "missing": True},
        ]
    }


def test_nothing_read_costs_nothing() -> None:
    assert DEFAULT_KEYS.written({}) == ""


def test_too_many_and_too_long_are_told_of() -> None:
    """Whatever is read, what a record says of it is bounded; what it leaves out, it counts or withholds."""
    many: KeysRead = {f"aws:requesttag/{number}": "x" for number in range(100)}
    assert len(told(many)["conditions"]) == MAX_KEYS
    assert told(many)["omittedConditions"] == 100 - MAX_KEYS
    listed: KeysRead = {"aws:tagkeys": ("x",) * (MAX_VALUES + 1), "aws:sourceip": "10.0.0.1"}
    assert [list(each)[1] for each in told(listed)["conditions"]] == ["withheld", "value"]
    long: KeysRead = {"aws:useragent": "x" * (MAX_LENGTH + 1), "aws:sourceip": "10.0.0.1"}
    assert [list(each)[1] for each in told(long)["conditions"]] == ["withheld", "value"]
    escaped: KeysRead = {f"aws:requesttag/{number}": "\u202e" * MAX_LENGTH for number in range(4)}
    assert (len(told(escaped)["conditions"]), told(escaped)["omittedConditions"]) == (1, 3)
    assert MAX_LETTERS < MAX_LINE / 4
