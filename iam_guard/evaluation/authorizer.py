"""Policies compiled once, decided with many times: the evaluator without a guard (design 4.2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from iam_guard.evaluation.bounds import Bounds, PartialEvaluator, Settles
from iam_guard.evaluation.bundle import Bundle, bundle
from iam_guard.evaluation.compiler import PolicySource
from iam_guard.evaluation.evaluator import decide
from iam_guard.evaluation.explainer import explain
from iam_guard.evaluation.explanation import Explanation
from iam_guard.evaluation.matching.pattern import Pattern
from iam_guard.evaluation.policy_set import policy_set
from iam_guard.evaluation.statement_coverage import Exercised, exercise
from iam_guard.model.decision import Decision, PolicySet, Reason
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document import Statement


class Authorizer:
    """A set of compiled policies. Immutable; safe to share between threads."""

    __slots__ = ("_policies", "_policy_set")

    def __init__(self, policies: Bundle) -> None:
        self._policies = policies
        self._policy_set: PolicySet | None = None

    @property
    def policy_set(self) -> PolicySet:
        """Return which policies these are; computed once."""
        if self._policy_set is None:
            self._policy_set = policy_set(self._policies)
        return self._policy_set

    def decide(self, request: AccessRequest, *, epoch: int | None = None, stale: bool = False) -> Decision:
        """Decide one request; never raises for a denial. The decision can explain itself.

        `epoch` and `stale` say of which state of the store the policies are; they go into the decision as they are.
        """
        return decide(request, self._policies, self, epoch, stale)

    def bounds(
        self, request: AccessRequest, opening: PartialEvaluator, settles: Settles, *, asked: Pattern | None = None
    ) -> Bounds:
        """Decide one request as far as can be told where some condition keys are open."""
        return opening.bounds(request, self._policies, settles, asked=asked)

    def explain(self, request: AccessRequest) -> Explanation:
        """Decide one request, and say why it comes out so, statement by statement."""
        return explain(request, self._policies)

    def explain_again(self, decision: Decision) -> Explanation:
        """Explain a decision of this authorizer: its request is decided afresh, with the same policies.

        By a request of its own: what this one asks for is none of what the decision read, and of what its record says.
        """
        was = decision.request
        again = AccessRequest(was.principal, was.action, was.resource, was.context, was.resource_account)
        return replace(self.explain(again), epoch=decision.epoch, stale=decision.stale)

    def exercised(self, decision: Decision) -> Iterator[Exercised]:
        """Return what the request of a decision makes true and false in the policies."""
        asked = decision.request
        if decision.error is None:
            again = AccessRequest(asked.principal, asked.action, asked.resource, asked.context, asked.resource_account)
            yield from exercise(again, self._policies)

    def statement_of(self, reason: Reason) -> Statement | None:
        """Return the statement that a reason of a decision names; None where it names none of these policies."""
        named = (reason.statement, reason.effect, reason.sid)
        for policy in self._policies:
            if policy.ref == reason.policy:
                for statement in policy.content.document.statements:
                    if (statement.index, statement.effect.value, statement.sid) == named:
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
