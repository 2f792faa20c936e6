"""The input of a lint rule: a parsed policy and the known services."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from iam_guard.analysis.reference.reference_index import KnownAction, ReferenceIndex
from iam_guard.model.decision import PolicyType
from iam_guard.policy.document import Document, Statement
from iam_guard.policy.fault import Fault, Reading

FILTERS = frozenset({PolicyType.BOUNDARY, PolicyType.SESSION, PolicyType.SCP, PolicyType.RCP, PolicyType.VPC_ENDPOINT})
"""Types that only limit access: an Allow of everything in them is no risk."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One parsed policy, and the references to check it with.

    `resource_type` is the type of the resource that the policy is attached to, in AWS's words; None if unknown.
    """

    reading: Reading
    references: ReferenceIndex
    resource_type: str | None = None

    @property
    def document(self) -> Document:
        return self.reading.document

    @property
    def grants(self) -> bool:
        """Whether an Allow in the policy grants access by itself."""
        return self.document.type not in FILTERS

    def actions_of(self, statement: Statement) -> list[KnownAction]:
        """Return the known actions that a statement names; none if it may name unknown ones too."""
        matching = [self.references.matching_actions(written) for written in statement.actions or ()]
        if any(actions is None for actions in matching):
            return []
        return [action for actions in matching for action in actions or ()]


LintRule: TypeAlias = Callable[[Subject], Iterator[Fault]]
