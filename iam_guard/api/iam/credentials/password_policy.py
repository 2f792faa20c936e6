"""The account's password policy (R-20 to R-25).

An account without a policy has the rules of `iam_guard.authn.people.passwords.password_rules`, as the root user always
has. Explicit settings are stored with the defaults only; absent ones are left out of responses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.operation import all_resources
from iam_guard.errors import NoSuchEntity
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import Resource
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
    """Delete the policy, so that the rules of an account without one apply again."""
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


def stored_policy(call: ServiceCall) -> Mapping[str, Any] | None:
    """Return the account's own policy."""
    row = call.records.one(password_policies, account=call.account)
    return None if row is None else row["policy"]
