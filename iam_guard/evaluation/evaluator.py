"""The order of evaluation: all policies that apply, one Decision (rules F). Pure: values in, a value out.

The strategy, in the order of the code:
1. Explicit denies first, in every policy that applies, in the order of rule E-90. One is enough (E-2).
2. Filters that never grant: RCP, SCP and VPC endpoint policy must each allow (E-12, E-13, E-80).
3. The grant, which depends on the caller and on whose the resource is: `grants`.
Nothing in this file allows by falling through: each Allow is an explicit return with its reason. What a single
statement means is `matching`; an error in a statement is a match for Deny and none for Allow (C-45, E-6).
"""

from __future__ import annotations

from functools import lru_cache

from iam_guard.evaluation.applicable_types import applying, is_bounded
from iam_guard.evaluation.bundle import Bundle, Levels
from iam_guard.evaluation.grants import Grant, grant
from iam_guard.evaluation.matching_statements import Hit, find_allow, find_deny, reason_of
from iam_guard.evaluation.policy_layer import Layer
from iam_guard.evaluation.special_actions import needs_no_permission
from iam_guard.model.decision import Decision, Explainer, Outcome, PolicyType, Reason
from iam_guard.model.request import AccessRequest


def decide(
    request: AccessRequest,
    policies: Bundle,
    explainer: Explainer | None = None,
    epoch: int | None = None,
    stale: bool = False,
) -> Decision:
    """Decide one request; never raises for a denial. A request that cannot be decided is denied, with `error` set.

    `explainer`, `epoch` and `stale` go into the decision as they are.
    """
    problem = _unreadable(request)
    if problem is not None:
        return Decision(Outcome.IMPLICITLY_DENIED, request, (), epoch, stale, problem, explainer)
    outcome, reasons = _verdict(request, request.action.lower(), policies)  # M-3
    return Decision(outcome, request, reasons, epoch, stale, None, explainer)


def _verdict(request: AccessRequest, action: str, policies: Bundle) -> tuple[Outcome, tuple[Reason, ...]]:
    if needs_no_permission(action, request.principal):
        return Outcome.ALLOWED, (_NO_PERMISSION_NEEDED,)  # E-66
    policies = applying(request, action, policies)
    denial = _explicit_denial(request, action, policies)
    if denial is not None:
        return Outcome.EXPLICITLY_DENIED, (reason_of(denial),)  # E-2
    granted, lacking = weigh(request, action, policies)
    if granted and not lacking:
        return Outcome.ALLOWED, granted
    return Outcome.IMPLICITLY_DENIED, tuple(map(_LACKING.__getitem__, lacking))  # E-1, E-5


def weigh(request: AccessRequest, action: str, policies: Bundle) -> Grant:
    """Return who grants, and which policy types have no Allow where one is needed, in the order of rule E-90.

    `policies` are those that apply, `action` is in lower case; whether a Deny matches is not asked.
    """
    blocked = _filters(request, action, policies)
    found = grant(request, action, policies)
    if not blocked and len(found.missing) <= 1:
        return found
    return Grant(found.reasons, tuple(sorted({*blocked, *found.missing}, key=_IMPLICIT_ORDER.index)))


_LACKING = {each: Reason(each) for each in PolicyType}
_NO_PERMISSION_NEEDED = Reason(PolicyType.IDENTITY, note="no permission is needed, and no policy can deny it")

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
    """Return why a request cannot be decided; deny on doubt, since `*` in a policy would match any text."""
    if not _is_action(request.action):
        return f"expected an action such as `service:Name`, got `{request.action[:200]}`"
    if request.resource != "*" and (request.resource.count(":") < 5 or not request.resource.startswith("arn:")):
        return f"expected a resource ARN or `*`, got `{request.resource[:200]}`"
    return None


@lru_cache(maxsize=4096)  # an application has a few hundred
def _is_action(text: str) -> bool:
    prefix, _, name = text.partition(":")
    return bool(prefix and name) and ":" not in name


def _explicit_denial(request: AccessRequest, action: str, policies: Bundle) -> Hit | None:
    """Find the explicit deny to report: SCP, RCP, resource, identity, boundary, session, VPC endpoint (rule E-90)."""
    for layer in policies.denying:
        hit = find_deny(layer, request, action, bounded=is_bounded(request, policies))
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
    """No level at all allows nothing: whoever knows of none says None."""
    return bool(levels) and all(_allows(level, request, action) for level in levels)


def _allows(layer: Layer, request: AccessRequest, action: str) -> bool:
    return find_allow(layer, request, action) is not None
