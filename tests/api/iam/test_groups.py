"""Groups: their specific behaviour (R-11, R-12)."""

from __future__ import annotations

from iam_guard.store import schema
from tests.api.conftest import ACCOUNT, Client, Running, refusal


def test_group_has_five_members_in_all_responses(iam: Client) -> None:
    """CreateGroup, GetGroup and ListGroups; R-12: no tags, no boundary."""
    made = iam.create_group(GroupName="staff", Path="/a/")["Group"]
    assert set(made) == {"Path", "GroupName", "GroupId", "Arn", "CreateDate"}
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:group/a/staff"
    assert iam.get_group(GroupName="staff")["Group"] == made
    assert iam.list_groups()["Groups"] == [made]


def test_deleting_a_group_with_users_raises_delete_conflict(iam: Client) -> None:
    """R-11."""
    iam.create_group(GroupName="staff")
    iam.add_user_to_group(GroupName="staff", UserName="admin")
    with refusal("DeleteConflict", "Cannot delete entity, must remove users from group first.", 409):
        iam.delete_group(GroupName="staff")
    iam.remove_user_from_group(GroupName="staff", UserName="admin")
    iam.delete_group(GroupName="staff")
    assert iam.list_groups()["Groups"] == []


def test_deleting_a_group_with_policies_raises_delete_conflict(iam: Client, server: Running) -> None:
    """R-11: attached ones first, then inline ones."""
    id = iam.create_group(GroupName="staff")["Group"]["GroupId"]
    with server.store.write_transaction() as records:
        records.insert(schema.attachments, identity_id=id, policy_id="ANPAIWMBCKSKIEE64ZLYK")
        records.insert(schema.inline_policies, identity_id=id, folded="p", name="p", text="{}", digest="")
    with refusal("DeleteConflict", "Cannot delete entity, must detach all policies first."):
        iam.delete_group(GroupName="staff")
    with server.store.write_transaction() as records:
        records.delete(schema.attachments, identity_id=id)
    with refusal("DeleteConflict", "Cannot delete entity, must delete policies first."):
        iam.delete_group(GroupName="staff")


def test_user_and_group_may_share_a_name(iam: Client) -> None:
    """G-78: names are unique per kind."""
    iam.create_group(GroupName="admin")
    assert iam.get_group(GroupName="admin")["Users"] == []
