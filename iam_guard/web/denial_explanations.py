"""Refusals that explain themselves to their callers: for development, and for those whose policies allow it.

An explanation shows policies and the values of condition keys, so a caller is told only about its own account, and only
where it may do `iam:ExplainDecision` on its own ARN: an action of ours, not AWS's, decided and noted like any other.
What the organization's policies say is the management account's: only how they stand is told. What is concealed stays
so.
"""

from __future__ import annotations

from functools import partial
from typing import Final, cast

from iam_guard.errors import AccessDenied, IamGuardError
from iam_guard.evaluation.explanation import Explanation, without_organization
from iam_guard.guard.guard import Guard
from iam_guard.guard.request_context import RequestContext
from iam_guard.model.decision import Decision
from iam_guard.model.request import Resource
from iam_guard.web.refusal import Refusal, RefusalFormat, WaitingForm, problem_document

EXPLAIN_DECISION: Final = "iam:ExplainDecision"


def problem_explained(guard: Guard) -> RefusalFormat:
    """Return the form of `problem` with one member more, `explanation`, for callers who may have it.

    It is `Explanation.to_dict()`. With each refusal of a known caller another decision is made and noted: whether the
    caller may be told.
    """
    return WaitingForm(partial(_explained_problem, guard))


def explanation_for_caller(guard: Guard, decision: Decision) -> Explanation | None:
    """Explain a denial to the one who was denied.

    None for what was allowed, for a caller who may not be told, and where the resource is another account's.
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
    decision = error.decision if isinstance(error, AccessDenied) else None
    explanation = explanation_for_caller(guard, decision) if isinstance(decision, Decision) else None
    return problem_document(error, request_id, {} if explanation is None else {"explanation": explanation.to_dict()})
