"""Actions and resources with special rules (rules E-42, E-66)."""

from __future__ import annotations

from enum import Enum

from iam_guard.model.decision import PolicyType
from iam_guard.model.own_services import RESERVED
from iam_guard.model.principal import Principal, PrincipalType

NO_PERMISSION = frozenset({"sts:getcalleridentity", "sts:getsessiontoken"})
"""The actions that need no permission (rule E-66)."""
WITH_RULES = ("kms:", "sts:")
"""The prefixes of the actions that can need the resource's own policy (rule E-42)."""
SPECIAL_SERVICES = RESERVED | {"kms"}
"""The services that have rules of their own (rules E-42, E-66)."""
_TRUST_ACTIONS = frozenset({"sts:tagsession", "sts:setsourceidentity"})


class Mandatory(Enum):
    """Why a resource's own policy must allow."""

    KEY = "key policy"
    TRUST = "role trust policy"
    DECLARED = "resource-based policy"


def needs_no_permission(action: str, principal: Principal) -> bool:
    """Return whether the action (lower case) is always allowed, even with an explicit deny (rule E-66)."""
    return action in NO_PERMISSION and principal.type is not PrincipalType.ANONYMOUS


def is_role_trust(action: str, resource: str) -> bool:
    """Return whether the resource's policy is a role trust policy for this action (rule E-42)."""
    return mandatory(action, resource, declared=False) is Mandatory.TRUST


def resource_policy_type(action: str, resource: str) -> PolicyType:
    """Return the type of the resource's policy for this action (rule X-3)."""
    return PolicyType.TRUST if is_role_trust(action, resource) else PolicyType.RESOURCE


def mandatory(action: str, resource: str, *, declared: bool) -> Mandatory | None:
    """Return why the resource's own policy must allow; None if it need not (rule E-42)."""
    is_about_trust = action.startswith("sts:assumerole") or action in _TRUST_ACTIONS
    if is_about_trust and _is_of(resource, "iam", "role/"):
        return Mandatory.TRUST
    if action.startswith("kms:") and _is_of(resource, "kms", "key/"):
        return Mandatory.KEY
    return Mandatory.DECLARED if declared else None


def _is_of(resource: str, service: str, kind: str) -> bool:
    fields = resource.split(":", 5)
    return len(fields) == 6 and fields[2] == service and fields[5].startswith(kind)
