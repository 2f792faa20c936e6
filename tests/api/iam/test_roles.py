"""Roles: their specific behaviour (R-11, R-13, R-14, P-14)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event

from iam_guard.store import schema
from tests.api.conftest import ACCOUNT, Client, Running, allow, refusal
from tests.api.iam.identity_parts import EC2, trusting, unvalidated

POWER = "arn:aws:iam::aws:policy/PowerUserAccess"
BRIEF = {"Path", "RoleName", "RoleId", "Arn", "CreateDate", "AssumeRolePolicyDocument"}


def make(iam: Client, name: str = "r", **parameters: Any) -> dict[str, Any]:
    made: dict[str, Any] = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusting(EC2), **parameters)["Role"]
    return made


def test_role_members_depend_on_the_operation(iam: Client) -> None:
    """CreateRole has no settings, ListRoles no tags, boundary and last use, GetRole everything."""
    tags = [{"Key": "a", "Value": "1"}]
    made = make(iam, Path="/p/", Description="what for", MaxSessionDuration=7200, PermissionsBoundary=POWER, Tags=tags)
    assert set(made) == BRIEF | {"PermissionsBoundary", "Tags"}
    assert made["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == EC2
    got = iam.get_role(RoleName="r")["Role"]
    assert got == made | {"Description": "what for", "MaxSessionDuration": 7200, "RoleLastUsed": {}}
    listed = iam.list_roles(PathPrefix="/p/")["Roles"]
    assert listed == [{name: got[name] for name in got if name not in ("PermissionsBoundary", "Tags", "RoleLastUsed")}]


def test_plain_role_has_defaults(iam: Client) -> None:
    """R-13: an hour; unset members are absent."""
    assert set(make(iam)) == BRIEF
    got = iam.get_role(RoleName="r")["Role"]
    assert set(got) == BRIEF | {"MaxSessionDuration", "RoleLastUsed"}
    assert got["MaxSessionDuration"] == 3600


def test_role_has_its_last_use(iam: Client, server: Running) -> None:
    """R-33."""
    id = make(iam)["RoleId"]
    with server.store.write_transaction() as records:
        for at, region in ((1_700_000_000, "eu-west-1"), (1_600_000_000, "us-east-1")):
            records.insert(schema.service_uses, identity_id=id, service="docs", action=f"A{at}", at=at, region=region)
    used = iam.get_role(RoleName="r")["Role"]["RoleLastUsed"]
    assert (used["LastUsedDate"].timestamp(), used["Region"]) == (1_700_000_000, "eu-west-1")


def test_update_role_keeps_absent_settings(iam: Client) -> None:
    """AWS leaves alone what a call does not name."""
    make(iam, Description="first")
    iam.update_role(RoleName="r", MaxSessionDuration=7200, MaxSigninSessionDuration=9000)
    iam.update_role(RoleName="r", Description="second")
    iam.update_role(RoleName="r")
    got = iam.get_role(RoleName="r")["Role"]
    settings = ("Description", "MaxSessionDuration", "MaxSigninSessionDuration")
    assert [got[name] for name in settings] == ["second", 7200, 9000]
    iam.update_role(RoleName="r", Description="", ResetMaxSigninSessionDuration=True)
    assert "Description" not in (got := iam.get_role(RoleName="r")["Role"])
    assert "MaxSigninSessionDuration" not in got
    with refusal("InvalidInput", "cannot be specified together"):
        iam.update_role(RoleName="r", MaxSigninSessionDuration=3600, ResetMaxSigninSessionDuration=True)
    iam.update_role(RoleName="r", MaxSigninSessionDuration=3600, ResetMaxSigninSessionDuration=False)


def test_update_role_description_returns_the_role(iam: Client) -> None:
    """With its description, without its other settings."""
    make(iam, MaxSessionDuration=7200)
    role = iam.update_role_description(RoleName="R", Description="new")["Role"]
    assert (set(role), role["Description"]) == (BRIEF | {"Description"}, "new")


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("MaxSessionDuration", 3599),
        ("MaxSessionDuration", 43201),
        ("MaxSigninSessionDuration", 3599),
        ("MaxSigninSessionDuration", 7_776_001),
    ],
)
def test_session_durations_have_limits(member: str, value: int, server: Running) -> None:
    """R-13."""
    iam = unvalidated(server)
    make(iam)
    for use in (
        lambda **parameters: make(iam, "other", **parameters),
        lambda **parameters: iam.update_role(RoleName="r", **parameters),
    ):
        with refusal("ValidationError", f"Value '{value}' at '{member[0].lower()}{member[1:]}' failed to satisfy"):
            use(**{member: value})


RESERVED = [
    "/aws-service-role/",
    "/aws-service-role/ecs.amazonaws.com/",
    "/aws-reserved/sso.amazonaws.com/",
    "/x:role/aws-service-role/x/",
]


@pytest.mark.parametrize("path", RESERVED)
def test_reserved_paths_are_rejected(path: str, iam: Client) -> None:
    """P-14, E-10: SCPs don't limit service-linked roles, which are recognized by their path."""
    with refusal("InvalidInput", "can only be used for AWS Service linked Roles", 400):
        make(iam, Path=path)
    assert iam.list_roles()["Roles"] == []


def test_deleting_a_used_role_raises_delete_conflict(iam: Client, server: Running) -> None:
    """R-11: instance profiles, attached policies, inline policies."""
    id = make(iam)["RoleId"]
    iam.create_instance_profile(InstanceProfileName="p")
    iam.add_role_to_instance_profile(InstanceProfileName="p", RoleName="r")
    with server.store.write_transaction() as records:
        records.insert(schema.attachments, identity_id=id, policy_id="ANPAIWMBCKSKIEE64ZLYK")
        records.insert(schema.inline_policies, identity_id=id, folded="p", name="p", text="{}", digest="")

    def is_kept(sentence: str) -> None:
        with refusal("DeleteConflict", f"Cannot delete entity, must {sentence} first.", 409):
            iam.delete_role(RoleName="r")

    is_kept("remove roles from instance profile")
    iam.remove_role_from_instance_profile(InstanceProfileName="p", RoleName="r")
    is_kept("detach all policies")
    with server.store.write_transaction() as records:
        records.delete(schema.attachments, identity_id=id)
    is_kept("delete policies")
    with server.store.write_transaction() as records:
        records.delete(schema.inline_policies, identity_id=id)
    iam.delete_role(RoleName="r")
    with refusal("NoSuchEntity", "The role with name r cannot be found."):
        iam.get_role(RoleName="r")


def test_role_operations_supply_the_boundary_key(iam: Client, client_for: Callable[..., Client]) -> None:
    """K-33: changes are authorized with the role's boundary."""
    make(iam, "bound", PermissionsBoundary=POWER)
    make(iam, "free")
    keeper = client_for("keeper", allow("iam:*Role*", StringEquals={"iam:PermissionsBoundary": POWER}))
    changes: list[Callable[[str], Any]] = [
        lambda name: keeper.get_role(RoleName=name),
        lambda name: keeper.update_role(RoleName=name, Description="d"),
        lambda name: keeper.update_role_description(RoleName=name, Description="d"),
        lambda name: keeper.update_assume_role_policy(RoleName=name, PolicyDocument=trusting(EC2)),
        lambda name: keeper.delete_role(RoleName=name),
    ]
    for change in changes:
        with refusal("AccessDenied", f"on resource: arn:aws:iam::{ACCOUNT}:role/free"):
            change("free")
        change("bound")
    with refusal("AccessDenied", "iam:CreateRole"):
        make(keeper, "new")
    make(keeper, "new", PermissionsBoundary=POWER)


def test_rejected_role_leaves_nothing(iam: Client, server: Running) -> None:
    """T-3: every call is atomic."""
    with server.store.read_transaction() as records:
        before = records.count(schema.identities)
    for parameters in (
        {"PermissionsBoundary": "arn:aws:iam::aws:policy/None"},
        {"Tags": [{"Key": "aws:a", "Value": ""}]},
        {"AssumeRolePolicyDocument": "[]"},
    ):
        with pytest.raises(iam.exceptions.ClientError):
            iam.create_role(**{"RoleName": "r", "AssumeRolePolicyDocument": trusting(EC2), **parameters})
    with server.store.read_transaction() as records:
        assert records.count(schema.identities) == before


def test_list_statements_do_not_depend_on_its_length(iam: Client, server: Running) -> None:
    """The principals of all trust policies are loaded together.

    Epoch polling and the thread that writes last uses run periodically, and are not counted.
    """
    seen: list[str] = []

    def note(*args: Any) -> None:
        if not args[2].startswith("SELECT meta.epoch") and threading.current_thread().name != "iam-guard-uses":
            seen.append(args[2])

    listen = ("before_cursor_execute", note)

    def statements() -> int:
        seen.clear()
        iam.list_roles()
        iam.list_instance_profiles()
        return len(seen)

    def grow(start: int, stop: int) -> None:
        for number in range(start, stop):
            name = f"n{number}"
            iam.create_user(UserName=name)
            trust = trusting({"AWS": f"arn:aws:iam::{ACCOUNT}:user/{name}"})
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
            iam.create_instance_profile(InstanceProfileName=name)
            iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)

    event.listen(server.store.engine, *listen)
    try:
        grow(0, 2)
        statements()
        few = statements()
        grow(2, 8)
        statements()
        assert statements() == few
    finally:
        event.remove(server.store.engine, *listen)
