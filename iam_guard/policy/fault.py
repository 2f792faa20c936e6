"""Faults of a document, and the iterators over its parts that the rules use (rule G-19).

Every row of `document_refusals` and every check of `checks/` is a function from a `Reading` to Faults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from iam_guard.errors import PolicyError
from iam_guard.policy.document import ConditionTest, Document, Statement
from iam_guard.policy.grammar import OperatorName, split_operator
from iam_guard.policy.json_tree import JsonText, Path

SYNTAX_ERRORS = "Syntax errors in policy."
LEGACY_PARSING = "The policy failed legacy parsing"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong or unwise, with the code of IAM Access Analyzer (rules AA-22 to AA-25)."""

    code: str
    message: str
    path: Path
    sentence: str = SYNTAX_ERRORS
    """The message of AWS's API for this fault (rule G-19)."""
    name: bool = False
    """Whether the fault is in the name of the member at `path`, not in its value."""
    part: tuple[int, int] | None = None
    """The characters of the string at `path` that are at fault, from the first to after the last; None for all."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A Document, the JSON that it was read from, and the partition of the deployment's own ARNs."""

    document: Document
    source: JsonText
    partition: str = "aws"

    def refusal(self, fault: Fault) -> PolicyError:
        """Return the error that refuses the document because of `fault`."""
        return self.source.refusal(
            fault.message, fault.path, finding=fault.code, sentence=fault.sentence, name=fault.name
        )


Rule: TypeAlias = Callable[[Reading], Iterator[Fault]]


def place(statement: Statement, *steps: str | int) -> Path:
    """Return the path to a part of a statement."""
    return ("Statement", statement.index, *steps)


class Entry(NamedTuple):
    """One string of a list: an action, a resource or a principal, and its place in the document."""

    value: str
    statement: Statement
    element: str
    index_in_list: int
    kind: str = ""
    """For a principal: `AWS`, `Federated`, `Service` or `CanonicalUser`."""

    @property
    def path(self) -> Path:
        kind = (self.kind,) if self.kind else ()
        return place(self.statement, self.element, *kind, self.index_in_list)


def actions(document: Document) -> Iterator[Entry]:
    """Iterate over the values of `Action` and `NotAction`."""
    for statement in document.statements:
        for index, value in enumerate(statement.actions or ()):
            yield Entry(value, statement, "Action", index)
        for index, value in enumerate(statement.not_actions or ()):
            yield Entry(value, statement, "NotAction", index)


def resources(document: Document) -> Iterator[Entry]:
    """Iterate over the values of `Resource` and `NotResource`."""
    for statement in document.statements:
        for index, value in enumerate(statement.resources or ()):
            yield Entry(value, statement, "Resource", index)
        for index, value in enumerate(statement.not_resources or ()):
            yield Entry(value, statement, "NotResource", index)


def principals(document: Document) -> Iterator[Entry]:
    """Iterate over the entries of `Principal` and `NotPrincipal`."""
    for statement in document.statements:
        if statement.principals is None and statement.not_principals is None:
            continue
        for element, entries in (("Principal", statement.principals), ("NotPrincipal", statement.not_principals)):
            counts: dict[str, int] = {}
            for kind, value in entries or ():
                index = counts.get(kind, 0)
                counts[kind] = index + 1
                yield Entry(value, statement, element, index, kind)


class ParsedCondition(NamedTuple):
    """One condition test with its parsed operator and its place in the document."""

    operator: OperatorName
    test: ConditionTest
    statement: Statement

    @property
    def path(self) -> Path:
        return place(self.statement, "Condition", self.test.operator, self.test.key)

    def values(self) -> Iterator[tuple[str, Path]]:
        """Iterate over the values and their paths."""
        path = self.path
        for index, value in enumerate(self.test.values):
            yield value, (*path, index)


def conditions(document: Document) -> Iterator[ParsedCondition]:
    """Iterate over the condition tests."""
    for statement in document.statements:
        for test in statement.conditions:
            yield ParsedCondition(split_operator(test.operator), test, statement)
