"""The results of an escalation analysis: paths and their steps. Plain values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

ADMINISTRATOR: Final = "administrator"
"""The target of a path that ends with a principal that may do everything in its account."""


@dataclass(frozen=True, slots=True)
class EscalationStep:
    """One call. `resource` is its ARN or pattern; `why` says who may make it, by which statement, and on what terms."""

    action: str
    resource: str
    why: str


@dataclass(frozen=True, slots=True)
class EscalationPath:
    """The calls, in order, by which the principal `start` gains the access of `target`: an ARN, or `ADMINISTRATOR`."""

    start: str
    target: str
    steps: tuple[EscalationStep, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values, in the form of `iam-guard analyze escalation --json`."""
        return {"from": self.start, "to": self.target, "steps": [asdict(step) for step in self.steps]}
