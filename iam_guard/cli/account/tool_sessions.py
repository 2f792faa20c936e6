"""`iam-guard account tool-sessions`: list and end the sessions of people's tools. Ends are audited."""

from __future__ import annotations

import time
from collections.abc import Iterator

import click

from iam_guard.authn.people.person import PersonRef, person_named
from iam_guard.authn.people.sessions.tool_sessions import ToolSession, revoke, tool_session
from iam_guard.cli.kit.change_recording import recorded_store
from iam_guard.cli.kit.commands import ACCOUNT, STORE, Answer, answering
from iam_guard.cli.kit.terminal import terminal_safe
from iam_guard.errors import NoSuchEntity
from iam_guard.model.result import CallResult
from iam_guard.store.database.records import PRESENT
from iam_guard.store.protocol import RecordStore
from iam_guard.store.schema import tool_sessions

_PAGE = 1000


@click.command()
@ACCOUNT
@click.option("--end", "ended", metavar="ID", help="End the session with this id.")
@STORE
@answering
def command(account: str, ended: str | None, store: str) -> Answer:
    """List the sessions of tools of ACCOUNT (12 digits), as of `aws login`, or end one.

    A tool whose session was ended gets no more credentials; those that it has last 15 minutes at most.
    """
    with recorded_store(store) as (opened, change_recorder):
        if ended is None:
            found = sorted(_sessions(opened, account), key=lambda session: (session.created, session.id))
            rows = [_row(session) for session in found]
            return Answer(rows, (line for row in rows for line in _lines(row)))
        change_recorder.prepare()
        with opened.write_transaction() as records:
            row = records.one(tool_sessions, account=account, id=ended, key_thumbprint=PRESENT)
            if row is None:
                raise NoSuchEntity(f"the account {account[:64]} has no session `{ended[:64]}` of a tool")
            revoke(records, row, int(time.time()), "ended by an administrator")
        session = tool_session(opened.partition, row)
        change_recorder.record(
            CallResult(
                action="iam-guard:EndToolSession",
                resource=session.arn,
                owner=account,
                parameters={"accountId": account, "sessionId": ended, "principalArn": session.principal},
                changed=records.changed,
                epoch=records.epoch,
            )
        )
    return Answer({"id": ended}, f"ended the session {ended}")


def _sessions(store: RecordStore, account: str) -> Iterator[ToolSession]:
    """Return the sessions of an account that have neither expired nor ended. Raises `NoSuchEntity`."""
    after: tuple[str] | None = None
    now = time.time()
    with store.read_transaction() as records:
        person_named(records, store.partition, PersonRef(account, is_root=True))
        while True:
            rows = records.page(tool_sessions, order=("id",), after=after, limit=_PAGE, account=account, revoked=None)
            live = [row for row in rows if row["key_thumbprint"] is not None and row["expires"] > now]
            yield from (tool_session(store.partition, row) for row in live)
            if len(rows) < _PAGE:
                return
            after = (rows[-1]["id"],)


def _lines(row: dict[str, str | None]) -> Iterator[str]:
    yield f"{row['id']}  {row['principal']}  began {row['created']}  used {row['used'] or '-'}"
    yield f"    {row['client']}  {terminal_safe(row['user_agent'] or '-')}"


def _row(session: ToolSession) -> dict[str, str | None]:
    return {
        "id": session.id,
        "arn": session.arn,
        "principal": session.principal,
        "client": session.client_id,
        "created": session.created.isoformat(),
        "used": None if session.used is None else session.used.isoformat(),
        "expires": session.expires.isoformat(),
        "user_agent": session.user_agent,
    }
