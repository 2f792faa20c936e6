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

from iam_guard.evaluation.applicable_types import applicable_policies, is_bounded
from iam_guard.evaluation.bundle import Bundle, Levels
from iam_guard.evaluation.grants import Grant, grant
from iam_guard.evaluation.matching_statements import find_allow, find_deny
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

    `explainer`, `epoch` and `stale` are copied into the decision.
    """
    problem = _problem(request)
    if problem is not None:
        return Decision(Outcome.IMPLICITLY_DENIED, request, (), epoch, stale, problem, explainer)
    outcome, reasons = _outcome(request, request.action.lower(), policies)  # M-3
    return Decision(outcome, request, reasons, epoch, stale, None, explainer)


def _outcome(request: AccessRequest, action: str, policies: Bundle) -> tuple[Outcome, tuple[Reason, ...]]:
    if needs_no_permission(action, request.principal):
        return Outcome.ALLOWED, (_NO_PERMISSION_NEEDED,)  # E-66
    policies = applicable_policies(request, action, policies)
    for layer in policies.layers_with_denies:  # in the order of E-90
        denial = find_deny(layer, request, action, bounded=is_bounded(request, policies))
        if denial is not None:
            return Outcome.EXPLICITLY_DENIED, (denial.reason,)  # E-2
    granted, missing = evaluate_allows(request, action, policies)
    if granted and not missing:
        return Outcome.ALLOWED, granted
    return Outcome.IMPLICITLY_DENIED, tuple(map(_MISSING_ALLOW.__getitem__, missing))  # E-1, E-5


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
    granted = grant(request, action, policies)
    if not blocking and len(granted.missing) <= 1:
        return granted
    return Grant(granted.reasons, tuple(sorted({*blocking, *granted.missing}, key=_IMPLICIT_ORDER.index)))


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


def _problem(request: AccessRequest) -> str | None:
    """Return why a request is invalid, and so denied: a `*` in a policy would match any text."""
    if not is_action(request.action):
        return f"expected an action such as `service:Name`, got `{request.action[:200]}`"
    if request.resource != "*" and (request.resource.count(":") < 5 or not request.resource.startswith("arn:")):
        return f"expected a resource ARN or `*`, got `{request.resource[:200]}`"
    return None


@lru_cache(maxsize=4096)  # an application has a few hundred
def is_action(text: str) -> bool:
    """Return whether a text has the form of an action, `service:Name`."""
    prefix, _, name = text.partition(":")
    return bool(prefix and name) and ":" not in name


def _each_level_allows(levels: Levels, request: AccessRequest, action: str) -> bool:
    """Return whether each level allows. No levels allow nothing: None is passed where the type does not apply."""
    return bool(levels) and all(find_allow(level, request, action) is not None for level in levels)
