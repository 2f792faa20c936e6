"""The order of evaluation: all policies that apply, one Decision (rules F). Pure: values in, a value out.

The strategy, in the order of the code:
1. Explicit denies first, in every policy that applies, in the order of rule E-90. One is enough (E-2).
2. Filters that never grant: RCP, SCP and VPC endpoint policy must each allow (E-12, E-13, E-80).
3. The grant, which depends on the caller and on whose the resource is: `grants`.
Nothing in this file allows by falling through: each Allow is an explicit return with its reason. What a single
statement means is `matching`; an error in a statement is a match for Deny and none for Allow (C-45, E-6).
"""

from __future__ import annotations

from iam_guard.evaluation.bundle import Bundle, Layer, Levels
from iam_guard.evaluation.grants import grant
from iam_guard.evaluation.hits import Hit, find_allow, find_deny, reason_of
from iam_guard.evaluation.registry import is_role_trust, needs_no_permission
from iam_guard.evaluation.services import reached_by_rcp
from iam_guard.model.decision import Decision, Outcome, PolicyType, Reason
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import AccessRequest

_HAS_SCP = {PrincipalType.USER, PrincipalType.ASSUMED_ROLE, PrincipalType.FEDERATED_USER, PrincipalType.ROOT}
_HAS_IDENTITY = {PrincipalType.USER, PrincipalType.ASSUMED_ROLE, PrincipalType.FEDERATED_USER}


def decide(request: AccessRequest, policies: Bundle) -> Decision:
    """Decide one request; never raises for a denial. A request that cannot be decided is denied, with `error` set."""
    problem = _unreadable(request)
    if problem is not None:
        return Decision(Outcome.IMPLICITLY_DENIED, request, (), error=problem)
    action = request.action.lower()  # M-3
    if needs_no_permission(action) and request.principal.type is not PrincipalType.ANONYMOUS:
        note = "no permission is needed, and no policy can deny it"
        return Decision(Outcome.ALLOWED, request, (Reason(PolicyType.IDENTITY, note=note),))  # E-66
    applying = _applying(request, action, policies)
    denial = _explicit_denial(request, action, applying)
    if denial is not None:
        return Decision(Outcome.EXPLICITLY_DENIED, request, (reason_of(denial),))  # E-2
    return _decide_without_denies(request, action, applying)


def _decide_without_denies(request: AccessRequest, action: str, policies: Bundle) -> Decision:
    blocked = _filters(request, action, policies)
    granted, missing = grant(request, action, policies)
    lacking = sorted({*blocked, *missing}, key=_IMPLICIT_ORDER.index)
    if granted and not lacking:
        return Decision(Outcome.ALLOWED, request, granted)
    return Decision(Outcome.IMPLICITLY_DENIED, request, tuple(Reason(each) for each in lacking))  # E-1, E-5


_IMPLICIT_ORDER = [
    PolicyType.RCP,
    PolicyType.SCP,
    PolicyType.RESOURCE,
    PolicyType.TRUST,
    PolicyType.IDENTITY,
    PolicyType.BOUNDARY,
    PolicyType.SESSION,
    PolicyType.VPC_ENDPOINT,
]
"""E-90. The VPC endpoint, which the rule does not place, comes last."""


def _unreadable(request: AccessRequest) -> str | None:
    """Say why a request cannot be decided; deny on doubt, since `*` in a policy would match any text."""
    prefix, colon, name = request.action.partition(":")
    if not (prefix and colon and name) or ":" in name:
        return f"expected an action such as `service:Name`, got `{request.action[:200]}`"
    if request.resource != "*" and (request.resource.count(":") < 5 or not request.resource.startswith("arn:")):
        return f"expected a resource ARN or `*`, got `{request.resource[:200]}`"
    return None


def _applying(request: AccessRequest, action: str, policies: Bundle) -> Bundle:
    """Keep the policy types that apply to this kind of caller (the table of F.2)."""
    principal = request.principal
    has_identity = principal.type in _HAS_IDENTITY
    scps, rcps = policies.scps, policies.rcps
    if scps is not None and (principal.type not in _HAS_SCP or principal.is_service_linked):
        scps = None  # E-10
    if rcps is not None and not _rcp_applies(request, action, own=policies.own_service):
        rcps = None
    if has_identity and scps is policies.scps and rcps is policies.rcps:
        return policies
    return Bundle(
        identity=policies.identity if has_identity else (),
        resource=policies.resource,
        boundary=policies.boundary if has_identity else None,
        session=policies.session if has_identity else None,
        scps=scps,
        rcps=rcps,
        vpc_endpoint=policies.vpc_endpoint,
        policy_required=policies.policy_required,
        own_service=policies.own_service,
    )


def _rcp_applies(request: AccessRequest, action: str, *, own: bool) -> bool:
    """Rule E-11: not service-linked roles or their trust, not `kms:RetireGrant`, supported services only."""
    if request.principal.is_service_linked or action == "kms:retiregrant":
        return False
    if is_role_trust(action, request.resource) and ":role/aws-service-role/" in request.resource:
        return False
    return reached_by_rcp(action.partition(":")[0], own=own)


def _explicit_denial(request: AccessRequest, action: str, policies: Bundle) -> Hit | None:
    """Find the explicit deny to report: SCP, RCP, resource, identity, boundary, session, VPC endpoint (rule E-90)."""
    bounded = policies.boundary is not None or request.principal.has_boundary  # E-74
    return (
        _deny_in_levels(policies.scps, request, action, bounded)
        or _deny_in_levels(policies.rcps, request, action, bounded)
        or find_deny(policies.resource, request, action, bounded=bounded)
        or find_deny(policies.identity, request, action, bounded=bounded)
        or find_deny(policies.boundary or (), request, action, bounded=bounded)
        or find_deny(policies.session or (), request, action, bounded=bounded)
        or find_deny(policies.vpc_endpoint or (), request, action, bounded=bounded)
    )


def _deny_in_levels(levels: Levels | None, request: AccessRequest, action: str, bounded: bool) -> Hit | None:
    for level in levels or ():
        hit = find_deny(level, request, action, bounded=bounded)
        if hit is not None:
            return hit
    return None


def _filters(request: AccessRequest, action: str, policies: Bundle) -> list[PolicyType]:
    """Name the filters without an Allow: each level of SCPs and RCPs needs one, the VPC endpoint policy too."""
    lacking = []
    if policies.rcps is not None and not _each_level_allows(policies.rcps, request, action):
        lacking.append(PolicyType.RCP)  # E-13
    if policies.scps is not None and not _each_level_allows(policies.scps, request, action):
        lacking.append(PolicyType.SCP)  # E-12
    if policies.vpc_endpoint is not None and not _allows(policies.vpc_endpoint, request, action):
        lacking.append(PolicyType.VPC_ENDPOINT)  # E-80
    return lacking


def _each_level_allows(levels: Levels, request: AccessRequest, action: str) -> bool:
    return all(_allows(level, request, action) for level in levels)


def _allows(layer: Layer, request: AccessRequest, action: str) -> bool:
    return find_allow(layer, request, action) is not None
