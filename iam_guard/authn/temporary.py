"""Temporary credentials: session tokens that opened, remembered, and the long-term key that a user's session ends with.

A token is found by its digest, so that no comparison tells how much of a guess was right, and only tokens that opened
are kept: strangers cannot fill the cache. What is remembered says what the token says and nothing about now: whether
the session has expired, and whether the key behind it is still good, is asked for each request (`verify`).

Must not live here: how a token is sealed and opened (`store/session_tokens`), signatures (`sigv4`). Rules S-1, S-51.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable

from cachetools import LRUCache

from iam_guard.model.credential import AccessKey, Session
from iam_guard.model.principal import Principal, PrincipalType

TEMPORARY = "ASIA"
"""How the ids of temporary access keys begin (P-4); no long-term key is taken for good that begins so."""


class OpenedTokens:
    """A bounded cache around `open_session`, safe to share between threads."""

    def __init__(self, open_session: Callable[[str], Session | None], maxsize: int = 10_000) -> None:
        self._open = open_session
        self._sessions: LRUCache[bytes, Session] = LRUCache(maxsize)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._sessions)

    def session(self, token: str) -> Session | None:
        """Give the session of a token, the same object each time; None for a token that does not open."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        with self._lock:
            session = self._sessions.get(digest)
        if session is None:
            session = self._open(token)
            if session is not None and self._sessions.maxsize >= 1:
                with self._lock:
                    session = self._sessions.setdefault(digest, session)
        return session


def ends_with_a_key(session: Session) -> bool:
    """Tell whether the session is that of a user, root user or federated user, which ends with their access key.

    A role session outlives the key that asked for it, and so does a session that AssumeRoot gave (S-51).
    """
    caller = session.principal
    return caller.type is not PrincipalType.ASSUMED_ROLE and "aws:AssumedRoot" not in caller.session


def is_key_behind(access_key: AccessKey | None, session: Session) -> bool:
    """Tell whether this is the long-term key that the session came from, still active, and still its owner's."""
    if access_key is None or not access_key.active or access_key.id != session.parent_key_id:
        return False
    owner, caller = access_key.principal, session.principal
    if caller.type is PrincipalType.FEDERATED_USER:
        return owner.arn == caller.user_arn
    return caller.userid is not None and _who(owner) == _who(caller)


def _who(principal: Principal) -> tuple[PrincipalType, str | None, str | None]:
    return principal.type, principal.account, principal.userid  # without the ARN: a user may be renamed (P-10)
