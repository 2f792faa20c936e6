"""Temporary credentials: session tokens that opened, remembered, and the long-term key that a user's session ends with.

A token is found by its digest, so that no comparison tells how much of a guess was right, and only tokens that opened
are kept: strangers cannot fill the cache. What is remembered says what the token says and nothing about now: whether
the session has expired, and whether the key behind it is still good, is asked for each request (`credential_verifier`).

Rules S-1, S-51.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from cachetools import FIFOCache

from iam_guard.forking import fork_safe_lock
from iam_guard.model.credential import AccessKey, Session
from iam_guard.model.principal import PrincipalType


class OpenedTokens:
    """A bounded cache around `open_session`, safe to share between threads.

    First in, first out: finding a session changes nothing, and so waits for no lock.
    """

    def __init__(self, open_session: Callable[[str], Session | None], maxsize: int = 10_000) -> None:
        self._open = open_session
        self._sessions: FIFOCache[bytes, Session] = FIFOCache(maxsize)
        self._lock = fork_safe_lock()

    def __len__(self) -> int:
        return len(self._sessions)

    def session(self, token: str) -> Session | None:
        """Return the session of a token, the same object each time; None for a token that does not open."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        try:
            return self._sessions[digest]
        except KeyError:
            session = self._open(token)
        if session is not None and self._sessions.maxsize >= 1:
            with self._lock:
                session = self._sessions.setdefault(digest, session)
        return session


def ends_with_a_key(session: Session) -> bool:
    """Return whether the session is that of a user, root user or federated user, which ends with their access key.

    A role session outlives the key that asked for it, and so does a session that AssumeRoot gave (S-51).
    """
    caller = session.principal
    return caller.type is not PrincipalType.ASSUMED_ROLE and not caller.is_assumed_root


def is_key_behind(access_key: AccessKey | None, session: Session) -> bool:
    """Return whether this is the long-term key that the session came from, still active, and still its owner's."""
    if access_key is None or not access_key.active or access_key.id != session.parent_key_id:
        return False
    owner, caller = access_key.principal, session.principal
    if caller.type is PrincipalType.FEDERATED_USER:
        userid = session.parent_user_id
    else:
        userid = caller.userid if owner.type is caller.type else None
    # without the ARN: a user may be renamed, and a name may be another user's by now (P-6, P-10)
    return userid is not None and (owner.account, owner.userid) == (caller.account, userid)
