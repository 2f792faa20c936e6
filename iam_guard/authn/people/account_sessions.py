"""The browser sessions of an account, for its administrators: listed page by page, and ended. Ends are audited.

Other processes end them with the change of the store, as they do after a person has signed out.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, NamedTuple

from iam_guard.authn.people.browser_sessions import BrowserSession, is_over
from iam_guard.authn.people.person import Person, load_person, root_of, user_of
from iam_guard.errors import NoSuchEntity
from iam_guard.model.result import CallResult, ChangeRecorder
from iam_guard.settings import Settings
from iam_guard.store.browser_session_rows import role_of_row, session_of_row
from iam_guard.store.protocol import RecordStore
from iam_guard.store.records import Records
from iam_guard.store.schema import browser_sessions, identities

MAX_SESSIONS_LISTED: Final = 1000


class SessionPage(NamedTuple):
    """Sessions by id, without those that are idle or expired. `after` is for the next page; None on the last one."""

    sessions: list[BrowserSession]
    after: str | None


class AccountSessions:
    """The sessions of accounts in a store. Safe to share between threads; `clock` is timezone-aware."""

    def __init__(
        self, store: RecordStore, settings: Settings, change_recorder: ChangeRecorder, clock: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._idle = settings.session_idle
        self._change_recorder = change_recorder
        self._clock = clock

    def list(
        self,
        account: str,
        person: Person | None = None,
        *,
        after: str | None = None,
        limit: int = MAX_SESSIONS_LISTED,
    ) -> SessionPage:
        """Return a page of the sessions of an account, or of one of its people; `after` is that of the page before."""
        with self._store.read_transaction() as records:
            start = None if after is None else (after,)
            where = _where(account, person)
            rows = records.page(browser_sessions, order=("id",), after=start, limit=limit, **where)
            users = self._users(records, {row["user_id"] for row in rows if row["user_id"] is not None})
            roles = [role_of_row(records, self._store.partition, row) for row in rows]
        root, now = root_of(self._store.partition, account).principal(), self._clock()
        owners = [root if row["user_id"] is None else users[row["user_id"]] for row in rows]
        found = [session_of_row(*parts) for parts in zip(rows, owners, roles, strict=True)]
        live = [session for session in found if not is_over(session, now, self._idle)]
        return SessionPage(live, rows[-1]["id"] if len(rows) == limit else None)

    def end(self, account: str, id: str) -> None:
        """End the session of an account with this id. Raises `NoSuchEntity`, `StoreIsReadOnly`."""
        self._change_recorder.prepare()
        with self._store.write_transaction() as records:
            row = records.one(browser_sessions, account=account, id=id)
            person = None if row is None else load_person(records, self._store.partition, account, row["user_id"])
            if person is None:
                raise NoSuchEntity(f"the account {account[:64]} has no session `{id[:64]}`")
            records.delete(browser_sessions, account=account, id=id)
        self._record("EndBrowserSession", records, account, person, {"sessionId": id})

    def end_all(self, account: str, person: Person | None = None) -> int:
        """End all sessions of an account, or of one of its people; return their number. Raises `StoreIsReadOnly`."""
        self._change_recorder.prepare()
        with self._store.write_transaction() as records:
            ended = records.delete(browser_sessions, **_where(account, person))
        self._record("EndBrowserSessions", records, account, person, {"ended": ended})
        return ended

    def _users(self, records: Records, ids: set[str]) -> dict[str, Any]:
        rows = records.all(identities, id=ids)
        return {row["id"]: user_of(self._store.partition, row).principal() for row in rows}

    def _record(
        self, name: str, records: Records, account: str, person: Person | None, parameters: dict[str, Any]
    ) -> None:
        people = {} if person is None else {"principalArn": person.arn}
        self._change_recorder.record(
            CallResult(
                action=f"iam-guard:{name}",
                resource=(person or root_of(self._store.partition, account)).arn,
                owner=account,
                parameters={"accountId": account, **people, **parameters},
                changed=records.changed,
                epoch=records.epoch,
            )
        )


def _where(account: str, person: Person | None) -> dict[str, Any]:
    return {"account": account} if person is None else person.where
