"""The evaluator without a guard: policies are compiled once for many decisions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property

from iam_guard.evaluation.bounds import Bounds, IsKnown, PartialEvaluator
from iam_guard.evaluation.bundle import Bundle, bundle
from iam_guard.evaluation.compiler import PolicySource
from iam_guard.evaluation.evaluator import decide
from iam_guard.evaluation.explainer import explain
from iam_guard.evaluation.explanation import Explanation
from iam_guard.evaluation.matching.pattern import Pattern
from iam_guard.evaluation.policy_set import policy_set
from iam_guard.evaluation.statement_coverage import StatementResult, evaluate_statements
from iam_guard.model.decision import Decision, PolicySet, Reason
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document import Statement


class Authorizer:
    """A set of compiled policies. Immutable; safe to share between threads."""

    def __init__(self, policies: Bundle) -> None:
        self.policies = policies

    @cached_property
    def policy_set(self) -> PolicySet:
        """The description of the policies."""
        return policy_set(self.policies)

    def decide(self, request: AccessRequest, *, epoch: int | None = None, stale: bool = False) -> Decision:
        """Decide one request; never raises for a denial. The decision can explain itself.

        `epoch` and `stale` describe the store state of the policies; they are copied into the decision.
        """
        return decide(request, self.policies, self, epoch, stale)

    def bounds(
        self, request: AccessRequest, evaluator: PartialEvaluator, is_known: IsKnown, *, asked: Pattern | None = None
    ) -> Bounds:
        """Return the bounds of the decision while some condition keys are open; `asked` is a pattern of resources."""
        return evaluator.bounds(request, self.policies, is_known, resources=asked)

    def explain(self, request: AccessRequest) -> Explanation:
        """Decide one request and explain the decision statement by statement."""
        return explain(request, self.policies)

    def explain_decision(self, decision: Decision) -> Explanation:
        """Explain a decision of this authorizer by deciding its request again with the same policies.

        The explanation uses a copy of the request, so that the keys it reads are not recorded as read by the decision.
        """
        return replace(self.explain(decision.request.copy()), epoch=decision.epoch, stale=decision.stale)

    def evaluated_statements(self, decision: Decision) -> Iterator[StatementResult]:
        """Return the result of every statement of the policies for the request of a decision."""
        if decision.error is None:
            yield from evaluate_statements(decision.request.copy(), self.policies)

    def statement_of(self, reason: Reason) -> Statement | None:
        """Return the statement of a decision's reason; None if it is in none of the policies."""
        identity = (reason.statement, reason.effect, reason.sid)
        for policy in self.policies:
            if policy.ref == reason.policy:
                for statement in policy.content.document.statements:
                    if (statement.index, statement.effect.value, statement.sid) == identity:
                        return statement
        return None


def compile_policies(
    identity: Sequence[PolicySource] = (),
    resource: PolicySource | None = None,
    permissions_boundary: PolicySource | None = None,
    session: Sequence[PolicySource] | None = None,
    scps: Sequence[Sequence[PolicySource]] | None = None,
    rcps: Sequence[Sequence[PolicySource]] | None = None,
    vpc_endpoint: PolicySource | None = None,
) -> Authorizer:
    """Compile policy documents (dict or JSON text) into an `Authorizer`.

    `scps` and `rcps` are lists of levels, the organization's root first, each a list of documents. None means that
    the type does not apply; an empty list allows nothing. Raises `PolicyError` for a document that is refused.
    """
    return Authorizer(
        bundle(
            identity=identity,
            resource=resource,
            permissions_boundary=permissions_boundary,
            session=session,
            scps=scps,
            rcps=rcps,
            vpc_endpoint=vpc_endpoint,
        )
    )
