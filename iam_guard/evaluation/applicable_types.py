"""The policy types that apply to a caller and a resource, and why others do not (the table of F.2, E-10, E-11)."""

from __future__ import annotations

from dataclasses import replace

from iam_guard.evaluation.bundle import Bundle
from iam_guard.evaluation.policy_layer import NO_POLICY
from iam_guard.evaluation.rcp_services import rcp_applies_to
from iam_guard.evaluation.special_actions import is_role_trust
from iam_guard.model.arn import is_service_linked_role
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import AccessRequest

WITHOUT_IDENTITY = {
    PrincipalType.ROOT: "the root user has no attached policies",
    PrincipalType.SERVICE: "a service principal has no attached policies",
    PrincipalType.FEDERATED: "a caller of an identity provider has no attached policies",
    PrincipalType.ANONYMOUS: "an anonymous caller has no attached policies",
}
"""The types of callers without identity-based policies, and why."""
_WITHOUT_SCPS = {
    PrincipalType.SERVICE: "service control policies do not limit service principals",
    PrincipalType.FEDERATED: "service control policies do not limit callers of identity providers",
    PrincipalType.ANONYMOUS: "service control policies do not limit anonymous callers",
}


def applicable_policies(request: AccessRequest, action: str, policies: Bundle) -> Bundle:
    """Return the bundle without the policy types that do not apply to this caller; `action` is in lower case."""
    principal = request.principal
    has_identity = identity_exemption(principal) is None
    scps, rcps = policies.scps, policies.rcps
    if scps is not None and scp_exemption(principal) is not None:
        scps = None
    if rcps is not None and rcp_exemption(request, action, own=policies.own_service) is not None:
        rcps = None
    if has_identity and scps is policies.scps and rcps is policies.rcps:
        return policies
    limited = replace(policies, scps=scps, rcps=rcps)
    if has_identity:
        return limited
    session = policies.session if session_exemption(principal) is None else None
    return replace(limited, identity=NO_POLICY, boundary=None, session=session)


def is_bounded(request: AccessRequest, policies: Bundle) -> bool:
    """Return whether the caller has a permissions boundary, in the bundle or by its principal (rule E-74)."""
    return policies.boundary is not None or request.principal.has_boundary


def identity_exemption(principal: Principal) -> str | None:
    """Return why a caller cannot have identity-based policies or a boundary; None if it can."""
    return None if principal.is_application else WITHOUT_IDENTITY.get(principal.type)


def session_exemption(principal: Principal) -> str | None:
    """Return why a caller cannot have session policies; None if it can, as an AssumeRoot session (S-35)."""
    return None if principal.is_assumed_root else WITHOUT_IDENTITY.get(principal.type)


def scp_exemption(principal: Principal) -> str | None:
    """Return why SCPs do not limit this caller; None if they do (rules E-10, E-67)."""
    if principal.is_service_linked:
        return "service control policies do not limit service-linked roles"
    return None if principal.is_application else _WITHOUT_SCPS.get(principal.type)


def rcp_exemption(request: AccessRequest, action: str, *, own: bool) -> str | None:
    """Return why RCPs do not limit this request; None if they do (rule E-11)."""
    if request.principal.is_service_linked:
        return "resource control policies do not limit service-linked roles"
    if action == "kms:retiregrant":
        return "resource control policies do not limit kms:RetireGrant"
    if is_role_trust(action, request.resource) and is_service_linked_role(request.resource):
        return "resource control policies do not limit who can assume a service-linked role"
    service = action.partition(":")[0]
    return None if rcp_applies_to(service, own=own) else "resource control policies do not apply to this service"
