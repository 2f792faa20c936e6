"""Shadow mode: a candidate set of policies decides the same requests, without any effect on the answers.

The candidate is a whole store, or a few policies that replace some of the guard's own. The setting `shadow_actions`
selects the actions; others cost one dictionary lookup. A different outcome, or an error, goes into the record of the
decision, and nowhere else. Shadow mode costs a second decision and a second set of caches. The request is the same,
with its condition keys; the caller's tags and permissions boundary are those of the candidate's store.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

from iam_guard.errors import CacheMiss
from iam_guard.evaluation.matching.pattern import compile_any, read_wildcards
from iam_guard.guard.loader import Loader
from iam_guard.guard.question import Question
from iam_guard.model.decision import Decision, Outcome
from iam_guard.model.principal import Principal
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.protocol import StatedStore

_MAX_CACHED = 4096


class ShadowMode:
    """Decides with a candidate. Safe to share between threads."""

    def __init__(self, store: CachedStore, *, size: int, actions: Iterable[str], laid_over: CachedStore | None) -> None:
        """Decide `actions` (`docs:Get*`) with `store`; `laid_over` is the guard's store if they share their epochs."""
        self._store = store
        self._loader = Loader(store, size=size)
        self._laid_over = laid_over
        selected = compile_any(read_wildcards(action.lower()) for action in actions)
        self._selects = lru_cache(_MAX_CACHED)(lambda action: selected(action.lower()))
        self._by_name: dict[int, tuple[Principal, Principal]] = {}

    def difference(self, decision: Decision, question: Question, *, cache_only: bool) -> Decision | None:
        """Return the candidate's decision if its outcome differs, or its error; None if the guard had an error.

        Raises only `CacheMiss`, if `cache_only` and the cache is not enough.
        """
        if decision.error is not None or not self._selects(question.action):
            return None
        try:
            found = self._decide(decision, question, cache_only)
        except CacheMiss:
            raise
        except Exception as error_of_candidate:  # noqa: BLE001  shadow mode must not change the answer
            error = f"the candidate cannot decide: {type(error_of_candidate).__name__}"
            return Decision(Outcome.IMPLICITLY_DENIED, decision.request, (), error=error)
        return None if found.outcome is decision.outcome or self._is_of_another_state(found, decision) else found

    def close(self) -> None:
        self._store.close()

    def _is_of_another_state(self, found: Decision, decision: Decision) -> bool:
        """Return whether the policies changed in between, so that the difference may not be the candidate's."""
        return self._laid_over is not None and found.epoch != decision.epoch

    def _decide(self, decision: Decision, question: Question, cache_only: bool) -> Decision:
        store: StatedStore = self._store.cache_only if cache_only else self._store
        loaded = self._loader.load(question, store)
        if self._laid_over is not None and loaded.epoch != decision.epoch:
            if cache_only:
                raise CacheMiss
            self._store.refresh()
            loaded = self._loader.load(question, store)
        if not loaded.caller.exists and decision.policy_set is not None:  # another store has other unique ids
            loaded = self._loader.load(question._replace(principal=self._named(question.principal)), store)
        return loaded.decide(loaded.request(decision.request.context))

    def _named(self, principal: Principal) -> Principal:
        """Return the principal without its unique id: the same object each time, since the loader caches by object."""
        cached = self._by_name.get(id(principal))
        if cached is None or cached[0] is not principal:
            if len(self._by_name) >= _MAX_CACHED:
                self._by_name.clear()
            cached = self._by_name[id(principal)] = principal, replace(principal, userid=None)
        return cached[1]
