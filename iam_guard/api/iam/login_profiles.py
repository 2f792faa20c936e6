"""Login profiles: the passwords of users and of the root user for the console (rules R-3, R-10, R-20 to R-25).

Of a password its digest is kept, and those of its predecessors for the prevention of reuse; they go away with the
profile.
"""

from __future__ import annotations

from typing import Any

from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.authorization_targets import USER
from iam_guard.api.iam.credential_owners import owner_id, owner_name
from iam_guard.api.iam.entities import owner_of_credentials, the_user
from iam_guard.api.iam.iam_errors import InvalidUserType, PasswordPolicyViolation
from iam_guard.api.iam.password_policy import granted_to_users, require_good_password, reuse_prevention
from iam_guard.api.iam.passwords import is_one_of, is_password, password_digest
from iam_guard.api.operation import everything
from iam_guard.errors import AccessDenied, EntityAlreadyExists, InvalidInput, NoSuchEntity, ValidationError
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import Resource
from iam_guard.store.records import Row
from iam_guard.store.schema import former_passwords, login_profiles

MAX_FORMER = 24
"""Former passwords that are remembered: as many as a policy can ask for (R-20)."""


def create_login_profile(call: ServiceCall, given: Input) -> Output:
    """Return a password to a user, or to the root user who calls without a name."""
    owner = owner_of_credentials(call, given)
    if _find(call, owner) is not None:
        raise EntityAlreadyExists(f"Login Profile for user {owner_name(call, owner)} already exists.")
    if "Password" not in given:
        raise ValidationError("Must specify password.", place="Password")
    if owner is None and "MaxSigninSessionDuration" in given:
        raise InvalidInput("MaxSigninSessionDuration is not supported for the root user.")
    require_good_password(call, owner, given["Password"])
    call.records.insert(
        login_profiles,
        owner=_key(call, owner),
        account=call.account,
        user_id=owner_id(owner),
        digest=password_digest(given["Password"]),
        reset_required=given.get("PasswordResetRequired", False),
        max_signin_session_duration=given.get("MaxSigninSessionDuration"),
        created=call.now,
        changed=call.now,
    )
    return {"LoginProfile": _described(call, owner, _the_profile(call, owner))}


def get_login_profile(call: ServiceCall, given: Input) -> Output:
    """Tell that a user has a password, since when, and whether it must be changed."""
    owner = owner_of_credentials(call, given)
    return {"LoginProfile": _described(call, owner, _the_profile(call, owner))}


def update_login_profile(call: ServiceCall, given: Input) -> None:
    """Set what is given of a user's profile; the rest stays."""
    owner = the_user(call, given)
    profile = _the_profile(call, owner)
    is_reset = given.get("ResetMaxSigninSessionDuration", False)
    if is_reset and "MaxSigninSessionDuration" in given:
        raise InvalidInput("MaxSigninSessionDuration cannot be set and reset in the same request.")
    values: dict[str, Any] = {}
    if "PasswordResetRequired" in given:
        values["reset_required"] = given["PasswordResetRequired"]
    if is_reset or "MaxSigninSessionDuration" in given:
        values["max_signin_session_duration"] = given.get("MaxSigninSessionDuration")
    if values:
        call.records.update(login_profiles, values, owner=profile["owner"])
    if "Password" in given:
        _set_password(call, owner, profile, given["Password"])


def delete_login_profile(call: ServiceCall, given: Input) -> None:
    """Take the password away, and forget the former ones."""
    profile = _the_profile(call, owner_of_credentials(call, given))
    call.records.delete(login_profiles, owner=profile["owner"])


def change_password(call: ServiceCall, given: Input) -> None:
    """Let a user who knows the present password set another, be it expired or not (R-25)."""
    if call.caller.type is not PrincipalType.USER:
        raise InvalidUserType("Only IAM Users can change their own password.")
    owner = the_user(call, {})
    profile = _the_profile(call, owner)
    if not is_password(given["OldPassword"], profile["digest"]):
        raise AccessDenied("The old password was incorrect.")
    _set_password(call, owner, profile, given["NewPassword"])
    call.records.update(login_profiles, {"reset_required": False}, owner=profile["owner"])


def own_password(call: ServiceCall, given: Input) -> Resource:
    """Return the user who calls; the policy of the account may let all users change their own password."""
    if call.caller.type is not PrincipalType.USER:
        return everything(call, given)  # refused in any case
    return granted_to_users(call, USER(call, {}), "iam:ChangePassword")


# --- rows --------------------------------------------------------------------------------------------------------


def _key(call: ServiceCall, owner: Row | None) -> str:
    return call.account if owner is None else owner["id"]


def _find(call: ServiceCall, owner: Row | None) -> Row | None:
    return call.records.one(login_profiles, owner=_key(call, owner))


def _the_profile(call: ServiceCall, owner: Row | None) -> Row:
    profile = _find(call, owner)
    if profile is None:
        raise NoSuchEntity(f"Login Profile for User {owner_name(call, owner)} cannot be found.")
    return profile


def _set_password(call: ServiceCall, owner: Row, profile: Row, password: str) -> None:
    require_good_password(call, owner, password)
    key: str = profile["owner"]
    former = call.records.all(former_passwords, order=("number",), owner=key)
    latest = [*(row["digest"] for row in former), profile["digest"]]
    digest = password_digest(password, beside=profile["digest"])
    prevented = reuse_prevention(call, owner)
    if prevented and is_one_of(password, digest, latest[-prevented:]):
        raise PasswordPolicyViolation(
            "Policy constraint violation with password reuse prevention during password change.", place="Password"
        )
    number = former[-1]["number"] + 1 if former else 1
    call.records.insert(former_passwords, owner=key, number=number, digest=profile["digest"])
    outdated = [row["number"] for row in former if row["number"] <= number - MAX_FORMER]
    call.records.delete(former_passwords, owner=key, number=outdated)
    call.records.update(login_profiles, {"digest": digest, "changed": call.now}, owner=key)


def _described(call: ServiceCall, owner: Row | None, profile: Row) -> Output:
    return {
        "UserName": owner_name(call, owner),
        "CreateDate": instant(profile["created"]),
        "PasswordResetRequired": profile["reset_required"],
        "MaxSigninSessionDuration": profile["max_signin_session_duration"],
    }
