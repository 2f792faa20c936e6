"""Browser sessions: issued to a person who has signed in, found by the token in the cookie, listed and ended.

A session ends `session_duration` after it was issued, and `session_idle` after its last use. Uses are recorded once a
minute, and do not invalidate cached sessions. So one that seems to be idle is read again before it is ended: it may
have been used since, also through another process.

A person who switches to a role, and back, gets another token each time, and the former one ends: there is one session
for each sign-in. It belongs to the person, so it ends with whatever ends the person's sessions, and also with the role.
Sign-in, second factor and end stay those of the person. When the time in the role is over, it has the task `role`:
nothing is authorized until the person switches back, or to a role again.

Sessions without a stored person are issued by `federated_sessions`, and found and ended here like all others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from iam_guard.authn.federation.role_session import Role
from iam_guard.authn.people.person import Person, owner_of
from iam_guard.authn.people.sessions.session_admission import may_have_session, next_task, person_session
from iam_guard.authn.people.verified_steps import VerifiedStep
from iam_guard.authn.tokens.session_cookie import new_token, token_digest
from iam_guard.errors import AccessDenied, CacheMiss, IamGuardError
from iam_guard.model.credential import BrowserSession
from iam_guard.model.principal import Principal
from iam_guard.settings import Settings
from iam_guard.store.cache.cache_only_store import CacheOnlyStore
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.credentials.last_used import LastUsedTracker
from iam_guard.store.database.records import Records, Row, Table
from iam_guard.store.identifiers import random_id
from iam_guard.store.people.browser_session_rows import role_of_row, session_of_row
from iam_guard.store.schema import browser_sessions, federated_sessions, login_profiles

__all__ = ["BrowserSession", "BrowserSessions"]

logger = logging.getLogger("iam_guard.authn")

MAX_SESSIONS: Final = 100
"""Maximum sessions of a person; a further one ends the one that was not used for the longest time."""
MAX_ADDRESS: Final = 64
MAX_USER_AGENT: Final = 512
MAX_LABEL: Final = 64
"""Characters of a person's name for a role, as in AWS's console."""


class BrowserSessions:
    """The browser sessions of a store; safe to share between threads.

    `clock` returns the present time, timezone-aware. `uses` records the last use of sessions; without it, a session
    ends `session_idle` after it was issued.
    """

    def __init__(
        self,
        store: CachedStore,
        settings: Settings,
        clock: Callable[[], datetime],
        uses: LastUsedTracker | None = None,
    ) -> None:
        self._store = store
        self._duration = settings.session_duration
        self._idle = settings.session_idle
        self._clock = clock
        self._uses = uses

    def issue(
        self,
        verified: VerifiedStep,
        *,
        methods: Iterable[str],
        mfa_at: datetime | None,
        address: str,
        user_agent: str,
        not_after: datetime | None = None,
    ) -> tuple[str, BrowserSession]:
        """Return the token of a new session, which is not stored, and the session.

        `verified` is what the last step of the sign-in has verified, `methods` is how the person signed in, `mfa_at`
        when by a second factor. A session with a `task` authorizes nothing. It ends at `not_after`, if that is earlier
        than usual. Raises `AccessDenied` if what was verified has changed, the session that continues has ended, or the
        person was deleted, has no login profile (any more), or is locked out (`session_admission`).
        Raises `StoreIsReadOnly`, `StoreUnavailable`.
        """
        token, person, created = new_token(), verified.person, int(self._clock().timestamp())
        with self._store.write_transaction() as records:
            expires = created + self._seconds(records, person)
            self._admit(records, verified, created, expires)
            self._make_room(records, person, created)
            task = None if verified.leaves_password_out else next_task(records, person, created, mfa_at is not None)
            row = {
                "digest": token_digest(token),
                "id": random_id("bs-", ""),
                **person.where,
                "created": created,
                "seen": created,
                "expires": expires if not_after is None else min(expires, int(not_after.timestamp())),
                "mfa_at": None if mfa_at is None else int(mfa_at.timestamp()),
                "methods": list(methods),
                "task": task,
                **_WITHOUT_ROLE,
                "address": stored_text(address, MAX_ADDRESS),
                "user_agent": stored_text(user_agent, MAX_USER_AGENT),
            }
            records.insert(browser_sessions, **row)
        return token, session_of_row(row, person.principal())

    def switch(self, session: BrowserSession, role: Role | None, label: str = "") -> tuple[str, BrowserSession]:
        """Return the token of the session that replaces another, and the session: in a role, or without one (None).

        The caller must have admitted the person to the role. Raises `AccessDenied` if the session or the role is over,
        the session has a task, or the person is locked out, `StoreIsReadOnly`, `StoreUnavailable`.
        """
        token, now = new_token(), int(self._clock().timestamp())
        with self._store.write_transaction() as records:
            row = records.one(browser_sessions, digest=session.digest)
            if row is None or row["task"] is not None or not self._is_live(row, now):
                raise AccessDenied("The session has ended.")
            asked = person_session(owner_of(session).principal(), now, row["expires"])
            if not may_have_session(records, self._store.partition, asked, now):
                raise AccessDenied("The person may not sign in.")
            terms = _role_columns(session.person, role, label, now, row["expires"])
            replacing = {**row, **terms, "digest": token_digest(token), "id": random_id("bs-", ""), "seen": now}
            principal = role_of_row(records, self._store.partition, replacing)
            if (principal is None) != (role is None):
                raise AccessDenied("The role does not exist any more.")
            if records.delete(browser_sessions, digest=session.digest) != 1:  # ended at the same time
                raise AccessDenied("The session has ended.")
            records.insert(browser_sessions, **replacing)
        return token, session_of_row(replacing, session.person, principal)

    def find(self, token: str) -> BrowserSession | None:
        """Return the session of a token, and record its use; None for one that is unknown, idle, expired or ended.

        Also None if its person was deleted. Raises `StoreUnavailable`.
        """
        return self.find_by_digest(token_digest(token))

    def find_by_digest(self, digest: str, *, cache_only: bool = False) -> BrowserSession | None:
        """Return the session of the token with this SHA-256, as `find` does.

        Also None while the account of its person, or of the role that it has switched to, is not active. With
        `cache_only` it raises `CacheMiss`, without effect, instead of waiting for the store.
        """
        store, now = self._store.cache_only if cache_only else self._store, self._clock()
        found = store.browser_session(digest)
        if found is not None and not _has_active_accounts(store, found):
            return None
        if found is not None and is_over(found, now, self._idle):
            if cache_only:
                raise CacheMiss
            found = self._newest(found, now)
        if found is not None and self._uses is not None:
            self._uses.track_session(found.id, int(now.timestamp()))
        return found if found is None else _at(found, now)

    def end_session(self, session: BrowserSession) -> None:
        """End a session, whether or not it has a stored person. Raises `StoreIsReadOnly`."""
        with self._store.write_transaction() as records:
            records.delete(_table_of(session), id=session.id)

    def end(self, id: str, person: Person) -> bool:
        """End a session of a person; return whether there was one with this id. Raises `StoreIsReadOnly`."""
        with self._store.write_transaction() as records:
            return records.delete(browser_sessions, id=id, **person.where) > 0

    def end_all(self, person: Person, but: str | None = None) -> int:
        """End all sessions of a person, except for the one with the id `but`; return their number."""
        with self._store.write_transaction() as records:
            rows = records.all(browser_sessions, columns=("id",), **person.where)
            ended = [row["id"] for row in rows if row["id"] != but]
            return records.delete(browser_sessions, id=ended) if ended else 0

    def of(self, person: Person) -> list[BrowserSession]:
        """Return the sessions of a person, the latest first, without those that are idle or expired."""
        now, owner = self._clock(), person.principal()
        with self._store.read_transaction() as records:
            rows = records.all(browser_sessions, **person.where)
            found = [session_of_row(row, owner, role_of_row(records, self._store.partition, row)) for row in rows]
        live = [_at(session, now) for session in found if not is_over(session, now, self._idle)]
        return sorted(live, key=lambda session: (session.created, session.id), reverse=True)

    def _seconds(self, records: Records, person: Person) -> int:
        """Return how long a session of a person lasts."""
        profile = records.one(login_profiles, owner=person.owner, **person.where)
        limit = None if profile is None else profile["max_signin_session_duration"]
        return int(self._duration if limit is None else min(self._duration, limit))

    def _admit(self, records: Records, verified: VerifiedStep, now: int, expires: int) -> None:
        """End the session that continues. Raises `AccessDenied` for what no session follows."""
        person = verified.person
        asked = person_session(person.principal(), now, expires)
        if not may_have_session(records, self._store.partition, asked, now):
            raise AccessDenied("The person may not sign in.")
        if not verified.holds(records):
            raise AccessDenied("What was verified has changed meanwhile.")
        followed = verified.follows
        if followed is not None and records.delete(browser_sessions, id=followed, **person.where) != 1:
            raise AccessDenied("The session has ended.")

    def _is_live(self, row: Row, now: int) -> bool:
        """Return whether the session in a row is neither idle nor expired."""
        return bool(row["expires"] > now and row["seen"] > now - self._idle)

    def _newest(self, cached: BrowserSession, now: datetime) -> BrowserSession | None:
        """Read a session again that is over according to the cache; delete it if it is over indeed."""
        found = self._store.browser_session(cached.digest, newest=True)
        if found is None or not is_over(found, now, self._idle):
            return found
        try:
            with self._store.write_transaction() as records:
                records.delete(_table_of(found), digest=found.digest, seen=int(found.seen.timestamp()))
        except IamGuardError as error:  # it is refused all the same
            logger.warning("ended browser session %s not deleted: %s", found.id, error)
        return None

    def _make_room(self, records: Records, person: Person, now: int) -> None:
        """Delete the person's sessions that are over, and more if there are too many."""
        columns = ("digest", "seen", "expires")
        rows = records.all(browser_sessions, order=("seen", "digest"), columns=columns, **person.where)
        live = [row["digest"] for row in rows if self._is_live(row, now)]
        kept = set(live[max(0, len(live) - MAX_SESSIONS + 1) :])
        ended = [row["digest"] for row in rows if row["digest"] not in kept]
        if ended:
            records.delete(browser_sessions, digest=ended)


_WITHOUT_ROLE: Final[Mapping[str, Any]] = dict.fromkeys(
    ("role_id", "role_session", "role_label", "role_since", "role_until")
)


def _role_columns(person: Principal, role: Role | None, label: str, now: int, expires: int) -> Mapping[str, Any]:
    """Return the columns of a role. Its time is limited by the role, and by the end of the person's session."""
    if role is None:
        return _WITHOUT_ROLE
    return {
        "role_id": role.id,
        "role_session": person.name,
        "role_label": stored_text("".join(filter(str.isprintable, label)), MAX_LABEL),
        "role_since": now,
        "role_until": min(now + role.max_seconds, expires),
    }


def _has_active_accounts(store: CachedStore | CacheOnlyStore, session: BrowserSession) -> bool:
    own, other = session.person.account or "", session.principal.account or ""
    return store.account(own).is_active and (other == own or store.account(other).is_active)


def _at(session: BrowserSession, now: datetime) -> BrowserSession:
    """Return a session as it is at a time: with a task if the time in its role is over."""
    is_late = session.role is not None and now >= session.role.until
    return replace(session, task="role") if is_late else session


def _table_of(session: BrowserSession) -> Table:
    return browser_sessions if session.federation is None else federated_sessions


def is_over(session: BrowserSession, now: datetime, idle: float) -> bool:
    """Return whether a session has expired, or was not used for `idle` seconds."""
    return now >= session.expires or (now - session.seen).total_seconds() >= idle


def stored_text(text: str, limit: int) -> str:
    """Return a text without what a database can't store, and not too long."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()[:limit]
