"""Access keys by boto3: R-3, R-30, R-31, R-33, G-77."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from iam_guard.store.schema import access_key_uses, access_keys
from tests.api.conftest import ACCOUNT, ADMIN_KEY, ROOT_KEY, Client, Running, allow, refusal


def new_key(client: Client, **whose: str) -> tuple[str, str]:
    key = client.create_access_key(**whose)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


@pytest.fixture
def jane(iam: Client) -> str:
    iam.create_user(UserName="jane")
    return "jane"


def test_new_access_key_authenticates_at_once(iam: Client, server: Running, jane: str) -> None:
    """An id of 20 characters and a secret of 40 identify the user from the next request on (R-30)."""
    made = iam.create_access_key(UserName=jane)["AccessKey"]
    assert made["UserName"] == jane
    assert made["Status"] == "Active"
    assert re.fullmatch(r"AKIA[A-Z2-7]{16}", made["AccessKeyId"])
    assert re.fullmatch(r"[A-Za-z0-9+/]{40}", made["SecretAccessKey"])
    caller = server.client((made["AccessKeyId"], made["SecretAccessKey"]), "sts").get_caller_identity()
    assert caller["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/jane"


def test_access_keys_are_unique(iam: Client, jane: str) -> None:
    """No two keys have the same id or secret."""
    first, second = new_key(iam, UserName=jane), new_key(iam, UserName=jane)
    assert len({*first, *second}) == 4


def test_secret_is_stored_sealed_and_returned_once(iam: Client, server: Running, jane: str) -> None:
    """Lists don't contain it, and the row only has it sealed."""
    id, secret = new_key(iam, UserName=jane)
    (listed,) = iam.list_access_keys(UserName=jane)["AccessKeyMetadata"]
    assert set(listed) == {"UserName", "AccessKeyId", "Status", "CreateDate"}
    with server.store.read_transaction() as records:
        row = records.one(access_keys, id=id)
    assert row is not None
    assert secret.encode() not in row["sealed"]
    assert secret not in repr(dict(row))


@pytest.mark.over_http
def test_inactive_key_is_rejected_until_reactivated(iam: Client, server: Running, jane: str) -> None:
    """An inactive key is like an unknown one (R-31)."""
    key = new_key(iam, UserName=jane)
    sts = server.client(key, "sts")
    sts.get_caller_identity()
    iam.update_access_key(UserName=jane, AccessKeyId=key[0], Status="Inactive")
    with refusal("InvalidClientTokenId", status=403):
        sts.get_caller_identity()
    assert iam.list_access_keys(UserName=jane)["AccessKeyMetadata"][0]["Status"] == "Inactive"
    iam.update_access_key(UserName=jane, AccessKeyId=key[0], Status="Active")
    sts.get_caller_identity()


@pytest.mark.over_http
def test_deleted_key_is_rejected_at_once(iam: Client, server: Running, jane: str) -> None:
    """It is removed completely (R-31)."""
    key = new_key(iam, UserName=jane)
    sts = server.client(key, "sts")
    sts.get_caller_identity()
    iam.delete_access_key(UserName=jane, AccessKeyId=key[0])
    with refusal("InvalidClientTokenId", status=403):
        sts.get_caller_identity()
    assert iam.list_access_keys(UserName=jane)["AccessKeyMetadata"] == []


def test_third_key_exceeds_the_quota(iam: Client, jane: str) -> None:
    """Inactive keys count (R-30)."""
    id, _ = new_key(iam, UserName=jane)
    new_key(iam, UserName=jane)
    iam.update_access_key(UserName=jane, AccessKeyId=id, Status="Inactive")
    with refusal("LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2", 409):
        iam.create_access_key(UserName=jane)
    iam.delete_access_key(UserName=jane, AccessKeyId=id)
    new_key(iam, UserName=jane)


def test_status_expired_is_rejected(iam: Client, jane: str) -> None:
    """`Expired` is in the model, but can't be set (R-30)."""
    id, _ = new_key(iam, UserName=jane)
    with refusal("InvalidInput", status=400):
        iam.update_access_key(UserName=jane, AccessKeyId=id, Status="Expired")


@pytest.mark.parametrize("operation", ["delete_access_key", "update_access_key"])
def test_key_of_another_user_is_not_found(iam: Client, jane: str, operation: str) -> None:
    """Only the keys of the named user are searched."""
    iam.create_user(UserName="joe")
    id, _ = new_key(iam, UserName="joe")
    more = {"Status": "Inactive"} if operation == "update_access_key" else {}
    with refusal("NoSuchEntity", f"The Access Key with id {id} cannot be found.", 404):
        getattr(iam, operation)(UserName=jane, AccessKeyId=id, **more)
    assert iam.list_access_keys(UserName="joe")["AccessKeyMetadata"][0]["Status"] == "Active"


@pytest.mark.parametrize(
    ("operation", "more"),
    [
        ("create_access_key", {}),
        ("list_access_keys", {}),
        ("delete_access_key", {"AccessKeyId": "AKIAIOSFODNN7EXAMPLE"}),
        ("update_access_key", {"AccessKeyId": "AKIAIOSFODNN7EXAMPLE", "Status": "Active"}),
    ],
)
def test_keys_of_an_unknown_user_raise_no_such_entity(iam: Client, operation: str, more: dict[str, str]) -> None:
    """A user who does not exist has no keys."""
    with refusal("NoSuchEntity", "The user with name nobody cannot be found.", 404):
        getattr(iam, operation)(UserName="nobody", **more)


def test_key_list_pages_survive_deletions(iam: Client, jane: str) -> None:
    """A marker stays valid if earlier entries are deleted."""
    ids = sorted(new_key(iam, UserName=jane)[0] for _ in range(2))
    page = iam.list_access_keys(UserName=jane, MaxItems=1)
    assert [key["AccessKeyId"] for key in page["AccessKeyMetadata"]] == ids[:1]
    assert page["IsTruncated"] is True
    iam.delete_access_key(UserName=jane, AccessKeyId=ids[0])
    rest = iam.list_access_keys(UserName=jane, MaxItems=1, Marker=page["Marker"])
    assert [key["AccessKeyId"] for key in rest["AccessKeyMetadata"]] == ids[1:]
    assert rest["IsTruncated"] is False


def test_renamed_user_keeps_its_keys(iam: Client, server: Running, jane: str) -> None:
    """A key belongs to the unique id (P-10)."""
    key = new_key(iam, UserName=jane)
    iam.update_user(UserName=jane, NewUserName="janet")
    assert iam.list_access_keys(UserName="janet")["AccessKeyMetadata"][0]["UserName"] == "janet"
    assert server.client(key, "sts").get_caller_identity()["Arn"].endswith("user/janet")


# --- own keys ----------------------------------------------------------------------------------------------------


def test_user_name_defaults_to_the_caller(client_for: Callable[..., Client]) -> None:
    """A user may be allowed to rotate only its own keys."""
    own = f"arn:aws:iam::{ACCOUNT}:user/${{aws:username}}"
    jane = client_for("jane", allow("iam:*AccessKey*", own))
    id, _ = new_key(jane)
    assert {key["UserName"] for key in jane.list_access_keys()["AccessKeyMetadata"]} == {"jane"}
    jane.update_access_key(AccessKeyId=id, Status="Inactive")
    jane.delete_access_key(AccessKeyId=id)
    with refusal("AccessDenied", "user/admin", 403):
        jane.create_access_key(UserName="admin")
    with refusal("AccessDenied", "user/admin", 403):
        jane.get_access_key_last_used(AccessKeyId=ADMIN_KEY[0])


def test_root_user_keys_are_reached_by_the_root_user_only(root: Client, server: Running) -> None:
    """At most two; they belong to no user (R-3)."""
    key = new_key(root)
    assert server.client(key, "sts").get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    assert {list_access_key["AccessKeyId"] for list_access_key in root.list_access_keys()["AccessKeyMetadata"]} == {
        key[0],
        ROOT_KEY[0],
    }
    with refusal("LimitExceeded"):
        root.create_access_key()
    with refusal("NoSuchEntity"):
        server.client(ADMIN_KEY).delete_access_key(AccessKeyId=key[0])
    root.update_access_key(AccessKeyId=key[0], Status="Inactive")
    root.delete_access_key(AccessKeyId=key[0])
    assert [list_access_key["AccessKeyId"] for list_access_key in root.list_access_keys()["AccessKeyMetadata"]] == [
        ROOT_KEY[0]
    ]


# --- last use ----------------------------------------------------------------------------------------------------


def test_unused_key_has_no_last_use(iam: Client, jane: str) -> None:
    """AWS returns `N/A` (R-33)."""
    id, _ = new_key(iam, UserName=jane)
    answer = iam.get_access_key_last_used(AccessKeyId=id)
    assert answer["UserName"] == jane
    assert answer["AccessKeyLastUsed"] == {"ServiceName": "N/A", "Region": "N/A"}


def test_used_key_has_date_region_and_service(iam: Client, server: Running, jane: str) -> None:
    """R-33."""
    id, _ = new_key(iam, UserName=jane)
    with server.store.write_transaction() as records:
        records.insert(access_key_uses, access_key_id=id, at=1_700_000_000, region="eu-west-1", service="docs")
    used = iam.get_access_key_last_used(AccessKeyId=id)["AccessKeyLastUsed"]
    assert used["LastUsedDate"].timestamp() == 1_700_000_000
    assert (used["ServiceName"], used["Region"]) == ("docs", "eu-west-1")


def test_last_use_of_a_root_key_names_the_account(root: Client, iam: Client) -> None:
    """A root key is the account's."""
    assert root.get_access_key_last_used(AccessKeyId=ROOT_KEY[0])["UserName"] == "acme"
    assert iam.get_access_key_last_used(AccessKeyId=ROOT_KEY[0])["UserName"] == "acme"


def test_last_use_of_unknown_and_foreign_keys_is_denied_alike(iam: Client, other_account: Client, jane: str) -> None:
    """Despite every permission, so that callers can't tell which ids exist elsewhere."""
    id, _ = new_key(iam, UserName=jane)
    for key_id in (id, "AKIAIOSFODNN7EXAMPLE"):
        sentence = f"is not authorized to perform iam:GetAccessKeyLastUsed on resource: access key {key_id}"
        with refusal("AccessDenied", sentence, 403):
            other_account.get_access_key_last_used(AccessKeyId=key_id)


def test_other_account_cannot_reach_keys(iam: Client, other_account: Client, jane: str) -> None:
    """Neither by id with a user of the same name, nor in a list."""
    id, _ = new_key(iam, UserName=jane)
    other_account.create_user(UserName=jane)
    assert other_account.list_access_keys(UserName=jane)["AccessKeyMetadata"] == []
    with refusal("NoSuchEntity"):
        other_account.delete_access_key(UserName=jane, AccessKeyId=id)
    with refusal("NoSuchEntity"):
        other_account.update_access_key(UserName=jane, AccessKeyId=id, Status="Inactive")


def test_deleting_a_user_with_keys_raises_delete_conflict(iam: Client, jane: str) -> None:
    """R-11."""
    id, _ = new_key(iam, UserName=jane)
    with refusal("DeleteConflict", "must delete access keys first"):
        iam.delete_user(UserName=jane)
    iam.delete_access_key(UserName=jane, AccessKeyId=id)
    iam.delete_user(UserName=jane)
