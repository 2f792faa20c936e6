"""The conditions of an access with open condition keys, as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from iam_guard.analysis.findings.external_conditions import external_conditions
from iam_guard.evaluation.bounds import OpenStatement
from iam_guard.evaluation.matching.condition_keys import spelled
from iam_guard.policy.document import ConditionTest, Effect, Statement


def condition_texts(statements: Iterable[OpenStatement]) -> dict[str, str]:
    """Return what the open keys of statements must be, as `external_conditions` does.

    The key of a policy variable must have the value that makes the texts match which contain it.
    """
    statements = list(statements)
    tests = {effect: [*_tests(statements, effect)] for effect in Effect}
    found = external_conditions(tests[Effect.ALLOW], tests[Effect.DENY])
    for statement, keys in statements:
        for key in keys:
            texts = dict.fromkeys(text for text in _texts(statement) if "${" + key.lower() in text.lower())
            if texts:
                found.setdefault(spelled(key.lower()), ", ".join(texts))
    return dict(sorted(found.items()))


def _tests(statements: Iterable[OpenStatement], effect: Effect) -> Iterator[ConditionTest]:
    for statement, keys in statements:
        folded = {key.lower() for key in keys}
        if statement.effect is effect:
            yield from (test for test in statement.conditions if test.key.lower() in folded)


def _texts(statement: Statement) -> Iterator[str]:
    yield from (*(statement.resources or ()), *(statement.not_resources or ()))
    for test in statement.conditions:
        yield from test.values
