"""`assert_allowed` and `assert_denied`: one line in a test, and the explanation where it fails.

A denial counts only if policies made it: a request that cannot be decided, and a principal that does not exist, would
let a test with a mistake in it pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from iam_guard.errors import InvalidInput
from iam_guard.evaluation.authorizer import Authorizer
from iam_guard.guard.guard import Guard
from iam_guard.model.context import Given, Lazy
from iam_guard.model.decision import Decision, Outcome, PolicyType
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest, Call, Resource
from iam_guard.testing.failure_report import failing_text
from iam_guard.testing.principal_names import principal_named

Decider: TypeAlias = Guard | Authorizer
"""Whom a test asks: a guard, or policies that were compiled without one."""

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
    """Assert that `principal` may do `action` on `resource`; fail with the explanation.

    `principal` is one, or what `principal_named` takes. `call` gives a guard the facts of a connection. Gives the
    decision back.
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
    """Assert that policies deny it; fail with the explanation.

    `outcome` tells an explicit from an implicit denial. `by` is the type of policy that denies, or has no Allow; `sid`
    is the Sid of the statement that denies. A denial without policies (no such principal, a resource that nobody owns)
    counts only where `because` is part of its reason. What cannot be decided never counts. Gives the decision back.
    Raises `InvalidInput` for an outcome or a type of policy that does not exist.
    """
    __tracebackhide__ = True
    wanted = _outcome(outcome), _policy_type(by)
    decision = _decide(decider, principal, action, resource, context, call)
    complaint = _complaint(decision, *wanted, sid, because)
    if complaint is not None:
        raise AssertionError(_failure(complaint, decision))
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
    if isinstance(decider, Guard):
        return decider.decide(caller, action, resource, context, call=call)
    if not isinstance(decider, Authorizer):
        raise InvalidInput(f"expected a guard or an authorizer, got `{type(decider).__name__}`")
    if call is not None:
        raise InvalidInput("an authorizer takes condition keys as `context`; the facts of a call are for a guard")
    if isinstance(resource, Resource):
        if resource.policy is not None or resource.policy_required:
            raise InvalidInput("an authorizer takes a resource's policy when it is compiled")
        tags = {f"aws:ResourceTag/{key}": value for key, value in resource.tags.items()}
        request = AccessRequest(caller, action, resource.arn, {**tags, **(context or {})}, resource.account)
    else:
        request = AccessRequest(caller, action, resource, context)
    return decider.decide(request)


def _outcome(given: Outcome | str | None) -> Outcome | None:
    if given is None:
        return None
    denials = [Outcome.IMPLICITLY_DENIED, Outcome.EXPLICITLY_DENIED]
    if given not in denials:
        raise InvalidInput(f"expected one of {', '.join(denials)} as outcome, got `{given}`")
    return Outcome(given)


def _policy_type(given: PolicyType | str | None) -> PolicyType | None:
    if given is None:
        return None
    try:
        return PolicyType(given)
    except ValueError:
        raise InvalidInput(f"expected one of {', '.join(PolicyType)}, got `{given}`") from None


def _complaint(
    decision: Decision, outcome: Outcome | None, by: PolicyType | None, sid: str | None, because: str | None
) -> str | None:
    """Return what is not as expected; None where everything is."""
    reasons = decision.reasons
    without_policies = [reason.note for reason in reasons if reason.policy is None and reason.note is not None]
    if decision.error is not None:
        return "expected a denial, but no decision could be made"
    if outcome is not None and decision.outcome is not outcome:
        return f"expected {outcome}"
    if decision.allowed:
        return "expected a denial"
    if without_policies and because is None:
        return f"expected a denial by policies, but none was asked: {without_policies[0]}"
    if because is not None and not any(because in note for note in without_policies):
        return f"expected a denial because `{because}`"
    if by is not None and by not in [reason.policy_type for reason in reasons]:
        return f"expected a denial by the {by}"
    if sid is not None and sid not in [reason.sid for reason in reasons]:
        return f"expected a denial by the statement `{sid}`"
    return None


def _failure(complaint: str, decision: Decision) -> str:
    return f"{complaint}, got {decision.outcome}\n\n{failing_text(decision)}"
