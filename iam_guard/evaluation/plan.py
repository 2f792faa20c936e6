"""A plan: the policies of a caller that concern one action, selected once for many requests.

A plan only allows. It serves users and sessions that ask about resources of their own account without a resource-based
policy. Every other request, every denial and every error is for `evaluator.decide`, which is the specification: where a
plan allows, it allows for the same reason, and has read the same condition keys in the same order.
"""

from __future__ import annotations

from typing import Final

from iam_guard.evaluation.applicable_types import applicable_policies, is_bounded
from iam_guard.evaluation.bundle import Bundle, Levels
from iam_guard.evaluation.evaluator import is_action
from iam_guard.evaluation.matching_statements import find_allow, find_deny
from iam_guard.evaluation.policy_layer import Candidates, ResourceIndex
from iam_guard.evaluation.special_actions import SPECIAL_SERVICES
from iam_guard.model.decision import Reason
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import AccessRequest

_TYPES: Final = frozenset({PrincipalType.USER, PrincipalType.ASSUMED_ROLE, PrincipalType.FEDERATED_USER})


class Plan:
    """The selected policies, in the order in which `evaluator.decide` evaluates them. Immutable."""

    __slots__ = ("_action", "_allows", "_denying", "_filters", "_is_bounded", "_limits", "action")

    def __init__(self, action: str, policies: Bundle, *, is_bounded: bool) -> None:
        """Select from the policies that apply to an action."""
        self.action = action
        self._action = action = action.lower()  # M-3
        self._is_bounded = is_bounded
        self._denying = tuple([layer for layer in policies.layers_with_denies if layer.about(action).denies])
        self._filters: Levels = (*(policies.rcps or ()), *(policies.scps or ()))
        self._allows: Candidates | ResourceIndex = policies.identity.about(action).allows
        self._limits = tuple([layer for layer in (policies.boundary, policies.session) if layer is not None])

    def allow(self, request: AccessRequest) -> Reason | None:
        """Return the reason for which a request is allowed; None if the evaluator must decide it.

        Raises what a condition raises that cannot be evaluated.
        """
        action = self._action
        for layer in self._denying:
            if find_deny(layer, request, action, bounded=self._is_bounded) is not None:
                return None
        for layer in self._filters:
            if find_allow(layer, request, action) is None:
                return None
        allows = self._allows
        for candidate in allows if isinstance(allows, tuple) else allows.find(request.resource):
            statement = candidate.statement
            if statement.matches_resource(request) and statement.matches_conditions(request):
                break
        else:
            return None
        for layer in self._limits:
            if find_allow(layer, request, action) is None:
                return None
        return candidate.reason


def make_plan(policies: Bundle, principal: Principal, action: str) -> Plan | None:
    """Return the plan of an action for a caller; None if only the evaluator can decide.

    `policies` are those of the caller and its account.
    """
    folded = action.lower()
    if principal.type not in _TYPES or not is_action(action) or folded.partition(":")[0] in SPECIAL_SERVICES:
        return None
    if policies.resource or policies.policy_required or policies.vpc_endpoint is not None:
        return None
    if principal.type is PrincipalType.FEDERATED_USER and policies.session is None:
        return None  # S-32
    request = AccessRequest(principal, action, "*")
    applicable = applicable_policies(request, folded, policies)
    if () in (applicable.rcps, applicable.scps):
        return None  # no levels allow nothing
    return Plan(action, applicable, is_bounded=is_bounded(request, applicable))
