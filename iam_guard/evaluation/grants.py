"""Determine whether the caller's policies, the resource's policy, or both grant access (rules F.3 to F.7).

`grant` assumes that no Deny matched; `evaluator` applies the filters (SCP, RCP, VPC endpoint).
"""

from __future__ import annotations

from typing import TypeAlias

from iam_guard.evaluation.bundle import Bundle
from iam_guard.evaluation.matching.principal import PrincipalMatch
from iam_guard.evaluation.matching_statements import find_allow
from iam_guard.evaluation.policy_layer import Hit
from iam_guard.evaluation.special_actions import WITH_RULES, Mandatory, mandatory, resource_policy_type
from iam_guard.model.arn import account_of
from iam_guard.model.decision import PolicyType, Reason
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import AccessRequest

Grant: TypeAlias = tuple[tuple[Reason, ...], tuple[PolicyType, ...]]
"""The reasons of a grant, and the policy types that lack a needed Allow: allowed only if none is missing."""


def grant(request: AccessRequest, action: str, policies: Bundle) -> Grant:
    """Return the grant of a request that no Deny matches."""
    principal = request.principal
    resource_side = find_allow(policies.resource, request, action) if policies.resource else None
    if principal.type in WITHOUT_POLICIES and not principal.is_application:
        return _by_resource_alone(request, action, resource_side)
    owner = request.resource_account or account_of(request.resource)
    if owner is not None and owner != principal.account:
        return _across_accounts(request, action, policies, resource_side)
    if policies.policy_required or action.startswith(WITH_RULES):
        why = mandatory(action, request.resource, declared=policies.policy_required)
        if why is not None:
            return _mandatory(request, action, policies, resource_side, why)
    if resource_side is None:
        return _caller_side(request, action, policies)
    return _within_account(request, action, policies, resource_side)


def _by_resource_alone(request: AccessRequest, action: str, resource_side: Hit | None) -> Grant:
    """Grant to services, federated and anonymous callers, which have no own policies (rules E-60, E-62, G-48)."""
    if resource_side is None:
        return (), (resource_policy_type(action, request.resource),)
    return (resource_side.reason,), ()


def _across_accounts(request: AccessRequest, action: str, policies: Bundle, resource_side: Hit | None) -> Grant:
    """Grant if both sides allow; a direct grant bypasses nothing (rules E-50 to E-53, E-44)."""
    identity, missing = _caller_side(request, action, policies)
    if resource_side is None:
        return (), (resource_policy_type(action, request.resource), *missing)
    return (resource_side.reason, *identity), missing


def _within_account(request: AccessRequest, action: str, policies: Bundle, resource_side: Hit) -> Grant:
    """Grant within the caller's account if the resource's policy allows (rules E-30 to E-36, E-63)."""
    if request.principal.type is _ROOT_USER:
        return (_ROOT,), _session(request, action, policies)  # E-63, S-35
    if _grants_directly(request, policies, resource_side):
        return (resource_side.reason,), ()  # E-30.1
    if resource_side.principal_match is not PrincipalMatch.ACCOUNT:
        return (resource_side.reason,), _limits(request, action, policies)  # E-30.2, PARENT
    return _caller_side(request, action, policies)  # E-30.2; ACCOUNT only delegates, E-30.3


def _mandatory(
    request: AccessRequest, action: str, policies: Bundle, resource_side: Hit | None, why: Mandatory
) -> Grant:
    """Grant if the resource's own policy allows the caller or its account, even root (rules E-40 to E-48)."""
    if resource_side is None:
        return (), (resource_policy_type(action, request.resource),)
    reason = resource_side.reason
    if request.principal.type is _ROOT_USER:
        return (reason,), _session(request, action, policies)  # E-40: root needs no identity policy
    if _grants_directly(request, policies, resource_side):
        missing = _boundary(request, action, policies) if why is Mandatory.TRUST else ()  # E-48
        return (reason,), missing
    if resource_side.principal_match is not PrincipalMatch.ACCOUNT:
        return (reason,), _limits(request, action, policies)
    identity, missing = _caller_side(request, action, policies)
    return (reason, *identity), missing


def _grants_directly(request: AccessRequest, policies: Bundle, resource_side: Hit) -> bool:
    """Return whether the resource grants directly, so that the caller's implicit denies do not apply.

    A user whose credential is limited by session policies is excluded. AWS has no such case, so the strict reading
    applies.
    """
    scoped_user = request.principal.type is PrincipalType.USER and policies.session is not None
    return resource_side.principal_match is PrincipalMatch.DIRECT and not scoped_user


def _caller_side(request: AccessRequest, action: str, policies: Bundle) -> Grant:
    """Grant if identity, boundary and session policies all allow; root is always allowed (E-32, E-50, E-55)."""
    if request.principal.type is _ROOT_USER:
        return (_ROOT,), _session(request, action, policies)
    identity = find_allow(policies.identity, request, action)
    has_limits = policies.boundary is not None or policies.session is not None
    limits = _limits(request, action, policies) if has_limits or request.principal.type is _FEDERATED else ()
    if identity is None:
        return (), (PolicyType.IDENTITY, *limits)
    return (identity.reason,), limits


def _limits(request: AccessRequest, action: str, policies: Bundle) -> tuple[PolicyType, ...]:
    """Return which of boundary and session policies do not allow."""
    return (*_boundary(request, action, policies), *_session(request, action, policies))


def _boundary(request: AccessRequest, action: str, policies: Bundle) -> tuple[PolicyType, ...]:
    if policies.boundary is None or find_allow(policies.boundary, request, action) is not None:
        return ()
    return (PolicyType.BOUNDARY,)


def _session(request: AccessRequest, action: str, policies: Bundle) -> tuple[PolicyType, ...]:
    if policies.session is None:
        # S-32, E-30.2: a federated session without a session policy has no permissions; others are not limited (S-42)
        return (PolicyType.SESSION,) if request.principal.type is _FEDERATED else ()
    return () if find_allow(policies.session, request, action) is not None else (PolicyType.SESSION,)


WITHOUT_POLICIES = frozenset({PrincipalType.SERVICE, PrincipalType.FEDERATED, PrincipalType.ANONYMOUS})
"""The types of callers that only a resource's policy can grant access (E-60, E-62); not of the application itself."""
_FEDERATED = PrincipalType.FEDERATED_USER
_ROOT_USER = PrincipalType.ROOT  # an attribute of an enumeration is slow in Python 3.11
_ROOT = Reason(PolicyType.IDENTITY, note="the root user has full access to its own account")
