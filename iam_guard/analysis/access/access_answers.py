"""The answers of access queries: verdict, matched statements, open condition keys.

Plain values; their JSON form is the tree of their fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, NamedTuple

from iam_guard.evaluation.bounds import Bounds
from iam_guard.model.decision import Decision, Outcome, PolicyType, Reason
from iam_guard.store.policies.stored_principals import StoredPrincipal


class AccessVerdict(StrEnum):
    """Whether a request is allowed, over all values of the condition keys that the question leaves open."""

    ALLOWED = "allowed"
    CONDITIONAL = "allowed if"
    DENIED = "not allowed"

    @property
    def rank(self) -> int:
        """The place in the order from allowed to not allowed."""
        return list(AccessVerdict).index(self)


@dataclass(frozen=True, slots=True)
class MatchedStatement:
    """A statement that decided. `through` names the groups that provide the policy; empty when attached directly."""

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
        groups = f" through {' and '.join(f'group {group}' for group in self.through)}" if self.through else ""
        return f"{self.effect}{name} of {self.policy} ({self.policy_type}){groups}"


@dataclass(frozen=True, slots=True)
class AccessAnswer:
    """The answer to one question. A conditional verdict depends on `open_keys`, and on what `note` describes."""

    verdict: AccessVerdict
    open_keys: tuple[str, ...] = ()
    spoken: tuple[MatchedStatement, ...] = ()
    note: str | None = None


@dataclass(frozen=True, slots=True)
class RoleStep:
    """One role of a chain, and whether the principal before it may assume it."""

    role: str
    answer: AccessAnswer


@dataclass(frozen=True, slots=True)
class Access:
    """One principal's access. `kind`: `user`, `role`, `root`, `session`, `service`, `anonymous`, …

    `steps` are the roles that the principal assumes first, in order. The statements of `answer` are then those about
    the last role; its verdict and keys cover the whole chain.
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
    """Actions of one principal with the same answer on the same resource. `steps` as in `Access`."""

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
    """Combine the answer about the last role of a chain with those of its steps."""
    whole = [*(step.answer for step in steps), answer]
    verdict = max((part.verdict for part in whole), key=lambda verdict: verdict.rank)
    keys = {key.lower(): key for part in whole for key in part.open_keys}
    notes = dict.fromkeys(part.note for part in whole if part.note)
    return replace(answer, verdict=verdict, open_keys=tuple(keys.values()), note="; ".join(notes) or None)


class Assumption(NamedTuple):
    """Policies that are unknown and assumed to allow the request: their types, and the note that describes them."""

    types: frozenset[PolicyType]
    note: str


def answer_of(
    bounds: Bounds, principal: StoredPrincipal | None, *, assumed: Assumption | None = None, partly: str = ""
) -> AccessAnswer:
    """Return the answer that bounds amount to; under an assumption it is at most conditional.

    `partly` is the note for bounds that differ without an open key: the answer then depends on the resource.
    """
    is_certain = bounds.least.allowed and assumed is None
    decision = bounds.least if is_certain else bounds.most
    matched = tuple(matched_statements(decision, principal, frozenset() if assumed is None else assumed.types))
    if is_certain or not decision.allowed:
        return AccessAnswer(AccessVerdict.ALLOWED if is_certain else AccessVerdict.DENIED, (), matched)
    keys = () if bounds.least.allowed else bounds.open_keys
    some = partly if not bounds.least.allowed and not keys else ""
    note = "; ".join(text for text in (assumed.note if assumed else "", some) if text) or None
    return AccessAnswer(AccessVerdict.CONDITIONAL, keys, matched, note)


def matched_statements(
    decision: Decision, principal: StoredPrincipal | None, assumed_types: frozenset[PolicyType] = frozenset()
) -> Iterator[MatchedStatement]:
    """Yield the statements that decided, without those of assumed policies."""
    if decision.error is not None:
        yield MatchedStatement("decision", note=decision.error)
    for reason in decision.reasons:
        if reason.policy_type in assumed_types:
            continue
        yield MatchedStatement(
            str(reason.policy_type),
            reason.effect,
            None if reason.policy is None else reason.policy.name,
            None if reason.policy is None else reason.policy.arn,
            reason.statement,
            reason.sid,
            reason.line,
            _through(reason, principal),
            reason.note,
        )
    if not decision.reasons and decision.outcome is Outcome.ALLOWED:
        yield MatchedStatement("root user", note="the root user needs no policy in its account")


def _through(reason: Reason, principal: StoredPrincipal | None) -> tuple[str, ...]:
    if principal is None or reason.policy is None:
        return ()
    holders = principal.through.get(reason.policy, ())
    return () if "" in holders else holders
