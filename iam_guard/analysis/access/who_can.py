"""Find the principals that can perform an action: those of the store, and those that the resource's policy names.

A role represents its sessions, without session policies. Role chains are searched on request (`role_chains`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from iam_guard.analysis.access.access_answers import Access
from iam_guard.analysis.access.access_evaluator import open_evaluator
from iam_guard.analysis.access.access_question import (
    build_question,
    check_question,
    outside_principal_answers,
    stored_principal_answer,
)
from iam_guard.analysis.access.resource_exceptions import statements_within
from iam_guard.analysis.access.role_chains import RoleChains
from iam_guard.analysis.reference.own_references import with_own_references
from iam_guard.analysis.reference.reference_index import ReferenceIndex
from iam_guard.model.context import Given
from iam_guard.model.reference import ServiceReference
from iam_guard.settings import Settings
from iam_guard.store.protocol import SourceStore


def who_can(
    store: SourceStore,
    action: str,
    resource: str = "*",
    *,
    context: Mapping[str, Given] | None = None,
    resource_account: str | None = None,
    references: Sequence[ServiceReference] = (),
    settings: Settings | None = None,
    now: datetime | None = None,
    through_roles: bool = False,
) -> list[Access]:
    """Return for each principal whether it may perform `action` on `resource`: an ARN, `*`, or a pattern of ARNs.

    `context` are known condition keys; answers name the others that they depend on. `resource_account` owns the
    resource when neither its ARN nor the store has the owner. `references` describe the application's services: with
    any given, only their actions and those of IAM and STS are known. `through_roles` also searches principals that can
    assume a role with access, directly or through other roles: `Access.steps`. Allowed principals come first.
    Raises `InvalidInput`, also for an unknown action.
    """
    check_question(action, resource, resource_account)
    ReferenceIndex(with_own_references(references), is_all=bool(references)).check_action(action)
    with open_evaluator(store, settings, now) as evaluator:
        question = build_question(evaluator, action, resource, context or {}, resource_account)
        within = statements_within(evaluator, action, question.pattern)
        found = [
            Access(principal.arn, principal.kind, stored_principal_answer(evaluator, principal, question, within))
            for principal in evaluator.population.principals_by_arn.values()
        ]
        found.extend(
            Access(outsider.shown, outsider.kind, answer)
            for outsider, answer in outside_principal_answers(evaluator, question)
        )
        if through_roles:
            found = RoleChains(evaluator, context or {}).extend(found, question)
    return sorted(found, key=lambda access: access.verdict.rank)
