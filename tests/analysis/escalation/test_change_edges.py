"""Escalation by changing policies, memberships, boundaries and trust policies: what works, and what must not."""

from __future__ import annotations

import json
from typing import Any

from iam_guard.store.schema import policies, policy_versions
from iam_guard.store.sql_store import SqlStore
from tests.analysis.escalation.escalation_worlds import (
    ACME,
    EVERYTHING,
    Json,
    account,
    allow,
    arn,
    deny,
    document,
    found,
    found_in,
    policy,
    role,
    seeded,
    trust,
    user,
)
from tests.tables import table

ADMINISTRATOR_ACCESS = "arn:aws:iam::aws:policy/AdministratorAccess"
ADA = arn("user/ada")
TO_ADMINISTRATOR = ("user/ada", "administrator")
POWER = {"boundary": "Power"}
"""A boundary that allows everything but `iam` and `sts`, except for what a case adds."""


def bounded_by(*statements: Json) -> Json:
    return {"policies": [policy("Power", {"NotAction": ["iam:*", "sts:*"]}, *statements)]}


def of_ada(*statements: Json, **more: Any) -> Json:
    """Return an account in which only ada may do something."""
    own = {key: more.pop(key) for key in ("attached", "groups", "boundary", "tags") if key in more}
    return account(user("ada", *statements, **own), **more)


WORKING: dict[str, tuple[Json, list[str]]] = {
    "attach to itself": (of_ada(allow("iam:AttachUserPolicy")), ["iam:AttachUserPolicy"]),
    "attach to itself, by name": (of_ada(allow("iam:AttachUserPolicy", on=ADA)), ["iam:AttachUserPolicy"]),
    "attach to itself, by variable": (
        of_ada(allow("iam:AttachUserPolicy", on=arn("user/${aws:username}"))),
        ["iam:AttachUserPolicy"],
    ),
    "attach only this policy": (
        of_ada(allow("iam:AttachUserPolicy", ArnEquals={"iam:PolicyARN": ADMINISTRATOR_ACCESS})),
        ["iam:AttachUserPolicy"],
    ),
    "attach a policy that leads on": (
        of_ada(
            allow("iam:AttachUserPolicy", ArnLike={"iam:PolicyARN": arn("policy/*")}),
            policies=[policy("Docs", allow("docs:*")), policy("Inline", allow("iam:PutUserPolicy"))],
        ),
        ["iam:AttachUserPolicy", "iam:PutUserPolicy"],
    ),
    "write for itself": (of_ada(allow("iam:PutUserPolicy", on=ADA)), ["iam:PutUserPolicy"]),
    "attach to its group": (
        of_ada(allow("iam:AttachGroupPolicy", on=arn("group/team")), groups=["team"]) | {"groups": [{"name": "team"}]},
        ["iam:AttachGroupPolicy"],
    ),
    "write for its group": (
        of_ada(allow("iam:PutGroupPolicy"), groups=["team"]) | {"groups": [{"name": "team"}]},
        ["iam:PutGroupPolicy"],
    ),
    "join a group": (
        of_ada(allow("iam:AddUserToGroup")) | {"groups": [{"name": "ops", "attached": ["AdministratorAccess"]}]},
        ["iam:AddUserToGroup"],
    ),
    "join a group that leads on": (
        of_ada(allow("iam:AddUserToGroup", on=arn("group/iam")))
        | {"groups": [{"name": "iam", "inline": {"Own": document(allow("iam:PutGroupPolicy"))}}]},
        ["iam:AddUserToGroup", "iam:PutGroupPolicy"],
    ),
    "write a version of its own policy": (
        of_ada(attached=["Own"], policies=[policy("Own", allow("iam:CreatePolicyVersion"))]),
        ["iam:CreatePolicyVersion"],
    ),
    "write a version of its group's policy": (
        of_ada(allow("iam:CreatePolicyVersion", on=arn("policy/Team")), groups=["team"])
        | {"policies": [policy("Team", allow("docs:*"))], "groups": [{"name": "team", "attached": ["Team"]}]},
        ["iam:CreatePolicyVersion"],
    ),
    "write a version that drops a Deny": (
        of_ada(
            allow("iam:CreatePolicyVersion"),
            attached=["Limits"],
            policies=[policy("Limits", deny("docs:*", "iam:Put*", "iam:Attach*", "iam:Add*"))],
        ),
        ["iam:CreatePolicyVersion"],
    ),
    "write a version of its boundary": (
        of_ada(allow("iam:CreatePolicyVersion", "iam:PutUserPolicy"), **POWER)
        | bounded_by(allow("iam:CreatePolicyVersion", "iam:PutUserPolicy")),
        ["iam:CreatePolicyVersion", "iam:PutUserPolicy"],
    ),
    "remove its boundary": (
        of_ada(EVERYTHING, **POWER) | bounded_by(allow("iam:DeleteUserPermissionsBoundary")),
        ["iam:DeleteUserPermissionsBoundary"],
    ),
    "replace its boundary": (
        of_ada(EVERYTHING, **POWER) | bounded_by(allow("iam:PutUserPermissionsBoundary")),
        ["iam:PutUserPermissionsBoundary"],
    ),
    "detach a Deny": (
        of_ada(
            EVERYTHING,
            attached=["Limits"],
            policies=[policy("Limits", {"Effect": "Deny", "NotAction": "iam:DetachUserPolicy"})],
        ),
        ["iam:DetachUserPolicy"],
    ),
    "delete an inline Deny": (
        account(
            {
                "name": "ada",
                "attached": ["AdministratorAccess"],
                "inline": {"No": document({"Effect": "Deny", "NotAction": "iam:DeleteUserPolicy"})},
            }
        ),
        ["iam:DeleteUserPolicy"],
    ),
    "leave a group with a Deny": (
        of_ada(EVERYTHING, groups=["limited"])
        | {
            "groups": [
                {
                    "name": "limited",
                    "inline": {"No": document({"Effect": "Deny", "NotAction": "iam:RemoveUserFromGroup"})},
                }
            ]
        },
        ["iam:RemoveUserFromGroup"],
    ),
    "change a trust policy": (
        account(
            user("ada", allow("iam:UpdateAssumeRolePolicy", on=arn("role/ops"))),
            role("ops", trust("ec2.amazonaws.com", kind="Service"), EVERYTHING),
        ),
        ["iam:UpdateAssumeRolePolicy", "sts:AssumeRole"],
    ),
    "attach to a role that it can assume": (
        account(
            user("ada", allow("iam:AttachRolePolicy", "sts:AssumeRole")),
            role("work", trust(arn("root")), allow("docs:*")),
        ),
        ["sts:AssumeRole", "iam:AttachRolePolicy"],
    ),
    "write for a role, and change its trust policy": (
        account(
            user("ada", allow("iam:PutRolePolicy", "iam:UpdateAssumeRolePolicy")),
            role("work", trust("ec2.amazonaws.com", kind="Service"), allow("docs:*")),
        ),
        ["iam:UpdateAssumeRolePolicy", "sts:AssumeRole", "iam:PutRolePolicy"],
    ),
    "a role writes for the user": (
        account(
            user("ada"),
            role("helper", trust(ADA), allow("iam:PutUserPolicy", on=ADA)),
        ),
        ["sts:AssumeRole", "iam:PutUserPolicy"],
    ),
    "by tag of the target": (
        of_ada(allow("iam:PutUserPolicy", StringEquals={"iam:ResourceTag/team": "red"}), tags={"team": "red"}),
        ["iam:PutUserPolicy"],
    ),
    "with MFA": (
        of_ada(allow("iam:PutUserPolicy", Bool={"aws:MultiFactorAuthPresent": "true"})),
        ["iam:PutUserPolicy"],
    ),
}


@table("case", WORKING)
def test_change_that_leads_to_administrator(case: str) -> None:
    world, actions = WORKING[case]
    assert sorted(found(world)[TO_ADMINISTRATOR]) == sorted(actions)


FAILING: dict[str, Json] = {
    "nothing": of_ada(allow("docs:*")),
    "another user that it can't become": account(
        user("ada", allow("iam:AttachUserPolicy", "iam:PutUserPolicy", on=arn("user/bob"))), user("bob")
    ),
    "a policy that does not lead on": of_ada(
        allow("iam:AttachUserPolicy", ArnLike={"iam:PolicyARN": arn("policy/*")}),
        policies=[policy("Docs", allow("docs:*"))],
    ),
    "denied": of_ada(allow("iam:PutUserPolicy"), deny("iam:Put*")),
    "denied for itself": of_ada(allow("iam:PutUserPolicy"), deny("iam:PutUserPolicy", Resource=ADA)),
    "boundary": of_ada(allow("iam:PutUserPolicy"), **POWER) | bounded_by(),
    "boundary that stays": of_ada(allow("iam:PutUserPolicy"), **POWER) | bounded_by(allow("iam:PutUserPolicy", on=ADA)),
    "all but the boundary": of_ada(EVERYTHING, **POWER) | bounded_by(),
    "Deny that stays": of_ada(
        allow("iam:PutUserPolicy"),
        {"Effect": "Deny", "NotAction": ["iam:PutUserPolicy", "docs:*"]},
    ),
    "no group": of_ada(allow("iam:AttachGroupPolicy", "iam:PutGroupPolicy")) | {"groups": [{"name": "team"}]},
    "a group that does not lead on": of_ada(allow("iam:AddUserToGroup"))
    | {"groups": [{"name": "docs", "inline": {"Own": document(allow("docs:*"))}}]},
    "a policy that it does not have": of_ada(
        allow("iam:CreatePolicyVersion"), policies=[policy("Other", allow("docs:*"))]
    ),
    "AWS's policy": of_ada(
        allow("iam:CreatePolicyVersion", "iam:SetDefaultPolicyVersion", on="arn:aws:iam::aws:policy/*"),
        attached=["ReadOnlyAccess"],
    ),
    "tag of the target": of_ada(
        allow("iam:PutUserPolicy", StringEquals={"iam:ResourceTag/team": "red"}), tags={"team": "blue"}
    ),
    "no tag of the target": of_ada(allow("iam:PutUserPolicy", StringEquals={"aws:ResourceTag/team": "red"})),
    "tag of the caller": of_ada(allow("iam:PutUserPolicy", StringEquals={"aws:PrincipalTag/team": "red"})),
    "only users with this boundary": of_ada(
        allow(
            "iam:AttachUserPolicy", "iam:PutUserPolicy", StringEquals={"iam:PermissionsBoundary": arn("policy/Power")}
        )
    )
    | bounded_by(),
    "a time that has passed": of_ada(
        allow("iam:PutUserPolicy", DateLessThan={"aws:CurrentTime": "2020-01-01T00:00:00Z"})
    ),
    "a trust policy, and no role": of_ada(allow("iam:UpdateAssumeRolePolicy")),
    "a trust policy, and a Deny of sts": account(
        user("ada", allow("iam:UpdateAssumeRolePolicy"), deny("sts:*")),
        role("ops", trust("ec2.amazonaws.com", kind="Service"), EVERYTHING),
    ),
    "a role without a way to it": account(
        user("ada", allow("iam:PutRolePolicy", "iam:AttachRolePolicy")),
        role("work", trust("ec2.amazonaws.com", kind="Service"), allow("docs:*")),
    ),
    "a key of another type": of_ada(allow("iam:PutUserPolicy", NumericEquals={"aws:CurrentTime": "1"})),
}


@table("case", FAILING)
def test_change_that_leads_nowhere(case: str) -> None:
    assert found(FAILING[case]) == {}


ORGANIZATION = {"id": "o-exampleorg1", "management_account": "999900000000"}


def limited(*statements: Json) -> Json:
    """Return an organization whose control policy limits acme."""
    scp = {"name": "Guardrail", "type": "SCP", "document": document(*statements)}
    return {**ORGANIZATION, "policies": [scp], "accounts": [{"id": ACME, "scps": ["FullAWSAccess", "Guardrail"]}]}


@table(
    ("statement", "is_found"),
    [
        (deny("iam:PutUserPolicy"), False),
        (deny("iam:*"), False),
        ({"Effect": "Deny", "NotAction": "iam:PutUserPolicy"}, False),
        (deny("iam:*", Condition={"StringNotLike": {"aws:PrincipalArn": arn("role/ops")}}), False),
        (deny("iam:PutRolePolicy", "docs:Delete*"), True),
        (deny("iam:*", Condition={"StringLike": {"aws:PrincipalArn": arn("role/ops")}}), True),
    ],
    ids=str,
)
def test_control_policy_limits_paths(statement: Json, is_found: bool) -> None:
    management = account(id="999900000000")
    paths = found(of_ada(allow("iam:PutUserPolicy")), management, organization=limited(statement))
    assert (TO_ADMINISTRATOR in paths) is is_found


def test_permissions_under_a_boundary_are_no_administrator() -> None:
    """A role's boundary limits the role even with every policy; who removes the boundary goes on."""
    helper = role("helper", trust(ADA), allow("iam:PutRolePolicy"), **POWER)
    bounded = bounded_by(allow("iam:PutRolePolicy", on=arn("role/helper")))
    assert found(account(user("ada"), helper) | bounded) == {("user/ada", "role/helper"): ["sts:AssumeRole"]}
    remover = user("ada", allow("iam:DeleteRolePermissionsBoundary"))
    assert found(account(remover, helper) | bounded) == {
        TO_ADMINISTRATOR: ["sts:AssumeRole", "iam:PutRolePolicy", "iam:DeleteRolePermissionsBoundary"]
    }


def test_version_quota_needs_a_deletion() -> None:
    """A policy with five versions takes no other until one is deleted."""
    world = of_ada(attached=["Own"], policies=[policy("Own", allow("iam:CreatePolicyVersion"))])
    with seeded(world) as store:
        add_versions(store, 4)
        assert found_in(store) == {}
    world = of_ada(
        attached=["Own"], policies=[policy("Own", allow("iam:CreatePolicyVersion", "iam:DeletePolicyVersion"))]
    )
    with seeded(world) as store:
        add_versions(store, 4)
        assert found_in(store) == {TO_ADMINISTRATOR: ["iam:DeletePolicyVersion", "iam:CreatePolicyVersion"]}
    with seeded(world, quotas=("managed policy versions=6",)) as store:
        add_versions(store, 4)
        assert found_in(store) == {TO_ADMINISTRATOR: ["iam:CreatePolicyVersion"]}


def test_other_version_counts_if_it_allows_more() -> None:
    own = policy("Own", allow("iam:SetDefaultPolicyVersion"))
    for statement, paths in (
        (EVERYTHING, {TO_ADMINISTRATOR: ["iam:SetDefaultPolicyVersion"]}),
        (allow("docs:*"), {}),
    ):
        with seeded(of_ada(attached=["Own"], policies=[own])) as store:
            add_versions(store, 1, statement)
            assert found_in(store) == paths, statement


def add_versions(store: SqlStore, count: int, statement: Json | None = None) -> None:
    """Add versions to the policy Own that are not the default one."""
    text = json.dumps(document(statement or allow("docs:*")))
    with store.write_transaction() as records:
        row = records.one(policies, name="Own")
        for number in range(2, 2 + count):
            records.insert(policy_versions, policy_id=row["id"], version=number, text=text, digest="0" * 64, created=0)
