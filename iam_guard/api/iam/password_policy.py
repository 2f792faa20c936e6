"""The password policy of an account, and whether a password is as it demands (rules R-20 to R-25).

An account without a policy has AWS's default, which is another thing than a policy without settings: eight characters
of three kinds. The root user's password is held to the default always (R-24). Only what was given is stored beside the
defaults, for an answer leaves out the rest.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.iam_errors import PasswordPolicyViolation
from iam_guard.api.operation import everything
from iam_guard.errors import NoSuchEntity
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import Resource
from iam_guard.store.records import Row
from iam_guard.store.schema import accounts, password_policies

DEFAULTS: Mapping[str, Any] = {
    "MinimumPasswordLength": 6,
    "RequireSymbols": False,
    "RequireNumbers": False,
    "RequireUppercaseCharacters": False,
    "RequireLowercaseCharacters": False,
    "AllowUsersToChangePassword": False,
}
"""What a policy says where the call that set it did not (R-21)."""

DEFAULT_LENGTH = 8
DEFAULT_KINDS = 3
SYMBOLS = "!@#$%^&*()_+-=[]{}|'"


class _Kind(NamedTuple):
    """A kind of character: the setting that demands it, its characters, AWS's sentence."""

    setting: str
    characters: str
    sentence: str


_KINDS = (
    _Kind(
        "RequireUppercaseCharacters",
        string.ascii_uppercase,
        "Password should have at least one uppercase letter",
    ),
    _Kind(
        "RequireLowercaseCharacters",
        string.ascii_lowercase,
        "Password should have at least one lowercase letter",
    ),
    _Kind("RequireNumbers", string.digits, "Password should have at least one number"),
    _Kind("RequireSymbols", SYMBOLS, "Password should have at least one symbol"),
)


# --- the operations ----------------------------------------------------------------------------------------------


def get_account_password_policy(call: ServiceCall, given: Input) -> Output:
    """Tell the account's own policy. Raises `NoSuchEntity` where the default holds."""
    policy = stored_policy(call)
    if policy is None:
        raise NoSuchEntity(f"The Password Policy with domain name {call.account} cannot be found.")
    return {"PasswordPolicy": {**policy, "ExpirePasswords": policy.get("MaxPasswordAge", 0) > 0}}


def update_account_password_policy(call: ServiceCall, given: Input) -> None:
    """Set the whole policy: what is not given gets its default (R-21)."""
    call.records.delete(password_policies, account=call.account)
    call.records.insert(password_policies, account=call.account, policy={**DEFAULTS, **given})


def delete_account_password_policy(call: ServiceCall, given: Input) -> None:
    """Go back to the default."""
    if not call.records.delete(password_policies, account=call.account):
        raise NoSuchEntity("The account policy with name PasswordPolicy cannot be found.")


def password_policy_target(call: ServiceCall, given: Input) -> Resource:
    """Return `*`, which every user may read where all may change their own password."""
    return granted_to_users(call, everything(call, given), "iam:GetAccountPasswordPolicy")


def granted_to_users(call: ServiceCall, resource: Resource, action: str) -> Resource:
    """Let the caller do this on the resource if the policy has `AllowUsersToChangePassword`.

    AWS gives that permission for the whole account, without a policy attached to anybody. Here it is a policy of the
    resource for this one caller, so that every Deny still wins. A caller with a permissions boundary or with session
    policies is left to its own policies, for such a grant would go past them.
    """
    policy, caller = stored_policy(call), call.caller
    is_limited = caller.has_boundary or caller.session_policies is not None
    is_plain_user = caller.type is PrincipalType.USER and not is_limited
    if policy is None or not policy["AllowUsersToChangePassword"] or not is_plain_user:
        return resource
    statement = {"Effect": "Allow", "Principal": {"AWS": caller.arn}, "Action": action, "Resource": resource.arn}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    return Resource(resource.arn, account=resource.account, tags=resource.tags, policy=document)


# --- what it demands ---------------------------------------------------------------------------------------------


def stored_policy(call: ServiceCall) -> Mapping[str, Any] | None:
    """Find the account's own policy."""
    row = call.records.one(password_policies, account=call.account)
    return None if row is None else row["policy"]


def reuse_prevention(call: ServiceCall, owner: Row | None) -> int:
    """Return how many of a user's latest passwords, the present one among them, may not come again."""
    policy = None if owner is None else stored_policy(call)
    number: int = 0 if policy is None else policy.get("PasswordReusePrevention", 0)
    return number


def require_good_password(call: ServiceCall, owner: Row | None, password: str) -> None:
    """Raise `PasswordPolicyViolation` with everything that a new password lacks; the password itself is never told."""
    policy = None if owner is None else stored_policy(call)
    lacks = list(_lacks_by_default(call, password) if policy is None else _lacks(policy, password))
    if lacks:
        raise PasswordPolicyViolation(", ".join(lacks), place="Password")


def _lacks(policy: Mapping[str, Any], password: str) -> Iterator[str]:
    if len(password) < policy["MinimumPasswordLength"]:
        yield f"Password should have a minimum length of {policy['MinimumPasswordLength']}"
    yield from (kind.sentence for kind in _missing(password) if policy[kind.setting])


def _lacks_by_default(call: ServiceCall, password: str) -> Iterator[str]:
    """R-23: the length, three kinds of characters, and neither the account's name nor its e-mail address."""
    if len(password) < DEFAULT_LENGTH:
        yield f"Password should have a minimum length of {DEFAULT_LENGTH}"
    missing = _missing(password)
    more = len(missing) - (len(_KINDS) - DEFAULT_KINDS)
    if more > 0:
        sentences = ", ".join(kind.sentence for kind in missing)
        yield f"Password should meet {more} more of the following requirements: {sentences}"
    account = call.records.one(accounts, id=call.account)
    names = (account["name"], account["email"]) if account is not None else ()
    if password.lower() in {name.lower() for name in names if name}:
        yield "Password should not be the name or the e-mail address of the account"


def _missing(password: str) -> list[_Kind]:
    return [kind for kind in _KINDS if not set(password) & set(kind.characters)]
