"""The page of the operations that the AWS-compatible API supports, and of those that answer `NotSupported`."""

from __future__ import annotations

from collections.abc import Iterator

from page import page, table

from iam_guard.api.iam.unsupported_operations import NOT_SUPPORTED as IAM_NOT_SUPPORTED
from iam_guard.api.protocol.dispatch import service_of
from iam_guard.api.protocol.service_model import load_api
from iam_guard.api.sts.unsupported_features import UNSUPPORTED_PARAMETERS
from iam_guard.model.own_services import SERVED, SERVICES

UNSUPPORTED = {prefix: service_of(prefix).not_supported for prefix in SERVED} | {"iam": IAM_NOT_SUPPORTED}
"""Prefix of a served service -> operation -> why it is not supported."""

_INTRODUCTION = (
    "The AWS-compatible API serves IAM, STS, IAM Access Analyzer and AWS Sign-In with AWS's service models. The tables "
    "count the operations of the models, and list those that return `NotSupported`, with the reason for callers.\n\n"
    "- To use the API, see [Manage identities with AWS's tools](../how-to/manage-identities-with-aws-tools.md).\n"
    "- For the resource and the condition keys of each operation, see [IAM API operations](iam-api.md)."
)
_SERVICES = "\nA request that is signed for a service without supported operations returns `SignatureDoesNotMatch`.\n"
_OPERATIONS = (
    "Unsupported operations of IAM return `NotSupported` to callers with the permission, and `AccessDenied` to all "
    "others.\n\n"
)
_INSTALLATION = (
    "These operations return `NotSupported` until the installation is changed:\n\n"
    "- **All operations that change something**, if the store follows a [seed file](seed.md).\n"
    "- **`EnableOutboundWebIdentityFederation`**, without the [setting](settings.md) `issuer_url` or the extra "
    "`oidc`.\n"
)


def api_support_page() -> str:
    """Return the page of the supported operations."""
    sections = {
        "Services": table(("Service", "Operations in AWS", "Supported", "Not supported"), _services()) + _SERVICES,
        "Unsupported operations": _OPERATIONS + table(("Operation", "Why"), _operations()),
        "Unsupported parameters": table(("Operation", "Parameter", "Why"), _parameters()),
        "Requirements of the installation": _INSTALLATION,
    }
    body = "\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    return page("iam_guard/api", "Supported operations", _INTRODUCTION, body)


def _services() -> Iterator[tuple[str, ...]]:
    for service in SERVICES:
        if service.model is not None:
            names = load_api(service.model).operations.keys()
            served = set() if service.operations is None else service_of(service.prefix).operations.keys()
            supported = len(names & served - UNSUPPORTED.get(service.prefix, {}).keys())
            title = f"{service.name} (`{service.prefix}`)"
            yield title, str(len(names)), str(supported), str(len(names) - supported)


def _operations() -> Iterator[tuple[str, str]]:
    for prefix, reasons in UNSUPPORTED.items():
        for name, reason in sorted(reasons.items()):
            yield f"`{prefix}:{name}`", reason


def _parameters() -> Iterator[tuple[str, str, str]]:
    for name, reasons in UNSUPPORTED_PARAMETERS.items():
        for parameter, reason in reasons.items():
            yield f"`sts:{name}`", f"`{parameter}`", reason
