"""Evaluate a question for the principals of the store and for those that the resource's policy names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from iam_guard.analysis.access.access_answers import AccessAnswer, answer_of
from iam_guard.analysis.access.access_evaluator import AccessEvaluator
from iam_guard.analysis.access.access_question import (
    RESOURCE_POLICY_ASSUMED,
    SOME_RESOURCES,
    AccessQuestion,
    assumes_resource_policy,
    with_open_policy,
)
from iam_guard.analysis.access.outside_principals import OutsidePrincipal, outside_principals
from iam_guard.analysis.access.resource_exceptions import with_exceptions
from iam_guard.evaluation.matching.statement import CompiledStatement
from iam_guard.evaluation.special_actions import resource_policy_type
from iam_guard.store.stored_principals import StoredPrincipal


def stored_principal_answer(
    evaluator: AccessEvaluator,
    principal: StoredPrincipal,
    question: AccessQuestion,
    within: Sequence[CompiledStatement] = (),
) -> AccessAnswer:
    """Return the access of a stored principal; `within` are the statements of the resources that a pattern covers."""
    resource, assumed = question.resource, None
    if resource.account is None:
        resource = replace(resource, account=principal.account)
    if assumes_resource_policy(question, principal):
        resource, assumed = with_open_policy(resource), RESOURCE_POLICY_ASSUMED
    bounds = evaluator.bounds(
        *(principal.record, question.action, resource, question.context),
        pattern=question.pattern,
        trust=principal.trust,
    )
    answer = answer_of(bounds, principal, assumed=assumed, partly=SOME_RESOURCES)
    return with_exceptions(answer, principal.record.principal, within)


def outside_principal_answers(
    evaluator: AccessEvaluator, question: AccessQuestion
) -> Iterator[tuple[OutsidePrincipal, AccessAnswer]]:
    """Return the access of each principal outside the store that the resource's policy names."""
    if question.policy is not None:
        type = resource_policy_type(question.action.lower(), question.resource.arn)
        for outsider in outside_principals(question.policy, type, evaluator.population, evaluator.source.partition):
            yield outsider, outside_principal_answer(evaluator, outsider, question)


def outside_principal_answer(
    evaluator: AccessEvaluator, outsider: OutsidePrincipal, question: AccessQuestion
) -> AccessAnswer:
    """Return the access of a principal outside the store."""
    record = replace(outsider.record, epoch=evaluator.epoch())
    bounds = evaluator.bounds(
        *(record, question.action, question.resource, question.context),
        trust=None if outsider.role is None else outsider.role.trust,
        is_any_principal=outsider.is_any_principal,
    )
    return answer_of(bounds, outsider.role, assumed=outsider.assumed)
