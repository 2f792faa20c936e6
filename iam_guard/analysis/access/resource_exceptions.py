"""The policies of single resources, where the question is about a pattern of many: they can make exceptions.

Only those that the store holds are known. A Deny of one of them takes from what is allowed on all, an Allow gives some
of what is allowed on none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from iam_guard.analysis.access.access_answers import AccessAnswer, AccessVerdict
from iam_guard.analysis.access.access_evaluator import AccessEvaluator
from iam_guard.errors import PolicyError
from iam_guard.evaluation.compiler import compile_policy
from iam_guard.evaluation.matching.pattern import Pattern, match_pattern
from iam_guard.evaluation.matching.statement import CompiledStatement
from iam_guard.model.decision import PolicyRef, PolicyType
from iam_guard.model.principal import Principal

_EXCEPT = "no policy of one of these resources denies it"
_SOME = "some of these resources only, whose own policies allow it"


def statements_within(asker: AccessEvaluator, action: str, pattern: Pattern | None) -> Sequence[CompiledStatement]:
    """Return the statements about an action of the policies of all stored resources that a pattern means."""
    if pattern is None:
        return ()
    meant = [arn for arn in asker.population.resource_arns if match_pattern(pattern, arn)]
    return tuple(_about(asker, action.lower(), meant))


def _about(asker: AccessEvaluator, action: str, arns: Iterable[str]) -> Iterator[CompiledStatement]:
    for arn in arns:
        policy = asker.resource(arn).policy
        if policy is not None:
            try:
                yield from compile_policy(policy.text, PolicyRef(arn, PolicyType.RESOURCE)).content.about(action)
            except PolicyError:  # then nobody can be let in by it, nor kept out on purpose
                continue


def with_exceptions(
    answer: AccessAnswer, principal: Principal, statements: Sequence[CompiledStatement]
) -> AccessAnswer:
    """Make an answer about many resources as careful as the policies of single ones require."""
    wanted = {AccessVerdict.ALLOWED: True, AccessVerdict.DENIED: False}.get(answer.verdict)
    if wanted is None or not any(
        statement.denies is wanted and is_named(statement, principal) for statement in statements
    ):
        return answer
    note = _EXCEPT if wanted else _SOME
    spoken = answer.spoken if wanted else ()
    return replace(answer, verdict=AccessVerdict.CONDITIONAL, spoken=spoken, note=note)


def is_named(statement: CompiledStatement, principal: Principal) -> bool:
    """Return whether a statement of a resource's policy is about a principal, by name or because it spares others."""
    is_spared = statement.statement.not_principals is not None
    return is_spared or statement.kinship(principal) is not None
