"""The two guards of the law of the fast path: one that is warm, and the specification, for which nothing was known.

The specification is a new guard for each request, so that no cache and no plan of an earlier request can answer it. Its
decisions are evaluated once more with rows of the store, without any part of a guard.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from contextlib import closing
from dataclasses import astuple, is_dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import anyio.to_thread

from iam_guard import Guard, GuardMiddleware, GuardWsgiMiddleware
from iam_guard.audit.record.otel import Telemetry
from iam_guard.audit.record.record import Stamp, decision_record
from iam_guard.audit.record.redaction import to_line
from iam_guard.audit.trail import Trail
from iam_guard.authn.http_request import HttpRequest
from iam_guard.errors import CacheMiss, IamGuardError
from iam_guard.evaluation.bundle import Bundle, Levels
from iam_guard.evaluation.compiler import compile_policy
from iam_guard.evaluation.evaluator import decide
from iam_guard.evaluation.policy_layer import Layer
from iam_guard.evaluation.policy_set import policy_set
from iam_guard.model.arn import is_iam_or_sts
from iam_guard.model.decision import Decision, Outcome, PolicyRef, PolicyType
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import AccessRequest, Call, Resource
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.credentials.last_used_rows import Use
from iam_guard.store.protocol import StoredPolicy
from iam_guard.store.sql_store import SqlStore
from tests.laws.fast_path.application import (
    LOADED,
    Facts,
    Seen,
    SeenLines,
    SeenMeter,
    asgi_app,
    call_asgi,
    call_wsgi,
    docs,
    principal_facts,
    refusal,
    see_error,
    seen,
    wsgi_app,
)
from tests.laws.fast_path.documents import START
from tests.laws.fast_path.wires import MAX_HEADER, Wire
from tests.store.databases import SEALING_KEY

WITH_POLICIES: Final = (PrincipalType.USER, PrincipalType.ASSUMED_ROLE, PrincipalType.FEDERATED_USER)


def settings(**others: Any) -> Settings:
    return Settings(
        regions=("eu-west-1",),
        public_hosts=("docs.example",),
        trusted_proxies=("10.9.0.0/16",),
        max_header=MAX_HEADER,
        sealing_keys=(SEALING_KEY,),
        store_timeout=20.0,
        **others,
    )


class Clock:
    """The injected time of both guards."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def reset(self) -> None:
        self.now = START

    def forward(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class SharedStore:
    """A store that several guards use: it stays open, and keeps in memory what was used last."""

    def __init__(self, inner: SqlStore) -> None:
        self._inner = inner
        self.used: set[Facts] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def save_uses(self, uses: list[Use]) -> None:
        self.used |= {(type(use).__name__, next(iter(_values(use))), getattr(use, "action", None)) for use in uses}

    def close(self) -> None:
        """Stay open."""


def _values(use: Use) -> Any:
    return astuple(use) if is_dataclass(use) else use


def resource_loader(arn: str) -> Resource | None:
    """Return the application's data of some resources, for guards with a loader."""
    return Resource(arn, tags={"team": "red"}) if arn.endswith("/plan") else None


class Asked:
    """A guard with its applications."""

    def __init__(self, store: SharedStore, clock: Clock, sink: Any, *, has_loader: bool, **others: Any) -> None:
        self.store = store
        self._is_written_later = not isinstance(sink, SeenLines)
        trail = Trail(sink, Telemetry(meter=SeenMeter("law")))
        used = settings(**others)
        resources = resource_loader if has_loader else None
        cached = CachedStore(store, used)  # type: ignore[arg-type]  # the rest is forwarded
        self.guard = Guard(cached, trail, used, catalogues=[docs.catalogue], resources=resources, clock=clock)
        self._asgi = GuardMiddleware(asgi_app, guard=self.guard, refusal=refusal)
        self._wsgi = GuardWsgiMiddleware(wsgi_app, guard=self.guard, refusal=refusal, drops_underscores=True)

    async def answer(self, wire: Wire) -> tuple[Facts, Seen]:
        """Return the answer to a request, and what was seen meanwhile."""
        now = Seen()
        token = seen.set(now)
        try:
            match wire.entry:
                case "asgi":
                    return await call_asgi(self._asgi, wire), now
                case "wsgi":
                    return call_wsgi(self._wsgi, wire), now
                case _ if self._is_written_later:  # a trail refuses calls that may wait on an event loop
                    return await anyio.to_thread.run_sync(self._directly, wire, now), now
                case _:
                    return self._directly(wire, now), now
        finally:
            seen.reset(token)

    def _directly(self, wire: Wire, now: Seen) -> Facts:
        """Authenticate and decide as an application without a middleware does: from the cache first."""
        guard = self.guard
        request = HttpRequest(wire.method, wire.path, wire.query, wire.headers)
        hashed = hashlib.sha256(wire.body).hexdigest
        now.request_id = str(uuid.uuid4())
        call = Call(now.request_id, "http", wire.method, "/x", "docs.example", wire.client)
        try:
            try:
                principal = guard.authenticate(request, payload_hash=hashed, call=call, cache_only=True)
            except CacheMiss:
                principal = guard.authenticate(request, payload_hash=hashed, call=call)
            action, resource = wire.question
            given: Any = wire.keys
            decision = guard.decide_from_cache(principal, action, resource, given, call=call)
            if decision is None:
                decision = guard.decide(principal, action, resource, given, call=call)
        except IamGuardError as error:
            see_error(now, error)
            return "refused", error.code
        now.decisions.append(decision)
        return "decided", decision.outcome, principal_facts(principal)

    def close(self) -> None:
        self.guard.close()


class Specification:
    """Answers each request with a new guard, and evaluates its decisions again."""

    def __init__(self, store: SqlStore, clock: Clock, *, has_loader: bool) -> None:
        self.store = SharedStore(store)
        self._rows = store
        self._clock = clock
        self._has_loader = has_loader
        self.reasons: dict[str, int] = {}
        """How often each kind of answer was given, for reports."""

    async def answer(self, wire: Wire) -> tuple[Facts, Facts]:
        """Return what `Asked.answer` must return, with the facts of what was seen."""
        with closing(
            Asked(self.store, self._clock, SeenLines(), has_loader=self._has_loader, cache_size=0, epoch_poll=3600.0)
        ) as asked:
            answer, now = await asked.answer(wire)
        for decision in now.decisions:
            self._check(decision, wire)
        _check_records(now)
        kind = _kind(answer, now)
        self.reasons[kind] = self.reasons.get(kind, 0) + 1
        return answer, now.facts()

    def _check(self, decision: Decision, wire: Wire) -> None:
        """Evaluate a decision again; one without policies must be a denial."""
        if decision.policy_set is None or decision.error is not None:
            assert decision.outcome is Outcome.IMPLICITLY_DENIED
            return
        policies = applicable(self._rows, decision, self._has_loader, wire)
        request = decision.request
        again = AccessRequest(
            request.principal, request.action, request.resource, request.context, request.resource_account
        )
        expected = decide(again, policies)
        assert (decision.outcome, decision.reasons) == (expected.outcome, expected.reasons), (wire, decision)
        assert list(request.read.items()) == list(again.read.items()), (wire, decision)
        assert decision.policy_set == policy_set(policies), (wire, decision)


def _check_records(now: Seen) -> None:
    """Compare the lines of decisions with records made without any cached part."""
    found = [record for line in now.lines if (record := json.loads(line))["iamGuard"]["kind"] == "decision"]
    assert len(found) == len(now.decisions)
    for record, decision in zip(found, now.decisions, strict=True):
        made = decision_record(decision, None, Stamp(START, record["eventID"]))
        is_brief = decision.request.principal.type is PrincipalType.ANONYMOUS
        expected = json.loads(to_line(made, None, is_brief=is_brief))
        record["iamGuard"].pop("durationMicros", None)
        for member in _OF_DECISION:
            assert record.get(member) == expected.get(member), member


_OF_DECISION: Final = (
    *("userIdentity", "eventSource", "eventName", "readOnly", "errorCode", "errorMessage", "resources"),
    *("recipientAccountId", "sharedEventID", "iamGuard"),
)
"""The members of a record that depend on its decision alone."""


def applicable(store: SqlStore, decision: Decision, has_loader: bool, wire: Wire) -> Bundle:
    """Return the policies of the store and the application for the request of a decision, as rule F.2 lists them."""
    request = decision.request
    caller, arn = request.principal, request.resource
    loaded = next((one for one in LOADED.values() if isinstance(one, Resource) and one.arn == arn), None)
    is_loaded = wire.entry != "direct" and (b"/loaded/" in wire.path or b"/linked/" in wire.path)
    given = loaded if is_loaded else None
    if given is None and has_loader:
        given = resource_loader(arn)
    has_policies = caller.type in (*WITH_POLICIES, PrincipalType.ROOT)
    owner = request.resource_account
    accounts = [id for id in (caller.account, owner) if id is not None]
    found = store.decision_records(caller if has_policies else None, accounts, None if is_iam_or_sts(arn) else arn)
    record, attached = found.principal, found.resource.policy if found.resource else None
    if record is not None:
        assert record.exists
        assert (record.principal, record.principal.has_boundary) == (caller, caller.has_boundary)
    resource = Layer(() if attached is None else (_compiled(attached),))
    if given is not None and given.policy is not None:
        resource = Layer((compile_policy(given.policy, PolicyRef(arn, PolicyType.RESOURCE)),))
    session = caller.session_policies if has_policies else None
    of_session = PolicyRef("session policy", PolicyType.SESSION)
    boundary = record.boundary if record else None
    return Bundle(
        identity=Layer(map(_compiled, record.identity)) if record else Layer(),
        resource=resource,
        boundary=None if boundary is None else Layer((_compiled(boundary),)),
        session=None if session is None else Layer(compile_policy(text, of_session) for text in session),
        scps=_levels(found.accounts[caller.account].scps) if has_policies and caller.account else None,
        rcps=_levels(found.accounts[owner].rcps) if owner else None,
        policy_required=given is not None and given.policy_required,
        own_service=request.action.lower().startswith("docs:"),
    )


def _compiled(policy: StoredPolicy) -> Any:
    return compile_policy(policy.text, policy.ref)


def _levels(levels: tuple[tuple[StoredPolicy, ...], ...] | None) -> Levels | None:
    return None if levels is None else tuple(Layer(map(_compiled, level)) for level in levels)


def _kind(answer: Facts, now: Seen) -> str:
    """Return the kind of an answer: the outcome and the policy type of its last decision, else its status or error."""
    if now.decisions and now.decisions[-1].error is None:
        decision = now.decisions[-1]
        return f"{decision.outcome}, {decision.reasons[0].policy_type if decision.reasons else 'no reason'}"
    if now.decisions:
        return "error in a decision"
    return str(now.errors[-1][1]) if now.errors else str(answer[0])
