"""THE hinge: authenticate -> load -> decide -> note. Nothing else joins who, what, may and noted.

Everything here is plain synchronous Python; only loading touches the world, and `is_warm` tells an asynchronous caller
whether it would. Doubt denies: an error while deciding is a denial, and it is noted. Must not live here: HTTP (`asgi`),
the order of evaluation (`evaluation`), how a credential is verified (`authn`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple, cast

from iam_guard.audit.trail import Trail
from iam_guard.authn.http import HttpRequest
from iam_guard.authn.sigv4 import SigningKeys
from iam_guard.authn.verify import authenticate, credential_of
from iam_guard.errors import AccessDenied, DecisionUnavailable, IamGuardError, StoreUnavailable
from iam_guard.evaluation.authorizer import Authorizer
from iam_guard.evaluation.bundle import Bundle, Layer, Levels
from iam_guard.evaluation.compile import CompiledPolicy, compile_policy
from iam_guard.evaluation.explain import WithoutPolicies
from iam_guard.evaluation.explanation import Explanation
from iam_guard.model.arn import account_of
from iam_guard.model.catalogue import Catalogue
from iam_guard.model.context import Given, Lazy
from iam_guard.model.decision import Decision, Outcome, PolicyRef, PolicyType, Reason
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import AccessRequest, Call, Resource
from iam_guard.settings import Settings
from iam_guard.store.cached import CachedStore
from iam_guard.store.protocol import AccountRecord, PrincipalRecord, ResourceRecord, Store, StoredPolicy
from iam_guard.supply import Circumstances, SuppliedContext

_log = logging.getLogger("iam_guard.guard")

Question = tuple[str, str | Resource]
"""An action and a resource, for `decide_many`."""

_STORED = {PrincipalType.USER, PrincipalType.ASSUMED_ROLE, PrincipalType.FEDERATED_USER, PrincipalType.ROOT}


class _Loaded(NamedTuple):
    """What one decision needs from the store, all of one epoch (rule T-9)."""

    epoch: int
    principal: PrincipalRecord
    account: AccountRecord | None
    resource: ResourceRecord | None
    owner: AccountRecord | None


class Guard:
    """Decides and notes for one application. Make one with `open_guard`; safe to share between threads."""

    def __init__(
        self,
        store: CachedStore,
        trail: Trail,
        settings: Settings,
        *,
        catalogues: Iterable[Catalogue] = (),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.settings = settings
        self.catalogues = tuple(catalogues)
        self.trail = trail
        self._store = store
        self._clock = clock
        self._own_services = frozenset(each.service for each in self.catalogues)
        self._signing_keys = SigningKeys(settings.cache_size)

    # --- who ---------------------------------------------------------------------------------------------------

    def authenticate(
        self, request: HttpRequest, *, payload_hash: Callable[[], str], call: Call | None = None
    ) -> Principal:
        """Turn what a request carries into a principal; anonymous when it carries nothing.

        `payload_hash` gives the hex SHA-256 of the body and is asked only when a signature needs it. Raises a
        `CredentialError` for bad credentials, `StoreUnavailable` when nobody can say; both are noted in the audit
        trail.
        """
        kind, credential_id = credential_of(request)
        try:
            principal = authenticate(
                request,
                find_access_key=self._store.access_key,
                find_api_key=self._store.api_key,
                payload_hash=payload_hash,
                now=self._clock(),
                skew=self.settings.clock_skew,
                keys=self._signing_keys,
                public_hosts=self.settings.public_hosts,
                max_header=self.settings.max_header,
            )
        except IamGuardError as refusal:
            self.trail.note_authentication(refusal, call, kind=kind, credential_id=credential_id)
            raise
        self.trail.count_authentication(kind)
        return principal

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
        self.trail.note(decision, call, started=started)
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
        questions: Iterable[Question],
        context: Mapping[str, Given | Lazy] | None = None,
        *,
        call: Call | None = None,
    ) -> list[Decision]:
        """Decide several (action, resource) pairs, each on its own (rule M-28); each is noted."""
        return [self.decide(principal, action, resource, context, call=call) for action, resource in questions]

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

    # --- the state behind ----------------------------------------------------------------------------------------

    def is_warm(self, principal: Principal, resource: str | Resource) -> bool:
        """Tell whether `decide` would answer without touching the store, so that it need not leave the event loop."""
        wanted = Resource(resource) if isinstance(resource, str) else resource
        if wanted.arn == "*" and principal.type not in _STORED:
            return False  # no answer to hold: the epoch itself is asked for
        holds = self._store.holds
        if principal.type in _STORED and not (holds("principal", principal) and holds("account", principal.account)):
            return False
        if wanted.arn == "*":
            return True
        return holds("resource", wanted.arn) and holds("account", self._owner_of(wanted, principal))

    def knows_credential(self, kind: str, id: str | None) -> bool:
        """Tell whether `authenticate` would answer without touching the store."""
        return id is None or self._store.holds(_ROOMS.get(kind, kind), id)

    def refresh(self) -> None:
        """Look at once whether the state behind has changed."""
        self._store.refresh()

    def close(self) -> None:
        """Close the audit trail and the store."""
        self.trail.close()
        self._store.close()

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
        wanted = Resource(resource) if isinstance(resource, str) else resource
        try:
            loaded = self._load(principal, wanted, store)
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

    def _load(self, principal: Principal, wanted: Resource, store: Store) -> _Loaded:
        """Load everything at one epoch (rule T-9); where a write came in between, again in one transaction."""
        loaded = self._gather(principal, wanted, store)
        if loaded is None:
            behind = self._store.behind  # what is remembered may be of another epoch than the transaction
            with behind.at_once():
                loaded = self._gather(principal, wanted, behind)
        if loaded is None:
            raise StoreUnavailable("the policies change faster than they can be read")
        return loaded

    def _gather(self, principal: Principal, wanted: Resource, store: Store) -> _Loaded | None:
        """Ask for everything; None where the answers are of several epochs."""
        stored = store.principal(principal) if principal.type in _STORED else None
        account = store.account(principal.account) if principal.account else None
        resource = store.resource(wanted.arn) if wanted.arn != "*" else None
        owner_id = wanted.account or (resource and resource.account) or self._owner_of(wanted, principal)
        owner = store.account(owner_id) if owner_id else None
        epochs = {each.epoch for each in (stored, account, resource, owner) if each is not None}
        if len(epochs) > 1:
            return None
        epoch = epochs.pop() if epochs else store.epoch()
        known = stored or PrincipalRecord(epoch, exists=True, principal=principal)
        return _Loaded(epoch, known, account, resource, owner)

    def _owner_of(self, wanted: Resource, principal: Principal) -> str | None:
        """The account that owns a resource, as far as its ARN says; `*` is a matter of the caller's own account."""
        return principal.account if wanted.arn == "*" else wanted.account or account_of(wanted.arn)

    def _evaluate(
        self,
        loaded: _Loaded,
        wanted: Resource,
        action: str,
        context: Mapping[str, Given | Lazy] | None,
        call: Call | None,
    ) -> Decision:
        principal = loaded.principal.principal
        owner = loaded.owner.id if loaded.owner else None
        around = Circumstances(
            now=self._clock(),
            principal=principal,
            call=call,
            principal_organization=loaded.account.organization if loaded.account else None,
            resource_account=owner,
            resource_organization=loaded.owner.organization if loaded.owner else None,
            resource_tags=wanted.tags or (loaded.resource.tags if loaded.resource else {}),
            region=self.settings.region,
        )
        request = AccessRequest(principal, action, wanted.arn, SuppliedContext(context, around), resource_account=owner)
        refused = _without_policies(loaded, wanted, owner)
        if refused is None:
            decision = Authorizer(self._bundle(loaded, wanted, action)).decide(request)
        else:
            decision = Decision(Outcome.IMPLICITLY_DENIED, request, (refused,), explainer=_WITHOUT_POLICIES)
        return replace(decision, epoch=loaded.epoch, stale=self._store.stale)

    def _bundle(self, loaded: _Loaded, wanted: Resource, action: str) -> Bundle:
        record, principal = loaded.principal, loaded.principal.principal
        session = principal.session_policies
        return Bundle(
            identity=self._layer(record.identity),
            boundary=None if record.boundary is None else self._layer((record.boundary,)),
            session=None if session is None else tuple(_session_policy(text) for text in session),
            scps=self._levels(loaded.account.scps) if loaded.account else None,
            rcps=self._levels(loaded.owner.rcps if loaded.owner else None),
            resource=self._resource_layer(wanted, loaded.resource),
            policy_required=wanted.policy_required,
            own_service=action.partition(":")[0].lower() in self._own_services,
        )

    def _resource_layer(self, wanted: Resource, record: ResourceRecord | None) -> Layer:
        if wanted.policy is not None:
            return (compile_policy(wanted.policy, PolicyRef(wanted.arn, PolicyType.RESOURCE)),)
        if record is None or record.policy is None:
            return ()
        return (compile_policy(record.policy.text, record.policy.ref),)

    def _layer(self, policies: tuple[StoredPolicy, ...]) -> Layer:
        return tuple(compile_policy(each.text, each.ref) for each in policies)

    def _levels(self, levels: tuple[tuple[StoredPolicy, ...], ...] | None) -> Levels | None:
        return None if levels is None else tuple(self._layer(level) for level in levels)


def require_allowed(decision: Decision) -> Decision:
    """Give the decision back when it allows; raise what a refusal is made from otherwise."""
    if decision.allowed:
        return decision
    if decision.error is not None:
        raise DecisionUnavailable("no decision can be made, so the request is denied")
    raise AccessDenied(decision.message(), decision=decision)


def _without_policies(loaded: _Loaded, wanted: Resource, owner: str | None) -> Reason | None:
    """Refuse what no policy may allow: a principal that is no more, a resource that nobody owns."""
    if not loaded.principal.exists:
        return Reason(PolicyType.IDENTITY, note="the principal does not exist (any more)")  # P-6, S-51
    if owner is None and wanted.arn != "*":
        return Reason(PolicyType.RESOURCE, note="nobody says which account owns the resource")
    return None


def _session_policy(text: str) -> CompiledPolicy:
    return compile_policy(text, PolicyRef("session policy", PolicyType.SESSION))


_WITHOUT_POLICIES = WithoutPolicies()
_ROOMS = {"sigv4": "access_key", "api-key": "api_key"}
"""Kind of credential -> what the store calls it."""
