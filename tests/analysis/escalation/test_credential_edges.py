"""Escalation by credentials of others: what works, and what must not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iam_guard.store.schema import login_profiles, mfa_devices, organizations
from iam_guard.store.sql_store import SqlStore
from tests.analysis.escalation.escalation_worlds import (
    ACME,
    EVERYTHING,
    GLOBEX,
    Found,
    Json,
    account,
    allow,
    arn,
    deny,
    document,
    found,
    found_in,
    id_of,
    seeded,
    user,
)
from tests.tables import table

TO_ADMINISTRATOR = ("user/ada", "administrator")
TO_BOB = ("user/ada", "user/bob")
BOB = arn("user/bob")
KEYS = [{"id": f"AKIABOBSKEY00000000{number}", "secret": "bobs-secret"} for number in range(2)]


def with_bob(*statements: Json, **more: Any) -> Json:
    """Return an account in which ada may do something, and bob everything."""
    return account(user("ada", *statements), user("bob", EVERYTHING, **more))


@table(
    ("world", "paths"),
    [
        (with_bob(allow("iam:CreateAccessKey")), {TO_ADMINISTRATOR: ["iam:CreateAccessKey"]}),
        (with_bob(allow("iam:CreateAccessKey", on=BOB)), {TO_ADMINISTRATOR: ["iam:CreateAccessKey"]}),
        (with_bob(allow("iam:CreateAccessKey", on=arn("user/ada"))), {}),
        (with_bob(allow("iam:CreateAccessKey"), deny("iam:CreateAccessKey", Resource=BOB)), {}),
        (with_bob(allow("iam:CreateAccessKey"), access_keys=KEYS), {}),
        (with_bob(allow("iam:CreateAccessKey"), access_keys=KEYS[:1]), {TO_ADMINISTRATOR: ["iam:CreateAccessKey"]}),
        (
            with_bob(allow("iam:CreateAccessKey", "iam:DeleteAccessKey"), access_keys=KEYS),
            {TO_ADMINISTRATOR: ["iam:DeleteAccessKey", "iam:CreateAccessKey"]},
        ),
        (with_bob(allow("iam:CreateLoginProfile")), {TO_ADMINISTRATOR: ["iam:CreateLoginProfile"]}),
        (with_bob(allow("iam:UpdateLoginProfile")), {}),
        (with_bob(allow("iam:*AccessKey*", "iam:*LoginProfile*"), deny("iam:*")), {}),
        (account(user("ada", allow("iam:CreateAccessKey")), user("bob")), {TO_BOB: ["iam:CreateAccessKey"]}),
        (
            account(user("ada", allow("iam:CreateAccessKey", on=BOB)), user("bob", allow("iam:PutUserPolicy", on=BOB))),
            {
                TO_ADMINISTRATOR: ["iam:CreateAccessKey", "iam:PutUserPolicy"],
                ("user/bob", "administrator"): ["iam:PutUserPolicy"],
            },
        ),
    ],
    ids=str,
)
def test_credentials_of_a_user(world: Json, paths: Found) -> None:
    assert found(world) == paths


def test_key_quota_of_the_store_counts() -> None:
    """A third key needs no deletion where the setting `quotas` allows three."""
    with seeded(with_bob(allow("iam:CreateAccessKey"), access_keys=KEYS), quotas=("access keys per user=3",)) as store:
        assert found_in(store) == {TO_ADMINISTRATOR: ["iam:CreateAccessKey"]}


def add_password(store: SqlStore, *, has_mfa: bool) -> None:
    """Add a password of bob, and a second factor."""
    bob = id_of(store, "bob")
    with store.write_transaction() as records:
        times = {"created": 0, "changed": 0, "reset_required": False}
        records.insert(login_profiles, owner=bob, account=ACME, user_id=bob, digest="0", **times)
        if has_mfa:
            names = {"serial": arn("mfa/bob"), "path": "/", "name": "bob", "folded": "/bob", "tags": {}}
            records.insert(
                mfa_devices, account=ACME, user_id=bob, for_root=False, sealed=b"", enabled=1, created=0, **names
            )


@table(
    ("actions", "has_mfa", "path"),
    [
        (["iam:UpdateLoginProfile"], False, ["iam:UpdateLoginProfile"]),
        (["iam:CreateLoginProfile"], False, None),
        (["iam:UpdateLoginProfile"], True, None),
        (
            ["iam:UpdateLoginProfile", "iam:DeactivateMFADevice"],
            True,
            ["iam:DeactivateMFADevice", "iam:UpdateLoginProfile"],
        ),
        (["iam:DeactivateMFADevice"], True, None),
    ],
)
def test_password_of_a_user(actions: list[str], has_mfa: bool, path: list[str] | None) -> None:
    """A user with a second factor signs in with the password alone once the factor is gone."""
    with seeded(with_bob(allow(*actions))) as store:
        add_password(store, has_mfa=has_mfa)
        assert found_in(store) == ({} if path is None else {TO_ADMINISTRATOR: path})


# --- root users of member accounts -------------------------------------------------------------------------------

ORGANIZATION = {"id": "o-exampleorg1", "management_account": ACME, "accounts": [ACME, GLOBEX]}
NO_PASSWORDS = {
    "policies": [{"name": "NoPasswords", "type": "SCP", "document": document(deny("iam:CreateLoginProfile"))}],
    "accounts": [ACME, {"id": GLOBEX, "scps": ["FullAWSAccess", "NoPasswords"]}],
}


@table(
    ("statement", "is_enabled", "organization", "is_found"),
    [
        (allow("sts:AssumeRoot"), True, {}, True),
        (allow("sts:AssumeRoot", on=arn("root", GLOBEX)), True, {}, True),
        (allow("sts:AssumeRoot"), False, {}, False),
        (allow("sts:AssumeRoot", on=arn("root")), True, {}, False),
        (
            allow("sts:AssumeRoot", ArnLike={"sts:TaskPolicyArn": "arn:aws:iam::aws:policy/root-task/S3Unlock*"}),
            True,
            {},
            False,
        ),
        (allow("sts:AssumeRoot"), True, NO_PASSWORDS, False),
    ],
    ids=str,
)
def test_root_user_of_a_member(
    statement: Json, is_enabled: bool, organization: Mapping[str, Any], is_found: bool
) -> None:
    """The management account may set the password of a member's root user, if the organization permits it."""
    accounts = account(user("ada", statement)), account(user("gus"), id=GLOBEX)
    with seeded(*accounts, organization={**ORGANIZATION, **organization}) as store:
        if is_enabled:
            with store.write_transaction() as records:
                records.update(organizations, {"root_features": ["RootSessions"]}, id="o-exampleorg1")
        steps = ["sts:AssumeRoot", "iam:CreateLoginProfile"]
        assert found_in(store) == ({TO_ADMINISTRATOR: steps} if is_found else {})


@table(
    ("statement", "is_found"),
    [
        (allow("iam:CreateServiceSpecificCredential"), True),
        (allow("iam:ResetServiceSpecificCredential", on=BOB), True),
        (
            allow(
                "iam:CreateServiceSpecificCredential",
                StringEquals={"iam:ServiceSpecificCredentialServiceName": "docs.amazonaws.com"},
            ),
            True,
        ),
        (allow("iam:CreateServiceSpecificCredential", on=arn("user/ada")), False),
    ],
    ids=str,
)
def test_api_key_gives_a_part_of_the_access(statement: Json, is_found: bool) -> None:
    """An API key is limited to one service, so it makes no administrator, even of a user that is one."""
    paths = found(with_bob(statement))
    assert paths == ({TO_BOB: [statement["Action"][0]]} if is_found else {})
