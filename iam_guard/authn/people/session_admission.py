"""The one place that decides who gets a session or token, whatever way it is asked for.

Passwords, second factors, passkeys, switches to roles, sign-on of a company, credentials that open a browser session,
and tools: each issues in the transaction in which `may_have_session` was asked, and nothing if it is False.
"""

from __future__ import annotations

from datetime import UTC, datetime

from iam_guard.authn.people.person import load_person
from iam_guard.authn.people.stored_passwords import may_sign_in
from iam_guard.model.credential import Session
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.store.account_state_rows import is_active
from iam_guard.store.federated_session_rows import with_present_owner
from iam_guard.store.records import Records


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
