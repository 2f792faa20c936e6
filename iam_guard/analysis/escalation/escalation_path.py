"""The results of an escalation analysis: paths and their steps, and administrators. Plain values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

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
        """Return it as JSON values."""
        return {"from": self.start, "to": self.target, "steps": [asdict(step) for step in self.steps]}


@dataclass(frozen=True, slots=True)
class GrantingStatement:
    """A statement that makes a principal an administrator: the Sid or the index, and the groups with the policy."""

    policy: str
    statement: str
    through: tuple[str, ...] = ()

    def __str__(self) -> str:
        groups = f" (through group {', '.join(self.through)})" if self.through else ""
        return f"statement {self.statement} in {self.policy}{groups}"


@dataclass(frozen=True, slots=True)
class Administrator:
    """A user or role that is an administrator already, by `statements`, on terms of the condition keys `open_keys`."""

    principal: str
    statements: tuple[GrantingStatement, ...]
    open_keys: tuple[str, ...] = ()

    @property
    def why(self) -> str:
        """The statements, and what they depend on."""
        keys = f"; depends on {', '.join(self.open_keys)}" if self.open_keys else ""
        return f"{' and '.join(map(str, self.statements))}{keys}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values: the first statement, and all of them as text."""
        first = self.statements[0]
        named = {"policy": first.policy, "statement": first.statement, "through": list(first.through)}
        return {"principal": self.principal, **named, "why": self.why}


class Escalations(NamedTuple):
    """What an analysis has found in a store."""

    paths: list[EscalationPath]
    administrators: list[Administrator]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values, in the form of `iam-guard analyze escalation --json`."""
        return {
            "paths": [path.to_dict() for path in self.paths],
            "administrators": [administrator.to_dict() for administrator in self.administrators],
        }
