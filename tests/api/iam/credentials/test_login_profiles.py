"""Login profiles and passwords by boto3: R-3, R-10, R-20 to R-25."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from iam_guard.api.call import ApiServer, ServiceCall
from iam_guard.api.iam.credentials.login_profiles import own_password_target
from iam_guard.authn.people.passwords.passwords import PasswordHasher
from iam_guard.authn.people.passwords.stored_passwords import MAX_FORMER
from iam_guard.model.principal import Principal
from iam_guard.store.schema import former_passwords, login_profiles
from tests.api.conftest import ACCOUNT, Client, Running, allow, refusal

pytestmark = pytest.mark.usefixtures("cheap_passwords")

GOOD = "Correct-Horse-1"
BETTER = "Correct-Horse-2"
ITSELF = f"arn:aws:iam::{ACCOUNT}:user/${{aws:username}}"


@pytest.fixture
def jane(client_for: Callable[..., Client], iam: Client) -> Client:
    """A user with a password and the permission to change it."""
    client = client_for("jane", allow("iam:ChangePassword", ITSELF))
    iam.create_login_profile(UserName="jane", Password=GOOD)
    return client


def digest_of(server: Running, client: Client, name: str = "jane") -> str:
    owner = client.get_user(UserName=name)["User"]["UserId"]
    with server.store.read_transaction() as records:
        row = records.one(login_profiles, owner=owner)
    assert row is not None
    digest: str = row["digest"]
    return digest


# --- the profile -------------------------------------------------------------------------------------------------


def test_login_profile_is_created_read_and_deleted(iam: Client, server: Running) -> None:
    """The password is stored as a digest (R-10)."""
    iam.create_user(UserName="jane")
    made = iam.create_login_profile(UserName="jane", Password=GOOD, PasswordResetRequired=True)["LoginProfile"]
    assert (made["UserName"], made["PasswordResetRequired"]) == ("jane", True)
    assert iam.get_login_profile(UserName="jane")["LoginProfile"] == made
    digest = digest_of(server, iam)
    assert digest.startswith("$argon2id$")
    assert PasswordHasher().matches(GOOD, digest)
    iam.delete_login_profile(UserName="jane")
    with refusal("NoSuchEntity", "Login Profile for User jane cannot be found.", 404):
        iam.get_login_profile(UserName="jane")


def test_second_login_profile_is_rejected(iam: Client) -> None:
    """The first one stays (G-77)."""
    iam.create_user(UserName="jane")
    iam.create_login_profile(UserName="jane", Password=GOOD)
    with refusal("EntityAlreadyExists", "Login Profile for user jane already exists.", 409):
        iam.create_login_profile(UserName="jane", Password=BETTER)


@pytest.mark.parametrize(
    ("operation", "more"),
    [("get_login_profile", {}), ("delete_login_profile", {}), ("update_login_profile", {"Password": GOOD})],
)
def test_missing_login_profile_raises_no_such_entity(iam: Client, operation: str, more: dict[str, str]) -> None:
    """A user without one, and an unknown user."""
    iam.create_user(UserName="jane")
    with refusal("NoSuchEntity", "Login Profile for User jane cannot be found.", 404):
        getattr(iam, operation)(UserName="jane", **more)
    with refusal("NoSuchEntity", "The user with name nobody cannot be found.", 404):
        getattr(iam, operation)(UserName="nobody", **more)


def test_login_profile_requires_a_password(iam: Client) -> None:
    """The model doesn't, for AWS's privileged root sessions."""
    iam.create_user(UserName="jane")
    with refusal("ValidationError", status=400):
        iam.create_login_profile(UserName="jane")


def test_deleting_a_user_with_a_profile_raises_delete_conflict(iam: Client) -> None:
    """R-11."""
    iam.create_user(UserName="jane")
    iam.create_login_profile(UserName="jane", Password=GOOD)
    with refusal("DeleteConflict", "must delete login profile first"):
        iam.delete_user(UserName="jane")


def test_profile_update_keeps_absent_settings(iam: Client, server: Running) -> None:
    """Each setting is updated for itself."""
    iam.create_user(UserName="jane")
    iam.create_login_profile(UserName="jane", Password=GOOD, MaxSigninSessionDuration=7200)

    def after(**update: Any) -> tuple[bool, int | None, bool]:
        iam.update_login_profile(UserName="jane", **update)
        profile = iam.get_login_profile(UserName="jane")["LoginProfile"]
        is_good = PasswordHasher().matches(GOOD, digest_of(server, iam))
        return profile["PasswordResetRequired"], profile.get("MaxSigninSessionDuration"), is_good

    assert after() == (False, 7200, True)
    assert after(PasswordResetRequired=True) == (True, 7200, True)
    assert after(MaxSigninSessionDuration=3600) == (True, 3600, True)
    assert after(ResetMaxSigninSessionDuration=False) == (True, 3600, True)
    assert after(ResetMaxSigninSessionDuration=True) == (True, None, True)
    assert after(Password=BETTER) == (True, None, False)


def test_session_duration_is_set_or_reset(iam: Client, server: Running) -> None:
    """Both together change nothing."""
    iam.create_user(UserName="jane")
    iam.create_login_profile(UserName="jane", Password=GOOD)
    with refusal("InvalidInput", status=400):
        iam.update_login_profile(
            UserName="jane", Password=BETTER, MaxSigninSessionDuration=3600, ResetMaxSigninSessionDuration=True
        )
    assert PasswordHasher().matches(GOOD, digest_of(server, iam))


def test_rejected_password_changes_nothing_else(iam: Client) -> None:
    """An update is one transaction."""
    iam.create_user(UserName="jane")
    iam.create_login_profile(UserName="jane", Password=GOOD)
    with refusal("PasswordPolicyViolation", status=400):
        iam.update_login_profile(UserName="jane", Password="short", PasswordResetRequired=True)
    assert iam.get_login_profile(UserName="jane")["LoginProfile"]["PasswordResetRequired"] is False


def test_renamed_user_keeps_its_password(iam: Client) -> None:
    """A profile belongs to the unique id (P-10)."""
    iam.create_user(UserName="jane")
    iam.create_login_profile(UserName="jane", Password=GOOD)
    iam.update_user(UserName="jane", NewUserName="janet")
    assert iam.get_login_profile(UserName="janet")["LoginProfile"]["UserName"] == "janet"


def test_root_user_has_its_own_profile(root: Client, iam: Client, server: Running) -> None:
    """Without a user name; no user can reach it (R-3)."""
    made = root.create_login_profile(Password=GOOD)["LoginProfile"]
    assert made["UserName"] == "acme"
    with server.store.read_transaction() as records:
        row = records.one(login_profiles, owner=ACCOUNT)
    assert row is not None
    assert row["user_id"] is None
    assert root.get_login_profile()["LoginProfile"] == made
    with refusal("NoSuchEntity"):
        iam.get_login_profile()
    with refusal("EntityAlreadyExists"):
        root.create_login_profile(Password=GOOD)
    root.delete_login_profile()
    with refusal("NoSuchEntity"):
        root.get_login_profile()


def test_root_password_is_no_subject_of_the_policy(root: Client, iam: Client) -> None:
    """It must be long, whatever the account's policy (R-24); it has no session duration."""
    iam.update_account_password_policy(MinimumPasswordLength=6, RequireNumbers=True, PasswordReusePrevention=1)
    with refusal("PasswordPolicyViolation", "minimum length of 15"):
        root.create_login_profile(Password="Simple-7")
    with refusal("InvalidInput"):
        root.create_login_profile(Password=GOOD, MaxSigninSessionDuration=3600)


def test_other_account_cannot_reach_login_profiles(iam: Client, other_account: Client) -> None:
    """A user of the same name is another user."""
    for client in (iam, other_account):
        client.create_user(UserName="jane")
    iam.create_login_profile(UserName="jane", Password=GOOD)
    with refusal("NoSuchEntity"):
        other_account.get_login_profile(UserName="jane")
    with refusal("NoSuchEntity"):
        other_account.update_login_profile(UserName="jane", Password=BETTER)


# --- ChangePassword ----------------------------------------------------------------------------------------------


def test_user_changes_its_password(jane: Client, iam: Client, server: Running) -> None:
    """The new one is valid, the old one isn't; no reset is required any more."""
    iam.update_login_profile(UserName="jane", PasswordResetRequired=True)
    jane.change_password(OldPassword=GOOD, NewPassword=BETTER)
    digest = digest_of(server, iam)
    assert PasswordHasher().matches(BETTER, digest)
    assert not PasswordHasher().matches(GOOD, digest)
    assert iam.get_login_profile(UserName="jane")["LoginProfile"]["PasswordResetRequired"] is False


def test_wrong_old_password_changes_nothing(jane: Client, iam: Client, server: Running) -> None:
    """Access keys alone don't suffice."""
    with refusal("AccessDenied", "The old password was incorrect.", 403):
        jane.change_password(OldPassword=GOOD.lower(), NewPassword=BETTER)
    assert PasswordHasher().matches(GOOD, digest_of(server, iam))


def test_user_without_a_password_cannot_change_it(client_for: Callable[..., Client]) -> None:
    """There is nothing to change."""
    joe = client_for("joe", allow("iam:ChangePassword", ITSELF))
    with refusal("NoSuchEntity", "Login Profile for User joe cannot be found.", 404):
        joe.change_password(OldPassword=GOOD, NewPassword=BETTER)


def test_root_user_cannot_use_change_password(root: Client) -> None:
    """The operation is for users."""
    root.create_login_profile(Password=GOOD)
    with refusal("InvalidUserType", status=400):
        root.change_password(OldPassword=GOOD, NewPassword=BETTER)


def test_change_password_needs_permission(client_for: Callable[..., Client], iam: Client) -> None:
    """Even with the right password."""
    joe = client_for("joe")
    iam.create_login_profile(UserName="joe", Password=GOOD)
    with refusal("AccessDenied", "is not authorized to perform: iam:ChangePassword", 403):
        joe.change_password(OldPassword=GOOD, NewPassword=BETTER)


def test_policy_may_allow_all_users_to_change_passwords(client_for: Callable[..., Client], iam: Client) -> None:
    """`AllowUsersToChangePassword` allows that, and reading the policy, nothing else (R-20)."""
    joe = client_for("joe")
    iam.create_login_profile(UserName="joe", Password=GOOD)
    iam.update_account_password_policy(AllowUsersToChangePassword=True)
    joe.change_password(OldPassword=GOOD, NewPassword=BETTER)
    assert joe.get_account_password_policy()["PasswordPolicy"]["AllowUsersToChangePassword"] is True
    for refused in (joe.delete_account_password_policy, joe.list_users):
        with refusal("AccessDenied"):
            refused()
    with refusal("AccessDenied"):
        joe.update_login_profile(UserName="joe", Password=GOOD)
    iam.update_account_password_policy(AllowUsersToChangePassword=False)
    for refused in (joe.get_account_password_policy, lambda: joe.change_password(OldPassword=BETTER, NewPassword=GOOD)):
        with refusal("AccessDenied"):
            refused()


def test_deny_overrides_the_password_policy_grant(client_for: Callable[..., Client], iam: Client) -> None:
    """The grant is an Allow like any other."""
    deny = {"Effect": "Deny", "Action": ["iam:ChangePassword", "iam:GetAccountPasswordPolicy"], "Resource": "*"}
    joe = client_for("joe", deny)
    iam.create_login_profile(UserName="joe", Password=GOOD)
    iam.update_account_password_policy(AllowUsersToChangePassword=True)
    with refusal("AccessDenied", "explicit deny"):
        joe.change_password(OldPassword=GOOD, NewPassword=BETTER)
    with refusal("AccessDenied", "explicit deny"):
        joe.get_account_password_policy()


def test_boundary_overrides_the_password_policy_grant(
    client_for: Callable[..., Client], iam: Client, server: Running
) -> None:
    """A caller with a boundary has only its own policies."""
    joe = client_for("joe")
    iam.create_login_profile(UserName="joe", Password=GOOD)
    iam.update_account_password_policy(AllowUsersToChangePassword=True)
    iam.put_user_permissions_boundary(UserName="joe", PermissionsBoundary="arn:aws:iam::aws:policy/ReadOnlyAccess")
    with refusal("AccessDenied"):
        joe.change_password(OldPassword=GOOD, NewPassword=BETTER)


def test_session_policies_override_the_password_policy_grant(server: Running, iam: Client) -> None:
    """An API key that is limited to something else doesn't get it."""
    iam.update_account_password_policy(AllowUsersToChangePassword=True)
    limit = json.dumps({"Version": "2012-10-17", "Statement": allow("docs:*")})
    for session_policies, expected in (((limit,), None), (None, "iam:ChangePassword")):
        caller = Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:user/admin", session_policies=session_policies)
        with server.store.read_transaction() as records:
            store = server.store
            call = ServiceCall(ApiServer(store), caller, ACCOUNT, 0, records)
            policy: Any = own_password_target(call, {}).policy
        assert (policy and policy["Statement"][0]["Action"]) == expected


# --- reuse prevention --------------------------------------------------------------------------------------------


def test_password_reuse_is_prevented(jane: Client, iam: Client) -> None:
    """As many as the policy says, including the current one; for administrators too (R-20)."""
    iam.update_account_password_policy(PasswordReusePrevention=2)
    with refusal("PasswordPolicyViolation", "password reuse prevention", 400):
        jane.change_password(OldPassword=GOOD, NewPassword=GOOD)
    jane.change_password(OldPassword=GOOD, NewPassword=BETTER)
    with refusal("PasswordPolicyViolation", "password reuse prevention", 400):
        jane.change_password(OldPassword=BETTER, NewPassword=GOOD)
    with refusal("PasswordPolicyViolation", "password reuse prevention", 400):
        iam.update_login_profile(UserName="jane", Password=GOOD)
    jane.change_password(OldPassword=BETTER, NewPassword="Third-1")
    jane.change_password(OldPassword="Third-1", NewPassword=GOOD)


def test_password_reuse_is_allowed_without_prevention(jane: Client, iam: Client) -> None:
    """Including the current one (R-20)."""
    jane.change_password(OldPassword=GOOD, NewPassword=GOOD)
    iam.update_account_password_policy()
    jane.change_password(OldPassword=GOOD, NewPassword=GOOD)


def test_passwords_before_the_policy_count(jane: Client, iam: Client) -> None:
    """Former passwords are stored even without a policy."""
    jane.change_password(OldPassword=GOOD, NewPassword=BETTER)
    jane.change_password(OldPassword=BETTER, NewPassword=GOOD)
    iam.update_account_password_policy(PasswordReusePrevention=24)
    with refusal("PasswordPolicyViolation"):
        jane.change_password(OldPassword=GOOD, NewPassword=BETTER)


def test_former_passwords_are_limited(iam: Client, server: Running) -> None:
    """The 24 latest; they are deleted with the profile (R-20)."""
    iam.create_user(UserName="jane")
    iam.create_login_profile(UserName="jane", Password="Former-password-0")
    for number in range(1, MAX_FORMER + 4):
        iam.update_login_profile(UserName="jane", Password=f"Former-password-{number}")
    with server.store.read_transaction() as records:
        assert records.count(former_passwords) == MAX_FORMER
    iam.update_account_password_policy(PasswordReusePrevention=24)
    with refusal("PasswordPolicyViolation"):
        iam.update_login_profile(UserName="jane", Password="Former-password-4")
    iam.update_login_profile(UserName="jane", Password="Former-password-3")
    iam.delete_login_profile(UserName="jane")
    with server.store.read_transaction() as records:
        assert records.count(former_passwords) == 0
