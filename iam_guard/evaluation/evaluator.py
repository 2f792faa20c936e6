"""Evaluate the policies that apply to a request into one Decision (rules F). A pure function.

The steps, in the order of the code:
1. Explicit denies, in every policy that applies, in the order of rule E-90. One is enough (E-2).
2. Filters that never grant: RCP, SCP and VPC endpoint policy must each allow (E-12, E-13, E-80).
3. The grant, which depends on the caller and on the owner of the resource: `grants`.
No path allows by default: each Allow is an explicit return with its reason. `matching` evaluates a single statement;
a statement with an error applies if it is a Deny and does not if it is an Allow (C-45, E-6).
"""

from __future__ import annotations

from functools import lru_cache

from iam_guard.evaluation.applicable_types import WITHOUT_IDENTITY, applicable_policies, is_bounded
from iam_guard.evaluation.bundle import Bundle, Levels
from iam_guard.evaluation.grants import Grant, grant
from iam_guard.evaluation.matching_statements import find_allow, find_deny
from iam_guard.evaluation.special_actions import NO_PERMISSION, needs_no_permission
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

    `explainer`, `epoch` and `stale` are copied into the decision.
    """
    action, resource, principal = _folded(request.action), request.resource, request.principal
    is_valid = resource == "*" or (resource.startswith("arn:") and resource.count(":") >= 5)
    if action is None or not is_valid:
        return Decision(_IMPLICITLY_DENIED, request, (), epoch, stale, _problem(request), explainer)
    if action in NO_PERMISSION and needs_no_permission(action, principal):
        return Decision(_ALLOWED, request, (_NO_PERMISSION_NEEDED,), epoch, stale, None, explainer)  # E-66
    has_filters = policies.scps is not None or policies.rcps is not None or policies.vpc_endpoint is not None
    if has_filters or principal.type in WITHOUT_IDENTITY:
        policies = applicable_policies(request, action, policies)
    if policies.layers_with_denies:
        bounded = is_bounded(request, policies)
        for layer in policies.layers_with_denies:  # in the order of E-90
            denial = find_deny(layer, request, action, bounded=bounded)
            if denial is not None:
                return Decision(_EXPLICITLY_DENIED, request, (denial.reason,), epoch, stale, None, explainer)  # E-2
    granted, missing = (evaluate_allows if has_filters else grant)(request, action, policies)
    if granted and not missing:
        return Decision(_ALLOWED, request, granted, epoch, stale, None, explainer)
    reasons = tuple(map(_MISSING_ALLOW.__getitem__, missing))
    return Decision(_IMPLICITLY_DENIED, request, reasons, epoch, stale, None, explainer)  # E-1, E-5


def evaluate_allows(request: AccessRequest, action: str, policies: Bundle) -> Grant:
    """Return the grant, and the policy types that lack a needed Allow in the order of rule E-90.

    `policies` are those that apply, `action` is in lower case; Deny statements are not evaluated.
    """
    blocking = []
    if policies.rcps is not None and not _each_level_allows(policies.rcps, request, action):
        blocking.append(PolicyType.RCP)  # E-13
    if policies.scps is not None and not _each_level_allows(policies.scps, request, action):
        blocking.append(PolicyType.SCP)  # E-12
    if policies.vpc_endpoint is not None and find_allow(policies.vpc_endpoint, request, action) is None:
        blocking.append(PolicyType.VPC_ENDPOINT)  # E-80
    reasons, missing = grant(request, action, policies)
    if blocking:
        missing = tuple(sorted({*blocking, *missing}, key=_IMPLICIT_ORDER.index))
    return reasons, missing


_ALLOWED = Outcome.ALLOWED  # an attribute of an enumeration is slow in Python 3.11
_IMPLICITLY_DENIED = Outcome.IMPLICITLY_DENIED
_EXPLICITLY_DENIED = Outcome.EXPLICITLY_DENIED
_MISSING_ALLOW = {type: Reason(type) for type in PolicyType}
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
"""E-90. The VPC endpoint policy, which the rule does not list, is last."""


def _problem(request: AccessRequest) -> str:
    """Return why a request is invalid, and so denied: a `*` in a policy would match any text."""
    if not is_action(request.action):
        return f"expected an action such as `service:Name`, got `{request.action[:200]}`"
    return f"expected a resource ARN or `*`, got `{request.resource[:200]}`"


@lru_cache(maxsize=4096)  # an application has a few hundred
def is_action(text: str) -> bool:
    """Return whether a text has the form of an action, `service:Name`."""
    prefix, _, name = text.partition(":")
    return bool(prefix and name) and ":" not in name


@lru_cache(maxsize=4096)
def _folded(action: str) -> str | None:
    """Return an action in lower case (rule M-3); None if it has not the form of one."""
    return action.lower() if is_action(action) else None


def _each_level_allows(levels: Levels, request: AccessRequest, action: str) -> bool:
    """Return whether each level allows. No levels allow nothing: None is passed where the type does not apply."""
    return bool(levels) and all(find_allow(level, request, action) is not None for level in levels)
