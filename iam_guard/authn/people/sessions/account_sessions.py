"""The browser sessions of an account, for its administrators: listed page by page, and ended. Ends are audited.

With sessions end the tools that were approved in them, and with all sessions of an account what could still become one:
sign-ins that wait for their browser, codes of tools, and links of the federation endpoint.

Other processes end them with the change of the store, as they do after a person has signed out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from iam_guard.authn.people.credential_sign_in import PURPOSE, TOKEN_SECONDS
from iam_guard.authn.people.person import Person, PersonRef, load_person, person_named, root_of, user_of
from iam_guard.authn.people.sessions.browser_sessions import BrowserSession, is_over
from iam_guard.authn.people.sessions.tool_sessions import revoke_all
from iam_guard.errors import NoSuchEntity
from iam_guard.model.result import CallResult, ChangeRecorder
from iam_guard.settings import Settings
from iam_guard.store.credentials.used_tokens import end_tokens
from iam_guard.store.database.records import PRESENT, Records, Row, Table
from iam_guard.store.people.browser_session_rows import role_of_row, session_of_row
from iam_guard.store.people.federated_session_rows import find_federated_session
from iam_guard.store.protocol import RecordStore
from iam_guard.store.schema import (
    browser_sessions,
    federated_sessions,
    identities,
    pending_sign_ins,
    saml_providers,
    sign_on_providers,
)

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
        self, owner: str | PersonRef, *, after: str | None = None, limit: int = MAX_SESSIONS_LISTED
    ) -> SessionPage:
        """Return a page of the sessions of an account (12 digits), or of a person; `after` is that of the page before.

        Raises `NoSuchEntity` for an account or a person that the store does not have.
        """
        start = None if after is None else (after,)
        with self._store.read_transaction() as records:
            account, person = self._owner(records, owner)
            where = {"account": account} if person is None else person.where
            tables = (browser_sessions, federated_sessions) if person is None else (browser_sessions,)
            pages = [records.page(table, order=("id",), after=start, limit=limit, **where) for table in tables]
            rows = sorted((row for page in pages for row in page), key=lambda row: str(row["id"]))[:limit]
            found = self._sessions(records, account, rows)
        now = self._clock()
        live = [session for session in found if not is_over(session, now, self._idle)]
        return SessionPage(live, rows[-1]["id"] if len(rows) == limit else None)

    def end(self, account: str, id: str) -> None:
        """End the session of an account with this id, and the tools that were approved in it.

        Raises `NoSuchEntity`, `StoreIsReadOnly`.
        """
        self._change_recorder.prepare()
        with self._store.write_transaction() as records:
            table, arn = self._find(records, account, id)
            records.delete(table, account=account, id=id)
            tools = self._revoke_tools(records, {"approved_by": id})
        self._record("EndBrowserSession", records, account, arn, {"sessionId": id, **tools})

    def end_all(self, owner: str | PersonRef) -> int:
        """End all sessions of an account (12 digits), or of a person, with their tools; return their number.

        Those of the account end with all that could become one. Raises `NoSuchEntity` for an account or a person that
        the store does not have, `StoreIsReadOnly`.
        """
        self._change_recorder.prepare()
        with self._store.write_transaction() as records:
            account, person = self._owner(records, owner)
            if person is None:
                ended = sum(records.delete(table, account=account) for table in (browser_sessions, federated_sessions))
                self._end_sign_ins(records, account)
                tools = self._revoke_tools(records, {"account": account}, {"person_account": account})
            else:
                ended = records.delete(browser_sessions, **person.where)
                tools = self._revoke_tools(records, {"person_account": account, "person_id": person.user_id})
        arn = None if person is None else person.arn
        self._record("EndBrowserSessions", records, account, arn, {"ended": ended, **tools})
        return ended

    def _owner(self, records: Records, owner: str | PersonRef) -> tuple[str, Person | None]:
        """Return the account and, if a person is named, the person. Raises `NoSuchEntity`."""
        named = PersonRef(owner, is_root=True) if isinstance(owner, str) else owner
        person = person_named(records, self._store.partition, named)
        return person.account, None if isinstance(owner, str) else person

    def _revoke_tools(self, records: Records, *wheres: Mapping[str, Any]) -> dict[str, int]:
        """Revoke sessions and codes of tools; return the member of the record with their number, if there were some."""
        now = int(self._clock().timestamp())
        ended = sum(revoke_all(records, now, "ended by an administrator", **where) for where in wheres)
        return {"endedTools": ended} if ended else {}

    def _end_sign_ins(self, records: Records, account: str) -> None:
        """End what is verified, and no session of the account yet.

        A SAML response may name roles of several accounts with the same identity provider, so it waits for all of them.
        """
        digests = records.values_of(saml_providers, "entity_digest", account=account, entity_digest=PRESENT)
        same = records.values_of(saml_providers, "id", entity_digest=digests)
        for where in ({"account": account}, {"saml_provider_id": same}):
            records.delete(pending_sign_ins, provider_id=records.values_of(sign_on_providers, "id", **where))
        now = int(self._clock().timestamp())
        end_tokens(records, PURPOSE, account, expires=now + TOKEN_SECONDS, now=now)

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
