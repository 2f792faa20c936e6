"""Compare two stores, such as the seeds of two branches: who may do what was not allowed before.

A principal is compared through all policy types at once: its policies of the old store are the other side. Only what
changed is searched: each principal whose own policies, tags or account differ, for all resources; and each resource or
role whose policy, tags or owner differ, for all callers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeAlias

from iam_guard.analysis.checks.check_results import CheckVerdict
from iam_guard.analysis.checks.limits import Undecided
from iam_guard.analysis.checks.text_sets import TextUnion
from iam_guard.analysis.invariants.access_formulas import CallerAccess
from iam_guard.analysis.invariants.access_parties import AccessTarget, AnalyzedCaller, known_request
from iam_guard.analysis.invariants.access_query import AccessQuery
from iam_guard.analysis.invariants.access_survey import AccessResult, AccessSurvey, result_of
from iam_guard.analysis.invariants.store_access import StoreAccess
from iam_guard.analysis.invariants.target_index import TargetIndex, arns_of, names
from iam_guard.errors import PolicyError
from iam_guard.store.protocol import AccountRecord, StoredPolicy

_ANY = AccessTarget(is_any=True)
_Pair: TypeAlias = tuple[AnalyzedCaller, AnalyzedCaller]
"""A caller as it was and as it is."""


@dataclass(frozen=True)
class NewAccess:
    """New access of a `principal`, a `new principal`, or by a `resource policy` or `trust policy`; or undecided."""

    subject: str
    name: str
    result: AccessResult


@dataclass
class StoreComparison:
    """The comparison of a store with an older one.

    `own_services` are the lower-case prefixes of the actions that the application declares; `catalogue` has all actions
    there are, None for any. `advance` is called with the number of principals and resources that were compared.
    """

    old: StoreAccess
    new: StoreAccess
    own_services: frozenset[str] = frozenset()
    catalogue: tuple[str, ...] | None = None
    advance: Callable[[int], object] = lambda count: None
    _pairs: list[tuple[AccessTarget, AccessTarget]] = field(init=False)

    def __post_init__(self) -> None:
        self._pairs = [*_pairs(self.old, self.new)]

    def new_access(self) -> Iterator[NewAccess]:
        """Yield new access: the first request that was found for each principal and each policy."""
        unchanged = []
        for caller in self.new.callers:
            self.advance(1)
            before = self._before(caller)
            if before is None:
                yield from self._of_new(caller)
            elif _part_of_caller(before) == _part_of_caller(caller):
                unchanged.append((before, caller))
            else:
                yield from self._of_changed(before, caller)
        for old, new in self._changed:
            self.advance(1)
            yield from self._of_policy(old, new, unchanged)

    def _before(self, caller: AnalyzedCaller) -> AnalyzedCaller | None:
        stored = self.old.population.principals_by_arn.get(caller.name)
        if stored is None or caller.kind != "federated user":
            return None if stored is None else self.old.caller(stored)
        return self.old.federated(stored)

    # --- principals ----------------------------------------------------------------------------------------------

    def _of_new(self, caller: AnalyzedCaller) -> Iterator[NewAccess]:
        survey = AccessSurvey(self.new, AccessQuery(catalogue=self.catalogue), self.own_services)
        results = [survey.of_caller(caller), *self._of_sessions(caller)]
        yield from _first("new principal", caller.name, results)

    def _of_changed(self, before: AnalyzedCaller, caller: AnalyzedCaller) -> Iterator[NewAccess]:
        yield from _first("principal", caller.name, self._changes(before, caller))

    def _changes(self, before: AnalyzedCaller, caller: AnalyzedCaller) -> Iterator[AccessResult]:
        account = caller.principal.account
        if self._is_narrower(before, caller):
            pairs = self._pairs_for(caller)
        else:
            rest = [AccessTarget(owner=side.account, others=self._with_policy) for side in (before, caller)]
            yield self._compared(before, rest[0], caller, rest[1])
            pairs = self._pairs
        for old, new in pairs:
            if names(new, caller) or (new.owner_id == account and not new.is_trust):
                yield self._compared(before, old, caller, new)
        yield from self._of_sessions(caller)

    def _is_narrower(self, before: AnalyzedCaller, caller: AnalyzedCaller) -> bool:
        """Return whether a caller's own policies allow no more than before, whatever the resource is.

        Then no resource whose policy is the same can be newly allowed by them. False if something differs that policies
        of resources can depend on.
        """
        one, other = (
            (side.principal, side.principal.tags, side.has_open_tags, side.boundary is None)
            for side in (before, caller)
        )
        if one != other or _part_of_account(before.account) != _part_of_account(caller.account):
            return False
        return self._compared(before, _ANY, caller, _ANY).verdict is CheckVerdict.PASS

    def _pairs_for(self, caller: AnalyzedCaller) -> list[tuple[AccessTarget, AccessTarget]]:
        """Return the pairs whose policy changed, or grants a caller access without its own policies."""
        found = [self._places[id(new)] for _, new in self._changed]
        named = [self._places[id(new)] for new in self._index.naming(caller) if names(new, caller, is_direct=True)]
        return [self._pairs[place] for place in sorted({*found, *named})]

    @cached_property
    def _index(self) -> TargetIndex:
        return TargetIndex([new for _, new in self._pairs])

    @cached_property
    def _places(self) -> dict[int, int]:
        return {id(new): place for place, (_, new) in enumerate(self._pairs)}

    @cached_property
    def _changed(self) -> list[tuple[AccessTarget, AccessTarget]]:
        return [pair for pair in self._pairs if _part_of_target(pair[0]) != _part_of_target(pair[1])]

    @cached_property
    def _with_policy(self) -> TextUnion:
        return arns_of([new for _, new in self._pairs if not new.is_trust])

    def _of_sessions(self, caller: AnalyzedCaller) -> Iterator[AccessResult]:
        """Yield the results of the sessions of a caller that resources' policies name."""
        for session, old, new in self._sessions:
            if (session.name, session.kind) == (caller.name, caller.kind) and names(new, session):
                yield self._compared(self._old_caller(session), old, session, new)

    @cached_property
    def _sessions(self) -> list[tuple[AnalyzedCaller, AccessTarget, AccessTarget]]:
        return [
            (session, old, new)
            for old, new in self._pairs
            for session in self.new.sessions_named_by(new.policy, old.policy)
        ]

    # --- resources -----------------------------------------------------------------------------------------------

    def _of_policy(self, old: AccessTarget, new: AccessTarget, unchanged: list[_Pair]) -> Iterator[NewAccess]:
        subject = "trust policy" if new.is_trust else "resource policy"
        yield from _first(subject, new.arn or "", self._results(old, new, unchanged))

    def _results(self, old: AccessTarget, new: AccessTarget, unchanged: list[_Pair]) -> Iterator[AccessResult]:
        for before, caller in unchanged:
            is_own = new.owner_id == caller.principal.account
            if names(new, caller) or (is_own and not new.is_trust):
                yield self._compared(before, old, caller, new)
        try:
            callers = [*self.new.callers_of(new, also=old)]
        except (Undecided, PolicyError) as error:
            yield AccessResult(next(iter(self.new.callers)), CheckVerdict.UNKNOWN, None, str(error), new)
            return
        for caller in callers:
            if names(new, caller):
                yield self._compared(self._old_caller(caller), old, caller, new)

    def _old_caller(self, caller: AnalyzedCaller) -> AnalyzedCaller | None:
        """Return a named session as a caller of the old store; None if its role or user was not there."""
        if caller.is_outside:
            return caller
        kind = "role" if caller.role_id is not None else "user"
        stored = self.old.population.principals_by_arn.get(caller.name)
        if stored is None or stored.kind != kind:
            return None
        return self.old.named_session(stored, caller.principal.arn)

    def _compared(
        self, before: AnalyzedCaller | None, old_target: AccessTarget, caller: AnalyzedCaller, target: AccessTarget
    ) -> AccessResult:
        access = CallerAccess(known_request(caller, target), self.new.forms, self.own_services)
        old = None if before is None else known_request(_with_tags(before, caller), old_target)
        but_not = None if old is None else CallerAccess(old, self.new.forms, self.own_services)
        return result_of(access, AccessQuery(catalogue=self.catalogue), but_not)


def _first(subject: str, name: str, results: Iterable[AccessResult]) -> Iterator[NewAccess]:
    """Yield the first new access, or without any what was not decided first."""
    undecided: NewAccess | None = None
    for result in results:
        found = NewAccess(subject, name, result)
        if result.verdict is CheckVerdict.FAIL:
            yield found
            return
        if undecided is None and result.verdict is CheckVerdict.UNKNOWN:
            undecided = found
    if undecided is not None:
        yield undecided


def _pairs(old: StoreAccess, new: StoreAccess) -> Iterator[tuple[AccessTarget, AccessTarget]]:
    """Yield the resources and roles that have a policy in either store, as they are in both."""
    before = {(target.arn, target.is_trust): target for target in old.targets}
    after = {(target.arn, target.is_trust): target for target in new.targets}
    for arn, is_trust in dict.fromkeys((*after, *before)):
        found, other = after.get((arn, is_trust)), before.get((arn, is_trust))
        if is_trust and found is None:
            continue  # the role is gone
        owner_id = getattr(found or other, "owner_id", None) or ""
        old_owner, new_owner = old.accounts.get(owner_id), new.accounts.get(owner_id)
        bare = AccessTarget(arn, old_owner, is_trust=is_trust), AccessTarget(arn, new_owner, is_trust=is_trust)
        yield other or bare[0], found or bare[1]


def _with_tags(before: AnalyzedCaller, caller: AnalyzedCaller) -> AnalyzedCaller:
    """Return a caller of the old store with the tags of its sessions in the new one, if only the new one fixes them."""
    if caller.has_open_tags or not before.has_open_tags:
        return before
    principal = replace(before.principal, tags=caller.principal.tags)
    return replace(before, typical=replace(before.typical, principal=principal), has_open_tags=False)


def _part_of_caller(caller: AnalyzedCaller) -> tuple[object, ...]:
    policies = sorted(policy.text for policy in caller.identity)
    boundary = None if caller.boundary is None else caller.boundary.text
    account = _part_of_account(caller.account)
    return caller.principal, caller.principal.tags, caller.has_open_tags, policies, boundary, account


def _part_of_target(target: AccessTarget) -> tuple[object, ...]:
    policy = None if target.policy is None else target.policy.text
    return policy, dict(target.tags), target.owner_id, _part_of_account(target.owner)


def _part_of_account(account: AccountRecord | None) -> tuple[object, ...]:
    if account is None:
        return ()
    return account.organization, _texts(account.scps), _texts(account.rcps)


def _texts(levels: tuple[tuple[StoredPolicy, ...], ...] | None) -> object:
    return None if levels is None else [[policy.text for policy in level] for level in levels]
