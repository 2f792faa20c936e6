"""`Guard`: authenticate, load, decide, record. One decision is in `decision_maker`.

All of it is synchronous, and only loading does I/O. An asynchronous caller first asks for an answer from the cache, and
leaves its event loop only on a cache miss. An error while deciding is a denial, and it is recorded.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import cache, partial
from typing import Literal, TypeVar

from iam_guard.administration.accounts import Accounts
from iam_guard.administration.api_keys import ApiKeys
from iam_guard.administration.people import People
from iam_guard.administration.sealed_principals import SealedPrincipals
from iam_guard.administration.sharing import ResourceSharing
from iam_guard.administration.user_import import Users
from iam_guard.audit.change_recorder import TrailChangeRecorder
from iam_guard.audit.trail import Trail
from iam_guard.authn.authenticator import Authenticators
from iam_guard.authn.credential import claimed_credential
from iam_guard.authn.federation.role_session import TrustQuestion
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import AnyCredential
from iam_guard.authn.signatures.chunked import ChunkedBody
from iam_guard.errors import CacheMiss, IamGuardError
from iam_guard.evaluation.explanation import Explanation
from iam_guard.filters.list_condition import ListCondition
from iam_guard.filters.mapped_resources import MappedResources
from iam_guard.filters.resource_type import ResourceMapping
from iam_guard.filters.statement_filter import ListStatement
from iam_guard.guard.current_call import request_served_by
from iam_guard.guard.decision_maker import DecisionMaker
from iam_guard.guard.list_queries import ListFilters
from iam_guard.guard.lists import GuardLists, ListCaller
from iam_guard.guard.loader import Loader, outage_of
from iam_guard.guard.principal_queries import PrincipalQueries
from iam_guard.guard.question import checked_pairs, require_allowed
from iam_guard.guard.shadow_mode import ShadowMode
from iam_guard.model.arn import Location
from iam_guard.model.catalogue import Catalogue, application_name, check_action
from iam_guard.model.context import Given, Lazy
from iam_guard.model.decision import Decision
from iam_guard.model.own_services import RESERVED
from iam_guard.model.principal import Principal
from iam_guard.model.request import ActionOnResource, Call, Resource, ResourceLoader
from iam_guard.model.usage import GuardUsage
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.credentials.certificate_trust import RevocationLists
from iam_guard.store.credentials.last_used import LastUsedTracker
from iam_guard.store.policies.resource_policies import ResourcePolicies
from iam_guard.store.protocol import RecordStore

T = TypeVar("T")


class Guard:
    """Decides and records for one application. `open_guard` makes one; safe to share between threads."""

    def __init__(
        self,
        store: CachedStore,
        trail: Trail,
        settings: Settings,
        *,
        catalogues: Iterable[Catalogue] = (),
        resources: ResourceLoader | None = None,
        shadow: ShadowMode | None = None,
        clock: Callable[[], datetime] = partial(datetime.now, UTC),
    ) -> None:
        self._store, self.trail, self.settings, self._shadow = store, trail, settings, shadow
        self.location = location = Location(settings.partition, settings.region)
        """The partition and the region of the resources that the guard decides about."""
        self.catalogues = tuple(catalogues)
        self.resources = resources.at(location) if isinstance(resources, MappedResources) else resources
        self.clock = clock
        """Returns the present time, of decisions and of the calls of the AWS API alike."""
        self.uses = LastUsedTracker(store, region=settings.region)
        now = lambda: self.clock()  # noqa: E731
        self._add_decisions(now)
        self._add_credentials(now)
        self._add_administration(now)
        this = weakref.ref(self)  # what asks for metrics outlives guards
        outage = lambda: outage_of(guard._store) if (guard := this()) else float("inf")  # noqa: E731
        trail.watch(lambda: guard.usage() if (guard := this()) else GuardUsage(), outage)

    def _add_decisions(self, now: Callable[[], datetime]) -> None:
        store, own_services = self._store, frozenset(catalogue.service for catalogue in self.catalogues)
        self._loader = Loader(store, size=self.settings.cache_size, location=self.location, own_services=own_services)
        self.decision_maker = DecisionMaker(
            store,
            self._loader,
            self.trail,
            self.uses,
            location=self.location,
            own_services=own_services,
            resources=self.resources,
            shadow=self._shadow,
            clock=now,
        )
        self.lists = GuardLists(
            ListFilters(store, self._loader, self.settings),
            self.decision_maker,
            self.trail,
            catalogues=self.catalogues,
            resources=self.resources,
        )
        """Lists that show only what the caller may see, and why: see `filter`."""
        self.principal_queries = PrincipalQueries(self.decision_maker, self.trail)
        """What other principals may do."""

    def _add_credentials(self, now: Callable[[], datetime]) -> None:
        self.signing_names = {catalogue.service: catalogue.signing_names for catalogue in self.catalogues}
        self.authenticators = Authenticators(
            self._store, self.settings, self._may_have_session, now, self.signing_names.values()
        )
        """Verify credentials; they say what needs no lookup."""
        self.known_credentials = self.authenticators.known
        """Accepts repeated requests of verified callers; None if every request is verified in full."""
        self.sealed_principals = SealedPrincipals(self._store, self.settings, self.trail, now)
        """Callers in texts that workers open later: seal, open."""

    def _add_administration(self, now: Callable[[], datetime]) -> None:
        """Add what changes the store for the application and its operators, without a decision."""
        store, settings, location, trail = self._store, self.settings, self.location, self.trail
        recorder = TrailChangeRecorder(trail, application_name(self.catalogues), served=lambda: request_served_by(self))
        self.accounts = Accounts(store, settings, recorder, now)
        """The accounts, which are the application's tenants: create, list, rename, suspend, close, delete."""
        self.users = Users(store, recorder, now)
        """The users of the accounts: import rows of an existing table."""
        self.api_keys = ApiKeys(store, recorder)
        """The API keys that the store holds: create, list, update, rotate, delete."""
        self.resource_policies = ResourcePolicies(store, recorder, location)
        """The resource-based policies that the store holds for the application's resources: put, get, delete, list."""
        self.sharing = ResourceSharing(self.resource_policies, self.catalogues, self.resources, location=location)
        """Resources that other accounts may use: share, unshare, list the shares."""
        self.revocation_lists = RevocationLists(store, recorder)
        """The revocation lists of trust anchors: put, list."""
        self.people = People(
            store,
            settings,
            now,
            uses=self.uses,
            trail=trail,
            change_recorder=recorder,
            decide=self._may_have_session,
            tokens=self.authenticators.tokens,
        )
        """How people sign in with a browser, their sessions, and their own credentials."""

    # --- authenticate ------------------------------------------------------------------------------------------------

    def authenticate(
        self,
        request: HttpRequest,
        *,
        payload_hash: Callable[[], str],
        call: Call | None = None,
        credential: AnyCredential | None = None,
        unsigned_payload: bool = False,
        chunks: ChunkedBody | None = None,
        cache_only: bool = False,
        any_scope: bool = False,
    ) -> Principal:
        """Return the principal of a request; anonymous if it has no credentials. Session cookies are left to `web`.

        `payload_hash` returns the hex SHA-256 of the body, and is called only if a signature needs it. `credential` is
        the result of `extract` for this request, if there is one. `unsigned_payload` accepts a body that the signature
        does not cover, `chunks` decodes one in chunks; `any_scope` accepts a signature for any region and service.
        Raises a `CredentialError` for bad credentials, `StoreUnavailable`; both are recorded in the audit trail. With
        `cache_only` it raises `CacheMiss`, without effect, instead of waiting for the store or an identity provider.
        """
        now, known = self.clock(), self.known_credentials
        if known is not None and chunks is None and not unsigned_payload:
            payload_hash = cache(payload_hash)
            principal = known.principal(request, payload_hash, now, any_scope=any_scope)
            if principal is not None:
                self.count_authenticated(principal)
                return principal
        try:
            principal = (self.authenticators.cache_only if cache_only else self.authenticators.waiting).authenticate(
                request,
                payload_hash=payload_hash,
                now=now,
                call=call,
                credential=credential,
                unsigned_payload=unsigned_payload,
                chunks=chunks,
                any_scope=any_scope,
            )
        except IamGuardError as refusal:
            self.trail.record_authentication(refusal, call, *claimed_credential(request))
            raise
        self.count_authenticated(principal)
        if not cache_only:
            self._loader.prefetch(principal)
        return principal

    def count_authenticated(self, principal: Principal) -> None:
        """Count an authenticated request, and record the last use of its key."""
        credential = principal.credential
        self.trail.count_authentication(credential.kind if credential is not None else "none")
        self.uses.track_key(credential)

    # --- authorize ---------------------------------------------------------------------------------------------------

    def decide(
        self,
        principal: Principal,
        action: str,
        resource: str | Resource = "*",
        context: Mapping[str, Given | Lazy] | None = None,
        *,
        call: Call | None = None,
    ) -> Decision:
        """Decide whether `principal` may do `action` on `resource`, and record it; never raises for a denial.

        `resource` is an ARN, `*`, or a `Resource` with owner account, tags, condition keys and policy. `context` adds
        condition keys to those that call, principal, resource and clock supply, and overrides them. When no decision
        can be made the answer is a denial with `error` set. Raises `DecisionUnavailable` only when an Allow could not
        be written to the audit trail.
        """
        decision = self.decision_maker.allow(principal, action, resource, context, call, self._store, self.clock())
        if decision is not None:
            return decision
        question = self.decision_maker.question(principal, action, resource, context, call)
        return self.decision_maker.decide_and_record(question, self._store)

    def decide_from_cache(
        self,
        principal: Principal,
        action: str,
        resource: str | Resource = "*",
        context: Mapping[str, Given | Lazy] | None = None,
        *,
        call: Call | None = None,
    ) -> Decision | None:
        """Decide like `decide`, if that takes no wait for the store, the disk or the resource loader; otherwise return
        None, without effect.
        """
        if self.trail.may_block(action):
            return None
        store = self._store.cache_only
        try:
            decision = self.decision_maker.allow(principal, action, resource, context, call, store, self.clock())
            if decision is not None:
                return decision
            question = self.decision_maker.question(principal, action, resource, context, call)
            if not question.is_described:
                return None  # the application's loader may query its own tables
            return self.decision_maker.decide_and_record(question, store)
        except CacheMiss:
            return None

    def authorize(
        self,
        principal: Principal,
        action: str,
        resource: str | Resource = "*",
        context: Mapping[str, Given | Lazy] | None = None,
        *,
        call: Call | None = None,
    ) -> Decision:
        """Decide, and raise `AccessDenied` with AWS's sentence unless allowed, `DecisionUnavailable` when in doubt."""
        return require_allowed(self.decide(principal, action, resource, context, call=call))

    def decide_many(
        self,
        principal: Principal,
        questions: Iterable[ActionOnResource],
        context: Mapping[str, Given | Lazy] | None = None,
        *,
        call: Call | None = None,
    ) -> list[Decision]:
        """Decide several (action, resource) pairs, each on its own (rule M-28); each is recorded."""
        return [self.decide(principal, *asked, context, call=call) for asked in checked_pairs(questions)]

    def ask(
        self,
        principal: Principal,
        questions: Iterable[ActionOnResource],
        context: Mapping[str, Given | Lazy] | None = None,
        *,
        call: Call | None = None,
    ) -> list[Decision]:
        """Decide actions that are not attempted: one audit record, and no last use.

        Raises `ConfigurationError` for an action that is not declared, and `DecisionUnavailable`.
        """
        pairs = checked_pairs(questions)
        for action, _ in pairs if self.catalogues else ():
            check_action(action, self.catalogues, others=RESERVED)
        return self.principal_queries.ask_for(principal, pairs, context, call)

    def explain(
        self,
        principal: Principal,
        action: str,
        resource: str | Resource = "*",
        context: Mapping[str, Given | Lazy] | None = None,
        *,
        call: Call | None = None,
    ) -> Explanation:
        """Return what `decide` would answer and why, with the policies of the store itself, past every cache.

        For administrators: it shows policies and condition values. Nothing is recorded. When no decision can be made,
        `error` says why.
        """
        return self.decision_maker.explain(self.decision_maker.question(principal, action, resource, context, call))

    # --- lists -------------------------------------------------------------------------------------------------------

    def filter(
        self,
        statement: ListStatement,
        action: str,
        *,
        principal: Principal | None = None,
        context: Mapping[str, Given | Lazy] | None = None,
        call: Call | None = None,
        dialect: str | None = None,
        residual: Literal["recheck"] | None = None,
    ) -> ListStatement:
        """Return a statement for the rows that the principal may do the action on, and record the list.

        `statement` is a SELECT, UPDATE or DELETE with the model of one resource type (`Service.resource_type`).
        Without a principal, the caller of the current request is meant. `context` adds condition keys, as in `decide`.
        The condition takes the form of the database that executes the statement; with `dialect`, of that one. Rows are
        exactly those that `decide` allows; a policy that can't be translated raises `NotFilterable`, or when the
        statement is executed, if only its database can't have it. With `residual="recheck"` such a policy allows, and
        the rows must be decided again: `permitted`. Raises `ConfigurationError` for a statement without a resource
        type, `StoreUnavailable`, and `DecisionUnavailable` if the list can't be recorded.
        """
        caller = ListCaller(principal, context, call)
        return self.lists.filter(statement, action, caller, dialect=dialect, is_superset=residual == "recheck")

    def condition(
        self,
        model: type,
        action: str,
        *,
        principal: Principal | None = None,
        context: Mapping[str, Given | Lazy] | None = None,
        call: Call | None = None,
    ) -> ListCondition:
        """Return the condition that `filter` adds, for queries of Django on a model, and record the list.

        Raises as `filter`; `ListCondition.sql` raises `NotFilterable` if only its database can't have the condition.
        """
        return self.lists.condition(model, action, ListCaller(principal, context, call))

    def permitted(
        self,
        items: Iterable[T],
        action: str,
        *,
        resource_type: ResourceMapping | None = None,
        principal: Principal | None = None,
        context: Mapping[str, Given | Lazy] | None = None,
        call: Call | None = None,
    ) -> list[T]:
        """Return the loaded objects that the principal may do the action on, in order, and record the list.

        The resource type is that of the objects' class unless it is given. Raises as `filter`; an object that is no
        resource, or about which no decision can be made, is left out.
        """
        return self.lists.permitted(items, action, resource_type, ListCaller(principal, context, call))

    # --- state -------------------------------------------------------------------------------------------------------

    def usage(self) -> GuardUsage:
        """Return the usage of each cache, by name, and how this process follows the changes of the store."""
        return GuardUsage(self._store.usage() | self._loader.usage(), self._store.feed_usage())

    @property
    def store(self) -> RecordStore:
        """The store, for the services that change it."""
        return self._store

    def refresh(self) -> None:
        """Poll the store for changes now."""
        self._store.refresh()

    def close(self) -> None:
        """Write the last uses, and close the audit trail and the store."""
        self.people.notifications.close()
        self.trail.close()
        self.uses.close()
        self._store.close()
        if self._shadow is not None:
            self._shadow.close()

    def _may_have_session(self, call: Call | None, identity: Principal, question: TrustQuestion) -> Decision:
        """Decide and record whether a federated identity, or a user, may have a session of a role."""
        return self.decide(identity, question.action, question.resource, question.context, call=call)
