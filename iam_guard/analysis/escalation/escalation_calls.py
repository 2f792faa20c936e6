"""One call of an escalation as it is found, and its text."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from iam_guard.analysis.access.access_answers import AccessAnswer, MatchedStatement
from iam_guard.analysis.escalation.escalation_path import EscalationStep
from iam_guard.analysis.escalation.principal_state import EntityChange
from iam_guard.store.policies.stored_principals import StoredPrincipal


class EscalationCall(NamedTuple):
    """A call that `actor` may make, because of `answer`. `note` says what the call does, or what it needs beside.

    `change` is what it changes: for `subject` alone, or for all that have the carrier.
    """

    actor: str
    action: str
    resource: str
    answer: AccessAnswer
    note: str = ""
    change: EntityChange | None = None
    subject: str | None = None

    def concerns(self, arn: str, carriers: Collection[str]) -> bool:
        """Return whether the call changes something for a principal with these carriers."""
        is_meant = self.subject is None or self.subject == arn
        return self.change is not None and is_meant and self.change.carrier in carriers

    def made_for(self, change: EntityChange, arn: str) -> EscalationCall:
        """Return the call for one user if it makes a change that is of one user, else the same."""
        is_general = self.subject is None and self.change == change and change.is_of_one_user
        return self._replace(subject=arn) if is_general else self

    def shown(self) -> EscalationStep:
        """Return the step with its text."""
        return EscalationStep(self.action, self.resource, "; ".join(self._texts()))

    def _texts(self) -> Iterator[str]:
        call = f"{self.actor} to call {self.action} on {self.resource}"
        allowing = [self._statement(statement) for statement in self.answer.spoken if statement.effect == "Allow"]
        match allowing:
            case []:
                yield f"no policy is needed for {call}"
            case [one]:
                yield f"{one} allows {call}"
            case [*several]:
                yield f"{' and '.join(several)} allow {call}"
        if self.answer.open_keys:
            yield f"it depends on {', '.join(self.answer.open_keys)}, which the caller is taken to satisfy"
        if self.answer.note:
            yield f"if {self.answer.note}"
        if self.note:
            yield self.note if self.subject is None else self.note.replace("the user", self.subject)

    def _statement(self, statement: MatchedStatement) -> str:
        """Name a statement and its policy; the reason of a role's trust policy has the role's ARN as its name."""
        name = statement.sid or f"{statement.statement or 0}"
        if statement.policy == self.resource:
            return f"statement {name} in the trust policy of {self.resource}"
        groups = f" (through group {', '.join(statement.through)})" if statement.through else ""
        return f"statement {name} in {statement.policy_type} {statement.policy}{groups}"


class Edge(NamedTuple):
    """Calls that lead on: to the access of `target`, to a change of an entity, or to an administrator `created`.

    `is_limited`: only to a part of the target's access, from which no other call is possible.
    """

    steps: tuple[EscalationCall, ...]
    target: str | None = None
    change: EntityChange | None = None
    created: StoredPrincipal | None = None
    is_limited: bool = False
