"""The task policies of AssumeRoot, as data (rules R-2, S-35).

Each limits a session of a member account's root user, which has full access, to the actions of one task, and actions on
root credentials to the root user's own. They use Deny, as AWS's do: a Deny also overrides what a resource-based policy
grants to the session directly. The partition is a wildcard, so that one text serves every store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

PATH = "/root-task/"

_ROOT_USER = "arn:*:iam::*:root"
_QUEUES = "arn:*:sqs:*:*:*"
_IS_NOT_ROOT = {"StringNotLike": {"aws:PrincipalArn": _ROOT_USER}}
_READ_CREDENTIALS = """
    iam:GetAccessKeyLastUsed iam:GetLoginProfile iam:GetUser iam:ListAccessKeys iam:ListMFADevices
    iam:ListSigningCertificates
""".split()
_DELETE_CREDENTIALS = """
    iam:DeactivateMFADevice iam:DeleteAccessKey iam:DeleteLoginProfile iam:DeleteSigningCertificate
""".split()
_CREATE_PASSWORD = ("iam:CreateLoginProfile", "iam:GetLoginProfile")
_UNLOCK_BUCKET = ("s3:DeleteBucketPolicy", "s3:GetBucketPolicy", "s3:ListAllMyBuckets", "s3:PutBucketPolicy")
_UNLOCK_QUEUE = ("sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ListQueues", "sqs:SetQueueAttributes")


class TaskPolicy(NamedTuple):
    description: str
    statements: Sequence[Mapping[str, object]]


def _deny_other_actions(*actions: str) -> Mapping[str, object]:
    return {"Sid": "NothingElse", "Effect": "Deny", "NotAction": list(actions), "Resource": "*"}


def _deny_other_resources(actions: Sequence[str]) -> Mapping[str, object]:
    return {"Sid": "OfTheRootUserAlone", "Effect": "Deny", "Action": list(actions), "NotResource": _ROOT_USER}


def _deny_other_principals(actions: Sequence[str]) -> Mapping[str, object]:
    denied = {"Sid": "ByTheRootUserAlone", "Effect": "Deny", "Action": list(actions), "Resource": "*"}
    return denied | {"Condition": _IS_NOT_ROOT}


_DENY_FOREIGN_QUEUES = {
    "Sid": "OfQueuesOfTheAccount",
    "Effect": "Deny",
    "Action": "sqs:GetQueueAttributes",
    "Resource": _QUEUES,
    "Condition": {"StringNotEqualsIfExists": {"aws:ResourceAccount": "${aws:PrincipalAccount}"}},
}

TASK_POLICIES: Mapping[str, TaskPolicy] = {
    "IAMAuditRootUserCredentials": TaskPolicy(
        "Reads which credentials the root user of a member account has.",
        (_deny_other_actions(*_READ_CREDENTIALS, "iam:GetAccountSummary"), _deny_other_resources(_READ_CREDENTIALS)),
    ),
    "IAMCreateRootUserPassword": TaskPolicy(
        "Creates a password for the root user of a member account.",
        (_deny_other_actions(*_CREATE_PASSWORD), _deny_other_resources(_CREATE_PASSWORD)),
    ),
    "IAMDeleteRootUserCredentials": TaskPolicy(
        "Deletes all credentials of the root user of a member account.",
        (
            # a virtual device has an ARN of its own, and can only be deleted when it is not assigned to a user
            _deny_other_actions(*_READ_CREDENTIALS, *_DELETE_CREDENTIALS, "iam:DeleteVirtualMFADevice"),
            _deny_other_resources((*_READ_CREDENTIALS, *_DELETE_CREDENTIALS)),
        ),
    ),
    "S3UnlockBucketPolicy": TaskPolicy(
        "Deletes or repairs a bucket policy that denies all principals.",
        (_deny_other_actions(*_UNLOCK_BUCKET), _deny_other_principals(_UNLOCK_BUCKET)),
    ),
    "SQSUnlockQueuePolicy": TaskPolicy(
        "Deletes or repairs a queue policy that denies all principals.",
        (_deny_other_actions(*_UNLOCK_QUEUE), _DENY_FOREIGN_QUEUES, _deny_other_principals(_UNLOCK_QUEUE)),
    ),
}
"""Name of the policy -> task."""
