"""A cache of verified callers: what is derived from a stored key and a credential's scope.

An entry holds the principal with its `credential` set and, for signatures, the derived signing key. A cache hit proves
nothing: each request is verified against the store's current record; the cache only saves deriving these values again.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TypeAlias

from cachetools import LRUCache

from iam_guard.authn.signatures.sigv4 import Key
from iam_guard.forking import fork_safe_lock
from iam_guard.model.credential import AccessKey, ApiKey, Session
from iam_guard.model.principal import Principal

Scope: TypeAlias = tuple[str, ...]
"""Access key id, date, region, service and (if signed) public host of a signature; the id of an API key.

A SigV4A key does not depend on the date: its scope has the algorithm in that place.
"""


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified caller, with the signing key if it sent a signature.

    `parent_key` is the long-term key of a user's session, whose owner may have been renamed since.
    """

    record: AccessKey | ApiKey | Session
    principal: Principal
    signing_key: Key | None = field(default=None, repr=False)
    parent_key: AccessKey | None = None


class CallerCache:
    """An LRU cache, safe to share between threads.

    INVARIANT: an entry is returned only for the identical record object it was derived from, not an equal one. So a
    rotated, deactivated, restricted, deleted or recreated key never hits an old entry. Only verified credentials are
    added, since region and service are chosen by the client. A session's record is the `Session` that its token opened
    to (`temporary_credentials`).
    """

    def __init__(self, maxsize: int = 10_000) -> None:
        self._maxsize = maxsize
        # used by every request, where cachetools is a microsecond slower
        self._callers: OrderedDict[Scope, Caller] = OrderedDict()
        self._ids: LRUCache[str, None] = LRUCache(maxsize)
        self._lock = fork_safe_lock()

    def __len__(self) -> int:
        return len(self._callers)

    def get(
        self, scope: Scope, record: AccessKey | ApiKey | Session | None, parent_key: AccessKey | None = None
    ) -> Caller | None:
        """Return the cached caller of this scope and record."""
        with self._lock:
            caller = self._callers.get(scope)
            if caller is None:
                return None
            self._callers.move_to_end(scope)
        return caller if caller.record is record and caller.parent_key is parent_key else None

    def add(self, scope: Scope, caller: Caller) -> None:
        """Add a caller whose credential was verified; it replaces one of another record."""
        if self._maxsize < 1:
            return
        with self._lock:
            self._callers[scope] = caller
            self._callers.move_to_end(scope)
            if len(self._callers) > self._maxsize:
                self._callers.popitem(last=False)
            self._ids[scope[0]] = None

    def has_verified(self, id: str) -> bool:
        """Return whether a key was verified before; it may be invalid by now."""
        return id in self._ids
