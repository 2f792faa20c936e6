"""Escalation by new users, roles and policies: what works, and what must not."""

from __future__ import annotations

from tests.analysis.escalation.escalation_worlds import Json, account, allow, arn, deny, found, policy, user
from tests.tables import table

TO_ADMINISTRATOR = ("user/ada", "administrator")
WITH_BOUNDARY = {"StringEquals": {"iam:PermissionsBoundary": arn("policy/Limits")}}
LIMITS = policy("Limits", allow("docs:*", "iam:*"))
TEAM = {"ArnLike": {"iam:PolicyARN": arn("policy/team/*")}}


def of_ada(*statements: Json) -> Json:
    return account(user("ada", *statements), policies=[LIMITS])


CREATING: dict[str, tuple[Json, list[str]]] = {
    "a user": (
        of_ada(allow("iam:CreateUser", "iam:CreateAccessKey", "iam:AttachUserPolicy", on=arn("user/bots/*"))),
        ["iam:CreateUser", "iam:AttachUserPolicy", "iam:CreateAccessKey"],
    ),
    "a user, by inline policy": (
        of_ada(allow("iam:CreateUser", "iam:CreateAccessKey", "iam:PutUserPolicy", on=arn("user/bots/*"))),
        ["iam:CreateUser", "iam:PutUserPolicy", "iam:CreateAccessKey"],
    ),
    "a role": (
        of_ada(allow("iam:CreateRole", "iam:PutRolePolicy", on=arn("role/jobs-*"))),
        ["iam:CreateRole", "iam:PutRolePolicy", "sts:AssumeRole"],
    ),
    "a policy": (
        of_ada(allow("iam:CreatePolicy", on=arn("policy/team/*")), allow("iam:AttachUserPolicy", **TEAM)),
        ["iam:CreatePolicy", "iam:AttachUserPolicy"],
    ),
}


@table("case", CREATING)
def test_new_entity_that_is_administrator(case: str) -> None:
    world, actions = CREATING[case]
    assert found(world) == {TO_ADMINISTRATOR: actions}


NOT_CREATING: dict[str, Json] = {
    "a user without permissions": of_ada(allow("iam:CreateUser", "iam:CreateAccessKey")),
    "a user without credentials": of_ada(
        allow("iam:CreateUser", "iam:AttachUserPolicy", "iam:PutUserPolicy", on=arn("user/bots/*"))
    ),
    "a user with this boundary": of_ada(
        allow("iam:CreateUser", "iam:AttachUserPolicy", "iam:PutUserPolicy", on=arn("user/bots/*"), **WITH_BOUNDARY),
        allow("iam:CreateAccessKey", on=arn("user/bots/*")),
    ),
    "a role that it may not assume": of_ada(
        allow("iam:CreateRole", "iam:PutRolePolicy", on=arn("role/jobs-*")), deny("sts:AssumeRole")
    ),
    "a role with other names": of_ada(
        allow("iam:CreateRole", on=arn("role/jobs-*")), allow("iam:PutRolePolicy", on=arn("role/tasks-*"))
    ),
    "a policy with other names": of_ada(
        allow("iam:CreatePolicy", on=arn("policy/other/*")), allow("iam:AttachUserPolicy", **TEAM)
    ),
    "a policy that it may not attach": of_ada(allow("iam:CreatePolicy")),
    "groups": of_ada(allow("iam:CreateGroup")),
}


@table("case", NOT_CREATING)
def test_new_entity_that_leads_nowhere(case: str) -> None:
    assert found(NOT_CREATING[case]) == {}
