"""Checks of the principals in `Principal` and `NotPrincipal` (rules G-33, G-42 to G-49)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from iam_guard.model.arn import is_account_id
from iam_guard.model.decision import PolicyType
from iam_guard.policy.fault import Entry, Fault, Reading, principals
from iam_guard.policy.grammar import WILDCARD, quoted, shown

_PRINCIPAL_ARN = re.compile(
    r"arn:[^:*?]+:(?:iam::(?:[0-9]{12}|cloudfront):(?:root|user/.+|role/.+)"
    r"|sts::[0-9]{12}:(?:assumed-role/[^/]+/[^/]+|federated-user/[^/]+))",
    re.DOTALL,
)  # G-42; `cloudfront` is the account of origin access identities
_UNSUPPORTED_ARN = re.compile(r"arn:[^:]+:iam::[^:]*:(?:group|instance-profile)/")  # G-43
_UNIQUE_ID = re.compile(r"A(?:IDA|ROA)[A-Z0-9]+")  # G-42, P-4
_SERVICE_NAME = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+")  # G-47
_CANONICAL_ID = re.compile(r"[0-9a-f]{64}")  # G-49
_PROVIDER_ARN = re.compile(r"arn:[^:*?]+:iam::[0-9]{12}:(?P<kind>oidc-provider|saml-provider)/.+", re.DOTALL)
BUILT_IN_PROVIDERS = frozenset(
    {"accounts.google.com", "cognito-identity.amazonaws.com", "graph.facebook.com", "www.amazon.com"}
)  # G-48


def _invalid(code: str, message: str, entry: Entry) -> Fault:
    sentence = f'Invalid principal in policy: "{entry.kind}":"{shown(entry.value)}"'  # P-8
    return Fault(code, message, entry.path, sentence)


def wildcard_in_name(reading: Reading) -> Iterator[Fault]:
    """Report a wildcard in an identity provider or a service (G-46)."""
    for entry in principals(reading.document):
        if entry.kind in ("Federated", "Service") and WILDCARD.search(entry.value):
            message = f"expected {entry.kind} principals without wildcards, got {quoted(entry.value)}"
            yield _invalid("UNSUPPORTED_WILDCARD_IN_PRINCIPAL", message, entry)


def wildcard_in_arn(reading: Reading) -> Iterator[Fault]:
    """Report a wildcard in a principal ARN (G-44)."""
    for entry in principals(reading.document):
        if entry.kind in ("AWS", "CanonicalUser") and entry.value != "*" and WILDCARD.search(entry.value):
            message = f"expected `*` or a principal without wildcards, got {quoted(entry.value)}: compared literally"
            yield _invalid("UNSUPPORTED_WILDCARD_IN_PRINCIPAL", message, entry)


def any_principal_in_trust(reading: Reading) -> Iterator[Fault]:
    """Report `*` as principal of a trust policy (G-33)."""
    if reading.document.type is not PolicyType.TRUST:
        return
    for entry in principals(reading.document):
        if entry.kind == "AWS" and entry.value == "*":
            message = "every caller, including anonymous ones, can assume the role"
            yield Fault("ROLE_TRUST_POLICY_UNSUPPORTED_WILDCARD_IN_PRINCIPAL", message, entry.path)


def group_or_profile(reading: Reading) -> Iterator[Fault]:
    """Report a group or an instance profile as principal (G-43)."""
    for entry in principals(reading.document):
        if entry.kind == "AWS" and _UNSUPPORTED_ARN.match(entry.value):
            message = f"expected a principal, got the group or instance profile {quoted(entry.value)}"
            yield _invalid("UNSUPPORTED_PRINCIPAL", message, entry)


def unknown_form(reading: Reading) -> Iterator[Fault]:
    """Report principals of unknown form (G-42, G-47, G-49)."""
    for entry in principals(reading.document):
        if WILDCARD.search(entry.value) or _UNSUPPORTED_ARN.match(entry.value):
            continue
        match entry.kind:
            case "AWS" if not _is_aws_principal(entry.value):
                message = f"expected an account id, an ARN or a unique id, got {quoted(entry.value)}"
                yield _invalid("INVALID_PRINCIPAL_FORMAT", message, entry)
            case "CanonicalUser" if not _CANONICAL_ID.fullmatch(entry.value):
                message = f"expected 64 hexadecimal digits, got {quoted(entry.value)}"
                yield _invalid("INVALID_PRINCIPAL_FORMAT", message, entry)
            case "Service" if not _SERVICE_NAME.fullmatch(entry.value):
                message = f"expected the name of a service such as `events.amazonaws.com`, got {quoted(entry.value)}"
                yield _invalid("INVALID_SERVICE_PRINCIPAL_FORMAT", message, entry)


def _is_aws_principal(value: str) -> bool:
    return is_account_id(value) or any(form.fullmatch(value) for form in (_PRINCIPAL_ARN, _UNIQUE_ID))


def federated(reading: Reading) -> Iterator[Fault]:
    """Report federated principals outside of trust policies and unknown providers (G-48)."""
    for entry in principals(reading.document):
        if entry.kind != "Federated" or WILDCARD.search(entry.value):
            continue
        if reading.document.type is not PolicyType.TRUST:
            message = "federated principals are supported in trust policies only"
            yield Fault("FEDERATED_PRINCIPAL_NOT_SUPPORTED", message, entry.path)
        elif not (entry.value in BUILT_IN_PROVIDERS or _PROVIDER_ARN.fullmatch(entry.value)):
            message = f"expected a known provider or the ARN of one, got {quoted(entry.value)}"
            yield Fault("INVALID_FEDERATED_PRINCIPAL_SYNTAX_IN_ROLE_TRUST_POLICY", message, entry.path)


def federated_with_other_action(reading: Reading) -> Iterator[Fault]:
    """Report a federated principal without the STS operation of its kind of provider (G-48)."""
    if reading.document.type is not PolicyType.TRUST:
        return
    listed = [{action.lower() for action in statement.actions or ("*",)} for statement in reading.document.statements]
    for entry in principals(reading.document):
        provider = _PROVIDER_ARN.fullmatch(entry.value)
        saml = provider is not None and provider["kind"] == "saml-provider"
        operation = "sts:AssumeRoleWithSAML" if saml else "sts:AssumeRoleWithWebIdentity"
        covering = {operation.lower(), "sts:assumerole*", "sts:*", "*"}
        if entry.kind == "Federated" and listed[entry.statement.index].isdisjoint(covering):
            message = f"{quoted(entry.value)} can be used with `{operation}` only"
            yield Fault("MISMATCHED_ACTION_FOR_PRINCIPAL", message, entry.path)
