"""What only the root user of an account can do, as data (rules R-2, R-3).

AWS's list, with what of it there is here.
"""

from __future__ import annotations

from typing import NamedTuple


class RootTask(NamedTuple):
    """A task, and how it is done here; None where there is nothing of the kind outside of AWS."""

    task: str
    here: str | None


ROOT_TASKS = (
    RootTask("change the name of the account", "the account's `name` in a seed"),
    RootTask("change the root user's e-mail address", "`root.email` in a seed"),
    RootTask("change the root user's password", "`CreateLoginProfile`, `UpdateLoginProfile` without a user name"),
    RootTask("manage the root user's access keys", "`CreateAccessKey` and its like without a user name"),
    RootTask("manage the root user's MFA devices", "`EnableMFADevice` and its like for the user name `root`"),
    RootTask("close a standalone account", "taking the account out of a seed that is applied with `--prune`"),
    RootTask("give permissions back to administrators who locked themselves out", "the whole IAM API"),
    RootTask("mend a resource-based policy that denies everybody", "`iam-guard resource-policy`"),
    RootTask("let IAM users see the bills", None),
    RootTask("look at some tax invoices", None),
    RootTask("sell in the Reserved Instance Marketplace", None),
    RootTask("turn on MFA delete for an S3 bucket", None),
    RootTask("ask for root keys of GovCloud", None),
    RootTask("recover a KMS key that nobody can manage", None),
)
"""In the order in which they come up, what is here first."""
