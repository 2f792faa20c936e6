"""Actions that can lead to more permissions, with advice on granting them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_OWN_POLICIES = "a principal that can change policies can grant itself anything: limit the resources, or set a boundary"
_CREDENTIALS = "a principal that can create credentials for another can act as it: limit the resources"

_RISKS: Final[Mapping[str, str]] = {
    "iam:PassRole": "the service that receives a role acts with its permissions: limit it by `iam:PassedToService`",
    "sts:AssumeRole": "the trust policy of the role must allow it too",
    "sts:TagSession": "session tags can widen access that depends on tags: limit them by `aws:RequestTag`",
    "sts:AssumeRoot": "it provides the root user of a member account: limit it by `sts:TaskPolicyArn`",
    "iam:CreateServiceLinkedRole": "limit it by `iam:AWSServiceName`",
    "iam:UpdateAssumeRolePolicy": "a principal that can change a trust policy can assume the role: limit the resources",
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

ESCALATION_RISKS: Final = {action.lower(): advice for action, advice in _RISKS.items()}
"""Action in lower case -> advice on granting it."""
