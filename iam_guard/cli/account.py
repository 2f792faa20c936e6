"""`iam-guard account root-password|require-mfa|sessions`: how people of an account sign in, and their sessions."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

import click

from iam_guard.authn.people.passwords.passwords import shared_hasher
from iam_guard.authn.people.passwords.stored_passwords import hash_password, require_second_factor, set_password
from iam_guard.authn.people.person import Person, find_person, load_person
from iam_guard.authn.people.sessions.account_sessions import AccountSessions
from iam_guard.authn.people.sessions.browser_sessions import BrowserSession
from iam_guard.cli.account_states import close_account, delete_account, resume_account, suspend_account
from iam_guard.cli.accounts import create_account, list_accounts, rename_account, show_account
from iam_guard.cli.audit_sources import terminal_safe
from iam_guard.cli.change_recording import recorded_store
from iam_guard.cli.import_users import import_users
from iam_guard.cli.options import ACCOUNT, JSON, STORE
from iam_guard.cli.password_input import read_password
from iam_guard.cli.people_rights import erase_person, export_person
from iam_guard.cli.reset_link import reset_link
from iam_guard.cli.sign_on import sign_on
from iam_guard.cli.tool_sessions import list_tool_sessions
from iam_guard.errors import InvalidInput, NoSuchEntity
from iam_guard.model.result import CallResult
from iam_guard.settings import load
from iam_guard.store.accounts.root_email import checked_email, set_root_email
from iam_guard.store.identifiers import root_arn
from iam_guard.store.protocol import RecordStore


@click.group("account")
def account() -> None:
    """Create and list accounts, and set how their people sign in."""


for command in (
    *(create_account, list_accounts, show_account, rename_account),
    *(suspend_account, resume_account, close_account, delete_account),
    *(import_users, export_person, erase_person),
    *(reset_link, list_tool_sessions, sign_on),
):
    account.add_command(command)


@account.command("root-password")
@ACCOUNT
@click.option(
    "--stdin", "from_stdin", is_flag=True, help="Read the password from the first line of standard input, not a prompt."
)
@click.option("--email", metavar="ADDRESS", help="Set the e-mail address of the root user, if it has none.")
@STORE
@JSON
def root_password(account: str, from_stdin: bool, email: str | None, store: str, as_json: bool) -> None:
    """Set the password of the root user of ACCOUNT (12 digits), which signs in with its e-mail address.

    Prompts for it twice without showing it, unless it is read with --stdin. A password must have at least 15 characters
    (8 if the root user has an MFA device), and be neither commonly used nor a name of the account.
    """
    email = None if email is None else checked_email(email)
    password = read_password(from_stdin=from_stdin)
    settings = load()
    hasher = shared_hasher(settings.password_memory, settings.password_passes)
    with recorded_store(store) as (opened, change_recorder):
        change_recorder.prepare()
        with opened.read_transaction() as records:
            person = load_person(records, opened.partition, account, None)
        if person is None:
            raise NoSuchEntity(f"the account {account[:64]} does not exist")
        hashed = hash_password(opened, hasher, person, password)
        if isinstance(hashed, str):
            raise InvalidInput(hashed, place="password")
        with opened.write_transaction() as records:
            is_email_set = email is not None and set_root_email(records, account, email)
            problem = set_password(records, person, hashed, int(time.time()), reset_required=False)
            if problem is not None:
                raise InvalidInput(problem, place="password")
        parameters = {"accountId": account} | ({"email": email} if is_email_set else {})
        change_recorder.record(
            CallResult(
                action="iam-guard:SetRootPassword",
                resource=person.arn,
                owner=account,
                parameters=parameters,
                epoch=records.epoch,
            )
        )
    click.echo(json.dumps(parameters) if as_json else f"set the password of the root user of {account}")


@account.command("require-mfa")
@ACCOUNT
@click.option("--off", "is_off", is_flag=True, help="Stop requiring it.")
@STORE
@JSON
def require_mfa(account: str, is_off: bool, store: str, as_json: bool) -> None:
    """Require a second factor of all people of ACCOUNT (12 digits) who sign in with a password.

    A person without one adds it at its next sign-in. Sessions that have begun go on; `iam-guard account sessions`
    ends them.
    """
    with recorded_store(store) as (opened, change_recorder):
        change_recorder.prepare()
        with opened.write_transaction() as records:
            require_second_factor(records, account, is_required=not is_off)
        parameters = {"accountId": account, "required": not is_off}
        change_recorder.record(
            CallResult(
                action="iam-guard:RequireMFA",
                resource=root_arn(opened.partition, account),
                owner=account,
                parameters=parameters,
                epoch=records.epoch,
            )
        )
    verb = "requires no" if is_off else "requires a"
    click.echo(json.dumps(parameters) if as_json else f"the account {account} {verb} second factor")


@account.command("sessions")
@ACCOUNT
@click.option("--user", metavar="NAME", help="Only sessions of this user.")
@click.option("--root", "is_root", is_flag=True, help="Only sessions of the root user.")
@click.option("--end", "ended", metavar="ID", help="End the session with this id.")
@click.option("--end-all", "ends_all", is_flag=True, help="End all these sessions.")
@STORE
@JSON
def sessions(
    account: str, user: str | None, is_root: bool, ended: str | None, ends_all: bool, store: str, as_json: bool
) -> None:
    """List the browser sessions of ACCOUNT (12 digits), or end them.

    A session with a task, such as `factor`, authorizes nothing but the task. With a session end the tools that were
    approved in it; --end-all ends all tools, codes for tools, sign-ins that wait for a choice, and sign-in links.
    """
    if [user is not None and is_root, ended is not None and (ends_all or is_root or user is not None)] != [False] * 2:
        raise click.UsageError("expected at most one of --user and --root, and --end ID without another option")
    with recorded_store(store) as (opened, change_recorder):
        found = AccountSessions(opened, load(), change_recorder, lambda: datetime.now(UTC))
        person = _person(opened, account, user, is_root=is_root)
        if ended is not None:
            found.end(account, ended)
            click.echo(json.dumps({"id": ended}) if as_json else f"ended the session {ended}")
        elif ends_all:
            number = found.end_all(account, person)
            click.echo(json.dumps({"ended": number}) if as_json else f"ended {number} session{'s'[: number != 1]}")
        else:
            _show_sessions(found, account, person, as_json=as_json)


def _person(store: RecordStore, account: str, user: str | None, *, is_root: bool) -> Person | None:
    """Return the person that the options name; None for all people of the account. Raises `NoSuchEntity`."""
    with store.read_transaction() as records:
        root = load_person(records, store.partition, account, None)
        if root is None:
            raise NoSuchEntity(f"the account {account[:64]} does not exist")
        if user is None:
            return root if is_root else None
        person = find_person(records, store.partition, account=account, name=user)
    if person is None:
        raise NoSuchEntity(f"the user {user[:64]} does not exist")
    return person


def _show_sessions(sessions: AccountSessions, account: str, person: Person | None, *, as_json: bool) -> None:
    page = sessions.list(account, person)
    rows = [_session_row(session) for session in page.sessions]
    while page.after is not None:
        page = sessions.list(account, person, after=page.after)
        rows += map(_session_row, page.sessions)
    if as_json:
        click.echo(json.dumps(rows))
        return
    for row in rows:
        mfa = "no MFA" if row["mfa"] is None else f"MFA {row['mfa']}"
        task = "" if row["task"] is None else f"  task {row['task']}"
        task += "" if row["role"] is None else f"  role {row['role']}"
        task += "" if row["federation"] is None else f"  by {row['federation']}"
        click.echo(f"{row['id']}  {row['person']}  signed in {row['created']}  used {row['used']}  {mfa}{task}")
        click.echo(f"    {row['address'] or '-'}  {terminal_safe(row['browser'] or '-')}")


def _session_row(session: BrowserSession) -> dict[str, str | None]:
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
