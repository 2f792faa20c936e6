"""A question to the guard, and the question with everything from the store that its decision needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from iam_guard.errors import AccessDenied, DecisionUnavailable, InvalidInput
from iam_guard.evaluation.authorizer import Authorizer
from iam_guard.evaluation.explainer import NoPoliciesExplainer
from iam_guard.guard.request_context import Parties, RequestContext
from iam_guard.model.account import AccountState
from iam_guard.model.context import Context, Given, Lazy
from iam_guard.model.decision import Decision, Outcome, PolicyType, Reason
from iam_guard.model.own_services import SERVED
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest, ActionOnResource, Call, Resource
from iam_guard.store.protocol import AccountRecord, PrincipalRecord

NO_POLICIES = NoPoliciesExplainer()
NO_PRINCIPAL = Reason(PolicyType.IDENTITY, note="the principal does not exist (any more)")  # P-6, S-51
_NO_OWNER = Reason(PolicyType.RESOURCE, note="the owner of the resource is unknown")


class Question(NamedTuple):
    """May the principal do the action on the resource?

    `own_service`: the application declares the action's service (rule E-16). `context` adds condition keys to those
    that call, principal, resource and clock supply. `is_described`: the resource needs no loader of the application.
    """

    principal: Principal
    action: str
    resource: Resource
    own_service: bool
    context: Mapping[str, Given | Lazy] | None = None
    call: Call | None = None
    is_described: bool = True


class LoadedQuestion(NamedTuple):
    """A question with everything that deciding it needs. `owner` owns the resource; None if its owner is unknown."""

    question: Question
    epoch: int
    caller: PrincipalRecord
    account: AccountRecord | None
    owner: AccountRecord | None
    tags: Mapping[str, str]
    authorizer: Authorizer

    def context(self, now: datetime, region: str = "us-east-1") -> RequestContext:
        """Return the condition keys of the request, those of the question and those that are derived from it."""
        question, owner = self.question, self.owner
        parties = Parties(
            principal=self.caller.principal,
            principal_organization=self.account.organization if self.account else None,
            resource_account=owner.id if owner else None,
            resource_organization=owner.organization if owner else None,
            region=region,
        )
        return RequestContext(question.context, parties, now, question.call, self.tags, question.resource.keys)

    def request(self, context: Context) -> AccessRequest:
        """Return the request that the evaluator decides."""
        question, owner = self.question, self.owner.id if self.owner else None
        return AccessRequest(self.caller.principal, question.action, question.resource.arn, context, owner)

    def decide(self, request: AccessRequest, *, stale: bool = False) -> Decision:
        reason = self.denial
        if reason is None:
            return self.authorizer.decide(request, epoch=self.epoch, stale=stale)
        return Decision(Outcome.IMPLICITLY_DENIED, request, (reason,), self.epoch, stale, explainer=NO_POLICIES)

    @property
    def denial(self) -> Reason | None:
        """Return why the request is denied whatever the policies are; None if they decide.

        It is for a principal that was deleted or whose account is not active, for a resource of unknown owner or of a
        closed account, and for IAM and STS actions on an account that is not active.
        """
        account, owner = self.account, self.owner
        if not self.caller.exists:
            return NO_PRINCIPAL
        if account is not None and account.state is not AccountState.ACTIVE:
            return Reason(PolicyType.IDENTITY, note=f"the account of the principal is {account.state}")
        if owner is None:
            return None if self.question.resource.arn == "*" else _NO_OWNER
        if owner.state is AccountState.ACTIVE:
            return None
        is_own_service = self.question.action.partition(":")[0].lower() in SERVED
        if owner.state.is_open and not is_own_service:
            return None
        state = owner.state if owner.exists else "deleted"
        return Reason(PolicyType.RESOURCE, note=f"the account of the resource is {state}")

    @property
    def is_decidable(self) -> bool:
        """Whether policies count at all."""
        return self.denial is None


def checked_pairs(questions: Iterable[ActionOnResource]) -> list[ActionOnResource]:
    """Return questions back. Raises `InvalidInput`, before anything is decided, for what is no pair."""
    asked = list(questions)
    if any(not isinstance(pair, (tuple, list)) or len(pair) != 2 for pair in asked):
        raise InvalidInput("expected questions as a list of pairs, each an action and a resource")
    return asked


def require_allowed(decision: Decision) -> Decision:
    """Return the decision back when it allows; raise what a refusal is made from otherwise."""
    if decision.allowed:
        return decision
    if decision.error is not None:
        raise DecisionUnavailable("no decision can be made, so the request is denied")
    raise AccessDenied(decision.message(), decision=decision)
