"""The browser sessions of an account, for its administrators: listed page by page, and ended. Ends are audited.

Other processes end them with the change of the store, as they do after a person has signed out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from iam_guard.authn.people.browser_sessions import BrowserSession, is_over
from iam_guard.authn.people.person import Person, load_person, root_of, user_of
from iam_guard.errors import NoSuchEntity
from iam_guard.model.result import CallResult, ChangeRecorder
from iam_guard.settings import Settings
from iam_guard.store.browser_session_rows import role_of_row, session_of_row
from iam_guard.store.federated_session_rows import find_federated_session
from iam_guard.store.protocol import RecordStore
from iam_guard.store.records import Records, Row, Table
from iam_guard.store.schema import browser_sessions, federated_sessions, identities

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
        start = None if after is None else (after,)
        tables = (browser_sessions, federated_sessions) if person is None else (browser_sessions,)
        where = _where(account, person)
        with self._store.read_transaction() as records:
            pages = [records.page(table, order=("id",), after=start, limit=limit, **where) for table in tables]
            rows = sorted((row for page in pages for row in page), key=lambda row: str(row["id"]))[:limit]
            found = self._sessions(records, account, rows)
        now = self._clock()
        live = [session for session in found if not is_over(session, now, self._idle)]
        return SessionPage(live, rows[-1]["id"] if len(rows) == limit else None)

    def end(self, account: str, id: str) -> None:
        """End the session of an account with this id. Raises `NoSuchEntity`, `StoreIsReadOnly`."""
        self._change_recorder.prepare()
        with self._store.write_transaction() as records:
            table, arn = self._find(records, account, id)
            records.delete(table, account=account, id=id)
        self._record("EndBrowserSession", records, account, arn, {"sessionId": id})

    def end_all(self, account: str, person: Person | None = None) -> int:
        """End all sessions of an account, or of one of its people; return their number. Raises `StoreIsReadOnly`."""
        self._change_recorder.prepare()
        with self._store.write_transaction() as records:
            ended = records.delete(browser_sessions, **_where(account, person))
            if person is None:
                ended += records.delete(federated_sessions, account=account)
        arn = None if person is None else person.arn
        self._record("EndBrowserSessions", records, account, arn, {"ended": ended})
        return ended

    def _sessions(self, records: Records, account: str, rows: Sequence[Row]) -> Sequence[BrowserSession]:
        """Return the sessions in rows of both tables, without those whose role or key is gone."""
        partition = self._store.partition
        owners = self._users(records, {row["user_id"] for row in rows if row.get("user_id") is not None})
        root = root_of(partition, account).principal()
        found: list[BrowserSession | None] = []
        for row in rows:
            if "terms" in row:
                found.append(find_federated_session(records, partition, row))
            else:
                owner = root if row["user_id"] is None else owners[row["user_id"]]
                found.append(session_of_row(row, owner, role_of_row(records, partition, row)))
        return [session for session in found if session is not None]

    def _find(self, records: Records, account: str, id: str) -> tuple[Table, str | None]:
        """Return the table of a session and the ARN of the one who signed in, if it exists. Raises `NoSuchEntity`."""
        row = records.one(browser_sessions, account=account, id=id)
        person = None if row is None else load_person(records, self._store.partition, account, row["user_id"])
        if person is not None:
            return browser_sessions, person.arn
        row = records.one(federated_sessions, account=account, id=id)
        if row is None:
            raise NoSuchEntity(f"the account {account[:64]} has no session `{id[:64]}`")
        session = find_federated_session(records, self._store.partition, row)
        return federated_sessions, None if session is None else session.person.arn

    def _users(self, records: Records, ids: set[str]) -> dict[str, Any]:
        rows = records.all(identities, id=ids)
        return {row["id"]: user_of(self._store.partition, row).principal() for row in rows}

    def _record(self, name: str, records: Records, account: str, arn: str | None, parameters: dict[str, Any]) -> None:
        people = {} if arn is None else {"principalArn": arn}
        self._change_recorder.record(
            CallResult(
                action=f"iam-guard:{name}",
                resource=arn or root_of(self._store.partition, account).arn,
                owner=account,
                parameters={"accountId": account, **people, **parameters},
                changed=records.changed,
                epoch=records.epoch,
            )
        )


def _where(account: str, person: Person | None) -> dict[str, Any]:
    return {"account": account} if person is None else person.where
