"""Login profiles: console passwords of users and of the root user (R-3, R-10, R-20 to R-25).

Passwords are stored as digests, by `iam_guard.authn.people`, which has the rules for new ones, too. They are compared
and hashed before the transaction of the call, which holds the lock of the store.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.authorization_targets import USER
from iam_guard.api.iam.credentials.password_policy import granted_to_users
from iam_guard.api.iam.credentials.user_credentials import owner_id, owner_name, owner_person
from iam_guard.api.iam.entities import load_user, owner_of_credentials, require_row
from iam_guard.api.operation import OperationRequest, all_resources
from iam_guard.api.service_errors import InvalidUserType, PasswordPolicyViolation
from iam_guard.authn.people.passwords import failed_attempts as attempts
from iam_guard.authn.people.passwords.stored_passwords import NewPassword, delete_password, hash_password, set_password
from iam_guard.authn.people.person import Person
from iam_guard.authn.people.verified_steps import Evidence, password_evidence
from iam_guard.errors import (
    AccessDenied,
    ConcurrentModification,
    EntityAlreadyExists,
    InvalidInput,
    ValidationError,
)
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import Resource
from iam_guard.store.database.records import Row
from iam_guard.store.schema import login_profiles

_WRONG: Final = "The old password was incorrect."


class _Prepared(NamedTuple):
    """A password that was hashed for a person, outside of the call's transaction, and the old one if it was given."""

    person: Person
    new: NewPassword
    old: Evidence | None = None


def prepare_first(request: OperationRequest, account: str, parameters: Input) -> _Prepared | None:
    """Hash the password of a login profile that can be created; None for a call that is refused anyway."""
    with request.store.read_transaction() as records:
        call = request.call(account, None, records)
        owner = owner_of_credentials(call, parameters)
        is_possible = _find(call, owner) is None and "Password" in parameters
        person = owner_person(call, owner)
    return _hashed(request, person, parameters["Password"]) if is_possible else None


def prepare_update(request: OperationRequest, account: str, parameters: Input) -> _Prepared | None:
    """Hash the password of a login profile that exists; None without a password."""
    if "Password" not in parameters:
        return None
    with request.store.read_transaction() as records:
        call = request.call(account, None, records)
        owner = load_user(call, parameters)
        _load_profile(call, owner)
    return _hashed(request, owner_person(call, owner), parameters["Password"])


def prepare_change(request: OperationRequest, account: str, parameters: Input) -> _Prepared:
    """Compare the caller's old password, and hash the new one.

    Guesses of the old one count like those of people who sign in.
    """
    with request.store.write_transaction() as records:
        call = request.call(account, None, records)
        if call.caller.type is not PrincipalType.USER:
            raise InvalidUserType("Only IAM Users can change their own password.")
        owner = load_user(call, {})
        profile, person = _load_profile(call, owner), owner_person(call, owner)
        subject = attempts.guess_subject(person, "", "password")
        if not attempts.is_open(records, subject, call.now):
            raise AccessDenied("Too many wrong passwords, try again later.")
    if not request.server.passwords.matches(parameters["OldPassword"], profile["digest"]):
        raise AccessDenied(_WRONG)
    with request.store.write_transaction() as records:
        attempts.clear(records, subject)
    return _hashed(request, person, parameters["NewPassword"])._replace(old=password_evidence(profile))


def _hashed(request: OperationRequest, person: Person, password: str) -> _Prepared:
    """Return a hashed password. Raises `PasswordPolicyViolation`, `ServerBusy`."""
    hashed = hash_password(request.store, request.server.passwords, person, password)
    if isinstance(hashed, str):
        raise PasswordPolicyViolation(hashed, place="Password")
    return _Prepared(person, hashed)


def create_login_profile(call: ServiceCall, parameters: Input) -> Output:
    """Create a login profile for a user; without a user name, for the calling root user."""
    owner = owner_of_credentials(call, parameters)
    if _find(call, owner) is not None:
        raise EntityAlreadyExists(f"Login Profile for user {owner_name(call, owner)} already exists.")
    if "Password" not in parameters:
        raise ValidationError("Must specify password.", place="Password")
    if owner is None and "MaxSigninSessionDuration" in parameters:
        raise InvalidInput("MaxSigninSessionDuration is not supported for the root user.")
    _set_password(call, owner, reset_required=parameters.get("PasswordResetRequired", False))
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
        _set_password(call, owner)


def delete_login_profile(call: ServiceCall, parameters: Input) -> None:
    """Delete the password, and the former ones; browser sessions end."""
    owner = owner_of_credentials(call, parameters)
    _load_profile(call, owner)
    delete_password(call.records, owner_person(call, owner))


def change_password(call: ServiceCall, parameters: Input) -> None:
    """Change the caller's password, which may have expired; `prepare_change` has compared the old one (R-25)."""
    owner = load_user(call, {})
    if not isinstance(call.prepared, _Prepared) or call.prepared.old is None:
        raise AccessDenied(_WRONG)  # INVARIANT: not reached
    if call.prepared.old.find_unchanged(call.records) is None:  # it was changed since
        raise AccessDenied(_WRONG)
    _set_password(call, owner, reset_required=False)


def own_password_target(call: ServiceCall, parameters: Input) -> Resource:
    """Return the calling user; the account's password policy may allow all users to change their own password."""
    if call.caller.type is not PrincipalType.USER:
        return all_resources(call, parameters)  # rejected in any case
    return granted_to_users(call, USER(call, {}), "iam:ChangePassword")


def _find(call: ServiceCall, owner: Row | None) -> Row | None:
    return call.records.one(login_profiles, owner=owner_id(owner) or call.account)


def _load_profile(call: ServiceCall, owner: Row | None) -> Row:
    return require_row(_find(call, owner), f"Login Profile for User {owner_name(call, owner)} cannot be found.")


def _set_password(call: ServiceCall, owner: Row | None, *, reset_required: bool | None = None) -> None:
    """Set the password that was hashed. Raises `ConcurrentModification` if it was hashed for another profile."""
    prepared, person = call.prepared, owner_person(call, owner)
    if not isinstance(prepared, _Prepared) or prepared.person != person:
        raise ConcurrentModification("The user was changed by another request at the same time, try again.")
    problem = set_password(call.records, person, prepared.new, call.now, reset_required=reset_required)
    if problem is not None:
        raise PasswordPolicyViolation(problem, place="Password")


def _describe(call: ServiceCall, owner: Row | None, profile: Row) -> Output:
    return {
        "UserName": owner_name(call, owner),
        "CreateDate": instant(profile["created"]),
        "PasswordResetRequired": profile["reset_required"],
        "MaxSigninSessionDuration": profile["max_signin_session_duration"],
    }
