"""`Guard`: authenticate, load, decide, record. The only module that joins these four steps.

All of it is synchronous, and only loading does I/O. An asynchronous caller first asks for an answer from the cache, and
leaves its event loop only on a cache miss. An error while deciding is a denial, and it is recorded.
"""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache, partial
from typing import cast

from iam_guard.administration.people import People
from iam_guard.administration.sealed_principals import PrincipalSealing
from iam_guard.audit.record.redaction import loggable
from iam_guard.audit.trail import Trail
from iam_guard.authn.authenticator import Authenticators
from iam_guard.authn.credential import claimed_credential
from iam_guard.authn.federation.role_session import TrustQuestion
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import AnyCredential
from iam_guard.authn.signatures.chunked import ChunkedBody
from iam_guard.errors import CacheMiss, IamGuardError, StoreUnavailable
from iam_guard.evaluation.authorization_message import authorization_message
from iam_guard.evaluation.explanation import Explanation
from iam_guard.guard.list_queries import ListFilters
from iam_guard.guard.lists import GuardLists
from iam_guard.guard.loader import Loader
from iam_guard.guard.principal_queries import PrincipalQueries
from iam_guard.guard.question import NO_POLICIES, Question, checked_pairs, require_allowed
from iam_guard.guard.shadow_mode import ShadowMode
from iam_guard.guard.store_management import StoreManagement
from iam_guard.model.catalogue import Catalogue, check_action
from iam_guard.model.context import Given, Lazy
from iam_guard.model.decision import Decision, Outcome
from iam_guard.model.own_services import PREFIXES
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest, ActionOnResource, Call, Resource, ResourceLoader, load_resource
from iam_guard.model.usage import AuditUsage, GuardUsage
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.credentials.last_used import LastUsedTracker
from iam_guard.store.protocol import RecordStore, StatedStore
from iam_guard.store.sealed_messages import write_message

_log = logging.getLogger("iam_guard.guard")


class Guard(StoreManagement, PrincipalSealing):
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
        super().__init__(store, trail, settings, tuple(catalogues), resources, clock)
        self._shadow = shadow
        self._own_services = frozenset(catalogue.service for catalogue in self.catalogues)
        self._loader = Loader(store, size=settings.cache_size, location=self.location, own_services=self._own_services)
        lists = GuardLists(
            ListFilters(store, self._loader, settings),
            trail,
            catalogues=self.catalogues,
            resources=self.resources,
            clock=lambda: self.clock(),
            decide=lambda question: self._decide(question, self._store)[0],
            explain=self.explain,
        )
        self.filter, self.permitted, self.condition = lists.filter, lists.permitted, lists.condition
        self.explain_filter, self.why_not, self.resource_of = lists.explain_filter, lists.why_not, lists.resource_of
        self.ask_about = PrincipalQueries(trail, self._question, lambda asked: self._decide(asked, self._store)[0]).ask
        self.signing_names = {catalogue.service: catalogue.signing_names for catalogue in self.catalogues}
        self._authenticators = Authenticators(
            store, settings, self._may_have_session, lambda: self.clock(), self.signing_names.values()
        )
        self.precheck, self.has_seen = self._authenticators.precheck, self._authenticators.has_seen
        self.tokens, self.known_credentials = self._authenticators.tokens, self._authenticators.known
        """`tokens` verifies tokens of OIDC providers. `known_credentials` accepts repeated requests of verified
        callers; it is None if every request is verified in full."""
        self.uses = LastUsedTracker(store, region=settings.region)
        self.people = People(
            store,
            settings,
            lambda: self.clock(),
            uses=self.uses,
            trail=trail,
            change_recorder=self._change_recorder,
            decide=self._may_have_session,
            tokens=self.tokens,
        )
        """How people sign in with a browser, their sessions, and their own credentials."""
        this = weakref.ref(self)  # what asks for metrics outlives guards
        outage = lambda: outage_of(guard._store) if (guard := this()) else float("inf")  # noqa: E731
        trail.watch(lambda: guard.usage() if (guard := this()) else GuardUsage(), outage)

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
            principal = (self._authenticators.cache_only if cache_only else self._authenticators.waiting).authenticate(
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
        decision = self._allow(principal, action, resource, context, call, self._store)
        if decision is not None:
            return decision
        return self._decide_and_record(self._question(principal, action, resource, context, call), self._store)

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
            decision = self._allow(principal, action, resource, context, call, store)
            if decision is not None:
                return decision
            question = self._question(principal, action, resource, context, call)
            if not question.is_described:
                return None  # the application's loader may query its own tables
            return self._decide_and_record(question, store)
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
            check_action(action, self.catalogues, others=PREFIXES)
        asked = [self._question(principal, action, resource, context, call) for action, resource in pairs]
        decisions = [self._decide(question, self._store)[0] for question in asked]
        self.trail.record_permission_queries(principal, decisions, call)
        return decisions

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
        self._store.behind.refresh()
        decision, _ = self._decide(self._question(principal, action, resource, context, call), None)
        return replace(cast(Explanation, decision.explain()), stale=False)

    def encoded_message(self, decision: Decision) -> str | None:
        """Return the details of a denial, sealed for the caller's account: its administrators decode them (rule S-36).

        The caller may see the message, which reveals nothing without DecodeAuthorizationMessage. None for an allowed
        request, for a caller without account, and for a request that is too long.
        """
        account = decision.request.principal.account
        if decision.allowed or account is None:
            return None
        return write_message(authorization_message(decision), account, self._store.sealer)

    # --- state -------------------------------------------------------------------------------------------------------

    def audit_usage(self) -> AuditUsage | None:
        """Return the state of this process's audit trail; None if it is not in a folder."""
        return self.trail.usage()

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

    # --- one decision ------------------------------------------------------------------------------------------------

    def _question(
        self,
        principal: Principal,
        action: str,
        resource: str | Resource,
        context: Mapping[str, Given | Lazy] | None,
        call: Call | None,
    ) -> Question:
        is_resource = isinstance(resource, Resource)
        described = (resource if isinstance(resource, Resource) else Resource(resource)).at(self.location)
        own_service = isinstance(action, str) and action.partition(":")[0].lower() in self._own_services
        is_described = is_resource or self.resources is None or described.arn == "*"
        return Question(principal, action, described, own_service, context, call, is_described)

    def _allow(
        self,
        principal: Principal,
        action: str,
        resource: str | Resource,
        context: Mapping[str, Given | Lazy] | None,
        call: Call | None,
        store: StatedStore,
    ) -> Decision | None:
        """Return the recorded decision of a request that a plan allows; None for every other, without effect.

        Raises `CacheMiss` if `store` is the cache alone and not enough.
        """
        started = time.perf_counter()
        if self._shadow is not None or (self.resources is not None and type(resource) is str and resource != "*"):
            return None
        try:
            decision = self._loader.allow(principal, action, resource, context, call, store, self.clock())
        except CacheMiss:
            raise
        except Exception:  # noqa: BLE001  `_decide` meets and reports the same error
            return None
        if decision is not None:
            self.uses.track_action(decision.request.principal, action)
            self.trail.record_decision(decision, call, started=started)
        return decision

    def _decide_and_record(self, question: Question, store: StatedStore) -> Decision:
        """Decide and record. Raises `CacheMiss` before anything is recorded, if `store` is the cache alone."""
        started = time.perf_counter()
        decision, question = self._decide(question, store)
        shadow = None
        if self._shadow is not None:
            shadow = self._shadow.difference(decision, question, cache_only=store is not self._store)
        if decision.error is None:
            self.uses.track_action(decision.request.principal, question.action)
        self.trail.record_decision(decision, question.call, started=started, shadow=shadow)
        return decision

    def _decide(self, question: Question, store: StatedStore | None) -> tuple[Decision, Question]:
        """Decide a question; return it with its resource as the application's loader describes it."""
        try:
            if not question.is_described and self.resources is not None:
                question = question._replace(resource=load_resource(self.resources, question.resource, self.location))
            loaded = self._loader.load(question, store)
            request = loaded.request(loaded.context(self.clock(), self.settings.region))
            decision = loaded.decide(request, stale=self._store.stale)
            if decision.error is not None:
                _log.error("no decision could be made: %s", loggable(decision.error))
        except CacheMiss:
            raise
        except Exception as error:  # noqa: BLE001  an error while deciding is a denial, and it is recorded (E-6)
            expected = isinstance(error, IamGuardError)
            if not isinstance(error, StoreUnavailable):
                _log.error("no decision could be made: %s", loggable(error) if expected else type(error).__name__)
            text, stale = str(error) if expected else f"unexpected {type(error).__name__}", self._store.stale
            principal, action, resource, *_ = question
            request = AccessRequest(principal, action, resource.arn, resource_account=resource.account)
            decision = Decision(Outcome.IMPLICITLY_DENIED, request, (), error=text, stale=stale, explainer=NO_POLICIES)
        return decision, question


def outage_of(store: CachedStore) -> float:
    """Return for how many seconds a store has failed; 0 while it answers.

    An idle process does not poll, so its `staleness` says nothing about the store.
    """
    return store.staleness() if store.stale else 0.0
