"""GetContextKeysForCustomPolicy and GetContextKeysForPrincipalPolicy by boto3."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.api.conftest import ACCOUNT, Client, Running, refusal
from tests.api.iam.policy_parts import TRUST, join, prepare
from tests.api.iam.simulation_parts import document, saying

TABLE = "arn:aws:dynamodb:us-west-2:123456789012:table/${aws:username}"


def keys(iam: Client, *policies: str) -> list[str]:
    return list(iam.get_context_keys_for_custom_policy(PolicyInputList=list(policies))["ContextKeyNames"])


def test_context_keys_of_the_cli_example(iam: Client) -> None:
    """Keys of variables and of conditions, in the policy's order."""
    policy = (
        '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"dynamodb:*","Resource":"' + TABLE + '",'
        '"Condition":{"DateGreaterThan":{"aws:CurrentTime":"2015-08-16T12:00:00Z"}}}}'
    )
    assert keys(iam, policy) == ["aws:username", "aws:CurrentTime"]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (saying("Allow", "s3:*"), []),
        (saying("Allow", "s3:*", Condition={"Null": {"aws:SourceIp": "true"}}), ["aws:SourceIp"]),
        (saying("Deny", "s3:*", Condition={"StringLike": {"A:b": "x", "c:D": "y"}}), ["A:b", "c:D"]),
        (saying("Allow", "s3:*", Condition={"StringLike": {"A:b": "x"}, "Bool": {"a:B": "true"}}), ["A:b"]),
        (saying("Allow", "s3:*", Condition={"StringEquals": {"a:b": "${c:D}${E:f, 'x'}"}}), ["a:b", "c:D", "E:f"]),
        (saying("Allow", "s3:*", Condition={"ForAnyValue:ArnLike": {"a:b": "${c:d}"}}), ["a:b", "c:d"]),
        (saying("Allow", "s3:*", Condition={"NumericEquals": {"a:b": "${c:d}"}}), ["a:b"]),
        (saying("Allow", "s3:*", ["arn:aws:s3:::${a:b}/*", "arn:aws:s3:::x"]), ["a:b"]),
        (saying("Allow", "s3:*", "arn:aws:s3:${a:b}::x"), []),
        (saying("Allow", "s3:*", "arn:aws:s3:::${*}${?}${$}"), []),
        (saying("Allow", "${a:b}:*"), []),
        ({"Effect": "Deny", "Action": "s3:*", "NotResource": "arn:aws:s3:::${a:b}"}, ["a:b"]),
        ({"Effect": "Allow", "Principal": "*", "Action": "*", "Condition": {"Bool": {"a:b": "true"}}}, ["a:b"]),
        ({"Effect": "Allow", "Action": "s3:*"}, []),
        ({"Effect": "Allow", "Condition": {"Bool": {"aws:PrincipalTag/team": "true"}}}, ["aws:PrincipalTag/team"]),
    ],
)
def test_context_keys_ignore_invalid_variables(iam: Client, statement: dict[str, Any], expected: list[str]) -> None:
    """V-3 to V-5; a policy of any type, even one that can't be stored."""
    assert keys(iam, document(statement)) == expected


def test_context_key_is_listed_once(iam: Client) -> None:
    """C-3: in its first letter case."""
    first = document(saying("Allow", "s3:*", Condition={"StringEquals": {"docs:Owner": "x"}}))
    second = document(saying("Allow", "s3:*", Condition={"StringEquals": {"DOCS:owner": "x", "docs:Kind": "y"}}))
    assert keys(iam, first, second) == ["docs:Owner", "docs:Kind"]


def test_old_policy_has_no_variable_keys(iam: Client) -> None:
    """G-4, G-5."""
    assert keys(iam, json.dumps({"Statement": saying("Allow", "dynamodb:*", TABLE)})) == []


@pytest.mark.parametrize("text", ["{", '{"Statement":1}', '{"Version":"1","Statement":[]}', '{"Statement":[{}]}'])
def test_invalid_policy_is_rejected_with_its_index(iam: Client, text: str) -> None:
    """With its place in the list."""
    with refusal("InvalidInput", "Policy input list item 2 has invalid content", 400):
        keys(iam, document(), text)


@pytest.fixture
def people(server: Running) -> Running:
    """ada with an inline policy and a group policy; a role with a boundary. Each policy refers to its own key."""

    def asking(key: str) -> dict[str, Any]:
        return json.loads(document(saying("Allow", "s3:*", Condition={"StringEquals": {key: "x"}})))  # type: ignore[no-any-return]

    prepare(
        server,
        policies=[{"name": name, "document": asking(f"docs:{name}")} for name in ("Shared", "Limit")],
        users=[{"name": "ada", "inline": {"Own": asking("docs:Own")}, "attached": ["Shared"]}],
        groups=[{"name": "team", "inline": {"Team": asking("docs:Team")}, "attached": ["Shared"]}],
        roles=[{"name": "worker", "trust": TRUST, "inline": {"Role": asking("docs:Role")}, "boundary": "Limit"}],
    )
    join(server, "ada", "team")
    return server


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("user/ada", {"docs:Own", "docs:Shared", "docs:Team"}),
        ("group/team", {"docs:Shared", "docs:Team"}),
        ("role/worker", {"docs:Role", "docs:Limit"}),
    ],
)
def test_context_keys_of_a_principal(iam: Client, people: Running, source: str, expected: set[str]) -> None:
    """Own, group and boundary policies, and those in the call."""
    arn = f"arn:aws:iam::{ACCOUNT}:{source}"
    stored = iam.get_context_keys_for_principal_policy(PolicySourceArn=arn)["ContextKeyNames"]
    assert (len(stored), set(stored)) == (len(expected), expected)
    more = document(saying("Allow", "s3:*", Condition={"StringEquals": {"docs:More": "x", "DOCS:TEAM": "y"}}))
    with_more = iam.get_context_keys_for_principal_policy(PolicySourceArn=arn, PolicyInputList=[more])
    assert {key.lower() for key in with_more["ContextKeyNames"]} == {
        key.lower() for key in expected | {"docs:More", "docs:Team"}
    }


def test_context_keys_need_permission(client_for: Callable[..., Client]) -> None:
    """GetContextKeysForCustomPolicy needs its own permission."""
    with refusal("AccessDenied", "is not authorized to perform: iam:GetContextKeysForCustomPolicy", 403):
        keys(client_for("nobody"), document())
