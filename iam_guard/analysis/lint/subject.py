"""What a rule of the linter looks at: a policy that was read, and what is known of services."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from iam_guard.analysis.lint.reference_index import Known
from iam_guard.model.decision import PolicyType
from iam_guard.policy.document import Document
from iam_guard.policy.fault import Fault, Reading

FILTERS = frozenset({PolicyType.BOUNDARY, PolicyType.SESSION, PolicyType.SCP, PolicyType.RCP, PolicyType.VPC_ENDPOINT})
"""Types that only limit: an Allow of everything in them is nothing to be warned of."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One policy."""

    reading: Reading
    known: Known

    @property
    def document(self) -> Document:
        return self.reading.document

    @property
    def grants(self) -> bool:
        """Whether an Allow in it gives access by itself."""
        return self.document.type not in FILTERS


LintRule: TypeAlias = Callable[[Subject], Iterator[Fault]]
