"""Callers whose credential has verified, remembered: what follows from a stored record and the credential's scope.

The principal with its credential filled in, and for signatures the derived key. Nothing here is taken for a proof: each
request is verified against the record that the store gives now, and what is kept of it only saves deriving it anew.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TypeAlias

from iam_guard.authn.sigv4 import SigningKey
from iam_guard.authn.sigv4a import PublicKey
from iam_guard.forking import fork_safe_lock
from iam_guard.model.credential import AccessKey, ApiKey, Session
from iam_guard.model.principal import Principal

Scope: TypeAlias = tuple[str, ...]
"""Access key id, date, region, service and public host (where one was signed) of a signature; the id of an API key.

A public key depends on no date: SigV4A has its algorithm in that place, which is no date's name.
"""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who signed in, with the signing key where a signature was verified.

    `behind` is the long-term key of a user's session, whose owner may have another name by now.
    """

    record: AccessKey | ApiKey | Session
    principal: Principal
    signing_key: SigningKey | PublicKey | None = field(default=None, repr=False)
    behind: AccessKey | None = None


class Callers:
    """A bounded cache, safe to share between threads.

    INVARIANT: a caller is given for the very record that it was made from, not for an equal one. So it ends with the
    record: a key that was rotated, deactivated, scoped down, deleted or made anew starts afresh. A caller is kept only
    after its credential has verified, since region and service are whatever a stranger wrote. Of a session, which lives
    in its token alone, the record is what that token opened to (`temporary`).
    """

    def __init__(self, maxsize: int = 10_000) -> None:
        self._maxsize = maxsize
        self._callers: OrderedDict[Scope, Caller] = (
            OrderedDict()
        )  # asked for each request; cachetools takes a microsecond
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._lock = fork_safe_lock()

    def __len__(self) -> int:
        return len(self._callers)

    def get(
        self, scope: Scope, record: AccessKey | ApiKey | Session | None, behind: AccessKey | None = None
    ) -> Caller | None:
        """Return the caller that verified in this scope before, by this record."""
        with self._lock:
            caller = self._callers.get(scope)
            if caller is None:
                return None
            self._callers.move_to_end(scope)
        return caller if caller.record is record and caller.behind is behind else None

    def keep(self, scope: Scope, caller: Caller) -> None:
        """Remember a caller whose credential has verified, in the place of one by another record."""
        if self._maxsize < 1:
            return
        with self._lock:
            self._callers[scope] = caller
            self._callers.move_to_end(scope)
            if len(self._callers) > self._maxsize:
                self._callers.popitem(last=False)
            self._ids[scope[0]] = None
            self._ids.move_to_end(scope[0])
            if len(self._ids) > self._maxsize:
                self._ids.popitem(last=False)

    def knows(self, id: str) -> bool:
        """Return whether a key has verified before, which says nothing about whether it is still good."""
        return id in self._ids
