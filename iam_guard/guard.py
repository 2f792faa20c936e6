"""THE hinge: authenticate -> load -> decide -> note. Nothing else joins who, what, may and noted.

Everything here is plain synchronous Python; only loading touches the world, and `is_warm` tells an asynchronous caller
whether it would. Doubt denies: an error while deciding is a denial, and it is noted. Must not live here: HTTP (`asgi`),
the order of evaluation (`evaluation`), how a credential is verified (`authn`).
"""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import cast

from iam_guard.api_keys import ApiKeys
from iam_guard.audit.trail import Trail
from iam_guard.audit.witness import TrailWitness
from iam_guard.authn.http import HttpRequest
from iam_guard.authn.oidc import TokenVerifier
from iam_guard.authn.verify import (
    AnyCredential,
    Callers,
    CertificateCredential,
    ChunkedBody,
    OpenedTokens,
    Replays,
    TokenCredential,
    authenticate,
    credential_of,
    needed_record,
)
from iam_guard.errors import AccessDenied, DecisionUnavailable, IamGuardError, StoreUnavailable
from iam_guard.evaluation.authorization_message import authorization_message
from iam_guard.evaluation.explain import WithoutPolicies
from iam_guard.evaluation.explanation import Explanation
from iam_guard.federation.bearers import Bearers
from iam_guard.federation.certificate_session import CertificateSessions
from iam_guard.federation.role_session import Question as TrustQuestion
from iam_guard.loading import Loaded, Loader, ResourceLoader, of_application, refused_without_policies
from iam_guard.model.catalogue import Catalogue
from iam_guard.model.context import Given, Lazy
from iam_guard.model.credential import AccessKey, ApiKey
from iam_guard.model.decision import Decision, Outcome
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest, ActionOnResource, Call, Resource
from iam_guard.model.usage import AuditUsage, CacheUsage
from iam_guard.settings import Settings
from iam_guard.shadow import Shadow
from iam_guard.store.cached import CachedStore
from iam_guard.store.certificate_trust import RevocationLists
from iam_guard.store.protocol import RecordStore, Store
from iam_guard.store.resource_policies import ResourcePolicies
from iam_guard.store.sealed_messages import write_message
from iam_guard.store.uses import Uses
from iam_guard.supply import Circumstances, SuppliedContext

_log = logging.getLogger("iam_guard.guard")


class Guard:
    """Decides and notes for one application. Make one with `open_guard`; safe to share between threads."""

    def __init__(
        self,
        store: CachedStore,
        trail: Trail,
        settings: Settings,
        *,
        catalogues: Iterable[Catalogue] = (),
        resources: ResourceLoader | None = None,
        shadow: Shadow | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.settings = settings
        self.catalogues = tuple(catalogues)
        self.trail = trail
        self._store = store
        self._clock = clock
        self._resources = resources
        self._shadow = shadow
        witness = TrailWitness(trail, self.catalogues[0].service if self.catalogues else "iam-guard")
        self.resource_policies = ResourcePolicies(store, witness)
        """The resource-based policies that the store holds for the application's resources: put, get, delete, list."""
        self.api_keys = ApiKeys(store, witness=witness)
        """The API keys that the store holds: create, list, update, rotate, delete."""
        self.revocation_lists = RevocationLists(store, witness)
        """The revocation lists of trust anchors: put, list."""
        self._loader = Loader(store, size=settings.cache_size)
        self._own_services = frozenset(each.service for each in self.catalogues)
        self._callers = Callers(settings.cache_size)
        self._tokens = OpenedTokens(store.open_session, settings.cache_size)
        self.tokens = TokenVerifier(settings)
        """Verifies tokens of OIDC providers."""
        self._bearers = Bearers(store, self.tokens, settings)
        self._certificates = CertificateSessions(
            store, self._may_have_session, region=settings.region, clock=lambda: self._clock(), size=settings.cache_size
        )
        self._replays = Replays(settings.replay_memory) if settings.replay_memory else None
        self.uses = Uses(store, region=settings.region)
        this = weakref.ref(self)  # what asks for metrics outlives guards
        trail.watch(lambda: guard.usage() if (guard := this()) else {}, store.staleness)

    # --- who ---------------------------------------------------------------------------------------------------

    def authenticate(
        self,
        request: HttpRequest,
        *,
        payload_hash: Callable[[], str],
        call: Call | None = None,
        credential: AnyCredential | None = None,
        unsigned_payload: bool = False,
        chunks: ChunkedBody | None = None,
    ) -> Principal:
        """Turn what a request carries into a principal; anonymous when it carries nothing.

        `payload_hash` gives the hex SHA-256 of the body and is asked only when a signature needs it. `credential` is
        what `extract` read of this very request, where it was asked already. `unsigned_payload` accepts a body that the
        signature does not cover, `chunks` decodes one in chunks. Raises a `CredentialError` for bad credentials,
        `StoreUnavailable` when nobody can say; both are noted in the audit trail.
        """
        now = self._clock()
        try:
            principal = authenticate(
                request,
                find_access_key=self._store.access_key,
                find_api_key=self._store.api_key,
                payload_hash=payload_hash,
                now=now,
                skew=self.settings.clock_skew,
                callers=self._callers,
                public_hosts=self.settings.public_hosts,
                max_header=self.settings.max_header,
                credential=credential,
                open_session=self._tokens.session,
                admit_token=lambda token: self._admitted(token, request, call, now),
                find_certificate_session=lambda given: self._certificates.principal(given, call),
                region=self.settings.region,
                unsigned_payload=unsigned_payload,
                chunks=chunks,
                replays=self._replays,
            )
        except IamGuardError as refusal:
            kind, credential_id = credential_of(request)
            self.trail.note_authentication(refusal, call, kind=kind, credential_id=credential_id)
            raise
        self.trail.count_authentication(principal.credential.kind if principal.credential else "none")
        self.uses.note_key(principal.credential)
        return principal

    def _admitted(
        self, credential: TokenCredential, request: HttpRequest, call: Call | None, now: datetime
    ) -> Principal:
        decide = partial(self._may_have_session, call)
        return self._bearers.principal(credential, request, now=now, decide=decide)

    # --- may -----------------------------------------------------------------------------------------------------

    def decide(
        self,
        principal: Principal,
        action: str,
        resource: str | Resource = "*",
        context: Mapping[str, Given | Lazy] | None = None,
        *,
        call: Call | None = None,
    ) -> Decision:
        """Decide whether `principal` may do `action` on `resource`, and note it; never raises for a denial.

        `resource` is an ARN, `*`, or a `Resource` with owner account, tags and policy. `context` adds condition keys to
        those that call, principal, resource and clock supply. When no decision can be made the answer is a denial with
        `error` set. Raises `DecisionUnavailable` only when an Allow could not be written to the audit trail.
        """
        started = time.perf_counter()
        decision = self._decide(principal, action, resource, context, call, self._store)
        if decision.error is None:
            self.uses.note_action(decision.request.principal, action)
        shadow = None if self._shadow is None else self._beside(self._shadow, decision, principal, resource)
        self.trail.note(decision, call, started=started, shadow=shadow)
        return decision

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
        """Decide several (action, resource) pairs, each on its own (rule M-28); each is noted."""
        return [self.decide(principal, action, resource, context, call=call) for action, resource in questions]

    def ask(
        self,
        principal: Principal,
        questions: Iterable[ActionOnResource],
        context: Mapping[str, Given | Lazy] | None = None,
        *,
        call: Call | None = None,
    ) -> list[Decision]:
        """Decide what is asked about and not attempted: noted as one, or `DecisionUnavailable`; nothing was used."""
        asked = [
            self._decide(principal, action, resource, context, call, self._store) for action, resource in questions
        ]
        self.trail.note_asked(principal, asked, call)
        return asked

    def explain(
        self,
        principal: Principal,
        action: str,
        resource: str | Resource = "*",
        context: Mapping[str, Given | Lazy] | None = None,
        *,
        call: Call | None = None,
    ) -> Explanation:
        """Say what `decide` would answer and why, with the policies as the store itself has them, past every cache.

        For administrators: it shows policies and condition values. Nothing is noted, since nothing is asked for. When
        no decision can be made, the explanation says so in `error`.
        """
        store = self._store.behind
        store.refresh()
        decision = self._decide(principal, action, resource, context, call, store)
        return replace(cast(Explanation, decision.explain()), stale=False)

    def encoded_message(self, decision: Decision) -> str | None:
        """Seal what a refusal meant, for the caller's account: its administrators decode it with STS (rule S-36).

        The caller may be told the message, which says nothing without DecodeAuthorizationMessage. None for what was
        allowed, for a caller without account, and for a request too long to be told.
        """
        account = decision.request.principal.account
        if decision.allowed or account is None:
            return None
        return write_message(authorization_message(decision), account, self._store.sealer)

    # --- the state behind ----------------------------------------------------------------------------------------

    def is_warm(self, principal: Principal, resource: str | Resource, action: str | None = None) -> bool:
        """Tell whether `decide` would answer without touching the store, so that it need not leave the event loop.

        With an action, also whether its record would be taken without waiting.
        """
        if action is not None and self.trail.may_wait(action):
            return False
        if self._resources is not None and not isinstance(resource, Resource) and resource != "*":
            return False  # the application is asked, and may ask its own tables
        wanted = _wanted(resource)
        return self._loader.is_warm(principal, wanted) and (
            self._shadow is None or self._shadow.is_warm(principal, wanted, action)
        )

    def knows_credential(
        self, credential: AnyCredential, request: HttpRequest | None = None, call: Call | None = None
    ) -> bool:
        """Tell whether `authenticate` would answer without touching the store, or anybody else.

        `request` and `call` are what the credential came with; of tokens nothing is known without the request.
        """
        if isinstance(credential, TokenCredential):
            return request is not None and self._bearers.holds(credential, request, self._clock())
        if isinstance(credential, CertificateCredential):
            return self._certificates.is_warm(credential, call)
        needed = needed_record(credential, self._tokens.session)
        return needed is None or self._store.holds(_ROOMS[needed[0]], needed[1])

    def audit_usage(self) -> AuditUsage | None:
        """Tell how the audit trail of this process fares; None where it is not kept in a folder."""
        return self.trail.usage()

    def usage(self) -> dict[str, CacheUsage]:
        """Tell how each cache is used: entries held, entries at most, hits and misses since the guard was opened."""
        return self._store.usage() | self._loader.usage()

    @property
    def store(self) -> RecordStore:
        """The store behind, for the services that change it."""
        return self._store

    def refresh(self) -> None:
        """Look at once whether the state behind has changed."""
        self._store.refresh()

    def close(self) -> None:
        """Close the audit trail and the store; what was used last is written before."""
        self.trail.close()
        self.uses.close()
        self._store.close()
        if self._shadow is not None:
            self._shadow.close()

    def _may_have_session(self, call: Call | None, outsider: Principal, question: TrustQuestion) -> Decision:
        """Ask a role's trust policy about somebody whose identity was proved outside; it is noted."""
        return self.decide(outsider, question.action, question.resource, question.context, call=call)

    # --- the way of one decision ---------------------------------------------------------------------------------

    def _decide(
        self,
        principal: Principal,
        action: str,
        resource: str | Resource,
        context: Mapping[str, Given | Lazy] | None,
        call: Call | None,
        store: Store,
    ) -> Decision:
        wanted = _wanted(resource)
        try:
            wanted = self._found(resource)
            loaded = self._loader.load(principal, wanted, store, own_service=self._is_own(action))
            return self._evaluate(loaded, wanted, action, context, call)
        except Exception as doubt:  # noqa: BLE001  doubt must become Deny (E-6); the trail notes it
            expected = isinstance(doubt, IamGuardError)
            if not isinstance(doubt, StoreUnavailable):
                _log.error("no decision could be made: %s", doubt if expected else type(doubt).__name__)
            error = str(doubt) if expected else f"unexpected {type(doubt).__name__}"
            bare = AccessRequest(principal, action, wanted.arn, resource_account=wanted.account)
            return Decision(
                Outcome.IMPLICITLY_DENIED, bare, (), error=error, stale=self._store.stale, explainer=_WITHOUT_POLICIES
            )

    def _found(self, resource: str | Resource) -> Resource:
        """Give what is known of a resource by the application, as far as it did not say so itself."""
        wanted = _wanted(resource)
        if self._resources is not None and wanted is not resource and wanted.arn != "*":
            return of_application(self._resources(wanted.arn), wanted)
        return wanted

    def _is_own(self, action: str) -> bool:
        return action.partition(":")[0].lower() in self._own_services

    def _beside(
        self, shadow: Shadow, decision: Decision, principal: Principal, resource: str | Resource
    ) -> Decision | None:
        own = self._is_own(decision.request.action)
        return shadow.difference(decision, principal, lambda: self._found(resource), own_service=own)

    def _evaluate(
        self,
        loaded: Loaded,
        wanted: Resource,
        action: str,
        context: Mapping[str, Given | Lazy] | None,
        call: Call | None,
    ) -> Decision:
        principal = loaded.caller.principal
        owner = loaded.owner.id if loaded.owner else None
        around = Circumstances(
            now=self._clock(),
            principal=principal,
            call=call,
            principal_organization=loaded.account.organization if loaded.account else None,
            resource_account=owner,
            resource_organization=loaded.owner.organization if loaded.owner else None,
            resource_tags=loaded.tags,
            region=self.settings.region,
        )
        request = AccessRequest(principal, action, wanted.arn, SuppliedContext(context, around), resource_account=owner)
        epoch, stale = loaded.epoch, self._store.stale
        refused = refused_without_policies(loaded, wanted)
        if refused is None:
            return loaded.authorizer.decide(request, epoch=epoch, stale=stale)
        return Decision(Outcome.IMPLICITLY_DENIED, request, (refused,), epoch, stale, explainer=_WITHOUT_POLICIES)


def _wanted(resource: str | Resource) -> Resource:
    return resource if isinstance(resource, Resource) else Resource(resource)


def require_allowed(decision: Decision) -> Decision:
    """Give the decision back when it allows; raise what a refusal is made from otherwise."""
    if decision.allowed:
        return decision
    if decision.error is not None:
        raise DecisionUnavailable("no decision can be made, so the request is denied")
    raise AccessDenied(decision.message(), decision=decision)


_WITHOUT_POLICIES = WithoutPolicies()
_ROOMS: Mapping[type, str] = {AccessKey: "access_key", ApiKey: "api_key"}
"""Kind of record -> what the store calls it."""
