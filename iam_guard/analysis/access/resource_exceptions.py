"""Exceptions that policies of single resources make to an answer about a pattern of resources.

Only policies in the store are known. A Deny in one of them narrows an answer of allowed, an Allow widens one of denied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from iam_guard.analysis.access.access_answers import AccessAnswer, AccessVerdict
from iam_guard.analysis.access.access_evaluator import AccessEvaluator
from iam_guard.errors import PolicyError
from iam_guard.evaluation.compiler import compile_policy
from iam_guard.evaluation.matching.pattern import Pattern, match_pattern
from iam_guard.evaluation.matching.statement import CompiledStatement
from iam_guard.model.decision import PolicyRef, PolicyType
from iam_guard.model.principal import Principal


def statements_within(evaluator: AccessEvaluator, action: str, pattern: Pattern | None) -> Sequence[CompiledStatement]:
    """Return the statements about the action in the policies of all stored resources that the pattern covers."""
    if pattern is None:
        return ()
    found: list[CompiledStatement] = []
    for arn in evaluator.population.resource_arns:
        policy = evaluator.resource(arn).policy if match_pattern(pattern, arn) else None
        if policy is not None:
            try:
                compiled = compile_policy(policy.text, PolicyRef(arn, PolicyType.RESOURCE))
            except PolicyError:  # an unreadable policy neither allows nor denies on purpose
                continue
            found.extend(compiled.content.about(action.lower()))
    return found


def with_exceptions(
    answer: AccessAnswer, principal: Principal, statements: Sequence[CompiledStatement]
) -> AccessAnswer:
    """Make an answer about many resources conditional where the policy of one of them may change it."""
    is_allowed = answer.verdict is AccessVerdict.ALLOWED
    may_differ = any(statement.denies is is_allowed and is_named(statement, principal) for statement in statements)
    if answer.verdict is AccessVerdict.CONDITIONAL or not may_differ:
        return answer
    if is_allowed:
        note = "no policy of one of these resources denies it"
        return replace(answer, verdict=AccessVerdict.CONDITIONAL, note=note)
    note = "some of these resources only, whose own policies allow it"
    return replace(answer, verdict=AccessVerdict.CONDITIONAL, spoken=(), note=note)


def is_named(statement: CompiledStatement, principal: Principal) -> bool:
    """Return whether a statement of a resource policy applies to the principal, by name or through `NotPrincipal`."""
    excludes = statement.statement.not_principals is not None
    return excludes or statement.principal_match(principal) is not None
