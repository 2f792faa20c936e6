"""Group memberships (R-10, G-77)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from iam_guard.store.schema import identities, inline_policies
from tests.api.conftest import ACCOUNT, Client, Running, allow, refusal


def people(iam: Client, *names: str) -> None:
    for name in names:
        iam.create_user(UserName=name)
        iam.add_user_to_group(GroupName="staff", UserName=name)


def test_users_are_added_and_removed(iam: Client) -> None:
    """As at AWS, adding twice and removing a non-member are no errors."""
    iam.create_group(GroupName="Staff")
    people(iam, "ann", "Bob")
    iam.add_user_to_group(GroupName="STAFF", UserName="ANN")
    assert [user["UserName"] for user in iam.get_group(GroupName="staff")["Users"]] == ["ann", "Bob"]
    assert [group["GroupName"] for group in iam.list_groups_for_user(UserName="ann")["Groups"]] == ["Staff"]
    iam.remove_user_from_group(GroupName="staff", UserName="bob")
    iam.remove_user_from_group(GroupName="staff", UserName="bob")
    assert [user["UserName"] for user in iam.get_group(GroupName="staff")["Users"]] == ["ann"]
    assert iam.list_groups_for_user(UserName="bob") | {"ResponseMetadata": 0} == {
        "Groups": [],
        "IsTruncated": False,
        "ResponseMetadata": 0,
    }


def test_missing_user_and_group_are_named(iam: Client) -> None:
    """As at AWS, the user first."""
    iam.create_group(GroupName="staff")
    for change in (iam.add_user_to_group, iam.remove_user_from_group):
        with refusal("NoSuchEntity", "The user with name nobody cannot be found.", 404):
            change(GroupName="nothing", UserName="nobody")
        with refusal("NoSuchEntity", "The group with name nothing cannot be found.", 404):
            change(GroupName="nothing", UserName="admin")
    with refusal("NoSuchEntity", "The group with name nothing cannot be found."):
        iam.get_group(GroupName="nothing")
    with refusal("NoSuchEntity", "The user with name nobody cannot be found."):
        iam.list_groups_for_user(UserName="nobody")


def pages(ask: Callable[..., Any], member: str, name: str, **parameters: Any) -> list[list[str]]:
    found = []
    page = ask(MaxItems=2, **parameters)
    while True:
        found.append([each[name] for each in page[member]])
        if not page["IsTruncated"]:
            return found
        page = ask(MaxItems=2, Marker=page["Marker"], **parameters)


def test_group_users_are_paged(iam: Client) -> None:
    """GetGroup pages its users by name, and repeats the group on each page."""
    iam.create_group(GroupName="staff")
    people(iam, "e", "a", "D", "b", "c")
    assert pages(iam.get_group, "Users", "UserName", GroupName="staff") == [["a", "b"], ["c", "D"], ["e"]]
    page = iam.get_group(GroupName="staff", MaxItems=2)
    iam.remove_user_from_group(GroupName="staff", UserName="b")
    rest = iam.get_group(GroupName="staff", Marker=page["Marker"])
    assert [user["UserName"] for user in rest["Users"]] == ["c", "D", "e"]
    assert rest["Group"] == page["Group"]


def test_user_groups_are_paged(iam: Client) -> None:
    """ListGroupsForUser pages by name."""
    for name in ("g3", "G1", "g2"):
        iam.create_group(GroupName=name)
        iam.add_user_to_group(GroupName=name, UserName="admin")
    iam.create_group(GroupName="other")
    assert pages(iam.list_groups_for_user, "Groups", "GroupName", UserName="admin") == [["G1", "g2"], ["g3"]]


def test_user_is_in_ten_groups_at_most(iam: Client) -> None:
    """G-77."""
    for number in range(11):
        iam.create_group(GroupName=f"g{number}")
    for number in range(10):
        iam.add_user_to_group(GroupName=f"g{number}", UserName="admin")
    iam.add_user_to_group(GroupName="g9", UserName="admin")
    with refusal("LimitExceeded", "Cannot exceed quota for GroupsPerUser: 10", 409):
        iam.add_user_to_group(GroupName="g10", UserName="admin")


def test_membership_takes_effect_at_once(iam: Client, client_for: Callable[..., Client], server: Running) -> None:
    """From the next request on."""
    ann = client_for("ann")
    id = iam.create_group(GroupName="readers")["Group"]["GroupId"]
    text = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:ListUsers","Resource":"*"}]}'
    with server.store.write_transaction() as records:
        records.insert(inline_policies, identity_id=id, folded="p", name="p", text=text, digest="0" * 64)
    with refusal("AccessDenied"):
        ann.list_users()
    iam.add_user_to_group(GroupName="readers", UserName="ann")
    ann.list_users()
    iam.remove_user_from_group(GroupName="readers", UserName="ann")
    with refusal("AccessDenied"):
        ann.list_users()


def test_membership_is_authorized_on_the_group(client_for: Callable[..., Client], iam: Client) -> None:
    """AddUserToGroup and RemoveUserFromGroup on the group, ListGroupsForUser on the user."""
    for name in ("mine", "theirs"):
        iam.create_group(GroupName=name, Path="/p/")
    group = f"arn:aws:iam::{ACCOUNT}:group/p/mine"
    keeper = client_for("keeper", allow(["iam:AddUserToGroup", "iam:RemoveUserFromGroup", "iam:GetGroup"], group))
    keeper.add_user_to_group(GroupName="mine", UserName="keeper")
    keeper.get_group(GroupName="MINE")
    keeper.remove_user_from_group(GroupName="mine", UserName="keeper")
    for change in (keeper.add_user_to_group, keeper.remove_user_from_group):
        with refusal("AccessDenied", "on resource: arn:aws:iam::111122223333:group/p/theirs"):
            change(GroupName="theirs", UserName="keeper")
    with refusal("AccessDenied", "iam:ListGroupsForUser on resource: arn:aws:iam::111122223333:user/admin"):
        keeper.list_groups_for_user(UserName="admin")


def test_user_of_another_account_cannot_be_added(iam: Client, other_account: Client, server: Running) -> None:
    """Users and groups are found in the caller's account only."""
    iam.create_group(GroupName="staff")
    other_account.create_user(UserName="stranger")
    with refusal("NoSuchEntity", "The user with name stranger cannot be found."):
        iam.add_user_to_group(GroupName="staff", UserName="stranger")
    with server.store.read_transaction() as records:
        assert records.count(identities, kind="group") == 1
