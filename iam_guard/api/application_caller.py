"""The application itself as a caller of its API, for what no person of a tenant can do yet.

It is decided like any caller: by the policy of the setting `application_policy`, by the limits here, which no setting
lifts, and by the control policies of the account (E-67).
"""

from __future__ import annotations

import json
from typing import Final

from iam_guard.errors import ConfigurationError
from iam_guard.guard.current_call import request_served_by
from iam_guard.guard.guard import Guard
from iam_guard.model.arn import is_account_id
from iam_guard.model.catalogue import application_name
from iam_guard.model.principal import Principal

_MAX_REASON: Final = 200
_USED: Final = ["iam:Get*", "iam:List*", "iam:CreateUser", "iam:AddUserToGroup", "iam:RemoveUserFromGroup"]
_INVITATION: Final = {"Bool": {"iam-guard:InvitationLink": "true"}}
DEFAULT_POLICY: Final = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": _USED, "Resource": "*"},
            {"Effect": "Allow", "Action": "iam:CreateLoginProfile", "Resource": "*", "Condition": _INVITATION},
        ],
    }
)
"""What the application can do unless the setting says otherwise."""
_ROOT_USER: Final = ["arn:*:iam::*:root", "arn:*:iam::*:mfa/root-account-mfa-device"]
_TRUST: Final = ["iam:CreateRole", "iam:CreateServiceLinkedRole", "iam:PassRole", "iam:UpdateAssumeRolePolicy"]
LIMITS: Final = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "NoSessionsAndNoTrust", "Effect": "Deny", "Action": ["sts:*", *_TRUST], "Resource": "*"},
            {"Sid": "NoRootUser", "Effect": "Deny", "Action": "*", "Resource": _ROOT_USER},
        ],
    }
)
"""What the application can do by no setting: sessions, passing roles, trust policies, the root user's credentials."""


def application_principal(guard: Guard, account: str, reason: str | None) -> Principal:
    """Return the application as a caller in an account. Raises `ConfigurationError` for an invalid argument."""
    if not isinstance(account, str) or not is_account_id(account):
        raise ConfigurationError("expected the id of an account, as 12 digits", place="account")
    if not isinstance(reason, str) or not 0 < len(reason) <= _MAX_REASON or not reason.isprintable():
        message = f"expected why the application acts, as a line of at most {_MAX_REASON} characters"
        raise ConfigurationError(message, place="reason")
    policies = (guard.settings.application_policy or DEFAULT_POLICY, LIMITS)
    return Principal.application(application_name(guard.catalogues), account, policies, reason)


def check_account(guard: Guard, caller: Principal, *, across_accounts: bool) -> None:
    """Raise `ConfigurationError` if the application would act in another account than the caller it serves."""
    served = request_served_by(guard)
    if served is not None and served.caller.account != caller.account and not across_accounts:
        message = f"expected the account of the request's caller, or `across_accounts=True`, got {caller.account}"
        raise ConfigurationError(message, place="account")
