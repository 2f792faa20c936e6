"""Links with which the users of an account choose a password: the first one, or another one.

They are decided by what AWS has for the same authority: `iam:CreateLoginProfile`, with the condition key
`iam-guard:InvitationLink`, and `iam:UpdateLoginProfile`.
"""

from __future__ import annotations

from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.authorization_targets import USER
from iam_guard.api.iam.entities import load_user
from iam_guard.api.operation import Permission
from iam_guard.authn.people.passwords.password_resets import (
    INVITATION_SECONDS,
    SECONDS,
    address_of_link,
    make_invitation,
    make_reset,
)
from iam_guard.authn.people.person import user_of


def create_invitation_link(call: ServiceCall, parameters: Input) -> Output:
    """Return a link for the first password. Raises `NoSuchEntity`, `EntityAlreadyExists`."""
    user = user_of(call.partition, load_user(call, named_user(parameters)))
    return _shown(call, make_invitation(call.records, user, call.now, call.caller.arn), INVITATION_SECONDS)


def create_reset_link(call: ServiceCall, parameters: Input) -> Output:
    """Return a link for another password. Raises `NoSuchEntity`, also for a user without a password."""
    user = user_of(call.partition, load_user(call, named_user(parameters)))
    return _shown(call, make_reset(call.records, user, call.now, call.caller.arn), SECONDS)


def invitation_permissions(call: ServiceCall, parameters: Input) -> list[Permission]:
    """Return the permission to give the user a first password, by an invitation link."""
    user = USER(call, named_user(parameters))
    return [Permission("iam:CreateLoginProfile", user, {"iam-guard:InvitationLink": "true"})]


def reset_permissions(call: ServiceCall, parameters: Input) -> list[Permission]:
    """Return the permission to give the user another password."""
    return [Permission("iam:UpdateLoginProfile", USER(call, named_user(parameters)), {})]


def named_user(parameters: Input) -> Input:
    """Return the user that a call names, under IAM's name of the member."""
    return {"UserName": parameters["userName"]}


def _shown(call: ServiceCall, token: str, seconds: int) -> Output:
    return {"link": address_of_link(call.server.settings, token), "expiresAt": instant(call.now + seconds)}
