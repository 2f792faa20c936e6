"""`iam-guard account sessions`: the browser sessions of an account's people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import click

from iam_guard.authn.people.person import PersonRef
from iam_guard.authn.people.sessions.account_sessions import AccountSessions
from iam_guard.authn.people.sessions.browser_sessions import BrowserSession
from iam_guard.cli.kit.change_recording import recorded_store
from iam_guard.cli.kit.commands import ACCOUNT, STORE, Answer, answering
from iam_guard.cli.kit.terminal import quantity, terminal_safe
from iam_guard.settings import load_settings


@click.command()
@ACCOUNT
@click.option("--user", metavar="NAME", help="Only sessions of this user.")
@click.option("--root", "is_root", is_flag=True, help="Only sessions of the root user.")
@click.option("--end", "ended", metavar="ID", help="End the session with this id.")
@click.option("--end-all", "ends_all", is_flag=True, help="End all these sessions.")
@STORE
@answering
def command(account: str, user: str | None, is_root: bool, ended: str | None, ends_all: bool, store: str) -> Answer:
    """List the browser sessions of ACCOUNT (12 digits), or end them.

    A session with a task, such as `factor`, authorizes nothing but the task. With a session end the tools that were
    approved in it; --end-all ends all tools, codes for tools, sign-ins that wait for a choice, and sign-in links.
    """
    if [user is not None and is_root, ended is not None and (ends_all or is_root or user is not None)] != [False] * 2:
        raise click.UsageError("expected at most one of --user and --root, and --end ID without another option")
    with recorded_store(store) as (opened, change_recorder):
        sessions = AccountSessions(opened, load_settings(), change_recorder, lambda: datetime.now(UTC))
        owner = account if user is None and not is_root else PersonRef(account, user, is_root)
        if ended is not None:
            sessions.end(account, ended)
            return Answer({"id": ended}, f"ended the session {ended}")
        if ends_all:
            number = sessions.end_all(owner)
            return Answer({"ended": number}, f"ended {quantity(number, 'session')}")
        rows = [_row(session) for session in _all(sessions, owner)]
    return Answer(rows, (line for row in rows for line in _lines(row)))


def _all(sessions: AccountSessions, owner: str | PersonRef) -> Iterator[BrowserSession]:
    page = sessions.list(owner)
    yield from page.sessions
    while page.after is not None:
        page = sessions.list(owner, after=page.after)
        yield from page.sessions


def _lines(row: dict[str, str | None]) -> Iterator[str]:
    mfa = "no MFA" if row["mfa"] is None else f"MFA {row['mfa']}"
    task = "" if row["task"] is None else f"  task {row['task']}"
    task += "" if row["role"] is None else f"  role {row['role']}"
    task += "" if row["federation"] is None else f"  by {row['federation']}"
    yield f"{row['id']}  {row['person']}  signed in {row['created']}  used {row['used']}  {mfa}{task}"
    yield f"    {row['address'] or '-'}  {terminal_safe(row['browser'] or '-')}"


def _row(session: BrowserSession) -> dict[str, str | None]:
    return {
        "id": session.id,
        "person": session.person.arn,
        "role": None if session.role is None else session.role.arn,
        "created": session.created.isoformat(),
        "used": session.seen.isoformat(),
        "expires": session.expires.isoformat(),
        "mfa": None if session.mfa_at is None else session.mfa_at.isoformat(),
        "task": session.task,
        "federation": None if session.federation is None else session.federation.provider or session.federation.method,
        "address": session.address,
        "browser": session.user_agent,
    }
