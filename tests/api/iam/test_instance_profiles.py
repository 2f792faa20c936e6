"""Instance profiles: their specific behaviour (R-11, R-15, G-77)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.api.conftest import ACCOUNT, Client, allow, refusal
from tests.api.iam.identity_parts import EC2, trusting

PROFILE = {"InstanceProfileName": "p"}


def role(iam: Client, name: str = "r", **parameters: Any) -> dict[str, Any]:
    made: dict[str, Any] = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusting(EC2), **parameters)["Role"]
    return made


def both(name: str = "p", role: str = "r") -> dict[str, str]:
    return {"InstanceProfileName": name, "RoleName": role}


def test_instance_profile_members_depend_on_the_operation(iam: Client) -> None:
    """GetInstanceProfile always has tags, CreateInstanceProfile if there are any, lists never."""
    made = iam.create_instance_profile(**PROFILE, Path="/x/")["InstanceProfile"]
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:instance-profile/x/p"
    assert made["Roles"] == []
    assert "Tags" not in made
    assert iam.get_instance_profile(**PROFILE)["InstanceProfile"] == made | {"Tags": []}
    assert iam.list_instance_profiles()["InstanceProfiles"] == [made]
    tags = [{"Key": "a", "Value": "1"}]
    tagged = iam.create_instance_profile(InstanceProfileName="q", Tags=tags)["InstanceProfile"]
    assert tagged["Tags"] == tags


def test_role_is_added_and_removed(iam: Client) -> None:
    """The role is described briefly: without description and session duration."""
    iam.create_instance_profile(**PROFILE)
    made = role(iam, Description="d", MaxSessionDuration=7200)
    iam.add_role_to_instance_profile(**both())
    assert iam.get_instance_profile(**PROFILE)["InstanceProfile"]["Roles"] == [made]
    assert [each["Roles"] for each in iam.list_instance_profiles_for_role(RoleName="R")["InstanceProfiles"]] == [[made]]
    iam.remove_role_from_instance_profile(**both("P", "R"))
    assert iam.get_instance_profile(**PROFILE)["InstanceProfile"]["Roles"] == []
    assert iam.list_instance_profiles_for_role(RoleName="r")["InstanceProfiles"] == []


def test_instance_profile_has_one_role(iam: Client) -> None:
    """Adding the same role again fails too."""
    iam.create_instance_profile(**PROFILE)
    role(iam)
    role(iam, "other")
    iam.add_role_to_instance_profile(**both())
    for name in ("r", "other"):
        with refusal("LimitExceeded", "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1", 409):
            iam.add_role_to_instance_profile(**both(role=name))
    with refusal("NoSuchEntity", "Role other in Instance Profile p cannot be found.", 404):
        iam.remove_role_from_instance_profile(**both(role="other"))


def test_role_may_be_in_several_profiles(iam: Client) -> None:
    """ListInstanceProfilesForRole pages them by name."""
    role(iam)
    for name in ("c", "A", "b"):
        iam.create_instance_profile(InstanceProfileName=name)
        iam.add_role_to_instance_profile(**both(name))
    iam.create_instance_profile(**PROFILE)
    page = iam.list_instance_profiles_for_role(RoleName="r", MaxItems=2)
    rest = iam.list_instance_profiles_for_role(RoleName="r", MaxItems=2, Marker=page["Marker"])
    names = [[each["InstanceProfileName"] for each in each_page["InstanceProfiles"]] for each_page in (page, rest)]
    assert names == [["A", "b"], ["c"]]


def test_missing_profile_and_role_are_named(iam: Client) -> None:
    """The profile first, then the role."""
    iam.create_instance_profile(**PROFILE)
    for change in (iam.add_role_to_instance_profile, iam.remove_role_from_instance_profile):
        with refusal("NoSuchEntity", "Instance Profile none cannot be found.", 404):
            change(**both("none", "none"))
        with refusal("NoSuchEntity", "The role with name none cannot be found.", 404):
            change(**both(role="none"))
    with refusal("NoSuchEntity", "The role with name none cannot be found."):
        iam.list_instance_profiles_for_role(RoleName="none")


def test_deleting_a_profile_with_a_role_raises_delete_conflict(iam: Client) -> None:
    """R-11."""
    iam.create_instance_profile(**PROFILE)
    role(iam)
    iam.add_role_to_instance_profile(**both())
    with refusal("DeleteConflict", "Cannot delete entity, must remove roles from instance profile first.", 409):
        iam.delete_instance_profile(**PROFILE)
    iam.remove_role_from_instance_profile(**both())
    iam.delete_instance_profile(**PROFILE)


PASS = {
    "StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"},
    "ArnLike": {"iam:AssociatedResourceArn": f"arn:aws:ec2:*:{ACCOUNT}:instance/*"},
}


@pytest.mark.parametrize(
    ("statements", "missing"),
    [
        ([allow("iam:AddRoleToInstanceProfile")], "iam:PassRole on resource: arn:aws:iam::111122223333:role/x/r"),
        ([allow("iam:PassRole")], "iam:AddRoleToInstanceProfile on resource: "),
        (
            [allow("iam:AddRoleToInstanceProfile"), allow("iam:PassRole", "arn:aws:iam::111122223333:role/r")],
            "iam:PassRole on resource: arn:aws:iam::111122223333:role/x/r",
        ),
        (
            [
                allow("iam:AddRoleToInstanceProfile"),
                allow("iam:PassRole", StringEquals={"iam:PassedToService": "lambda.amazonaws.com"}),
            ],
            "iam:PassRole",
        ),
        (
            [
                allow("iam:AddRoleToInstanceProfile", "arn:aws:iam::111122223333:instance-profile/p"),
                allow("iam:PassRole", "arn:aws:iam::111122223333:role/x/r", **PASS),
            ],
            None,
        ),
    ],
    ids=["no PassRole", "PassRole alone", "another role", "another service", "both"],
)
def test_adding_a_role_needs_pass_role(
    statements: list[Any], missing: str | None, iam: Client, client_for: Callable[..., Client]
) -> None:
    """R-15."""
    iam.create_instance_profile(**PROFILE)
    role(iam, Path="/x/")
    passer = client_for("passer", *statements)
    if missing is None:
        passer.add_role_to_instance_profile(**both())
        return
    with refusal("AccessDenied", missing, 403):
        passer.add_role_to_instance_profile(**both())
    assert iam.get_instance_profile(**PROFILE)["InstanceProfile"]["Roles"] == []
