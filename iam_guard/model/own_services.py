"""The services that iam_guard is itself, or will be: AWS's, and its own. The one list that everything else reads."""

from __future__ import annotations

from typing import Final, NamedTuple


class OwnService(NamedTuple):
    """One service. `prefix` begins its actions and ARNs; `model` is its name in botocore, None if that has none.

    `operations` is the module and name of its table of operations, None while it is not served; `version` is the
    version of its query protocol. `paths` are what unsigned requests for it begin with. A service without `name` is
    left out of reports about service access.
    """

    prefix: str
    name: str | None
    model: str | None
    operations: tuple[str, str] | None = None
    version: str | None = None
    paths: tuple[str, ...] = ()


SERVICES: Final = (
    OwnService(
        "iam", "AWS Identity and Access Management", "iam", ("iam_guard.api.iam.operations", "IAM"), "2010-05-08"
    ),
    OwnService("sts", "AWS Security Token Service", "sts", ("iam_guard.api.sts.operations", "STS"), "2011-06-15"),
    OwnService(
        "signin",
        "AWS Signin",
        "signin",
        ("iam_guard.api.signin.tool_operations", "SIGNIN"),
        paths=("/v1/", "/list-sessions", "/get-session", "/batch-revoke-sessions"),
    ),
    OwnService("organizations", "AWS Organizations", "organizations"),
    OwnService("sso", "AWS IAM Identity Center", "sso-admin"),
    OwnService("sso-directory", None, None),
    OwnService("identitystore", "AWS Identity Store", "identitystore"),
    OwnService(
        "access-analyzer",
        "AWS IAM Access Analyzer",
        "accessanalyzer",
        ("iam_guard.api.access_analyzer.operation_table", "ACCESS_ANALYZER"),
    ),
    OwnService("iam-guard", "iam_guard", "iam-guard", ("iam_guard.api.own.operation_table", "IAM_GUARD")),
)

PREFIXES: Final = frozenset(service.prefix for service in SERVICES) - {"iam-guard"}
"""The prefixes of AWS's services."""
RESERVED: Final = PREFIXES | {"aws", "iam-guard"}
"""Prefixes that no application can have: of AWS's services, of the global condition keys, and our own."""
SERVED: Final = {service.prefix: service.operations for service in SERVICES if service.operations is not None}
"""Prefix of a service that is served -> the module and name of its table of operations."""
MODELS: Final = tuple(service.model for service in SERVICES if service.model is not None)
