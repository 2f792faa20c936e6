"""The access of everybody to what is asked about: the principals of the store, and whom the resource's policy names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from iam_guard.analysis.access.access_answers import AccessAnswer, answer_of
from iam_guard.analysis.access.access_evaluator import AccessEvaluator
from iam_guard.analysis.access.access_question import (
    OF_RESOURCE,
    SOME,
    AccessQuestion,
    owed_by_resource,
    with_open_policy,
)
from iam_guard.analysis.access.outside_principals import OutsidePrincipal, strangers
from iam_guard.analysis.access.resource_exceptions import with_exceptions
from iam_guard.evaluation.matching.statement import CompiledStatement
from iam_guard.evaluation.special_actions import resource_policy_type
from iam_guard.store.stored_principals import StoredPrincipal


def inhabitant_answer(
    asker: AccessEvaluator, inhabitant: StoredPrincipal, asked: AccessQuestion, within: Sequence[CompiledStatement] = ()
) -> AccessAnswer:
    """Return the access of a stored principal; `within` are the statements of the resources in a pattern."""
    wanted, owes = asked.wanted, None
    if wanted.account is None:
        wanted = replace(wanted, account=inhabitant.account)
    if owed_by_resource(asked, inhabitant):
        wanted, owes = with_open_policy(wanted), OF_RESOURCE
    bounds = asker.bounds(
        *(inhabitant.record, asked.action, wanted, asked.context), asked=asked.pattern, trust=inhabitant.trust
    )
    answer = answer_of(bounds, inhabitant, owes=owes, partly=SOME)
    return with_exceptions(answer, inhabitant.record.principal, within)


def outside_principal_answers(
    asker: AccessEvaluator, asked: AccessQuestion
) -> Iterator[tuple[OutsidePrincipal, AccessAnswer]]:
    """Say of everybody else whom the resource's policy names whether they may."""
    if asked.policy is not None:
        type = resource_policy_type(asked.action.lower(), asked.wanted.arn)
        for stranger in strangers(asked.policy, type, asker.population, asker.source.partition):
            yield stranger, outside_principal_answer(asker, stranger, asked)


def outside_principal_answer(asker: AccessEvaluator, stranger: OutsidePrincipal, asked: AccessQuestion) -> AccessAnswer:
    """Return whether somebody may who is none of the store's."""
    record = replace(stranger.record, epoch=asker.epoch())
    trust = None if stranger.inhabitant is None else stranger.inhabitant.trust
    bounds = asker.bounds(
        *(record, asked.action, asked.wanted, asked.context), trust=trust, is_anybody=stranger.is_anybody
    )
    return answer_of(bounds, stranger.inhabitant, owes=stranger.owes)
