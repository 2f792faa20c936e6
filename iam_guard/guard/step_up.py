"""Whether a denied request would be allowed if its caller had just used a second factor.

The decision is made again with the same policies and keys, but for `aws:MultiFactorAuthPresent` (true) and
`aws:MultiFactorAuthAge` (0). It is neither recorded nor enforced. Only people have a second factor: not the role that
one has switched to, nor a session of a company's sign-on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from iam_guard.evaluation.authorizer import Authorizer
from iam_guard.guard.request_context import RequestContext
from iam_guard.model.decision import Decision
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import AccessRequest

_PEOPLE: Final = frozenset({PrincipalType.USER, PrincipalType.ROOT})
_KEYS: Final = frozenset({"aws:multifactorauthpresent", "aws:multifactorauthage"})


def needs_second_factor(decision: Decision) -> bool:
    """Return whether only a second factor used just now is missing; False if it can't be known."""
    request, authorizer = decision.request, decision.explainer
    context, credential = request.context, request.principal.credential
    if decision.allowed or decision.error is not None or _KEYS.isdisjoint(request.read):
        return False  # what no statement has read makes no difference
    if not isinstance(authorizer, Authorizer) or not isinstance(context, RequestContext):
        return False
    if credential is None or credential.issued is None or request.principal.type not in _PEOPLE:
        return False
    issued = replace(credential.issued, mfa_at=context.now)
    principal = replace(request.principal, credential=replace(credential, issued=issued))
    stepped_up = context.for_principal(principal)
    again = AccessRequest(principal, request.action, request.resource, stepped_up, request.resource_account)
    return authorizer.decide(again).allowed
