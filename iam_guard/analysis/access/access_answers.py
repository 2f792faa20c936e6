"""What is answered: who, whether, by which policy, and which condition keys it depends on.

Values only; the JSON form is the tree of fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, NamedTuple

from iam_guard.evaluation.bounds import Bounds
from iam_guard.model.decision import Decision, Outcome, PolicyType, Reason
from iam_guard.store.stored_principals import StoredPrincipal


class AccessVerdict(StrEnum):
    """Whether a request is allowed, whatever its condition keys are that nobody gave."""

    ALLOWED = "allowed"
    CONDITIONAL = "allowed if"
    DENIED = "not allowed"


@dataclass(frozen=True, slots=True)
class SpokenStatement:
    """A statement that speaks. `through` names the groups by which the principal has the policy, none for directly."""

    policy_type: str
    effect: str | None = None
    policy: str | None = None
    policy_arn: str | None = None
    statement: int | None = None
    sid: str | None = None
    line: int | None = None
    through: tuple[str, ...] = ()
    note: str | None = None

    def __str__(self) -> str:
        if self.policy is None:
            return self.note or f"no {self.policy_type} allows it"
        name = f" `{self.sid}`" if self.sid else f" #{(self.statement or 0) + 1}"
        groups = f" through {' and '.join(f'group {each}' for each in self.through)}" if self.through else ""
        return f"{self.effect}{name} of {self.policy} ({self.policy_type}){groups}"


@dataclass(frozen=True, slots=True)
class AccessAnswer:
    """The answer to one question. `open_keys` are what a conditional verdict depends on; `note` what else it does."""

    verdict: AccessVerdict
    open_keys: tuple[str, ...] = ()
    spoken: tuple[SpokenStatement, ...] = ()
    note: str | None = None


@dataclass(frozen=True, slots=True)
class RoleStep:
    """One role that is assumed on the way, and whether whoever comes before it may assume it."""

    role: str
    answer: AccessAnswer


@dataclass(frozen=True, slots=True)
class Access:
    """One principal's access. `kind`: `user`, `role`, `root`, `session`, `service`, `anonymous`, …

    `steps` are the roles that the principal assumes first, in their order; the statements of `answer` are then those
    about the last of them, and its verdict and its keys those of the whole way.
    """

    principal: str
    kind: str
    answer: AccessAnswer
    steps: tuple[RoleStep, ...] = ()

    @property
    def verdict(self) -> AccessVerdict:
        return self.answer.verdict

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"principal": self.principal, "kind": self.kind, **asdict(self.answer), **_steps_dict(self.steps)}


@dataclass(frozen=True, slots=True)
class Ability:
    """What somebody can do: actions that have the same answer on the same resources. `steps` as with `Access`."""

    actions: tuple[str, ...]
    resource: str
    answer: AccessAnswer
    steps: tuple[RoleStep, ...] = ()

    @property
    def verdict(self) -> AccessVerdict:
        return self.answer.verdict

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        own = {"actions": list(self.actions), "resource": self.resource, **asdict(self.answer)}
        return own | _steps_dict(self.steps)


def _steps_dict(steps: Sequence[RoleStep]) -> dict[str, Any]:
    return {"through_roles": [{"role": step.role, **asdict(step.answer)} for step in steps]} if steps else {}


def over_roles(steps: Sequence[RoleStep], answer: AccessAnswer) -> AccessAnswer:
    """Return the answer for whoever assumes these roles first, to what the last of them is answered."""
    whole = [*(step.answer for step in steps), answer]
    order = list(AccessVerdict)
    verdict = max((each.verdict for each in whole), key=order.index)
    keys = {key.lower(): key for each in whole for key in each.open_keys}
    notes = dict.fromkeys(each.note for each in whole if each.note)
    return replace(answer, verdict=verdict, open_keys=tuple(keys.values()), note="; ".join(notes) or None)


class Owed(NamedTuple):
    """What nobody here can know, and was taken for allowed: of which types the policies are, and how it is said."""

    types: frozenset[PolicyType]
    said: str


def answer_of(
    bounds: Bounds, inhabitant: StoredPrincipal | None, *, owes: Owed | None = None, partly: str = ""
) -> AccessAnswer:
    """Put bounds into words. Where something is owed, nothing is more than conditional.

    `partly` is said where the bounds differ and no key is open: it depends on the resource then.
    """
    hidden = frozenset[PolicyType]() if owes is None else owes.types
    if not bounds.most.allowed:
        return AccessAnswer(AccessVerdict.DENIED, (), tuple(_spoken(bounds.most, inhabitant, hidden)))
    if bounds.least.allowed and owes is None:
        return AccessAnswer(AccessVerdict.ALLOWED, (), tuple(_spoken(bounds.least, inhabitant, hidden)))
    keys = () if bounds.least.allowed else bounds.open_keys
    some = partly if not bounds.least.allowed and not keys else ""
    note = "; ".join(each for each in (owes.said if owes else "", some) if each) or None
    return AccessAnswer(AccessVerdict.CONDITIONAL, keys, tuple(_spoken(bounds.most, inhabitant, hidden)), note)


def _spoken(
    decision: Decision, inhabitant: StoredPrincipal | None, hidden: frozenset[PolicyType]
) -> Iterator[SpokenStatement]:
    """Return the statements that speak, but for those that were made up for what is not known."""
    if decision.error is not None:
        yield SpokenStatement("decision", note=decision.error)
    for reason in decision.reasons:
        if reason.policy_type in hidden:
            continue
        yield SpokenStatement(
            str(reason.policy_type),
            reason.effect,
            None if reason.policy is None else reason.policy.name,
            None if reason.policy is None else reason.policy.arn,
            reason.statement,
            reason.sid,
            reason.line,
            _through(reason, inhabitant),
            reason.note,
        )
    if not decision.reasons and decision.outcome is Outcome.ALLOWED:
        yield SpokenStatement("root user", note="the root user needs no policy in its account")


def _through(reason: Reason, inhabitant: StoredPrincipal | None) -> tuple[str, ...]:
    if inhabitant is None or reason.policy is None:
        return ()
    holders = inhabitant.through.get(reason.policy, ())
    return () if "" in holders else holders
