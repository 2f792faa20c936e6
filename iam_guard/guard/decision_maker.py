"""One decision: load what a question needs, evaluate it, and record the decision of an attempt.

An error while deciding is a denial, whose record says so (rule E-6).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import cast

from iam_guard.audit.record.redaction import loggable
from iam_guard.audit.trail import Trail
from iam_guard.errors import CacheMiss, IamGuardError, StoreUnavailable
from iam_guard.evaluation.explanation import Explanation
from iam_guard.guard.loader import Loader
from iam_guard.guard.question import NO_POLICIES, Question
from iam_guard.guard.shadow_mode import ShadowMode
from iam_guard.model.arn import Location
from iam_guard.model.context import Given, Lazy
from iam_guard.model.decision import Decision, Outcome
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest, Call, Resource, ResourceLoader, load_resource
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.credentials.last_used import LastUsedTracker
from iam_guard.store.protocol import StatedStore

_log = logging.getLogger("iam_guard.guard")


class DecisionMaker:
    """Decides the questions of one guard. Safe to share between threads."""

    def __init__(
        self,
        store: CachedStore,
        loader: Loader,
        trail: Trail,
        uses: LastUsedTracker,
        *,
        location: Location,
        own_services: Collection[str],
        resources: ResourceLoader | None,
        shadow: ShadowMode | None,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._loader = loader
        self._trail = trail
        self._uses = uses
        self._location = location
        self._own_services = own_services
        self._resources = resources
        self._shadow = shadow
        self._is_plain = shadow is None and resources is None
        """Whether there is neither a shadow mode nor a loader, which plans know nothing of."""
        self.clock = clock

    def allow(
        self,
        principal: Principal,
        action: str,
        resource: str | Resource,
        context: Mapping[str, Given | Lazy] | None,
        call: Call | None,
        store: StatedStore,
        now: datetime,
    ) -> Decision | None:
        """Return the recorded decision of a request that a plan allows; None for every other, without effect.

        Raises `CacheMiss` if `store` is the cache alone and not enough.
        """
        started = time.perf_counter()
        if not self._is_plain and (self._shadow is not None or (type(resource) is str and resource != "*")):
            return None
        try:
            decision = self._loader.allow(principal, action, resource, context, call, store, now)
        except CacheMiss:
            raise
        except Exception:  # noqa: BLE001  `decide_with` meets and reports the same error
            return None
        if decision is not None:
            self._uses.track_action(decision.request.principal, action)
            self._trail.record_decision(decision, call, started=started)
        return decision

    def decide_and_record(self, question: Question, store: StatedStore) -> Decision:
        """Decide and record. Raises `CacheMiss` before anything is recorded, if `store` is the cache alone."""
        started = time.perf_counter()
        decision, question = self.decide_with(question, store)
        shadow = None
        if self._shadow is not None:
            shadow = self._shadow.difference(decision, question, cache_only=store is not self._store)
        if decision.error is None:
            self._uses.track_action(decision.request.principal, question.action)
        self._trail.record_decision(decision, question.call, started=started, shadow=shadow)
        return decision

    def question(
        self,
        principal: Principal,
        action: str,
        resource: str | Resource,
        context: Mapping[str, Given | Lazy] | None,
        call: Call | None,
    ) -> Question:
        """Return the question whether a principal may do an action on a resource."""
        is_resource = isinstance(resource, Resource)
        described = (resource if isinstance(resource, Resource) else Resource(resource)).at(self._location)
        is_described = is_resource or self._resources is None or described.arn == "*"
        return Question(principal, action, described, self.is_own(action), context, call, is_described)

    def is_own(self, action: str) -> bool:
        """Return whether the application declares the service of an action."""
        return isinstance(action, str) and action.partition(":")[0].lower() in self._own_services

    def decide(self, question: Question) -> Decision:
        """Decide a question without recording it; wait for the store if necessary."""
        return self.decide_with(question, self._store)[0]

    def explain(self, question: Question) -> Explanation:
        """Return the decision of a question and why, with the policies of the store itself, past every cache."""
        self._store.behind.refresh()
        decision, _ = self.decide_with(question, None)
        return replace(cast(Explanation, decision.explain()), stale=False)

    def decide_with(self, question: Question, store: StatedStore | None) -> tuple[Decision, Question]:
        """Decide a question; return it with its resource as the application's loader describes it.

        `store` may be its cache alone, so that this raises `CacheMiss`; with None, the policies are read past every
        cache.
        """
        try:
            if not question.is_described and self._resources is not None:
                question = question._replace(resource=load_resource(self._resources, question.resource, self._location))
            loaded = self._loader.load(question, store)
            request = loaded.request(loaded.context(self.clock(), self._location.region))
            decision = loaded.decide(request, stale=self._store.stale)
            if decision.error is not None:
                _log.error("no decision could be made: %s", loggable(decision.error))
        except CacheMiss:
            raise
        except Exception as error:  # noqa: BLE001
            expected = isinstance(error, IamGuardError)
            if not isinstance(error, StoreUnavailable):
                _log.error("no decision could be made: %s", loggable(error) if expected else type(error).__name__)
            text, stale = str(error) if expected else f"unexpected {type(error).__name__}", self._store.stale
            principal, action, resource, *_ = question
            request = AccessRequest(principal, action, resource.arn, resource_account=resource.account)
            decision = Decision(Outcome.IMPLICITLY_DENIED, request, (), error=text, stale=stale, explainer=NO_POLICIES)
        return decision, question
