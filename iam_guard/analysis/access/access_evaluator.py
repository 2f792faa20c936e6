"""Evaluate many requests against one store in one transaction, so that all data is of the same epoch.

The guard's own loader (`iam_guard.guard.loader`) combines the policies of each principal, reading the preloaded
principals instead of the database. These queries are not audited.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from iam_guard.analysis.access.known_keys import KnownKeys, PossibleTimes, never_absent
from iam_guard.errors import PolicyError
from iam_guard.evaluation.bounds import Bounds, IsKnown, PartialEvaluator
from iam_guard.evaluation.compiler import compile_policy
from iam_guard.evaluation.matching.pattern import Pattern
from iam_guard.evaluation.matching.statement import CompiledStatement
from iam_guard.guard.loader import Loader
from iam_guard.guard.question import Question
from iam_guard.model.context import Given
from iam_guard.model.credential import AccessKey, ApiKey
from iam_guard.model.decision import Decision, Outcome, PolicyRef, PolicyType
from iam_guard.model.own_services import SERVED
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest, Resource
from iam_guard.model.trust import CertificateTrust
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.cache.change_feed import State
from iam_guard.store.policies.stored_principals import StoredPrincipal, StoredPrincipals, read_principals
from iam_guard.store.protocol import AccountRecord, PrincipalRecord, ResourceRecord, SourceStore


@dataclass(slots=True)
class AccessEvaluator:
    """Evaluates requests of the principals of one store. Valid while its transaction is open."""

    source: SourceStore
    settings: Settings
    population: StoredPrincipals
    at: int
    """The epoch of the transaction."""
    now: datetime
    _records: dict[str, PrincipalRecord] = field(default_factory=dict)
    _accounts: dict[str, AccountRecord] = field(default_factory=dict)
    _resources: dict[str, ResourceRecord] = field(default_factory=dict)
    _trusting: dict[tuple[str | None, str], Sequence[CompiledStatement]] = field(default_factory=dict)
    _evaluator: PartialEvaluator = field(init=False)
    _loader: Loader = field(init=False)

    def __post_init__(self) -> None:
        self._evaluator = PartialEvaluator(PossibleTimes(self.now))
        size = len(self.population.principals_by_arn) + self.settings.cache_size
        self._loader = Loader(CachedStore(self.source, self.settings), size=size)

    def stored_principal(self, arn: str) -> StoredPrincipal | None:
        """Return the user, role or root user with this ARN."""
        return self.population.principals_by_arn.get(arn)

    def bounds(
        self,
        principal: PrincipalRecord,
        action: str,
        resource: Resource,
        context: Mapping[str, Given],
        *,
        pattern: Pattern | None = None,
        trust: str | None = None,
        is_any_principal: bool = False,
        is_absent: IsKnown = never_absent,
    ) -> Bounds:
        """Return the bounds of the decision. `pattern` covers all the resources that the question is about.

        `trust` is the trust policy of the role whose sessions the principal represents. `is_absent` are further keys
        (lower case) that the request certainly lacks if `context` has none.
        """
        caller = principal.principal
        self._records[caller.arn] = principal
        own = action.partition(":")[0].lower() not in SERVED
        try:
            loaded = self._loader.load(Question(caller, action, resource, own, context), self)
        except PolicyError as error:  # the guard would deny it too
            bare = AccessRequest(caller, action, resource.arn, resource_account=resource.account)
            decision = Decision(Outcome.IMPLICITLY_DENIED, bare, (), self.at, error=str(error))
            return Bounds(decision, decision)
        request = loaded.request(loaded.context(self.now, self.settings.region))
        if not loaded.is_decidable:
            decision = loaded.decide(request)
            return Bounds(decision, decision)
        known_keys = KnownKeys(
            request,
            frozenset(key.lower() for key in context),
            has_tags=bool(loaded.tags),
            is_hosted=caller.account is None or caller.account in self.population.accounts,
            owner_is_hosted=loaded.owner is not None and loaded.owner.id in self.population.accounts,
            may_be_tagged=bool(self.trusting_statements(trust, "sts:tagsession")),
            is_any_principal=is_any_principal,
            is_absent=is_absent,
        )
        return loaded.authorizer.bounds(request, self._evaluator, known_keys, asked=pattern)

    def trusting_statements(self, trust: str | None, action: str) -> Sequence[CompiledStatement]:
        """Return a trust policy's Allow statements about an action (lower case); an unreadable policy has none."""
        if (trust, action) not in self._trusting:
            try:
                ref = PolicyRef("trust policy", PolicyType.TRUST)
                about = () if trust is None else compile_policy(trust, ref).content.about(action)
            except PolicyError:
                about = ()
            self._trusting[trust, action] = [statement for statement in about if not statement.denies]
        return self._trusting[trust, action]

    # --- the store protocol that the loader reads --------------------------------------------------------------------

    def state(self) -> State:
        return State(self.at)

    def is_at(self, _state: State) -> bool:
        return True

    def principal(self, principal: Principal) -> PrincipalRecord:
        return self._records[principal.arn]

    def account(self, account_id: str) -> AccountRecord:
        if account_id not in self._accounts:
            self._accounts[account_id] = self.source.account(account_id)
        return self._accounts[account_id]

    def resource(self, arn: str) -> ResourceRecord:
        if arn not in self._resources:
            self._resources[arn] = self.source.resource(arn)
        return self._resources[arn]

    def access_key(self, access_key_id: str) -> AccessKey | None:
        """Return None: these queries authenticate no caller."""
        return None

    def api_key(self, api_key_id: str) -> ApiKey | None:
        """Return None: these queries authenticate no caller."""
        return None

    def certificate_trust(self) -> CertificateTrust:
        return self.source.certificate_trust()

    def refresh(self) -> None:
        """Do nothing: all data is of one epoch."""

    def close(self) -> None:
        """Do nothing: the caller closes the store."""


@contextmanager
def open_evaluator(store: SourceStore, settings: Settings | None, now: datetime | None) -> Iterator[AccessEvaluator]:
    """Load all principals and yield an evaluator of them, in one transaction. `now` is the time of the requests."""
    with store.at_once():
        epoch = store.account("").epoch
        population = read_principals(store, epoch)
        yield AccessEvaluator(store, settings or Settings(), population, epoch, now or datetime.now(UTC))
