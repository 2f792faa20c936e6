"""Bounded LRU caches for the answers of `cached_store`, one for each kind.

Not thread-safe: the caller must hold a lock.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import replace
from typing import Any, Final

from cachetools import LRUCache

from iam_guard.model.usage import CacheUsage
from iam_guard.store.invalidation import InvalidatedCallers
from iam_guard.store.protocol import AccountRecord, PrincipalRecord, ResourceRecord, StoredPolicy

ABSENT: Final[Any] = object()
"""Returned for an answer that is not cached."""

_NEGATIVE_SHARE: Final = 10
"""Negative answers ("not found") get a tenth of the entries, and can't evict positive ones."""


class CacheRegion:
    """Caches the answers of one kind; negative ones, which any client can provoke, are kept apart.

    Each part evicts the least recently used answer. (`cachetools` takes half a microsecond for each of the several
    answers that a request needs.)
    """

    __slots__ = ("_invalidated", "_max_negative", "_max_positive", "_negative", "_positive", "epoch", "hits", "misses")

    def __init__(self, size: int, invalidated: InvalidatedCallers | None = None) -> None:
        self._invalidated = invalidated or InvalidatedCallers()
        self.epoch: int | None = None
        """The current epoch; answers of earlier ones are valid unless a change since then invalidated them."""
        self._positive: OrderedDict[Hashable, Any] = OrderedDict()
        self._negative: OrderedDict[Hashable, Any] = OrderedDict()
        self._max_positive = max(size, 1)
        self._max_negative = max(size // _NEGATIVE_SHARE, 1)
        self.hits = 0
        self.misses = 0

    def usage(self) -> CacheUsage:
        entries = len(self._positive) + len(self._negative)
        return CacheUsage(entries, self._max_positive + self._max_negative, self.hits, self.misses)

    def get(self, key: Hashable) -> Any:
        """Return the answer if it is valid now, and mark it as the most recently used; else `ABSENT`."""
        answers = self._positive
        found = answers.get(key, ABSENT)
        if found is ABSENT:
            answers = self._negative
            found = answers.get(key, ABSENT)
            if found is ABSENT:
                return ABSENT
        answers.move_to_end(key)
        if self.epoch is not None and getattr(found, "epoch", self.epoch) != self.epoch:
            if isinstance(found, PrincipalRecord) and self._invalidated.last_epoch(found.principal) > found.epoch:
                return ABSENT  # T-9
            found = answers[key] = replace(found, epoch=self.epoch)
        return found

    def put(self, key: Hashable, answer: object) -> None:
        is_positive = _is_positive(answer)
        answers = self._positive if is_positive else self._negative
        answers[key] = answer
        answers.move_to_end(key)
        if len(answers) > (self._max_positive if is_positive else self._max_negative):
            answers.popitem(last=False)

    def clear(self) -> None:
        self._positive.clear()
        self._negative.clear()

    def clear_negative(self) -> None:
        self._negative.clear()


class PolicyObjects:
    """Interns the policies of cached principals: there are few, and their documents are long. Not thread-safe."""

    def __init__(self, size: int) -> None:
        self._policies: LRUCache[StoredPolicy, StoredPolicy] = LRUCache(max(size, 1))

    def with_shared_policies(self, record: PrincipalRecord) -> PrincipalRecord:
        """Return the record with one object for each policy that several principals share."""
        boundary = None if record.boundary is None else self._shared(record.boundary)
        return replace(record, identity=tuple(map(self._shared, record.identity)), boundary=boundary)

    def _shared(self, policy: StoredPolicy) -> StoredPolicy:
        return self._policies.setdefault(policy, policy)


def _is_positive(answer: object) -> bool:
    match answer:
        case None:
            return False
        case AccountRecord() | PrincipalRecord():
            return answer.exists
        case ResourceRecord():
            return answer.account is not None
        case _:
            return True
