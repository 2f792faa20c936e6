"""Temporary credentials: a cache of opened session tokens, and the parent key that a user's session depends on.

Tokens are looked up by digest, so that timing reveals nothing about a guess. Only valid tokens are cached, so that
unauthenticated clients cannot fill the cache. An entry holds the token's content; expiry and the parent key are checked
for each request (`credential_verifier`). Rules S-1, S-51.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from cachetools import FIFOCache

from iam_guard.forking import fork_safe_lock
from iam_guard.model.credential import AccessKey, Session
from iam_guard.model.principal import PrincipalType


class SessionTokenCache:
    """A bounded cache of `open_session`, safe to share between threads.

    Entries expire first in, first out, so that a cache hit changes nothing and needs no lock.
    """

    def __init__(self, open_session: Callable[[str], Session | None], maxsize: int = 10_000) -> None:
        self._open = open_session
        self._sessions: FIFOCache[bytes, Session] = FIFOCache(maxsize)
        self._lock = fork_safe_lock()

    def __len__(self) -> int:
        return len(self._sessions)

    def session(self, token: str) -> Session | None:
        """Return the session of a token, the same object each time; None for an invalid token."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        try:
            return self._sessions[digest]
        except KeyError:
            session = self._open(token)
        if session is not None and self._sessions.maxsize >= 1:
            with self._lock:
                session = self._sessions.setdefault(digest, session)
        return session


def depends_on_parent_key(session: Session) -> bool:
    """Return whether the session ends with the access key that requested it: those of users and federated users.

    Role sessions and sessions of AssumeRoot outlive that key (S-51). A user's tool that a browser session has approved
    has no such key: its credentials end with the user, since each decision compares the unique id.
    """
    caller = session.principal
    if caller.type is PrincipalType.ASSUMED_ROLE or caller.is_assumed_root:
        return False
    return not caller.is_of_tool or caller.type is PrincipalType.FEDERATED_USER


def is_parent_key(access_key: AccessKey | None, session: Session) -> bool:
    """Return whether this is the session's parent key, active, and still owned by the same principal."""
    if access_key is None or not access_key.active or access_key.id != session.parent_key_id:
        return False
    owner, caller = access_key.principal, session.principal
    if caller.type is PrincipalType.FEDERATED_USER:
        userid = session.parent_user_id
    else:
        userid = caller.userid if owner.type is caller.type else None
    # not by ARN: a user may have been renamed, and the name reused (P-6, P-10)
    return userid is not None and (owner.account, owner.userid) == (caller.account, userid)
