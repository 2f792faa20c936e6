"""Actions that deserve a second look before somebody may do them: with them, one may come to do more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_OWN_POLICIES = (
    "whoever may change policies may allow itself everything: limit the resources, or set a permissions boundary"
)
_CREDENTIALS = "whoever may make credentials for another acts as it: limit the resources"

CAVEATS: Final[Mapping[str, str]] = {
    "iam:PassRole": "what a role is passed to acts with its permissions: limit it by `iam:PassedToService`",
    "sts:AssumeRole": "the trust policy of the role must allow it too",
    "sts:TagSession": "tags of a session may open what policies give by tags: limit them by `aws:RequestTag`",
    "sts:AssumeRoot": "it gives the root user of a member account: limit it by `sts:TaskPolicyArn`",
    "iam:CreateServiceLinkedRole": "limit it by `iam:AWSServiceName`",
    "iam:UpdateAssumeRolePolicy": "whoever may change a trust policy may become the role: limit the resources",
    **dict.fromkeys(
        (
            "iam:AddUserToGroup",
            "iam:AttachGroupPolicy",
            "iam:AttachRolePolicy",
            "iam:AttachUserPolicy",
            "iam:CreatePolicyVersion",
            "iam:DeleteRolePermissionsBoundary",
            "iam:DeleteUserPermissionsBoundary",
            "iam:PutGroupPolicy",
            "iam:PutRolePolicy",
            "iam:PutUserPolicy",
            "iam:SetDefaultPolicyVersion",
        ),
        _OWN_POLICIES,
    ),
    **dict.fromkeys(
        (
            "iam:CreateAccessKey",
            "iam:CreateLoginProfile",
            "iam:CreateServiceSpecificCredential",
            "iam:ResetServiceSpecificCredential",
            "iam:UpdateLoginProfile",
        ),
        _CREDENTIALS,
    ),
}
"""Action -> what to see to."""

_FOLDED = {action.lower(): caveat for action, caveat in CAVEATS.items()}


def caveat_of(action: str) -> str | None:
    """Return what to see to before somebody may do an action; None for most."""
    return _FOLDED.get(action.lower())
