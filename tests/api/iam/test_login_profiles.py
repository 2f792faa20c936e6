"""Login profiles and passwords through boto3: rules R-3, R-10, R-20 to R-25."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from iam_guard.api.call import ServiceCall
from iam_guard.api.iam.login_profiles import MAX_FORMER, own_password
from iam_guard.api.iam.passwords import is_password
from iam_guard.model.principal import Principal
from iam_guard.store.schema import former_passwords, login_profiles
from tests.api.conftest import ACCOUNT, Client, Running, allow, refusal

pytestmark = pytest.mark.usefixtures("cheap_passwords")

GOOD = "Correct-Horse-1"
BETTER = "Correct-Horse-2"
ITSELF = f"arn:aws:iam::{ACCOUNT}:user/${{aws:username}}"


@pytest.fixture
def jane(client_for: Callable[..., Client], iam: Client) -> Client:
    """A user with a password, who may change it."""
    client = client_for("jane", allow("iam:ChangePassword", ITSELF))
    iam.create_login_profile(UserName="jane", Password=GOOD)
    return client


def digest_of(server: Running, client: Client, name: str = "jane") -> str:
    owner = client.get_user(UserName=name)["User"]["UserId"]
    with server.store.viewing() as records:
        row = records.one(login_profiles, owner=owner)
    assert row is not None
    digest: str = row["digest"]
    return digest


# --- the profile -------------------------------------------------------------------------------------------------


def test_a_profile_from_beginning_to_end(iam: Client, server: Running) -> None:
    """Made, looked at, deleted; what is kept of the password is a digest (R-10)."""
    iam.create_user(UserName="jane")
    made = iam.create_login_profile(UserName="jane", Password=GOOD, PasswordResetRequired=True)["LoginProfile"]
    assert (made["UserName"], made["PasswordResetRequired"]) == ("jane", True)
    assert iam.get_login_profile(UserName="jane")["LoginProfile"] == made
    digest = digest_of(server, iam)
    assert digest.startswith("$argon2id$")
    assert is_password(GOOD, digest)
    iam.delete_login_profile(UserName="jane")
    with refusal("NoSuchEntity", "Login Profile for User jane cannot be found.", 404):
        iam.get_login_profile(UserName="jane")


def test_one_profile_is_all(iam: Client) -> None:
    """A second one is refused, and the first stays (G-77)."""
    iam.create_user(UserName="jane")
    iam.create_login_profile(UserName="jane", Password=GOOD)
    with refusal("EntityAlreadyExists", "Login Profile for user jane already exists.", 409):
        iam.create_login_profile(UserName="jane", Password=BETTER)


@pytest.mark.parametrize(
    ("operation", "more"),
    [("get_login_profile", {}), ("delete_login_profile", {}), ("update_login_profile", {"Password": GOOD})],
)
def test_a_profile_that_is_not_there(iam: Client, operation: str, more: dict[str, str]) -> None:
    """A user without one, and a user who is not there."""
    iam.create_user(UserName="jane")
    with refusal("NoSuchEntity", "Login Profile for User jane cannot be found.", 404):
        getattr(iam, operation)(UserName="jane", **more)
    with refusal("NoSuchEntity", "The user with name nobody cannot be found.", 404):
        getattr(iam, operation)(UserName="nobody", **more)


def test_a_profile_needs_a_password(iam: Client) -> None:
    """The model does not demand one, for AWS's privileged root sessions; all others must give it."""
    iam.create_user(UserName="jane")
    with refusal("ValidationError", status=400):
        iam.create_login_profile(UserName="jane")


def test_a_user_with_a_profile_is_not_deleted(iam: Client) -> None:
    """The profile goes first (R-11)."""
    iam.create_user(UserName="jane")
    iam.create_login_profile(UserName="jane", Password=GOOD)
    with refusal("DeleteConflict", "must delete login profile first"):
        iam.delete_user(UserName="jane")


def test_what_is_not_given_stays(iam: Client, server: Running) -> None:
    """Each setting is updated for itself."""
    iam.create_user(UserName="jane")
    iam.create_login_profile(UserName="jane", Password=GOOD, MaxSigninSessionDuration=7200)

    def after(**update: Any) -> tuple[bool, int | None, bool]:
        iam.update_login_profile(UserName="jane", **update)
        profile = iam.get_login_profile(UserName="jane")["LoginProfile"]
        is_good = is_password(GOOD, digest_of(server, iam))
        return profile["PasswordResetRequired"], profile.get("MaxSigninSessionDuration"), is_good

    assert after() == (False, 7200, True)
    assert after(PasswordResetRequired=True) == (True, 7200, True)
    assert after(MaxSigninSessionDuration=3600) == (True, 3600, True)
    assert after(ResetMaxSigninSessionDuration=False) == (True, 3600, True)
    assert after(ResetMaxSigninSessionDuration=True) == (True, None, True)
    assert after(Password=BETTER) == (True, None, False)


def test_the_session_duration_is_set_or_reset(iam: Client, server: Running) -> None:
    """Not both, and then nothing at all is changed."""
    iam.create_user(UserName="jane")
    iam.create_login_profile(UserName="jane", Password=GOOD)
    with refusal("InvalidInput", status=400):
        iam.update_login_profile(
            UserName="jane", Password=BETTER, MaxSigninSessionDuration=3600, ResetMaxSigninSessionDuration=True
        )
    assert is_password(GOOD, digest_of(server, iam))


def test_a_refused_password_changes_nothing_else(iam: Client) -> None:
    """An update is one transaction."""
    iam.create_user(UserName="jane")
    iam.create_login_profile(UserName="jane", Password=GOOD)
    with refusal("PasswordPolicyViolation", status=400):
        iam.update_login_profile(UserName="jane", Password="short", PasswordResetRequired=True)
    assert iam.get_login_profile(UserName="jane")["LoginProfile"]["PasswordResetRequired"] is False


def test_a_renamed_user_keeps_the_password(iam: Client) -> None:
    """A profile belongs to the unique id (P-10)."""
    iam.create_user(UserName="jane")
    iam.create_login_profile(UserName="jane", Password=GOOD)
    iam.update_user(UserName="jane", NewUserName="janet")
    assert iam.get_login_profile(UserName="janet")["LoginProfile"]["UserName"] == "janet"


def test_the_root_user_has_a_profile_of_its_own(root: Client, iam: Client, server: Running) -> None:
    """Without a name it is the root user's; no user finds it (R-3)."""
    made = root.create_login_profile(Password=GOOD)["LoginProfile"]
    assert made["UserName"] == "acme"
    with server.store.viewing() as records:
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


def test_the_root_users_password_is_held_to_the_default(root: Client, iam: Client) -> None:
    """Whatever the account's policy says of users (R-24); no session duration can be set for it."""
    iam.update_account_password_policy(MinimumPasswordLength=6)
    with refusal("PasswordPolicyViolation"):
        root.create_login_profile(Password="simple")
    with refusal("InvalidInput"):
        root.create_login_profile(Password=GOOD, MaxSigninSessionDuration=3600)


def test_another_account_reaches_no_profile(iam: Client, other_account: Client) -> None:
    """A user of the same name is another user."""
    for client in (iam, other_account):
        client.create_user(UserName="jane")
    iam.create_login_profile(UserName="jane", Password=GOOD)
    with refusal("NoSuchEntity"):
        other_account.get_login_profile(UserName="jane")
    with refusal("NoSuchEntity"):
        other_account.update_login_profile(UserName="jane", Password=BETTER)


# --- changing one's own password ---------------------------------------------------------------------------------


def test_a_user_changes_the_password(jane: Client, iam: Client, server: Running) -> None:
    """The new one is good, the old one is not; nobody has to change it any more."""
    iam.update_login_profile(UserName="jane", PasswordResetRequired=True)
    jane.change_password(OldPassword=GOOD, NewPassword=BETTER)
    digest = digest_of(server, iam)
    assert is_password(BETTER, digest)
    assert not is_password(GOOD, digest)
    assert iam.get_login_profile(UserName="jane")["LoginProfile"]["PasswordResetRequired"] is False


def test_whoever_does_not_know_the_old_password_changes_nothing(jane: Client, iam: Client, server: Running) -> None:
    """Access keys alone do not give the password."""
    with refusal("AccessDenied", "The old password was incorrect.", 403):
        jane.change_password(OldPassword=GOOD.lower(), NewPassword=BETTER)
    assert is_password(GOOD, digest_of(server, iam))


def test_a_user_without_a_password_cannot_change_it(client_for: Callable[..., Client]) -> None:
    """There is nothing to change."""
    joe = client_for("joe", allow("iam:ChangePassword", ITSELF))
    with refusal("NoSuchEntity", "Login Profile for User joe cannot be found.", 404):
        joe.change_password(OldPassword=GOOD, NewPassword=BETTER)


def test_the_root_user_cannot_change_it_so(root: Client) -> None:
    """The operation is for users."""
    root.create_login_profile(Password=GOOD)
    with refusal("InvalidUserType", status=400):
        root.change_password(OldPassword=GOOD, NewPassword=BETTER)


def test_without_permission_nobody_changes_it(client_for: Callable[..., Client], iam: Client) -> None:
    """With the right password too."""
    joe = client_for("joe")
    iam.create_login_profile(UserName="joe", Password=GOOD)
    with refusal("AccessDenied", "is not authorized to perform: iam:ChangePassword", 403):
        joe.change_password(OldPassword=GOOD, NewPassword=BETTER)


def test_the_account_may_let_all_users_change_their_own(client_for: Callable[..., Client], iam: Client) -> None:
    """`AllowUsersToChangePassword` gives the permission for oneself, and to read the policy; nothing else (R-20)."""
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


def test_a_deny_wins_over_what_the_account_lets_all_do(client_for: Callable[..., Client], iam: Client) -> None:
    """The grant is an Allow like any other."""
    deny = {"Effect": "Deny", "Action": ["iam:ChangePassword", "iam:GetAccountPasswordPolicy"], "Resource": "*"}
    joe = client_for("joe", deny)
    iam.create_login_profile(UserName="joe", Password=GOOD)
    iam.update_account_password_policy(AllowUsersToChangePassword=True)
    with refusal("AccessDenied", "explicit deny"):
        joe.change_password(OldPassword=GOOD, NewPassword=BETTER)
    with refusal("AccessDenied", "explicit deny"):
        joe.get_account_password_policy()


def test_the_grant_does_not_go_past_a_boundary(client_for: Callable[..., Client], iam: Client, server: Running) -> None:
    """Who has a permissions boundary is left to its own policies."""
    joe = client_for("joe")
    iam.create_login_profile(UserName="joe", Password=GOOD)
    iam.update_account_password_policy(AllowUsersToChangePassword=True)
    iam.put_user_permissions_boundary(UserName="joe", PermissionsBoundary="arn:aws:iam::aws:policy/ReadOnlyAccess")
    with refusal("AccessDenied"):
        joe.change_password(OldPassword=GOOD, NewPassword=BETTER)


def test_the_grant_does_not_go_past_session_policies(server: Running, iam: Client) -> None:
    """An API key that is limited to something else does not get it."""
    iam.update_account_password_policy(AllowUsersToChangePassword=True)
    limit = json.dumps({"Version": "2012-10-17", "Statement": allow("docs:*")})
    for session_policies, expected in (((limit,), None), (None, "iam:ChangePassword")):
        caller = Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:user/admin", session_policies=session_policies)
        with server.store.viewing() as records:
            store = server.store
            call = ServiceCall(caller, ACCOUNT, "aws", 0, records, store.sealer, store.ids, store.seal_session)
            policy: Any = own_password(call, {}).policy
        assert (policy and policy["Statement"][0]["Action"]) == expected


# --- what may not come again -------------------------------------------------------------------------------------


def test_latest_passwords_may_not_come_again(jane: Client, iam: Client) -> None:
    """As many as the policy says, the present one among them; an administrator is held to it too (R-20)."""
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


def test_without_prevention_any_password_may_come_again(jane: Client, iam: Client) -> None:
    """The present one too, be it without a policy or with one that does not ask for more (R-20)."""
    jane.change_password(OldPassword=GOOD, NewPassword=GOOD)
    iam.update_account_password_policy()
    jane.change_password(OldPassword=GOOD, NewPassword=GOOD)


def test_what_was_before_the_policy_counts(jane: Client, iam: Client) -> None:
    """Former passwords are remembered before anybody asks for it."""
    jane.change_password(OldPassword=GOOD, NewPassword=BETTER)
    jane.change_password(OldPassword=BETTER, NewPassword=GOOD)
    iam.update_account_password_policy(PasswordReusePrevention=24)
    with refusal("PasswordPolicyViolation"):
        jane.change_password(OldPassword=GOOD, NewPassword=BETTER)


def test_former_passwords_are_kept_as_long_as_a_policy_can_ask_for(iam: Client, server: Running) -> None:
    """The 24 latest; with the profile they go (R-20)."""
    iam.create_user(UserName="jane")
    iam.create_login_profile(UserName="jane", Password="Password-0")
    for number in range(1, MAX_FORMER + 4):
        iam.update_login_profile(UserName="jane", Password=f"Password-{number}")
    with server.store.viewing() as records:
        assert records.count(former_passwords) == MAX_FORMER
    iam.update_account_password_policy(PasswordReusePrevention=24)
    with refusal("PasswordPolicyViolation"):
        iam.update_login_profile(UserName="jane", Password="Password-4")
    iam.update_login_profile(UserName="jane", Password="Password-3")
    iam.delete_login_profile(UserName="jane")
    with server.store.viewing() as records:
        assert records.count(former_passwords) == 0
