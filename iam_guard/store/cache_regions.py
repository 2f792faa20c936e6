"""Room for remembered answers, with a bound: what a store that remembers (`cached_store`) keeps of each kind.

Not safe by itself: whoever changes a room holds a lock.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import replace
from typing import Any, Final

from cachetools import LRUCache

from iam_guard.model.usage import CacheUsage
from iam_guard.store.protocol import AccountRecord, PrincipalRecord, ResourceRecord, StoredPolicy

ABSENT: Final[Any] = object()
"""What is given for an answer that is not there."""

_UNKNOWN_SHARE: Final = 10
"""Answers that say no more than "no such thing" get a tenth of the room, and can't push out the others."""


class CacheRegion:
    """The answers of one kind: the informative ones, and apart from them those that anybody can provoke.

    Of each the one that was asked for least lately goes first. (cachetools has this too, and takes half a microsecond
    for each of the several answers that a request needs.)
    """

    __slots__ = ("_known", "_most_known", "_most_unknown", "_unknown", "hits", "misses")

    def __init__(self, size: int) -> None:
        self._known: OrderedDict[Hashable, Any] = OrderedDict()
        self._unknown: OrderedDict[Hashable, Any] = OrderedDict()
        self._most_known = max(size, 1)
        self._most_unknown = max(size // _UNKNOWN_SHARE, 1)
        self.hits = 0
        self.misses = 0

    def usage(self) -> CacheUsage:
        entries = len(self._known) + len(self._unknown)
        return CacheUsage(entries, self._most_known + self._most_unknown, self.hits, self.misses)

    def get(self, key: Hashable) -> Any:
        """Return an answer, which is now the one that was asked for last; the lock is held."""
        answers = self._known
        found = answers.get(key, ABSENT)
        if found is ABSENT:
            answers = self._unknown
            found = answers.get(key, ABSENT)
            if found is ABSENT:
                return ABSENT
        answers.move_to_end(key)
        return found

    def put(self, key: Hashable, answer: object) -> None:
        is_known = _is_known(answer)
        answers = self._known if is_known else self._unknown
        answers[key] = answer
        answers.move_to_end(key)
        if len(answers) > (self._most_known if is_known else self._most_unknown):
            answers.popitem(last=False)

    def clear(self) -> None:
        self._known.clear()
        self._unknown.clear()

    def forget_unknown(self) -> None:
        self._unknown.clear()


class PolicyObjects:
    """The policies of the remembered callers, each once: there are few and long ones. As unsafe as a `CacheRegion`."""

    def __init__(self, size: int) -> None:
        self._policies: LRUCache[StoredPolicy, StoredPolicy] = LRUCache(max(size, 1))

    def in_record(self, record: PrincipalRecord) -> PrincipalRecord:
        """Return the record with the same objects for the policies that other callers have too."""
        boundary = None if record.boundary is None else self._shared(record.boundary)
        return replace(record, identity=tuple(map(self._shared, record.identity)), boundary=boundary)

    def _shared(self, policy: StoredPolicy) -> StoredPolicy:
        return self._policies.setdefault(policy, policy)


def _is_known(answer: object) -> bool:
    match answer:
        case None:
            return False
        case AccountRecord() | PrincipalRecord():
            return answer.exists
        case ResourceRecord():
            return answer.account is not None
        case _:
            return True
