"""The condition keys in a record: those that the decision read, with their values, within limits."""

from __future__ import annotations

import json
from typing import Any

from iam_guard.audit.record.condition_values import (
    MAX_CHARACTERS,
    MAX_KEYS,
    MAX_VALUE_CHARACTERS,
    MAX_VALUES,
    ListedKeys,
)
from iam_guard.audit.record.record import DEFAULT_KEYS
from iam_guard.audit.record.redaction import MAX_LINE
from iam_guard.evaluation.authorizer import compile_policies
from iam_guard.model.principal import Principal
from iam_guard.model.request import UNREADABLE, AccessRequest, KeysRead
from tests.tables import table

ADA = Principal.from_arn("arn:aws:iam::111122223333:user/ada", tags={"team": "red"})
RESOURCE = "arn:aws:docs:us-east-1:111122223333:document/7"


def serialized(read: KeysRead, keys: ListedKeys = DEFAULT_KEYS) -> dict[str, Any]:
    members: dict[str, Any] = json.loads(f"{{{keys.serialize(read)[1:]}}}")
    return members


def decided_request(condition: dict[str, Any], context: dict[str, Any], resource: str = "*") -> AccessRequest:
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


def test_request_after_decision_lists_only_the_keys_read() -> None:
    """Keys of conditions, of variables in values and in resources; not those of statements about other actions."""
    request = decided_request(
        {"StringEquals": {"aws:PrincipalTag/team": "${aws:RequestTag/team}"}, "Null": {"aws:SourceIp": "true"}},
        {"aws:RequestTag/team": "red", "aws:UserAgent": "x"},
        "arn:aws:docs:*:*:document/${aws:TokenIssueTime}*",
    )
    assert request.read == {"aws:tokenissuetime": None}  # the resource does not match, so no condition was evaluated
    request = decided_request(
        {"StringEquals": {"aws:PrincipalTag/team": "${aws:RequestTag/team}"}, "Null": {"aws:SourceIp": "true"}},
        {"aws:RequestTag/team": "red", "aws:UserAgent": "x"},
    )
    assert request.read == {"aws:principaltag/team": "red", "aws:requesttag/team": "red", "aws:sourceip": None}


def test_key_with_failing_callable_is_recorded_as_withheld() -> None:
    def fail() -> str:
        raise RuntimeError

    request = decided_request({"StringEquals": {"docs:owner": "ada"}}, {"docs:owner": fail})
    assert request.read == {"docs:owner": UNREADABLE}
    assert serialized(request.read, ListedKeys(["*"])) == {"conditions": [{"key": "docs:owner", "withheld": True}]}


@table(
    ("key", "patterns", "is_recorded"),
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
def test_value_of_listed_key_is_recorded(key: str, patterns: list[str], is_recorded: bool) -> None:
    """Other values are withheld; letter case does not matter (C-3)."""
    [member] = serialized({key: "seven"}, ListedKeys(patterns))["conditions"]
    assert member["key"].lower() == key
    assert (member.get("value"), member.get("withheld")) == (("seven", None) if is_recorded else (None, True))


def test_missing_key_list_and_string_are_distinguished() -> None:
    read: KeysRead = {"aws:tagkeys": ("a", "b"), "aws:sourceip": "10.0.0.1", "aws:principaltag/Team": None}
    assert serialized(read) == {
        "conditions": [
            {"key": "aws:TagKeys", "values": ["a", "b"]},
            {"key": "aws:SourceIp", "value": "10.0.0.1"},
            {"key": "aws:PrincipalTag/Team", "missing": True},
        ]
    }


def test_no_keys_read_serialize_to_an_empty_string() -> None:
    assert DEFAULT_KEYS.serialize({}) == ""


def test_keys_over_the_limits_are_withheld_or_counted() -> None:
    """Any input gives a bounded record; what it leaves out is counted or withheld."""
    many: KeysRead = {f"aws:requesttag/{number}": "x" for number in range(100)}
    assert len(serialized(many)["conditions"]) == MAX_KEYS
    assert serialized(many)["omittedConditions"] == 100 - MAX_KEYS
    listed: KeysRead = {"aws:tagkeys": ("x",) * (MAX_VALUES + 1), "aws:sourceip": "10.0.0.1"}
    assert [list(entry)[1] for entry in serialized(listed)["conditions"]] == ["withheld", "value"]
    long: KeysRead = {"aws:useragent": "x" * (MAX_VALUE_CHARACTERS + 1), "aws:sourceip": "10.0.0.1"}
    assert [list(entry)[1] for entry in serialized(long)["conditions"]] == ["withheld", "value"]
    escaped: KeysRead = {f"aws:requesttag/{number}": "\u202e" * MAX_VALUE_CHARACTERS for number in range(4)}
    assert (len(serialized(escaped)["conditions"]), serialized(escaped)["omittedConditions"]) == (1, 3)
    assert MAX_CHARACTERS < MAX_LINE / 4
