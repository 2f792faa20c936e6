"""Error responses with an explanation of the denial, for development and for callers whose policies allow it.

An explanation contains policies and values of condition keys. So a caller only gets it for resources of its own
account, and if it is allowed `iam:ExplainDecision` on its own ARN: our own action, decided and recorded like any other.
The contents of organization policies belong to the management account; only their result is shown. Concealed denials
are not explained.
"""

from __future__ import annotations

from functools import partial
from typing import Final, cast

from iam_guard.errors import IamGuardError
from iam_guard.evaluation.explanation import Explanation, without_organization
from iam_guard.guard.guard import Guard
from iam_guard.guard.request_context import RequestContext
from iam_guard.model.decision import Decision
from iam_guard.model.request import Resource
from iam_guard.web.refusal import BlockingFormat, Refusal, RefusalFormat, decision_of, problem

EXPLAIN_DECISION: Final = "iam:ExplainDecision"


def problem_explained(guard: Guard) -> RefusalFormat:
    """Return the format of `problem` with the member `explanation`, for callers who are allowed to see it.

    The member is `Explanation.to_dict()`. Each denial of an authenticated caller causes another recorded decision, for
    `iam:ExplainDecision`.
    """
    return BlockingFormat(partial(_explained_problem, guard))


def explanation_for_caller(guard: Guard, decision: Decision) -> Explanation | None:
    """Return the explanation of a denial for the denied caller.

    None for an allowed request, without permission for `iam:ExplainDecision`, and for another account's resource.
    """
    principal, owner = decision.request.principal, decision.request.owner
    if decision.allowed or principal.account is None or owner not in (None, principal.account):
        return None
    context = decision.request.context
    call = context.call if isinstance(context, RequestContext) else None
    about = Resource(principal.role_arn or principal.user_arn or principal.arn, account=principal.account)
    if not guard.decide(principal, EXPLAIN_DECISION, about, call=call).allowed:
        return None
    return without_organization(cast(Explanation, decision.explain()))


def _explained_problem(guard: Guard, error: IamGuardError, request_id: str) -> Refusal:
    decision = decision_of(error)
    explanation = None if decision is None else explanation_for_caller(guard, decision)
    return problem(error, request_id, {} if explanation is None else {"explanation": explanation.to_dict()})
