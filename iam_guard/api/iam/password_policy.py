"""The account's password policy, and the validation of new passwords (R-20 to R-25).

An account without a policy has AWS's default policy, which differs from a policy without settings: eight characters of
three kinds. The root user's password is always validated by the default (R-24). Explicit settings are stored with the
defaults only; absent ones are left out of responses.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.operation import all_resources
from iam_guard.api.service_errors import PasswordPolicyViolation
from iam_guard.errors import NoSuchEntity
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import Resource
from iam_guard.store.records import Row
from iam_guard.store.schema import password_policies

DEFAULTS: Mapping[str, Any] = {
    "MinimumPasswordLength": 6,
    "RequireSymbols": False,
    "RequireNumbers": False,
    "RequireUppercaseCharacters": False,
    "RequireLowercaseCharacters": False,
    "AllowUsersToChangePassword": False,
}
"""Settings of a policy that the call did not set (R-21)."""

DEFAULT_LENGTH = 8
DEFAULT_KINDS = 3
SYMBOLS = "!@#$%^&*()_+-=[]{}|'"


class _Kind(NamedTuple):
    """A kind of character: the setting that requires it, its characters, AWS's message."""

    setting: str
    characters: str
    message: str


_KINDS = (
    _Kind("RequireUppercaseCharacters", string.ascii_uppercase, "Password should have at least one uppercase letter"),
    _Kind("RequireLowercaseCharacters", string.ascii_lowercase, "Password should have at least one lowercase letter"),
    _Kind("RequireNumbers", string.digits, "Password should have at least one number"),
    _Kind("RequireSymbols", SYMBOLS, "Password should have at least one symbol"),
)


# --- operations --------------------------------------------------------------------------------------------------


def get_account_password_policy(call: ServiceCall, parameters: Input) -> Output:
    """Return the account's own policy. Raises `NoSuchEntity` if it has none."""
    policy = stored_policy(call)
    if policy is None:
        raise NoSuchEntity(f"The Password Policy with domain name {call.account} cannot be found.")
    return {"PasswordPolicy": {**policy, "ExpirePasswords": policy.get("MaxPasswordAge", 0) > 0}}


def update_account_password_policy(call: ServiceCall, parameters: Input) -> None:
    """Replace the whole policy: absent settings get their defaults (R-21)."""
    call.records.delete(password_policies, account=call.account)
    call.records.insert(password_policies, account=call.account, policy={**DEFAULTS, **parameters})


def delete_account_password_policy(call: ServiceCall, parameters: Input) -> None:
    """Delete the policy, so that AWS's default applies again."""
    if not call.records.delete(password_policies, account=call.account):
        raise NoSuchEntity("The account policy with name PasswordPolicy cannot be found.")


def password_policy_target(call: ServiceCall, parameters: Input) -> Resource:
    """Return `*`, readable by all users if the policy allows them to change their own password."""
    return granted_to_users(call, all_resources(call, parameters), "iam:GetAccountPasswordPolicy")


def granted_to_users(call: ServiceCall, resource: Resource, action: str) -> Resource:
    """Allow the caller this action on the resource if the policy has `AllowUsersToChangePassword`.

    AWS grants that permission for the whole account, without an attached policy. Here it is a resource policy for this
    caller, so that a Deny still applies. A caller with a permissions boundary or session policies gets no such grant,
    since it would bypass them.
    """
    policy, caller = stored_policy(call), call.caller
    is_limited = caller.has_boundary or caller.session_policies is not None
    is_plain_user = caller.type is PrincipalType.USER and not is_limited
    if policy is None or not policy["AllowUsersToChangePassword"] or not is_plain_user:
        return resource
    statement = {"Effect": "Allow", "Principal": {"AWS": caller.arn}, "Action": action, "Resource": resource.arn}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    return Resource(resource.arn, account=resource.account, tags=resource.tags, policy=document)


# --- validation --------------------------------------------------------------------------------------------------


def stored_policy(call: ServiceCall) -> Mapping[str, Any] | None:
    """Return the account's own policy."""
    row = call.records.one(password_policies, account=call.account)
    return None if row is None else row["policy"]


def reuse_prevention(call: ServiceCall, owner: Row | None) -> int:
    """Return how many of a user's latest passwords, including the current one, can't be reused."""
    policy = None if owner is None else stored_policy(call)
    number: int = 0 if policy is None else policy.get("PasswordReusePrevention", 0)
    return number


def require_good_password(call: ServiceCall, owner: Row | None, password: str) -> None:
    """Raise `PasswordPolicyViolation` with all violations of a new password, without the password itself."""
    policy = None if owner is None else stored_policy(call)
    violations = list(_default_violations(call, password) if policy is None else _violations(policy, password))
    if violations:
        raise PasswordPolicyViolation(", ".join(violations), place="Password")


def _violations(policy: Mapping[str, Any], password: str) -> Iterator[str]:
    if len(password) < policy["MinimumPasswordLength"]:
        yield f"Password should have a minimum length of {policy['MinimumPasswordLength']}"
    yield from (kind.message for kind in _missing(password) if policy[kind.setting])


def _default_violations(call: ServiceCall, password: str) -> Iterator[str]:
    """Check the default policy (R-23): length, three kinds of characters, no account name or e-mail address."""
    if len(password) < DEFAULT_LENGTH:
        yield f"Password should have a minimum length of {DEFAULT_LENGTH}"
    missing = _missing(password)
    more = len(missing) - (len(_KINDS) - DEFAULT_KINDS)
    if more > 0:
        messages = ", ".join(kind.message for kind in missing)
        yield f"Password should meet {more} more of the following requirements: {messages}"
    names = call.account_value("name"), call.account_value("email")
    if password.lower() in {name.lower() for name in names if name}:
        yield "Password should not be the name or the e-mail address of the account"


def _missing(password: str) -> list[_Kind]:
    return [kind for kind in _KINDS if not set(password) & set(kind.characters)]
