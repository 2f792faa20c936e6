"""GetContextKeysForCustomPolicy and GetContextKeysForPrincipalPolicy through boto3."""

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


def test_the_example_of_the_command_lines_reference(iam: Client) -> None:
    """The keys of variables and of conditions, in the order of the policy."""
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
def test_keys_are_those_that_mean_something(iam: Client, statement: dict[str, Any], expected: list[str]) -> None:
    """V-3 to V-5: variables where they are variables; a policy of any type, and one that nobody could store."""
    assert keys(iam, document(statement)) == expected


def test_each_key_is_told_once(iam: Client) -> None:
    """C-3: in the letter case of the policy that names it first."""
    first = document(saying("Allow", "s3:*", Condition={"StringEquals": {"docs:Owner": "x"}}))
    second = document(saying("Allow", "s3:*", Condition={"StringEquals": {"DOCS:owner": "x", "docs:Kind": "y"}}))
    assert keys(iam, first, second) == ["docs:Owner", "docs:Kind"]


def test_an_old_policy_has_no_variables(iam: Client) -> None:
    """G-4, G-5."""
    assert keys(iam, json.dumps({"Statement": saying("Allow", "dynamodb:*", TABLE)})) == []


@pytest.mark.parametrize("text", ["{", '{"Statement":1}', '{"Version":"1","Statement":[]}', '{"Statement":[{}]}'])
def test_what_is_no_policy_is_refused(iam: Client, text: str) -> None:
    """With its place in the list."""
    with refusal("InvalidInput", "Policy input list item 2 has invalid content", 400):
        keys(iam, document(), text)


@pytest.fixture
def people(server: Running) -> Running:
    """ada with one policy within her and one by her group; a role with a boundary. Each policy asks for its own key."""

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
def test_keys_of_everything_that_an_entity_has(iam: Client, people: Running, source: str, expected: set[str]) -> None:
    """Its own policies, its groups' and its boundary; and those that come with the call."""
    arn = f"arn:aws:iam::{ACCOUNT}:{source}"
    stored = iam.get_context_keys_for_principal_policy(PolicySourceArn=arn)["ContextKeyNames"]
    assert (len(stored), set(stored)) == (len(expected), expected)
    more = document(saying("Allow", "s3:*", Condition={"StringEquals": {"docs:More": "x", "DOCS:TEAM": "y"}}))
    with_more = iam.get_context_keys_for_principal_policy(PolicySourceArn=arn, PolicyInputList=[more])
    assert {key.lower() for key in with_more["ContextKeyNames"]} == {
        key.lower() for key in expected | {"docs:More", "docs:Team"}
    }


def test_who_may_not_is_refused(client_for: Callable[..., Client]) -> None:
    """GetContextKeysForCustomPolicy needs its own permission."""
    with refusal("AccessDenied", "is not authorized to perform: iam:GetContextKeysForCustomPolicy", 403):
        keys(client_for("nobody"), document())
