"""Load a question: everything from the store that its decision needs, compiled, and valid at one state (rule T-9).

A caller's part (its record, its account, its policies compiled and indexed) is prepared once and cached until a change
of the store names it; so is the authorizer that joins it with the policies of the owner and the resource. A loaded
question has the epoch of the state at which all its parts are current: the state that was read before them, if it is
still the present one afterwards. Callers with the same policies share their index. The caches are keyed by the identity
of the `Principal` object, which they keep alive: other credentials make another object.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from cachetools import LRUCache

from iam_guard.errors import CacheMiss
from iam_guard.evaluation.authorizer import Authorizer
from iam_guard.evaluation.bundle import Bundle, Levels
from iam_guard.evaluation.compiler import CompiledPolicy, compile_policy
from iam_guard.evaluation.plan import Plan, make_plan
from iam_guard.evaluation.policy_layer import NO_POLICY, Layer
from iam_guard.forking import fork_safe_lock
from iam_guard.guard.question import LoadedQuestion, Question
from iam_guard.guard.request_context import Parties, RequestContext
from iam_guard.model.account import AccountState
from iam_guard.model.arn import DEFAULT_LOCATION, Location, account_of, is_iam_or_sts
from iam_guard.model.context import NO_KEYS, Given, Lazy
from iam_guard.model.decision import Decision, Outcome, PolicyRef, PolicyType
from iam_guard.model.own_services import SERVED
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import AccessRequest, Call, Resource
from iam_guard.model.usage import CacheUsage
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.cache.change_feed import State
from iam_guard.store.cache.generations import STALE, Held, are_current
from iam_guard.store.protocol import (
    AccountRecord,
    DecisionStore,
    PrincipalRecord,
    ResourceRecord,
    StatedStore,
    StoredPolicy,
)

_STORED = frozenset({PrincipalType.USER, PrincipalType.ASSUMED_ROLE, PrincipalType.FEDERATED_USER, PrincipalType.ROOT})
_MAX_AUTHORIZERS = 64
"""Authorizers of one caller: it needs another one for each owner and each resource with a policy."""
_MAX_PLANS = 256
"""Plans of one caller: it needs another one for each action."""
_TRIES = 3
"""Attempts to load a question from the cache, before it is loaded in one transaction."""
_SESSION_POLICY = PolicyRef("session policy", PolicyType.SESSION)
_APPLICATION_POLICY = PolicyRef("application policy", PolicyType.IDENTITY)
_NO_RESOURCE = Resource("*")


class _Planned(NamedTuple):
    """The plan of an action for resources of the caller's own account, which have no policy."""

    plan: Plan
    authorizer: Authorizer
    account: str
    parties: Parties


@dataclass(slots=True, eq=False)
class _Caller:
    """A caller's part; valid as long as the generations that it holds, of its record and its account, are current."""

    principal: Principal
    held: Held
    record: PrincipalRecord
    account: AccountRecord | None
    policies: Bundle
    authorizers: dict[tuple[int, int, bool, bool], tuple[AccountRecord | None, StoredPolicy | None, Authorizer]] = (
        field(default_factory=dict)
    )
    plans: dict[str, _Planned | None] = field(default_factory=dict)
    """Action -> its plan; None if only the evaluator can decide."""
    state: State | None = None
    """The last state at which the caller was found valid."""


class Loader:
    """Loads for one guard. Safe to share between threads."""

    def __init__(
        self,
        store: CachedStore,
        *,
        size: int,
        location: Location = DEFAULT_LOCATION,
        own_services: Collection[str] = frozenset(),
    ) -> None:
        """Load from a store. The rest is for `allow`: `own_services` are those that the application declares."""
        self._store = store
        self._behind = store.behind
        self._lock = fork_safe_lock()
        self._has_cache = size > 0
        self._size = max(size, 1)
        self._location = location
        self._own_services = own_services
        self._callers: dict[int, _Caller] = {}
        self._layers: LRUCache[tuple[CompiledPolicy, ...], Layer] = LRUCache(self._size)
        self._hits = Counter[str]()
        self._misses = Counter[str]()
        self._planned = 0
        """Decisions of plans, which are hits of the cache of callers too."""

    def load(self, question: Question, store: StatedStore | None) -> LoadedQuestion:
        """Load a question at one state of the store; if the store keeps changing meanwhile, in one transaction.

        `store` is the caching store, its cache alone, or answers of one transaction; None: past every cache. Raises
        `StoreUnavailable`, `PolicyError` for a policy that cannot be parsed, and `CacheMiss` if the cache alone is not
        enough.
        """
        if store is not None:
            for _ in range(_TRIES):
                state = store.state()
                loaded, is_valid = self._load(question, store, state.epoch)
                if is_valid and store.is_at(state):
                    return loaded
            if store is self._store.cache_only:
                raise CacheMiss
        with self._behind.at_once() as epoch:
            return self._load(question, self._behind, epoch)[0]

    def allow(
        self,
        principal: Principal,
        action: str,
        resource: str | Resource,
        given: Mapping[str, Given | Lazy] | None,
        call: Call | None,
        store: StatedStore,
        now: datetime,
    ) -> Decision | None:
        """Return the decision of a request that a plan allows; None for every other, which `load` is for.

        Raises what `store` raises, and what a condition raises that cannot be evaluated.
        """
        caller = self._callers.get(id(principal))
        if caller is None or caller.principal is not principal:
            return None
        state = store.state()
        if caller.state is not state:
            if not are_current(caller.held):
                return None
            caller.state = state
        planned = caller.plans.get(action)
        if planned is None and (planned := self._plan(caller, action)) is None:
            return None
        plan, authorizer, account, parties = planned
        if type(resource) is Resource:
            if resource.policy is not None or resource.policy_required:
                return None
            arn, owner, tags, keys = resource.arn, resource.account, resource.tags, resource.keys
        elif type(resource) is str:
            arn, owner, tags, keys = resource, None, NO_KEYS, NO_KEYS
        else:
            return None
        fields = arn.split(":", 5)
        if len(fields) == 6:
            if fields[0] != "arn" or fields[2] in SERVED:
                return None
            if "{" in arn:
                arn = self._location.complete(arn)
            stored = store.resource(arn)
            if stored.policy is not None or stored.generations is STALE:
                return None
            owner = owner or stored.account or fields[4]
            tags = tags or stored.tags
        elif arn == "*":
            owner = owner or account
        else:
            return None
        if owner != account:
            return None
        context = RequestContext(given, parties, now, call, tags, keys)
        request = AccessRequest.checked(parties.principal, plan.action, arn, context, account)
        reason = plan.allow(request)
        if reason is None or not store.is_at(state):
            return None
        self._planned += 1
        return Decision(Outcome.ALLOWED, request, (reason,), state.epoch, self._store.stale, None, authorizer)

    def prefetch(self, principal: Principal) -> None:
        """Cache what decisions about an authenticated principal read, so that the next one needs no thread."""
        if principal.type in _STORED and principal.account is not None:
            with suppress(Exception):  # the decision meets it again, and is a denial
                self._store.load_decision(principal, (principal.account,), None)
                self._store.arn_loader.load()

    def usage(self) -> dict[str, CacheUsage]:
        """Return the usage of the caches of callers and of layers."""
        with self._lock:
            held = {"caller": len(self._callers), "layer": len(self._layers)}
        hits = self._hits + Counter(caller=self._planned)
        return {name: CacheUsage(held[name], self._size, hits[name], self._misses[name]) for name in held}

    # --- one state -----------------------------------------------------------------------------------------------

    def _load(self, question: Question, store: DecisionStore, epoch: int) -> tuple[LoadedQuestion, bool]:
        """Load a question, and whether all its parts were valid when they were returned."""
        wanted = question.resource
        arn = wanted.arn if wanted.arn != "*" and not is_iam_or_sts(wanted.arn) else None
        caller = self._caller(question.principal, wanted, arn, store)
        resource = None if arn is None else store.resource(arn)
        owner_id = wanted.account or (resource and resource.account) or _owner_of(wanted, question.principal)
        owner = caller.account
        if owner is None or owner_id != owner.id:
            owner = store.account(owner_id) if owner_id else None
        loaded = LoadedQuestion(
            question,
            epoch,
            caller.record,
            caller.account,
            owner,
            wanted.tags or (resource.tags if resource else {}),
            self._authorizer(caller, question, resource, owner),
        )
        is_valid = caller.held is not STALE and (owner is None or owner.generations is not STALE)
        return loaded, is_valid and (resource is None or resource.generations is not STALE)

    def _caller(self, principal: Principal, wanted: Resource, arn: str | None, store: DecisionStore) -> _Caller:
        if store is self._behind:
            return self._prepare(principal, store)
        known = self._callers.get(id(principal))
        if known is not None and known.principal is principal and are_current(known.held):
            self._hits["caller"] += 1
            return known
        self._misses["caller"] += 1
        if store is self._store and principal.type in _STORED:
            accounts = dict.fromkeys(filter(None, (principal.account, _owner_of(wanted, principal))))
            self._store.load_decision(principal, tuple(accounts), arn)
        caller = self._prepare(principal, store)
        with self._lock:
            self._callers[id(principal)] = caller
            if len(self._callers) > self._size:
                del self._callers[next(iter(self._callers))]  # first in, first out
        return caller

    def _prepare(self, principal: Principal, store: DecisionStore) -> _Caller:
        if principal.is_application:
            return self._prepare_application(principal, store)
        if principal.type not in _STORED:
            return _Caller(principal, (), PrincipalRecord(0, exists=True, principal=principal), None, Bundle())
        record = store.principal(principal)
        account = store.account(principal.account) if principal.account else None
        session = record.principal.session_policies
        policies = Bundle(
            identity=self._layer(record.identity),
            boundary=None if record.boundary is None else self._layer((record.boundary,)),
            session=None if session is None else Layer(compile_policy(text, _SESSION_POLICY) for text in session),
            scps=self._levels(account.scps) if account else None,
        )
        held = record.generations + (account.generations if account else ())
        return _Caller(principal, held if are_current(held) else STALE, record, account, policies)

    def _prepare_application(self, principal: Principal, store: DecisionStore) -> _Caller:
        """Prepare the application itself: its policies come with it, and the SCPs of the account bind it (E-67)."""
        account = store.account(str(principal.account))
        policies = Bundle(
            identity=Layer(compile_policy(text, _APPLICATION_POLICY) for text in principal.session_policies or ()),
            scps=self._levels(account.scps),
        )
        held = account.generations if are_current(account.generations) else STALE
        return _Caller(principal, held, PrincipalRecord(0, account.exists, principal), account, policies)

    def _plan(self, caller: _Caller, action: str) -> _Planned | None:
        if action in caller.plans:
            return None
        action = str.__str__(action)  # not of a subclass, such as an enumeration
        own_service = action.partition(":")[0].lower() in self._own_services
        question = Question(caller.principal, action, _NO_RESOURCE, own_service)
        authorizer, record, account = (
            self._authorizer(caller, question, None, caller.account),
            caller.record,
            caller.account,
        )
        is_active = account is not None and account.state is AccountState.ACTIVE
        may_plan = record.exists and is_active and self._has_cache
        plan = make_plan(authorizer.policies, record.principal, action) if may_plan else None
        planned = None
        if plan is not None and account is not None:
            parties = Parties(
                record.principal, account.organization, account.id, account.organization, self._location.region
            )
            planned = _Planned(plan, authorizer, account.id, parties)
        if len(caller.plans) >= _MAX_PLANS:  # actions may come from callers: bound the cache
            caller.plans.clear()
        caller.plans[action] = planned
        return planned

    # --- compiled ------------------------------------------------------------------------------------------------

    def _authorizer(
        self,
        caller: _Caller,
        question: Question,
        resource: ResourceRecord | None,
        owner: AccountRecord | None,
    ) -> Authorizer:
        wanted, own_service = question.resource, question.own_service
        attached = resource.policy if resource and wanted.policy is None else None
        key = (id(owner), id(attached), wanted.policy_required, own_service)
        known = caller.authorizers.get(key) if wanted.policy is None else None
        if known is not None and known[0] is owner and known[1] is attached:
            return known[2]
        policies = replace(
            caller.policies,
            rcps=self._levels(owner.rcps if owner else None),
            resource=self._resource_layer(wanted, attached),
            policy_required=wanted.policy_required,
            own_service=own_service,
        )
        authorizer = Authorizer(policies)
        if wanted.policy is None:
            if len(caller.authorizers) >= _MAX_AUTHORIZERS:
                caller.authorizers.clear()
            caller.authorizers[key] = owner, attached, authorizer
        return authorizer

    def _resource_layer(self, wanted: Resource, attached: StoredPolicy | None) -> Layer:
        if wanted.policy is not None:
            return Layer((compile_policy(wanted.policy, PolicyRef(wanted.arn, PolicyType.RESOURCE)),))
        return NO_POLICY if attached is None else self._layer((attached,))

    def _levels(self, levels: tuple[tuple[StoredPolicy, ...], ...] | None) -> Levels | None:
        return None if levels is None else tuple(self._layer(level) for level in levels)

    def _layer(self, policies: tuple[StoredPolicy, ...]) -> Layer:
        """Return the layer of these policies; callers with the same policies get the same one."""
        if not policies:
            return NO_POLICY
        compiled = tuple(compile_policy(policy.text, policy.ref) for policy in policies)
        with self._lock:
            known = self._layers.get(compiled)
            (self._hits if known else self._misses)["layer"] += 1
            if known is None:
                known = self._layers[compiled] = Layer(compiled)
        return known


def _owner_of(wanted: Resource, principal: Principal) -> str | None:
    """Return the account in a resource's ARN, or the caller's for `*`."""
    return principal.account if wanted.arn == "*" else wanted.account or account_of(wanted.arn)


def outage_of(store: CachedStore) -> float:
    """Return for how many seconds a store has failed; 0 while it answers.

    An idle process does not poll, so its `staleness` says nothing about the store.
    """
    return store.staleness() if store.stale else 0.0
