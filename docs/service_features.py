"""The page of the features of IAM that services support: our own services, and the example's."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

from page import page
from service_references import OWN_REFERENCES

from iam_guard.api.service_features import features_table

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "documents"

_INTRODUCTION = (
    "Which features of IAM does a service support? The columns are those of AWS's page [AWS services that work with "
    "IAM](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_aws-services-that-work-with-iam.html).\n\n"
    "- **Actions**: policies can name single actions of the service.\n"
    "- **Resource-level permissions**: policies can name single resources by their ARNs; actions that list resources "
    "require `*`. *Partial*: for some types of resources.\n"
    "- **Resource-based policies**: a policy can be attached to a resource of the service.\n"
    "- **ABAC (tags)**: policies can test the tags of a resource (`aws:ResourceTag/…`), and those that a call sets "
    "(`aws:RequestTag/…`, `aws:TagKeys`). *Partial*: for some types of resources.\n"
    "- **Temporary credentials**: sessions can call the service. *Partial*: some kinds of sessions can't call some "
    "operations.\n"
    "- **Service-linked roles**: an account can have a role that only the service can assume."
)
_OWN = (
    "\n- IAM's only resource-based policies are the trust policies of roles.\n"
    "- Sessions of `GetFederationToken` can't call IAM. Those of `GetSessionToken` can with MFA. "
    "[Temporary credentials](../how-to/temporary-credentials.md) has the details.\n"
    "- The [service authorization reference](service-authorization.md) has the resource types and condition keys of "
    "each action.\n"
)
_APPLICATIONS = (
    "The guard supports all these features for every service of your application. The answers depend on what the "
    "service [declares](../how-to/service-reference.md): the resources of its actions, `aws:ResourceTag/…` as a "
    "condition key of its resource types, and `aws:RequestTag/…` and `aws:TagKeys` of its actions.\n\n"
    "`iam-guard reference MODULE:APP --format features` writes the table for an application. This is the one of "
    "`examples/documents`:\n\n"
)


def service_features_page() -> str:
    """Return the page of the features."""
    own = features_table(reference() for reference in OWN_REFERENCES.values())
    body = f"## Services of iam_guard\n\n{own}{_OWN}\n## Services of applications\n\n{_APPLICATIONS}{_of_example()}"
    source = "iam_guard/api/service_features.py"
    return page(source, "Services and IAM features", _INTRODUCTION, body)


@cache
def _of_example() -> str:
    """Return the table of the example, whose modules are imported from its folder."""
    command = [sys.executable, "-m", "iam_guard", "reference", "app:docs", "--format", "features"]
    return subprocess.run(command, cwd=EXAMPLE, capture_output=True, text=True, check=True).stdout  # noqa: S603 - our own
