"""The state of a principal during an escalation: its policies and boundary after the calls made so far.

A call changes an entity, the *carrier*: the principal itself, a group of it, or a managed policy. `effect_of` is what
the change of a carrier means for one principal. Equal effects of different calls are equal, so that a state is reached
once, by the shortest way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from iam_guard.errors import PolicyError
from iam_guard.evaluation.compiler import compile_policy
from iam_guard.model.decision import PolicyType
from iam_guard.store.policies.stored_principals import StoredPrincipal
from iam_guard.store.protocol import PrincipalRecord, StoredPolicy

_EVERYTHING: Final = (
    '{"Version":"2012-10-17","Statement":[{"Sid":"Everything","Effect":"Allow","Action":"*","Resource":"*"}]}'
)
_NAME: Final = "the policy of an earlier step"
ALLOW_ALL: Final = StoredPolicy.of(_NAME, PolicyType.IDENTITY, None, _EVERYTHING)
"""The policy that a caller writes or attaches if it can choose."""
NO_LIMIT: Final = StoredPolicy.of(_NAME, PolicyType.BOUNDARY, None, _EVERYTHING)
"""A boundary that limits nothing, which stands for none, too."""


@dataclass(frozen=True)
class EntityChange:
    """What a call changes. `carrier` is the ARN of a principal, group or policy, or `members_of` an account.

    `added` are policies more. `removed` is a policy less, of `holder`: a group's name, or `""` for the principal
    itself. `text` is a managed policy's new one. `boundary` is the principal's new one.
    """

    carrier: str
    added: tuple[StoredPolicy, ...] = ()
    removed: tuple[StoredPolicy, ...] = ()
    holder: str = ""
    text: StoredPolicy | None = None
    boundary: StoredPolicy | None = None
    opens_trust: bool = False
    group: str | None = None
    """The group that the user joins."""
    is_of_one_user: bool = False
    """Whether the call changes it for one member of the carrier alone."""

    @cached_property
    def may_limit(self) -> bool:
        """Whether it may take permissions away, too."""
        return self.adds_limits or bool(self.removed)

    @cached_property
    def adds_limits(self) -> bool:
        """Whether it adds a Deny, or a text or boundary that may allow less."""
        is_narrow = self.text not in (None, ALLOW_ALL) or self.boundary not in (None, NO_LIMIT)
        return is_narrow or any(map(has_deny, self.added))


@dataclass(frozen=True, slots=True)
class StateEffect:
    """What changes mean for one principal: policies more, policies less, another boundary, and groups joined."""

    added: frozenset[StoredPolicy] = frozenset()
    removed: frozenset[StoredPolicy] = frozenset()
    boundary: StoredPolicy | None = None
    joined: frozenset[str] = frozenset()

    def __or__(self, other: StateEffect) -> StateEffect:
        boundary = NO_LIMIT if NO_LIMIT in (self.boundary, other.boundary) else other.boundary or self.boundary
        joined = self.joined | other.joined
        return StateEffect(self.added | other.added, self.removed | other.removed, boundary, joined)


NO_EFFECT: Final = StateEffect()


def users_of(account: str) -> str:
    """Return the carrier that stands for any user of an account."""
    return f"users of {account}"


def effect_of(change: EntityChange, principal: StoredPrincipal) -> StateEffect:
    """Return what a change means for a principal in its state, which has the carrier."""
    record = principal.record
    boundary = change.boundary if record.boundary is not None else None
    added, removed = set(change.added), set()
    for policy in change.removed:
        if policy in record.identity and set(principal.through.get(policy.ref, ())) == {change.holder}:
            removed.add(policy)
    if change.text is not None:
        for policy in record.identity:
            if policy.ref.arn == change.carrier and policy != change.text:
                added.add(change.text)
                if change.text is not ALLOW_ALL or has_deny(policy):
                    removed.add(policy)
        if record.boundary is not None and record.boundary.ref.arn == change.carrier:
            boundary = NO_LIMIT if change.text is ALLOW_ALL else as_boundary(change.text)
    more = frozenset(added - set(record.identity))
    joined = frozenset({change.group} if change.group is not None and more else ())
    return StateEffect(more, frozenset(removed), boundary, joined)


def with_effect(principal: StoredPrincipal, effect: StateEffect) -> StoredPrincipal:
    """Return the principal after an effect. Its caller is a new object, since policies are cached by its identity."""
    record = principal.record
    kept = {policy for policy in (*record.identity, *effect.added) if policy not in effect.removed}
    identity = tuple(sorted(kept, key=lambda policy: (policy.ref.name, policy.text)))
    changed = PrincipalRecord(
        record.epoch, record.exists, replace(record.principal), identity, effect.boundary or record.boundary
    )
    return replace(principal, record=changed)


def as_boundary(policy: StoredPolicy) -> StoredPolicy:
    """Return a managed policy in the part of a boundary."""
    return StoredPolicy(replace(policy.ref, type=PolicyType.BOUNDARY), policy.text)


def has_deny(policy: StoredPolicy) -> bool:
    """Return whether a policy denies anything; an unreadable one denies everything."""
    try:
        return any(statement.denies for statement in compile_policy(policy.text, policy.ref).content.statements)
    except PolicyError:
        return True
