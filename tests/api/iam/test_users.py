"""Users: their specific behaviour (R-10, R-11, P-10, G-38)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from iam_guard.store import schema
from tests.api.clock import CLOCK
from tests.api.conftest import ACCOUNT, Client, Running, allow, refusal
from tests.api.iam.identity_parts import user_arn

BOUNDARY = "arn:aws:iam::aws:policy/PowerUserAccess"


def test_user_members_depend_on_the_operation(iam: Client) -> None:
    """CreateUser and GetUser have tags and boundary, lists don't."""
    made = iam.create_user(
        UserName="ann", Path="/staff/", PermissionsBoundary=BOUNDARY, Tags=[{"Key": "b", "Value": "2"}, TAG]
    )["User"]
    assert made["PermissionsBoundary"] == {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": BOUNDARY}
    assert made["Tags"] == [TAG, {"Key": "b", "Value": "2"}]
    assert made["CreateDate"].timestamp() == CLOCK.seconds()
    assert iam.get_user(UserName="ann")["User"] == made
    listed = next(list_user for list_user in iam.list_users()["Users"] if list_user["UserName"] == "ann")
    assert listed == {name: made[name] for name in ("Path", "UserName", "UserId", "Arn", "CreateDate")}


TAG = {"Key": "a", "Value": "1"}


def test_new_user_gets_its_date_from_the_guards_clock(
    iam: Any, server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Operations and decisions read one clock."""
    later = CLOCK() + timedelta(minutes=4)
    monkeypatch.setattr(server.guard, "clock", lambda: later)
    assert iam.create_user(UserName="ann")["User"]["CreateDate"] == later


def test_user_without_tags_and_boundary_has_no_such_members(iam: Client) -> None:
    """As at AWS: no empty list, no empty boundary."""
    made = iam.create_user(UserName="ann")["User"]
    assert set(made) == {"Path", "UserName", "UserId", "Arn", "CreateDate"}
    assert iam.get_user(UserName="ann")["User"] == made


def test_get_user_defaults_to_the_caller(client_for: Callable[..., Client]) -> None:
    """And is authorized on the caller's ARN."""
    ann = client_for("ann", allow("iam:GetUser", user_arn("ann")))
    assert ann.get_user()["User"]["UserName"] == "ann"
    with refusal("AccessDenied", f"iam:GetUser on resource: {user_arn('admin')}", 403):
        ann.get_user(UserName="admin")


def test_get_user_of_the_root_user_describes_the_account(root: Client) -> None:
    user = root.get_user()["User"]
    assert (user["UserId"], user["Arn"]) == (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root")


def test_renamed_user_keeps_its_access_key(iam: Client, client_for: Callable[..., Client]) -> None:
    """P-10; permissions by name don't follow."""
    ann = client_for("ann", allow("iam:GetUser", user_arn("beth")))
    iam.update_user(UserName="ann", NewUserName="beth")
    assert ann.get_user()["User"]["Arn"] == user_arn("beth")


Hang = Callable[[Client, Running], Any]


def _row(table: Any, **values: Any) -> Hang:
    def hang(iam: Client, server: Running) -> None:
        user_id = iam.get_user(UserName="ann")["User"]["UserId"]
        common = {"account": ACCOUNT, "user_id": user_id, "created": 1, "status": "Active"}
        columns = {name: value for name, value in (common | values).items() if name in table.c}
        with server.store.write_transaction() as records:
            records.insert(table, **{name: user_id if value is ... else value for name, value in columns.items()})

    return hang


def _group(iam: Client, server: Running) -> None:
    iam.create_group(GroupName="g")
    iam.add_user_to_group(GroupName="g", UserName="ann")


def _policy(table: Any, **values: Any) -> Hang:
    return _row(table, identity_id=..., **values)


HANGS: list[tuple[Hang, str]] = [
    (_row(schema.access_keys, id="AKIAX", sealed=b""), "must delete access keys first."),
    (_row(schema.login_profiles, owner=..., digest="", reset_required=False, changed=1), "delete login profile first."),
    (
        _row(schema.mfa_devices, serial="s", path="/", name="d", folded="d", for_root=False, sealed=b"", tags={}),
        "must delete MFA device first.",
    ),
    (_row(schema.signing_certificates, id="C", body="", fingerprint=""), "must delete signing certificates first."),
    (_row(schema.ssh_keys, id="K", body="", fingerprint=""), "must delete SSH public keys first."),
    (_row(schema.service_credentials, id="S", service="s", digest=""), "delete service specific credentials first."),
    (_group, "must remove users from group first."),
    (_policy(schema.attachments, policy_id="ANPAIWMBCKSKIEE64ZLYK"), "must detach all policies first."),
    (_policy(schema.inline_policies, folded="p", name="p", text="{}", digest=""), "must delete policies first."),
]


@pytest.mark.parametrize(("hang", "sentence"), HANGS, ids=[sentence for _, sentence in HANGS])
def test_deleting_a_used_user_raises_delete_conflict(hang: Hang, sentence: str, iam: Client, server: Running) -> None:
    """R-11."""
    iam.create_user(UserName="ann")
    hang(iam, server)
    with refusal("DeleteConflict", f"Cannot delete entity, {sentence}" if "must" in sentence else sentence, 409):
        iam.delete_user(UserName="ann")
    assert iam.get_user(UserName="ann")


def test_boundary_and_tags_do_not_block_deletion(iam: Client) -> None:
    """R-11."""
    iam.create_user(UserName="ann", PermissionsBoundary=BOUNDARY, Tags=[TAG])
    iam.delete_user(UserName="ann")
    with refusal("NoSuchEntity"):
        iam.get_user(UserName="ann")


@pytest.mark.over_http
def test_deleted_user_cannot_authenticate(iam: Client, client_for: Callable[..., Client], server: Running) -> None:
    """The key of a deleted user opens nothing."""
    ann = client_for("ann")
    user_id = iam.get_user(UserName="ann")["User"]["UserId"]
    with server.store.write_transaction() as records:
        records.delete(schema.access_keys, user_id=user_id)
    iam.delete_user(UserName="ann")
    with refusal("InvalidClientTokenId", status=403):
        ann.get_user()


def test_user_creation_with_tags_needs_tag_permission(client_for: Callable[..., Client]) -> None:
    """Both are authorized with the tags as condition keys."""
    maker = client_for("maker", allow("iam:CreateUser"))
    with refusal("AccessDenied", f"iam:TagUser on resource: {user_arn('new')}"):
        maker.create_user(UserName="new", Tags=[TAG])
    tagger = client_for(
        "tagger", allow(["iam:CreateUser", "iam:TagUser"], StringEquals={"aws:RequestTag/a": "1", "aws:TagKeys": ["a"]})
    )
    with refusal("AccessDenied"):
        tagger.create_user(UserName="new", Tags=[{"Key": "a", "Value": "2"}])
    tagger.create_user(UserName="new", Tags=[TAG])


def test_boundary_of_a_new_user_can_be_required(client_for: Callable[..., Client]) -> None:
    """K-33: `iam:PermissionsBoundary` limits delegated administrators."""
    condition = {"StringEquals": {"iam:PermissionsBoundary": BOUNDARY}}
    maker = client_for("maker", allow(["iam:CreateUser", "iam:PutUserPermissionsBoundary"], **condition))
    for parameters in ({}, {"PermissionsBoundary": "arn:aws:iam::aws:policy/AdministratorAccess"}):
        with refusal("AccessDenied", "iam:CreateUser"):
            maker.create_user(UserName="free", **parameters)
    maker.create_user(UserName="bound", PermissionsBoundary=BOUNDARY)
    with refusal("AccessDenied", "iam:PutUserPermissionsBoundary"):
        maker.put_user_permissions_boundary(
            UserName="bound", PermissionsBoundary="arn:aws:iam::aws:policy/AdministratorAccess"
        )


def test_denied_caller_cannot_probe_existence(client_for: Callable[..., Client]) -> None:
    powerless = client_for("powerless")
    sentences = []
    for name in ("admin", "absent"):
        with pytest.raises(powerless.exceptions.ClientError) as caught:
            powerless.get_user(UserName=name)
        sentences.append(json.dumps(caught.value.response["Error"]).replace(name, "X"))
    assert sentences[0] == sentences[1]
