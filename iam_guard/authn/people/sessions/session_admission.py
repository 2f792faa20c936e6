"""The one place that decides who gets a session or token, whatever way it is asked for.

Passwords, second factors, passkeys, switches to roles, sign-on of a company, credentials that open a browser session,
and tools: each issues in the transaction in which `may_have_session` was asked, and nothing if it is False.

A person's session with a task authorizes nothing else. `next_task` is the one place that gives tasks:

    factor      use a second factor
    password    choose a new password: it was reset, or has expired
    enrol       add the first second factor: the account requires one
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from iam_guard.authn.people.passwords.stored_passwords import (
    find_profile,
    may_sign_in,
    password_state,
    policy_of,
    requires_second_factor,
)
from iam_guard.authn.people.person import Person, load_person
from iam_guard.authn.people.second_factors.factors import has_second_factor
from iam_guard.model.credential import Session
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.store.accounts.account_state_rows import is_active
from iam_guard.store.database.records import Records
from iam_guard.store.people.federated_session_rows import with_present_owner

Task = Literal["factor", "password", "enrol"]


def may_have_session(records: Records, partition: str, session: Session, now: int) -> bool:
    """Return whether the principal of a session may have it now, which is in seconds since 1970.

    Its account must be active. A user or root user must be one who may sign in; the role of a role session must exist;
    a federated user's parent key must be active, and its user the same. All are compared by unique id. Everything else
    may not, and nothing may after it has expired.
    """
    caller = session.principal
    if now >= session.expires.timestamp() or not is_active(records, caller.account):
        return False
    match caller.type:
        case PrincipalType.USER | PrincipalType.ROOT:
            return _is_person(records, partition, session, now)
        case PrincipalType.ASSUMED_ROLE | PrincipalType.FEDERATED_USER:
            return with_present_owner(records, partition, session) is not None
        case _:
            return False


def person_session(person: Principal, issued: int, expires: int) -> Session:
    """Return the session of a user or root user, as `may_have_session` takes it; the times are in seconds."""
    return Session("", "", person, datetime.fromtimestamp(issued, UTC), datetime.fromtimestamp(expires, UTC))


def next_task(records: Records, person: Person, now: int, has_used_factor: bool) -> Task | None:
    """Return what a person must do next, after a step of a sign-in; None if it is signed in.

    `has_used_factor` is whether a second factor was used in this sign-in, or in the session that is continued.
    """
    has_factor = has_second_factor(records, person)
    if has_factor and not has_used_factor:
        return "factor"
    profile = find_profile(records, person)
    if profile is None or profile["reset_required"]:
        return "password"
    if password_state(profile, policy_of(records, person), now) != "valid":
        return "password"
    return "enrol" if not has_factor and requires_second_factor(records, person) else None


def _is_person(records: Records, partition: str, session: Session, now: int) -> bool:
    """Return whether the principal is a person who may sign in; sessions of AssumeRoot are not its own."""
    caller = session.principal
    is_root = caller.type is PrincipalType.ROOT
    if caller.is_assumed_root or not caller.account or not caller.userid:
        return False
    if is_root and caller.userid != caller.account:
        return False
    person = load_person(records, partition, caller.account, None if is_root else caller.userid)
    return person is not None and may_sign_in(records, person, now)
