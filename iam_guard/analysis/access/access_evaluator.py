"""Asking the evaluator about many principals of one store: everything is loaded once, of one epoch.

The policies of each principal are put together by the guard's own loader (`iam_guard.guard.loader`), which asks the
population instead of the database. Nothing is noted, since nobody does anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from iam_guard.analysis.access.known_keys import KnownKeys
from iam_guard.errors import PolicyError
from iam_guard.evaluation.bounds import Bounds, PartialEvaluator
from iam_guard.evaluation.compiler import compile_policy
from iam_guard.evaluation.matching.pattern import Pattern
from iam_guard.guard.loader import Loader, Question
from iam_guard.model.context import Given
from iam_guard.model.credential import AccessKey, ApiKey
from iam_guard.model.decision import Decision, Outcome, PolicyRef, PolicyType
from iam_guard.model.own_services import SERVED
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest, Resource
from iam_guard.model.trust import CertificateTrust
from iam_guard.settings import Settings
from iam_guard.store.cached_store import CachedStore
from iam_guard.store.protocol import AccountRecord, PrincipalRecord, ResourceRecord, SourceStore
from iam_guard.store.stored_principals import StoredPrincipal, StoredPrincipals, read_population


@dataclass(slots=True)
class AccessEvaluator:
    """Asks about the principals of one store, for as long as its transaction is open."""

    source: SourceStore
    settings: Settings
    population: StoredPrincipals
    at: int
    """The epoch of the transaction."""
    now: datetime
    _records: dict[str, PrincipalRecord] = field(default_factory=dict)
    _accounts: dict[str, AccountRecord] = field(default_factory=dict)
    _resources: dict[str, ResourceRecord] = field(default_factory=dict)
    _taggable: dict[str | None, bool] = field(default_factory=dict)
    _opening: PartialEvaluator = field(default_factory=PartialEvaluator)
    _loader: Loader = field(init=False)

    def __post_init__(self) -> None:
        size = len(self.population.inhabitants) + self.settings.cache_size
        self._loader = Loader(CachedStore(self.source, self.settings), size=size)

    def inhabitant_of(self, arn: str) -> StoredPrincipal | None:
        """Return the user, role or root user with an ARN."""
        return self.population.inhabitants.get(arn)

    def bounds(
        self,
        principal: PrincipalRecord,
        action: str,
        wanted: Resource,
        context: Mapping[str, Given],
        *,
        asked: Pattern | None = None,
        trust: str | None = None,
        is_anybody: bool = False,
    ) -> Bounds:
        """Ask whether a principal may do something; `asked` is the pattern of all the resources that are meant.

        `trust` is the trust policy of the role whose sessions the principal stands for.
        """
        caller = principal.principal
        self._records[caller.arn] = principal
        own = action.partition(":")[0].lower() not in SERVED
        try:
            loaded = self._loader.load(Question(caller, action, wanted, own, context), self)
        except PolicyError as doubt:  # the guard would deny it too
            bare = AccessRequest(caller, action, wanted.arn, resource_account=wanted.account)
            decision = Decision(Outcome.IMPLICITLY_DENIED, bare, (), self.at, error=str(doubt))
            return Bounds(decision, decision)
        owner = None if loaded.owner is None else loaded.owner.id
        request = loaded.request(loaded.context(self.now, self.settings.region))
        if not loaded.is_decidable:
            decision = loaded.decide(request)
            return Bounds(decision, decision)
        settled = KnownKeys(
            request,
            frozenset(key.lower() for key in context),
            has_tags=bool(loaded.tags),
            is_hosted=caller.account is None or caller.account in self.population.accounts,
            owner_is_hosted=owner is not None and owner in self.population.accounts,
            may_be_tagged=self._may_be_tagged(trust),
            is_anybody=is_anybody,
        )
        return loaded.authorizer.bounds(request, self._opening, settled, asked=asked)

    def _may_be_tagged(self, trust: str | None) -> bool:
        """Return whether a trust policy lets anybody tag sessions; one that can't be read lets nobody in at all."""
        if trust not in self._taggable:
            try:
                ref = PolicyRef("trust policy", PolicyType.TRUST)
                about = () if trust is None else compile_policy(trust, ref).content.about("sts:tagsession")
            except PolicyError:
                about = ()
            self._taggable[trust] = any(not each.denies for each in about)
        return self._taggable[trust]

    # --- the Store that the loader asks ----------------------------------------------------------------------------

    def epoch(self) -> int:
        return self.at

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
        """Return none: nobody signs in here."""
        return None

    def api_key(self, api_key_id: str) -> ApiKey | None:
        """Return none: nobody signs in here."""
        return None

    def certificate_trust(self) -> CertificateTrust:
        return self.source.certificate_trust()

    def refresh(self) -> None:
        """Do nothing: all of it is of one epoch."""

    def close(self) -> None:
        """Do nothing: whoever opened the store closes it."""


@contextmanager
def asking(store: SourceStore, settings: Settings, now: datetime | None = None) -> Iterator[AccessEvaluator]:
    """Read everybody and give what asks about them, all in one transaction. `now` is the time of the requests."""
    with store.at_once():
        epoch = store.account("").epoch
        population = read_population(store, epoch)
        yield AccessEvaluator(store, settings, population, epoch, now or datetime.now(UTC))
