"""What one principal of a store may do, through all policy types at once (rules E-2 to E-63)."""

from __future__ import annotations

from iam_guard.analysis.checks.check_results import CheckVerdict
from iam_guard.analysis.invariants.access_query import AccessQuery
from iam_guard.analysis.invariants.access_survey import AccessResult, AccessSurvey
from iam_guard.analysis.invariants.declared_services import DeclaredServices, declared_services
from iam_guard.analysis.invariants.store_access import StoreAccess
from iam_guard.errors import NoSuchEntity

_OPEN = declared_services(())


def effective_access(
    store: StoreAccess, principal: str, query: AccessQuery, services: DeclaredServices = _OPEN
) -> AccessResult:
    """Return whether a user, role or root user, by its ARN, may make any request that a query is about.

    FAIL has such a request, which the evaluator allows with all policies of the store; PASS proves that there is none;
    UNKNOWN is neither. A role stands for all its sessions without session policies, also those that resources' policies
    name; federated users are those of the user. Raises `NoSuchEntity` for another principal.
    """
    survey = AccessSurvey(store, query, services.prefixes)
    callers = [caller for caller in store.callers if caller.name == principal]
    if not callers:
        raise NoSuchEntity(f"no user, role or root user `{principal[:200]}`")
    results = [survey.of_caller(caller) for caller in callers]
    for target in survey.granting:
        sessions = [session for session in store.sessions_named_by(target.policy) if session.name == principal]
        results += [survey.of_target(session, target) for session in sessions]
    for verdict in (CheckVerdict.FAIL, CheckVerdict.UNKNOWN):
        for result in results:
            if result.verdict is verdict:
                return result
    return results[0]
