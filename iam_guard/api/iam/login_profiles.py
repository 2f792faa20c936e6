"""Login profiles: console passwords of users and of the root user (R-3, R-10, R-20 to R-25).

Passwords are stored as digests, by `iam_guard.authn.people`, which has the rules for new ones, too.
"""

from __future__ import annotations

from typing import Any

from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.authorization_targets import USER
from iam_guard.api.iam.entities import load_user, owner_of_credentials, require_row
from iam_guard.api.iam.password_policy import granted_to_users
from iam_guard.api.iam.user_credentials import owner_id, owner_name, owner_person
from iam_guard.api.operation import all_resources
from iam_guard.api.service_errors import InvalidUserType, PasswordPolicyViolation, WrongSecret
from iam_guard.authn.people import failed_attempts as attempts
from iam_guard.authn.people.stored_passwords import delete_password, set_password
from iam_guard.errors import AccessDenied, EntityAlreadyExists, InvalidInput, ValidationError
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import Resource
from iam_guard.store.records import Row
from iam_guard.store.schema import login_profiles


def create_login_profile(call: ServiceCall, parameters: Input) -> Output:
    """Create a login profile for a user; without a user name, for the calling root user."""
    owner = owner_of_credentials(call, parameters)
    if _find(call, owner) is not None:
        raise EntityAlreadyExists(f"Login Profile for user {owner_name(call, owner)} already exists.")
    if "Password" not in parameters:
        raise ValidationError("Must specify password.", place="Password")
    if owner is None and "MaxSigninSessionDuration" in parameters:
        raise InvalidInput("MaxSigninSessionDuration is not supported for the root user.")
    _set_password(call, owner, parameters["Password"], reset_required=parameters.get("PasswordResetRequired", False))
    if "MaxSigninSessionDuration" in parameters:
        values = {"max_signin_session_duration": parameters["MaxSigninSessionDuration"]}
        call.records.update(login_profiles, values, owner=owner_id(owner))
    return {"LoginProfile": _describe(call, owner, _load_profile(call, owner))}


def get_login_profile(call: ServiceCall, parameters: Input) -> Output:
    """Describe a user's login profile: creation time, and whether the password must be changed."""
    owner = owner_of_credentials(call, parameters)
    return {"LoginProfile": _describe(call, owner, _load_profile(call, owner))}


def update_login_profile(call: ServiceCall, parameters: Input) -> None:
    """Update a user's login profile; absent members stay unchanged."""
    owner = load_user(call, parameters)
    profile = _load_profile(call, owner)
    is_reset = parameters.get("ResetMaxSigninSessionDuration", False)
    if is_reset and "MaxSigninSessionDuration" in parameters:
        raise InvalidInput("MaxSigninSessionDuration cannot be set and reset in the same request.")
    values: dict[str, Any] = {}
    if "PasswordResetRequired" in parameters:
        values["reset_required"] = parameters["PasswordResetRequired"]
    if is_reset or "MaxSigninSessionDuration" in parameters:
        values["max_signin_session_duration"] = parameters.get("MaxSigninSessionDuration")
    if values:
        call.records.update(login_profiles, values, owner=profile["owner"])
    if "Password" in parameters:
        _set_password(call, owner, parameters["Password"])


def delete_login_profile(call: ServiceCall, parameters: Input) -> None:
    """Delete the password, and the former ones; browser sessions end."""
    owner = owner_of_credentials(call, parameters)
    _load_profile(call, owner)
    delete_password(call.records, owner_person(call, owner))


def change_password(call: ServiceCall, parameters: Input) -> None:
    """Change the caller's password, which may have expired; requires the old password (R-25).

    Guesses of it count like those of people who sign in.
    """
    if call.caller.type is not PrincipalType.USER:
        raise InvalidUserType("Only IAM Users can change their own password.")
    owner = load_user(call, {})
    profile = _load_profile(call, owner)
    subject = attempts.guess_subject(owner_person(call, owner), "", "password")
    if not attempts.is_open(call.records, subject, call.now):
        raise AccessDenied("Too many wrong passwords, try again later.")
    if not call.passwords.matches(parameters["OldPassword"], profile["digest"]):
        raise WrongSecret("The old password was incorrect.")
    _set_password(call, owner, parameters["NewPassword"], reset_required=False)


def own_password_target(call: ServiceCall, parameters: Input) -> Resource:
    """Return the calling user; the account's password policy may allow all users to change their own password."""
    if call.caller.type is not PrincipalType.USER:
        return all_resources(call, parameters)  # rejected in any case
    return granted_to_users(call, USER(call, {}), "iam:ChangePassword")


def _find(call: ServiceCall, owner: Row | None) -> Row | None:
    return call.records.one(login_profiles, owner=owner_id(owner) or call.account)


def _load_profile(call: ServiceCall, owner: Row | None) -> Row:
    return require_row(_find(call, owner), f"Login Profile for User {owner_name(call, owner)} cannot be found.")


def _set_password(call: ServiceCall, owner: Row | None, password: str, *, reset_required: bool | None = None) -> None:
    person = owner_person(call, owner)
    problem = set_password(call.records, call.passwords, person, password, call.now, reset_required=reset_required)
    if problem is not None:
        raise PasswordPolicyViolation(problem, place="Password")


def _describe(call: ServiceCall, owner: Row | None, profile: Row) -> Output:
    return {
        "UserName": owner_name(call, owner),
        "CreateDate": instant(profile["created"]),
        "PasswordResetRequired": profile["reset_required"],
        "MaxSigninSessionDuration": profile["max_signin_session_duration"],
    }
