"""The policies of the tasks that AssumeRoot gives a session for, as data (rules R-2, S-35).

Each limits a session of a member account's root user, which may do everything, to the actions of one task; those on the
root user's own credentials to the root user. They deny, as AWS's do: a Deny also stands against what a resource-based
policy grants to the session itself. The partition is left open, for one text serves every store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

PATH = "/root-task/"

_ROOT_USER = "arn:*:iam::*:root"
_QUEUES = "arn:*:sqs:*:*:*"
_IS_NOT_ROOT = {"StringNotLike": {"aws:PrincipalArn": _ROOT_USER}}
_LOOKING_AT_CREDENTIALS = (
    "iam:GetAccessKeyLastUsed",
    "iam:GetLoginProfile",
    "iam:GetUser",
    "iam:ListAccessKeys",
    "iam:ListMFADevices",
    "iam:ListSigningCertificates",
)
_DELETING_CREDENTIALS = (
    "iam:DeactivateMFADevice",
    "iam:DeleteAccessKey",
    "iam:DeleteLoginProfile",
    "iam:DeleteSigningCertificate",
)
_MAKING_A_PASSWORD = ("iam:CreateLoginProfile", "iam:GetLoginProfile")
_UNLOCKING_A_BUCKET = ("s3:DeleteBucketPolicy", "s3:GetBucketPolicy", "s3:ListAllMyBuckets", "s3:PutBucketPolicy")
_UNLOCKING_A_QUEUE = ("sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ListQueues", "sqs:SetQueueAttributes")


class TaskPolicy(NamedTuple):
    """What a task is for, and the statements of its policy."""

    description: str
    statements: Sequence[Mapping[str, object]]


def _nothing_but(*actions: str) -> Mapping[str, object]:
    return {"Sid": "NothingElse", "Effect": "Deny", "NotAction": list(actions), "Resource": "*"}


def _of_root_alone(actions: Sequence[str]) -> Mapping[str, object]:
    return {"Sid": "OfTheRootUserAlone", "Effect": "Deny", "Action": list(actions), "NotResource": _ROOT_USER}


def _by_root_alone(actions: Sequence[str]) -> Mapping[str, object]:
    denied = {"Sid": "ByTheRootUserAlone", "Effect": "Deny", "Action": list(actions), "Resource": "*"}
    return denied | {"Condition": _IS_NOT_ROOT}


_OWN_QUEUES = {
    "Sid": "OfQueuesOfTheAccount",
    "Effect": "Deny",
    "Action": "sqs:GetQueueAttributes",
    "Resource": _QUEUES,
    "Condition": {"StringNotEqualsIfExists": {"aws:ResourceAccount": "${aws:PrincipalAccount}"}},
}

TASK_POLICIES: Mapping[str, TaskPolicy] = {
    "IAMAuditRootUserCredentials": TaskPolicy(
        "Looks which credentials the root user of a member account has.",
        (_nothing_but(*_LOOKING_AT_CREDENTIALS, "iam:GetAccountSummary"), _of_root_alone(_LOOKING_AT_CREDENTIALS)),
    ),
    "IAMCreateRootUserPassword": TaskPolicy(
        "Gives the root user of a member account a password again.",
        (_nothing_but(*_MAKING_A_PASSWORD), _of_root_alone(_MAKING_A_PASSWORD)),
    ),
    "IAMDeleteRootUserCredentials": TaskPolicy(
        "Takes all credentials from the root user of a member account.",
        (
            # a virtual device has an ARN of its own, and can only be deleted when nobody has it
            _nothing_but(*_LOOKING_AT_CREDENTIALS, *_DELETING_CREDENTIALS, "iam:DeleteVirtualMFADevice"),
            _of_root_alone((*_LOOKING_AT_CREDENTIALS, *_DELETING_CREDENTIALS)),
        ),
    ),
    "S3UnlockBucketPolicy": TaskPolicy(
        "Deletes or mends a bucket policy that denies everybody.",
        (_nothing_but(*_UNLOCKING_A_BUCKET), _by_root_alone(_UNLOCKING_A_BUCKET)),
    ),
    "SQSUnlockQueuePolicy": TaskPolicy(
        "Deletes or mends a queue policy that denies everybody.",
        (_nothing_but(*_UNLOCKING_A_QUEUE), _OWN_QUEUES, _by_root_alone(_UNLOCKING_A_QUEUE)),
    ),
}
"""By the name of the policy."""
