"""Shadow mode: requests are decided with a candidate state of the policies as well; the answer stays what it was.

The candidate is a whole store, or a few policies laid over the guard's own. Which actions are decided with it too, the
setting `shadow_actions` says; for all others it costs a look into a dictionary. What comes out otherwise goes into the
record of the decision, and nowhere else. Whatever goes wrong here is told there too; nothing is raised. It costs a
second decision: as long as the first, and a second set of caches. The request is the same one, with the condition keys
that it had; of the caller, what the candidate's store has (tags, boundary) counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from fnmatch import translate

from iam_guard.errors import CacheMiss
from iam_guard.evaluation.explainer import NoPoliciesExplainer
from iam_guard.guard.loader import Loader, refused_without_policies
from iam_guard.model.decision import Decision, Outcome
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest, Resource
from iam_guard.store.cached_store import CachedStore
from iam_guard.store.protocol import Answers

_WITHOUT_POLICIES = NoPoliciesExplainer()
_KEPT = 4096


class ShadowMode:
    """Decides with a candidate beside a guard. Safe to share between threads."""

    def __init__(
        self, store: CachedStore, *, size: int, actions: Iterable[str] = ("*",), laid_over: CachedStore | None = None
    ) -> None:
        """Decide with `store` about `actions` (`docs:Get*`); `laid_over` is the guard's, of the same epochs."""
        self._store = store
        self._loader = Loader(store, size=size)
        self._laid_over = laid_over
        self._patterns = [re.compile(translate(action.lower().replace("[", "[[]"))) for action in actions]
        self._asked: dict[str, bool] = {}
        self._by_name: dict[int, tuple[Principal, Principal]] = {}

    def difference(
        self,
        decision: Decision,
        principal: Principal,
        resource: Callable[[], Resource],
        *,
        own_service: bool,
        cache_only: bool = False,
    ) -> Decision | None:
        """Return the candidate's decision where its outcome is another, or where it has none.

        `resource` gives what the guard asked about. A request that could not be decided is not asked about again.
        Raises nothing but `CacheMiss`, where only what is `cache_only` may be asked, and that is not enough.
        """
        if decision.error is not None or not self._is_asked(decision.request.action):
            return None
        try:
            found = self._decide(decision, principal, resource(), own_service, cache_only)
        except CacheMiss:
            raise
        except Exception as doubt:  # noqa: BLE001  the answer that stands must not fail for the one that does not
            error = f"the candidate cannot decide: {type(doubt).__name__}"
            return Decision(Outcome.IMPLICITLY_DENIED, decision.request, (), error=error)
        return None if found.outcome is decision.outcome or self._is_of_another_state(found, decision) else found

    def close(self) -> None:
        """Close the candidate's store."""
        self._store.close()

    def _is_asked(self, action: str) -> bool:
        asked = self._asked.get(action)
        if asked is None:
            if len(self._asked) >= _KEPT:
                self._asked.clear()
            folded = action.lower()
            asked = self._asked[action] = any(pattern.fullmatch(folded) for pattern in self._patterns)
        return asked

    def _is_of_another_state(self, found: Decision, decision: Decision) -> bool:
        """Return whether a change came in between, so that the difference may be its and not the candidate's."""
        return self._laid_over is not None and found.epoch != decision.epoch

    def _decide(
        self, decision: Decision, principal: Principal, wanted: Resource, own_service: bool, cache_only: bool
    ) -> Decision:
        store: Answers = self._store.cache_only if cache_only else self._store
        loaded = self._loader.load(principal, wanted, store, own_service=own_service)
        if self._laid_over is not None and loaded.epoch != decision.epoch:
            if cache_only:
                raise CacheMiss
            self._store.refresh()
            loaded = self._loader.load(principal, wanted, store, own_service=own_service)
        if not loaded.caller.exists and decision.policy_set is not None:  # another store has other unique ids
            loaded = self._loader.load(self._named(principal), wanted, store, own_service=own_service)
        request = AccessRequest(
            loaded.caller.principal,
            decision.request.action,
            wanted.arn,
            decision.request.context,
            resource_account=loaded.owner.id if loaded.owner else None,
        )
        refused = refused_without_policies(loaded, wanted)
        if refused is None:
            return loaded.authorizer.decide(request, epoch=loaded.epoch)
        return Decision(Outcome.IMPLICITLY_DENIED, request, (refused,), loaded.epoch, explainer=_WITHOUT_POLICIES)

    def _named(self, principal: Principal) -> Principal:
        """Return the principal without its unique id, the same object each time, since callers are known by theirs."""
        known = self._by_name.get(id(principal))
        if known is None or known[0] is not principal:
            if len(self._by_name) >= _KEPT:
                self._by_name.clear()
            known = self._by_name[id(principal)] = principal, replace(principal, userid=None)
        return known[1]
