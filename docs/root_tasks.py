"""Tasks that only the root user of an account can do, from AWS's list, and their equivalents here (R-2, R-3)."""

from __future__ import annotations

from typing import NamedTuple


class RootTask(NamedTuple):
    """A task, and how it is done here; None if it exists only at AWS."""

    task: str
    here: str | None


ROOT_TASKS = (
    RootTask("change the name of the account", "the account's `name` in a seed"),
    RootTask(
        "change the root user's e-mail address",
        "`root.email` in a seed; the first one also with `iam-guard account root-password --email`",
    ),
    RootTask(
        "change the root user's password", "`iam-guard account root-password`; `CreateLoginProfile` without a user name"
    ),
    RootTask("manage the root user's access keys", "`CreateAccessKey` and similar operations, without a user name"),
    RootTask(
        "manage the root user's MFA devices", "`EnableMFADevice` and similar operations, for the user name `root`"
    ),
    RootTask("close a standalone account", "remove the account from a seed that is applied with `--prune`"),
    RootTask(
        "restore the permissions of administrators who locked themselves out", "all supported operations of the IAM API"
    ),
    RootTask("fix a resource-based policy that denies all principals", "`iam-guard resource-policy`"),
    RootTask("give IAM users access to billing", None),
    RootTask("view certain tax invoices", None),
    RootTask("register as a seller in the Reserved Instance Marketplace", None),
    RootTask("enable MFA delete for an S3 bucket", None),
    RootTask("request root access keys for GovCloud", None),
    RootTask("recover a KMS key that no principal can manage", None),
)
"""Supported tasks first."""
