"""Which callers of a store, and outside of it, may make a request that a query is about.

Most callers can do nothing that a query is about. So a caller's own policies are searched first, for all resources of
all owners at once. Only what is left is searched for the resources of its account, and for each one with a policy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from iam_guard.analysis.checks.check_results import CheckVerdict
from iam_guard.analysis.checks.key_sets import TextTest
from iam_guard.analysis.checks.limits import Undecided, Work
from iam_guard.analysis.checks.statement_forms import ANY_ACTION, form_of
from iam_guard.analysis.invariants.access_formulas import CallerAccess
from iam_guard.analysis.invariants.access_parties import AccessTarget, AnalyzedCaller, known_request
from iam_guard.analysis.invariants.access_query import AccessQuery
from iam_guard.analysis.invariants.access_search import AccessWitness, find_access, may_have_access
from iam_guard.analysis.invariants.policy_forms import compile_stored
from iam_guard.analysis.invariants.principal_selection import Selection
from iam_guard.analysis.invariants.store_access import StoreAccess
from iam_guard.analysis.invariants.target_index import TargetIndex, arns_of, names
from iam_guard.errors import PolicyError
from iam_guard.model.principal import PrincipalType

_ANY = AccessTarget(is_any=True)


@dataclass(frozen=True)
class AccessResult:
    """PASS: the caller may make no such request. FAIL: `found` is one. UNKNOWN: `problem` says why.

    `target` are the resources of a FAIL.
    """

    caller: AnalyzedCaller
    verdict: CheckVerdict
    found: AccessWitness | None = None
    problem: str | None = None
    target: AccessTarget | None = None


@dataclass
class AccessSurvey:
    """A query about a store. `own_services` are the lower-case prefixes of the actions that an application declares."""

    store: StoreAccess
    query: AccessQuery
    own_services: frozenset[str] = frozenset()
    _empty: set[object] = field(default_factory=set)

    def of_caller(self, caller: AnalyzedCaller, *, of_owner: bool = True) -> AccessResult:
        """Return whether a caller of the store may make a request that the query is about.

        Without `of_owner` requests for resources of the caller's own account do not count.
        """
        problem: str | None = None
        for target in self._targets(caller, of_owner=of_owner):
            result = self.of_target(caller, target)
            if result.verdict is CheckVerdict.FAIL:
                return result
            problem = problem or result.problem
        verdict = CheckVerdict.PASS if problem is None else CheckVerdict.UNKNOWN
        return AccessResult(caller, verdict, problem=problem)

    def callers_of(self, target: AccessTarget, selection: Selection) -> list[AnalyzedCaller]:
        """Return the callers that only a resource's policy distinguishes or lets in, and that it names.

        Raises `PolicyError` and `Undecided` as `StoreAccess.callers_of`.
        """
        callers = self.store.callers_of(target, selection.accounts, selection.principals)
        return [caller for caller in callers if names(target, caller) and selection.has(caller)]

    @property
    def granting(self) -> list[AccessTarget]:
        """The targets with an Allow that the query may be about, which can let in other callers."""
        return [target for target in self.targets if self._may_grant(target)]

    def _may_grant(self, target: AccessTarget) -> bool:
        if self.query.about is None:
            return True
        try:
            allows = form_of(compile_stored(target.policy).content).allows if target.policy is not None else ()
            [about] = form_of(compile_stored(self.query.about).content).allows
            actions = TextTest(((about.actions.union, not about.actions.is_negated),)).inside(ANY_ACTION, Work())
            listed = [TextTest(((allow.actions.union, not allow.actions.is_negated),)) for allow in allows]
            return any(test.inside(actions, Work()) for test in listed)
        except (Undecided, PolicyError):
            return True

    @cached_property
    def targets(self) -> list[AccessTarget]:
        """The resources with a policy that the query may be about."""
        return [target for target in self.store.targets if self._may_be_about(target)]

    def of_target(self, caller: AnalyzedCaller, target: AccessTarget) -> AccessResult:
        """Return whether a caller may make a request for the resources of a target."""
        return result_of(self._access(caller, target), self.query)

    def _access(self, caller: AnalyzedCaller, target: AccessTarget) -> CallerAccess:
        return CallerAccess(known_request(caller, target), self.store.forms, self.own_services)

    @cached_property
    def _index(self) -> TargetIndex:
        return TargetIndex(self.targets)

    def _targets(self, caller: AnalyzedCaller, *, of_owner: bool) -> Iterator[AccessTarget]:
        """Yield the targets for which the caller's policies, or the resource's, may grant anything."""
        has_own, account = self._has_own_access(caller), caller.principal.account
        naming = self._index.naming(caller)
        own = [target for target in naming if target.owner_id == account]
        direct = [target for target in own if names(target, caller, is_direct=True)]
        special, excluded = self._index.special(account)
        if has_own and of_owner:
            resources = [target for target in direct if not target.is_trust]
            yield AccessTarget(owner=caller.account, others=arns_of(resources, excluded) if resources else excluded)
            yield from dict.fromkeys((*special, *direct, *(target for target in own if target.is_trust)))
        elif of_owner:
            yield from direct
        if has_own:
            yield from (target for target in naming if target.owner_id != account)

    def _has_own_access(self, caller: AnalyzedCaller) -> bool:
        if caller.principal.type is PrincipalType.ROOT:
            return True
        try:
            return may_have_access(self._access(caller, _ANY), self.query, self._empty)
        except (Undecided, PolicyError):
            return True

    def _may_be_about(self, target: AccessTarget) -> bool:
        if self.query.about is None:
            return True
        form = form_of(compile_stored(self.query.about).content)
        listed = [statement.resources for statement in form.statements]
        return any(
            resources is None or resources.is_negated or resources.union.opened.matches(target.arn or "")
            for resources in listed
        )


def result_of(access: CallerAccess, query: AccessQuery, but_not: CallerAccess | None = None) -> AccessResult:
    """Search for a request, and return its result. The arguments are those of `find_access`."""
    caller, target = access.caller, access.target
    try:
        found = find_access(access, query, but_not=but_not)
    except (Undecided, PolicyError) as error:
        problem = f"{error} ({target.arn or 'resources without policy'})"
        return AccessResult(caller, CheckVerdict.UNKNOWN, None, problem, target)
    return AccessResult(caller, CheckVerdict.PASS if found is None else CheckVerdict.FAIL, found, None, target)
