"""The shortest change of a policy that ends an external access: a condition for everyone, else a principal less."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from iam_guard.policy.document import ConditionTest, Document, PrincipalEntry, Statement


@dataclass(frozen=True, slots=True)
class SuggestedFix:
    """A change of the statements with some indexes.

    They get a `condition`, in place of one with the same operator and key; without one they lose the principal, and a
    statement that has no other is removed.
    """

    sentence: str
    statements: tuple[int, ...]
    condition: ConditionTest | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fix as JSON values; `condition` is a condition block."""
        found: dict[str, Any] = {"sentence": self.sentence, "statementIndexes": list(self.statements)}
        if self.condition is not None:
            values = self.condition.values
            block = {self.condition.key: values[0] if len(values) == 1 else list(values)}
            found["condition"] = {self.condition.operator: block}
        return found


def possible_fixes(
    document: Document,
    entry: PrincipalEntry,
    indexes: Sequence[int],
    inside: frozenset[str],
    organization: str | None,
) -> Iterator[tuple[SuggestedFix, Document]]:
    """Yield changes of a policy that may end the access of a principal by some statements, the shortest first.

    And the fixed policy. `inside` are the accounts of the zone of trust, `organization` is the id of its organization.
    """
    statements = [statement for statement in document.statements if statement.index in indexes]
    named = _named(statements)
    for condition in _conditions(statements, inside, organization) if entry == ("AWS", "*") else ():
        fixed = [changed for statement in statements if (changed := _with_condition(statement, condition)) is not None]
        if len(fixed) == len(statements):
            what, values = f"the condition {condition.operator} {condition.key}", ", ".join(condition.values)
            is_new = sum(map(_count, fixed)) > sum(map(_count, statements))
            sentence = f"add to {named} {what} {values}" if is_new else f"limit {what} of {named} to {values}"
            yield SuggestedFix(sentence, tuple(indexes), condition), _with_statements(document, fixed)
    left = [_without_principal(statement, entry) for statement in statements]
    kept = [statement for statement in left if statement.principals]
    sentence = f"remove {entry[1]} from the principals of {named}" if kept else f"remove {named}"
    yield SuggestedFix(sentence, tuple(indexes)), _with_statements(document, left)


def _count(statement: Statement) -> int:
    return len(statement.conditions)


def _conditions(
    statements: Sequence[Statement], inside: frozenset[str], organization: str | None
) -> Iterator[ConditionTest]:
    accounts = tuple(sorted(inside))
    if any(test.key.lower() == "aws:sourcearn" for statement in statements for test in statement.conditions):
        if organization is not None:  # a service calls
            yield ConditionTest("StringEquals", "aws:SourceOrgID", (organization,))
        yield ConditionTest("StringEquals", "aws:SourceAccount", accounts)
    if organization is not None:
        yield ConditionTest("StringEquals", "aws:PrincipalOrgID", (organization,))
    yield ConditionTest("StringEquals", "aws:PrincipalAccount", accounts)


def _with_condition(statement: Statement, condition: ConditionTest) -> Statement | None:
    """Return a statement with one condition more; None if it has one with this operator and key, and other values."""
    for test in statement.conditions:
        if (test.operator, test.key.lower()) == (condition.operator, condition.key.lower()):
            is_wider = set(condition.values) < set(test.values)
            others = tuple(condition if other is test else other for other in statement.conditions)
            return replace(statement, conditions=others) if is_wider else None
    return replace(statement, conditions=(*statement.conditions, condition))


def _without_principal(statement: Statement, entry: PrincipalEntry) -> Statement:
    left = tuple(other for other in statement.principals or () if other != entry)
    return replace(statement, principals=left)


def _with_statements(document: Document, changed: Sequence[Statement]) -> Document:
    by_index = {statement.index: statement for statement in changed}
    return replace(document, statements=tuple(by_index.get(other.index, other) for other in document.statements))


def _named(statements: Sequence[Statement]) -> str:
    """Return statements by their Sid, or by their index if they have none."""
    names = [statement.sid or f"{statement.index}" for statement in statements]
    return f"statement{'' if len(names) == 1 else 's'} {', '.join(names)}"
