"""Bounded LRU caches for the answers of `cached_store`, one for each kind.

Not thread-safe: the caller must hold a lock.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import replace
from typing import Any, Final

from cachetools import LRUCache

from iam_guard.model.credential import AccessKey, ApiKey, BrowserSession, FederatedOrigin
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.usage import CacheUsage
from iam_guard.store.cache.generations import Held
from iam_guard.store.protocol import AccountRecord, PrincipalRecord, ResourceRecord, StoredPolicy

ABSENT: Final[Any] = object()
"""Returned for an answer that is not cached."""

_NEGATIVE_SHARE: Final = 10
"""Negative answers ("not found") get a tenth of the entries, and can't evict positive ones."""


_MAX_BOUND: Final = 16
"""A resource-based policy that names more users and roles depends on the ARNs of all that there are."""


class CacheRegion:
    """Caches the answers of one kind, each with its generations.

    Negative answers have a separate part, because any client can cause them. Each part evicts the least recently used
    answer. (`cachetools` takes half a microsecond for each of the several answers that a request needs.)
    """

    __slots__ = ("_max_negative", "_max_positive", "_negative", "_positive", "dropped", "hits", "misses")

    def __init__(self, size: int) -> None:
        self._positive: OrderedDict[Hashable, tuple[Any, Held]] = OrderedDict()
        self._negative: OrderedDict[Hashable, tuple[Any, Held]] = OrderedDict()
        self._max_positive = max(size, 1)
        self._max_negative = max(size // _NEGATIVE_SHARE, 1)
        self.hits = 0
        self.misses = 0
        self.dropped = 0

    def usage(self) -> CacheUsage:
        limit = self._max_positive + self._max_negative
        return CacheUsage(len(self._positive) + len(self._negative), limit, self.hits, self.misses, self.dropped)

    def get(self, key: Hashable) -> Any:
        """Return a cached answer that is still valid, and mark it as the most recently used; else `ABSENT`."""
        answers = self._positive
        found = answers.get(key)
        if found is None:
            answers = self._negative
            found = answers.get(key)
            if found is None:
                return ABSENT
        answer, generations = found
        for generation in generations:
            if not generation.is_current:
                del answers[key]
                self.dropped += 1
                return ABSENT
        answers.move_to_end(key)
        return answer

    def put(self, key: Hashable, answer: object, generations: Held) -> None:
        is_positive = _is_positive(answer)
        answers = self._positive if is_positive else self._negative
        answers[key] = answer, generations
        answers.move_to_end(key)
        if len(answers) > (self._max_positive if is_positive else self._max_negative):
            answers.popitem(last=False)

    def drop(self, key: Hashable) -> None:
        """Remove a positive answer, so that it is loaded again."""
        self._positive.pop(key, None)

    def clear(self) -> None:
        self.dropped += len(self._positive) + len(self._negative)
        self._positive.clear()
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


def names_of(kind: str, key: Any, answer: object) -> tuple[str, ...]:
    """Return the names that an answer depends on (`invalidation`); `kind` is the store's method, `key` its argument."""
    match answer:
        case PrincipalRecord():
            account = answer.principal.account
            if answer.identity_id is not None:
                return f"identity:{answer.identity_id}", f"callers:{account}"
            return f"newcomers:{account}", f"callers:{account}", f"account:{account}"
        case BrowserSession(federation=FederatedOrigin(parent_key_id=str(key_id), parent_user_id=user)):
            owner = {f"callers:{user}" if user == answer.principal.account else f"identity:{user}"}
            return f"session:{key}", f"credential:{key_id}", *owner | {_callers_name(answer.principal)}
        case BrowserSession():
            parties = (answer.person, answer.principal)
            return f"session:{key}", *{name(party) for name in (_identity_name, _callers_name) for party in parties}
        case AccessKey() | ApiKey():
            return f"credential:{key}", *{_identity_name(answer.principal), _callers_name(answer.principal)}
        case ResourceRecord():
            bound = answer.bound
            return f"resource:{key}", *([f"bound:{id}" for id in bound] if len(bound) <= _MAX_BOUND else ["bound"])
    match kind:
        case "access_key" | "api_key":
            return f"credential:{key}", "newkeys"
        case "browser_session":
            return (f"session:{key}",)
        case "certificate_trust":
            return ("certificates",)
        case _:
            return (f"account:{key}",)


def _identity_name(principal: Principal) -> str:
    """Return the name of the identity that a key or session belongs to."""
    if principal.type is PrincipalType.ROOT:
        return _callers_name(principal)
    return f"identity:{(principal.userid or '').partition(':')[0]}"  # P-13


def _callers_name(principal: Principal) -> str:
    """Return the name of all identities of an account: a deleted account ends its credentials with it."""
    return f"callers:{principal.account}"


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
