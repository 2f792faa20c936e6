"""Rules about lists: whether each statement can be translated into a condition of a query.

Imported only with an application that declares resource types with a model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from iam_guard.analysis.lint.subject import Subject
from iam_guard.evaluation.matching.pattern import compile_glob
from iam_guard.filters.dialects import DIALECTS
from iam_guard.filters.filterability import untranslated
from iam_guard.filters.resource_type import ResourceMapping
from iam_guard.model.catalogue import Catalogue
from iam_guard.model.decision import PolicyType
from iam_guard.policy.document import Statement
from iam_guard.policy.fault import Fault, place


@dataclass(slots=True)
class FilterableStatements:
    """A lint rule that reports statements that lists can't be filtered by, and counts those that they can.

    It is about statements with an action of a resource type that has a model.
    """

    catalogues: Iterable[Catalogue]
    statements: int = 0
    filterable: int = 0
    _types: list[tuple[ResourceMapping, frozenset[str]]] = field(init=False, repr=False)
    """The resource types with a model, with the names of their actions in lower case."""

    def __post_init__(self) -> None:
        self._types = [
            (mapping, _actions_of(catalogue, name))
            for catalogue in self.catalogues
            for name, mapping in catalogue.mappings.items()
            if isinstance(mapping, ResourceMapping)
        ]

    def __call__(self, subject: Subject) -> Iterator[Fault]:
        """Report each part of the statements that no query can have."""
        if subject.document.type is PolicyType.TRUST:
            return
        for statement in subject.document.statements:
            concerned = [mapping for mapping, actions in self._types if _is_about(statement, actions)]
            if concerned:
                faults = [fault for mapping in concerned for fault in _faults(subject, statement, mapping)]
                self.statements += 1
                self.filterable += not faults
                yield from faults


def _actions_of(catalogue: Catalogue, resource_type: str) -> frozenset[str]:
    """Return the actions of a resource type, with those of loaders, which may return it."""
    return frozenset(
        f"{catalogue.service}:{action.name}".lower()
        for action in catalogue.reference().actions
        if action.open_resources or any(target.name == resource_type for target in action.resources)
    )


def _is_about(statement: Statement, actions: Iterable[str]) -> bool:
    patterns = statement.actions if statement.actions is not None else statement.not_actions or ()
    globs = [compile_glob(pattern.lower()) for pattern in patterns]
    is_listed = statement.actions is not None
    return any(any(glob(action) for glob in globs) == is_listed for action in actions)


def _faults(subject: Subject, statement: Statement, mapping: ResourceMapping) -> Iterator[Fault]:
    found: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for dialect in DIALECTS:
        for test, refusal in untranslated(subject.document, statement, mapping, dialect, subject.reading.partition):
            steps: tuple[str, ...] = ("Resource" if statement.resources is not None else "NotResource",)
            if test is not None:
                steps = ("Condition", test.operator, test.key)
            found.setdefault(steps, {}).setdefault(refusal.reason, []).append(dialect)
    for steps, reasons in found.items():
        for reason, dialects in reasons.items():
            where = "" if len(dialects) == len(DIALECTS) else f" on {dialects[0]}"
            message = f"lists of `{mapping.service} {mapping.name}` cannot be filtered{where}: {reason}"
            yield Fault("STATEMENT_NOT_FILTERABLE", message, place(statement, *steps))
