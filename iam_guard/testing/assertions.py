"""`assert_allowed` and `assert_denied`, which fail with the explanation of the decision.

A denial counts only if policies made it: an undecidable request or an unknown principal is a mistake in the test.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TypeAlias

from iam_guard.analysis.reference.own_references import own_references
from iam_guard.analysis.reference.reference_index import ReferenceIndex
from iam_guard.errors import InvalidInput
from iam_guard.evaluation.authorizer import Authorizer
from iam_guard.guard.guard import Guard
from iam_guard.model.context import Given, Lazy
from iam_guard.model.decision import Decision, Outcome, PolicyType
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest, Call, Resource
from iam_guard.testing.failure_report import failing_text, notes_without_policies
from iam_guard.testing.principal_names import principal_named

Decider: TypeAlias = Guard | Authorizer
"""A guard, or policies compiled without one."""

Keys: TypeAlias = Mapping[str, "Given | Lazy"]


def assert_allowed(
    decider: Decider,
    principal: Principal | str,
    action: str,
    resource: str | Resource = "*",
    context: Keys | None = None,
    *,
    call: Call | None = None,
) -> Decision:
    """Assert that `principal` may do `action` on `resource`, and return the decision; fail with the explanation.

    `principal` is one, or a name for `principal_named`. `call` has the facts of a connection, for a guard. Raises
    `InvalidInput` for an unknown action of IAM or STS.
    """
    __tracebackhide__ = True
    decision = _decide(decider, principal, action, resource, context, call)
    if not decision.allowed:
        raise AssertionError(_failure("expected Allowed", decision))
    return decision


def assert_denied(
    decider: Decider,
    principal: Principal | str,
    action: str,
    resource: str | Resource = "*",
    context: Keys | None = None,
    *,
    call: Call | None = None,
    outcome: Outcome | str | None = None,
    by: PolicyType | str | None = None,
    sid: str | None = None,
    because: str | None = None,
) -> Decision:
    """Assert that policies deny the request, and return the decision; fail with the explanation.

    `outcome` distinguishes an explicit from an implicit denial. `by` is the type of policy that denies, or lacks an
    Allow; `sid` is the Sid of the denying statement. A denial without policies (unknown principal, resource without
    owner) counts only if `because` is part of its reason. An undecidable request never counts.
    Raises `InvalidInput` for an unknown outcome or policy type, and for an unknown action of IAM or STS.
    """
    __tracebackhide__ = True
    expected = _outcome(outcome), _policy_type(by)
    decision = _decide(decider, principal, action, resource, context, call)
    mismatch = _mismatch(decision, *expected, sid, because)
    if mismatch is not None:
        raise AssertionError(_failure(mismatch, decision))
    return decision


def _decide(
    decider: Decider,
    principal: Principal | str,
    action: str,
    resource: str | Resource,
    context: Keys | None,
    call: Call | None,
) -> Decision:
    caller = principal_named(principal)
    _own_actions().check_action(action)
    if isinstance(decider, Guard):
        return decider.decide(caller, action, resource, context, call=call)
    if not isinstance(decider, Authorizer):
        raise InvalidInput(f"expected a guard or an authorizer, got `{type(decider).__name__}`")
    if call is not None:
        raise InvalidInput("expected condition keys as `context`, an authorizer does not support `call`")
    if isinstance(resource, Resource):
        if resource.policy is not None or resource.policy_required:
            raise InvalidInput("expected a resource without policy, an authorizer has its policy compiled in")
        request = AccessRequest.for_resource(caller, action, resource, context)
    else:
        request = AccessRequest(caller, action, resource, context)
    return decider.decide(request)


@cache
def _own_actions() -> ReferenceIndex:
    return ReferenceIndex(own_references(), is_all=False)


def _outcome(outcome: Outcome | str | None) -> Outcome | None:
    if outcome is None:
        return None
    denials = [Outcome.IMPLICITLY_DENIED, Outcome.EXPLICITLY_DENIED]
    if outcome not in denials:
        raise InvalidInput(f"expected one of {', '.join(denials)} as outcome, got `{outcome}`")
    return Outcome(outcome)


def _policy_type(type: PolicyType | str | None) -> PolicyType | None:
    if type is None:
        return None
    try:
        return PolicyType(type)
    except ValueError:
        raise InvalidInput(f"expected one of {', '.join(PolicyType)}, got `{type}`") from None


def _mismatch(
    decision: Decision, outcome: Outcome | None, by: PolicyType | None, sid: str | None, because: str | None
) -> str | None:
    """Return what differs from the expectation; None if nothing does."""
    reasons, without_policies = decision.reasons, notes_without_policies(decision)
    if decision.error is not None:
        return "expected a denial, but no decision could be made"
    if outcome is not None and decision.outcome is not outcome:
        return f"expected {outcome}"
    if decision.allowed:
        return "expected a denial"
    if without_policies and because is None:
        return f"expected a denial by policies, but none was evaluated: {without_policies[0]}"
    if because is not None and not any(because in note for note in without_policies):
        return f"expected a denial because `{because}`"
    if by is not None and by not in [reason.policy_type for reason in reasons]:
        return f"expected a denial by the {by}"
    if sid is not None and sid not in [reason.sid for reason in reasons]:
        return f"expected a denial by the statement `{sid}`"
    return None


def _failure(mismatch: str, decision: Decision) -> str:
    return f"{mismatch}, got {decision.outcome}\n\n{failing_text(decision)}"
